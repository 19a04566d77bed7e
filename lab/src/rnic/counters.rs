//! What an RNIC counted, by the names that NICs use where they have one.

/// Counters of one RNIC, over all its queue pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames sent.
    pub sent_packets: u64,
    /// Frames received, whatever became of them.
    pub received_packets: u64,
    /// Requester: sequence NAKs received.
    pub packet_seq_err: u64,
    /// Responder: requests beyond the expected one.
    pub out_of_sequence: u64,
    /// Responder: requests that it had executed before.
    pub duplicate_request: u64,
    /// Requester: timeouts.
    pub local_ack_timeout_err: u64,
    /// Requester: gaps seen in responses.
    pub implied_nak_seq_err: u64,
    /// Requester: refusals for lack of a receive.
    pub rnr_nak_retry_err: u64,
    /// Requester: request packets sent again.
    pub retransmitted_packets: u64,
    /// Requester: NAKs ignored for lack of progress since it last went back.
    pub naks_ignored: u64,
    /// Responder: sequence NAKs sent.
    pub naks_sent: u64,
    /// Responder: refusals for lack of a receive.
    pub rnr_naks_sent: u64,
    /// Responder: congestion notifications sent, for packets that the network marked.
    pub np_cnp_sent: u64,
    /// Requester: congestion notifications that made it slow down.
    pub rp_cnp_handled: u64,
    /// Packets whose ICRC was wrong.
    pub icrc_errors: u64,
    /// RoCEv2 packets whose headers contradict themselves.
    pub malformed: u64,
    /// Frames for nobody here: other addresses, unknown queue pairs, other peers or partitions.
    pub misdirected: u64,
    /// Packets that a reliable connection has no use for.
    pub unsupported: u64,
    /// Queue pairs that failed.
    pub qp_errors: u64,
    /// Requester: messages completed.
    pub completed_messages: u64,
    /// Their bytes.
    pub completed_bytes: u64,
    /// Responder: messages delivered to the application.
    pub delivered_messages: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets delivered with bytes that are not the sender's.
    pub altered: u64,
    /// Packets delivered in the place of earlier ones that did not come.
    pub missing: u64,
    /// Packets delivered that had been delivered before.
    pub duplicates: u64,
}

impl Counters {
    /// What no application may ever see: data altered, missing or delivered twice.
    #[must_use]
    pub fn wrong_data(&self) -> u64 {
        self.altered + self.missing + self.duplicates
    }
}

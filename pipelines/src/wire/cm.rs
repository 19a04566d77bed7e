//! Connection management datagrams: which queue pairs talk to each other, and from which PSN on.
//!
//! InfiniBand Architecture volume 1, chapter 12; offsets are counted from the first byte of the
//! management datagram (MAD), which is the payload of a UD SEND Only to queue pair 1.

use super::{BuildError, Malformed, be24, fits, room};

/// Bytes of a MAD.
pub const MAD_LEN: usize = 256;
/// The queue pair that MADs go to and come from.
pub const GSI_QP: u32 = 1;
/// The Q_Key of that queue pair.
pub const GSI_Q_KEY: u32 = 0x8001_0000;

/// Base version 1, class 7 (communication management), class version 2, method 3 (send).
const CM_SEND: [u8; 4] = [1, 7, 2, 3];

/// A MAD with a message of connection management.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mad<'a> {
    /// The same for a message, its repeats and its answers.
    pub transaction_id: u64,
    /// What it says.
    pub message: Message<'a>,
}

/// A message. `local` is its sender, `remote` its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Connection request.
    Req(Req<'a>),
    /// Rejected.
    Rej(Rej<'a>),
    /// Reply to a request.
    Rep(Rep<'a>),
    /// Ready to use.
    Rtu(Ids),
    /// Disconnect request, for this queue pair of the receiver.
    Dreq(Ids, u32),
    /// Disconnect reply.
    Drep(Ids),
    /// A message that is not read here, by its attribute: MRA, SIDR, LAP, APR or a reserved one.
    Other(u16),
}

/// The names that the two sides have for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ids {
    /// The sender's.
    pub local: u32,
    /// The receiver's.
    pub remote: u32,
}

/// Connection request. Fields of InfiniBand links (LIDs, service level), of alternate paths and of
/// end-to-end contexts are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Req<'a> {
    /// The sender's name for the connection.
    pub local_id: u32,
    /// What service is asked for; of rdma_cm, port space and port.
    pub service_id: u64,
    /// The sender's channel adapter.
    pub local_ca_guid: u64,
    /// Key of the sender's queue, of datagrams.
    pub local_q_key: u32,
    /// The sender's queue pair, 24 bits.
    pub local_qpn: u32,
    /// READs and atomics that the sender answers at a time.
    pub responder_resources: u8,
    /// READs and atomics that the sender asks at a time.
    pub initiator_depth: u8,
    /// How long the receiver has to answer: 4.096 us times 2 to this, 5 bits.
    pub remote_response_timeout: u8,
    /// Transport: 0 RC, 1 UC, 2 RD, 3 that of `extended_transport`; 2 bits.
    pub transport: u8,
    /// Whether there is end-to-end flow control.
    pub flow_control: bool,
    /// The first PSN that the sender's queue pair will receive, 24 bits.
    pub starting_psn: u32,
    /// How long the sender takes to answer: as `remote_response_timeout`.
    pub local_response_timeout: u8,
    /// Retries after timeouts and sequence errors, 3 bits.
    pub retry_count: u8,
    /// Partition key.
    pub p_key: u16,
    /// Path MTU code, 4 bits: see [`Self::path_mtu`].
    pub path_mtu_code: u8,
    /// Retries after receiver not ready, 3 bits; 7 for ever.
    pub rnr_retry_count: u8,
    /// Repeats of a message before giving up, 4 bits.
    pub max_cm_retries: u8,
    /// Whether the sender has a shared receive queue.
    pub shared_receive_queue: bool,
    /// With `transport` 3: 1 for XRC; 3 bits.
    pub extended_transport: u8,
    /// The sender's GID; of IPv4, the address as IPv6-mapped.
    pub local_gid: [u8; 16],
    /// The receiver's GID.
    pub remote_gid: [u8; 16],
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Packet rate code, 6 bits.
    pub packet_rate: u8,
    /// Traffic class of the path.
    pub traffic_class: u8,
    /// Hop limit of the path.
    pub hop_limit: u8,
    /// How long the sender's queue pair waits for an acknowledgement: as the other timeouts.
    pub local_ack_timeout: u8,
    /// The application's own; up to 92 bytes, and 92 of what was read.
    pub private_data: &'a [u8],
}

impl Req<'_> {
    /// The path MTU in bytes, if its code is a valid one.
    #[must_use]
    pub fn path_mtu(&self) -> Option<u16> {
        matches!(self.path_mtu_code, 1..=5).then(|| 128 << self.path_mtu_code)
    }
}

/// Reply to a connection request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rep<'a> {
    /// Both names for the connection.
    pub ids: Ids,
    /// Key of the sender's queue, of datagrams.
    pub local_q_key: u32,
    /// The sender's queue pair, 24 bits.
    pub local_qpn: u32,
    /// The first PSN that the sender's queue pair will receive, 24 bits.
    pub starting_psn: u32,
    /// READs and atomics that the sender answers at a time.
    pub responder_resources: u8,
    /// READs and atomics that the sender asks at a time.
    pub initiator_depth: u8,
    /// How long the sender takes to acknowledge: 4.096 us times 2 to this, 5 bits.
    pub target_ack_delay: u8,
    /// Failover accepted, 2 bits.
    pub failover: u8,
    /// Whether there is end-to-end flow control.
    pub flow_control: bool,
    /// Retries after receiver not ready, 3 bits; 7 for ever.
    pub rnr_retry_count: u8,
    /// Whether the sender has a shared receive queue.
    pub shared_receive_queue: bool,
    /// The sender's channel adapter.
    pub local_ca_guid: u64,
    /// The application's own; up to 196 bytes, and 196 of what was read.
    pub private_data: &'a [u8],
}

/// Rejection of a request or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rej<'a> {
    /// Both names for the connection.
    pub ids: Ids,
    /// What is rejected: 0 REQ, 1 REP, 2 another message; 2 bits.
    pub rejected: u8,
    /// Why (InfiniBand Architecture volume 1, table 12-9).
    pub reason: u16,
    /// More about the reason; up to 72 bytes.
    pub info: &'a [u8],
}

impl<'a> Mad<'a> {
    /// Reads the MAD at the beginning of a datagram's payload.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] for less than a MAD, [`Malformed::Kind`] for one of another class.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mad = Fields(payload.first_chunk().ok_or(Malformed::Truncated)?);
        if mad.bytes(0) != CM_SEND {
            return Err(Malformed::Kind);
        }
        let ids = Ids { local: mad.u32(24), remote: mad.u32(28) };
        let message = match mad.u16(16) {
            0x10 => Message::Req(Req::read(mad)),
            0x12 => Message::Rej(Rej::read(mad, ids)),
            0x13 => Message::Rep(Rep::read(mad, ids)),
            0x14 => Message::Rtu(ids),
            0x15 => Message::Dreq(ids, mad.u24(32)),
            0x16 => Message::Drep(ids),
            other => Message::Other(other),
        };
        Ok(Self { transaction_id: u64::from_be_bytes(mad.bytes(8)), message })
    }

    /// Writes the MAD, with zeros where nothing is said; returns its bytes. Of a message of
    /// [`Message::Other`] that is the header only.
    ///
    /// # Errors
    /// No room, or a value that does not fit its field.
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let mad = room::<MAD_LEN>(buffer)?;
        mad.fill(0);
        put(mad, 0, &CM_SEND);
        put(mad, 8, &self.transaction_id.to_be_bytes());
        put(mad, 16, &self.message.attribute().to_be_bytes());
        match &self.message {
            Message::Req(req) => req.put(mad)?,
            Message::Rej(rej) => rej.put(mad)?,
            Message::Rep(rep) => rep.put(mad)?,
            Message::Rtu(ids) | Message::Drep(ids) => ids.put(mad),
            Message::Dreq(ids, qpn) => {
                ids.put(mad);
                put(mad, 32, &be24(fits(*qpn, 24, "remote QPN")?));
            }
            Message::Other(_) => {}
        }
        Ok(MAD_LEN)
    }
}

impl Message<'_> {
    /// The attribute identifier of the message.
    #[must_use]
    pub const fn attribute(&self) -> u16 {
        match self {
            Message::Req(_) => 0x10,
            Message::Rej(_) => 0x12,
            Message::Rep(_) => 0x13,
            Message::Rtu(_) => 0x14,
            Message::Dreq(..) => 0x15,
            Message::Drep(_) => 0x16,
            Message::Other(attribute) => *attribute,
        }
    }
}

impl Ids {
    fn put(self, mad: &mut [u8; MAD_LEN]) {
        put(mad, 24, &self.local.to_be_bytes());
        put(mad, 28, &self.remote.to_be_bytes());
    }
}

impl<'a> Req<'a> {
    fn read(mad: Fields<'a>) -> Self {
        let (timeouts, retries, mtu) = (mad.u8(67), mad.u8(71), mad.u8(74));
        Self {
            local_id: mad.u32(24),
            service_id: u64::from_be_bytes(mad.bytes(32)),
            local_ca_guid: u64::from_be_bytes(mad.bytes(40)),
            local_q_key: mad.u32(52),
            local_qpn: mad.u24(56),
            responder_resources: mad.u8(59),
            initiator_depth: mad.u8(63),
            remote_response_timeout: timeouts >> 3,
            transport: timeouts >> 1 & 3,
            flow_control: timeouts & 1 == 1,
            starting_psn: mad.u24(68),
            local_response_timeout: retries >> 3,
            retry_count: retries & 7,
            p_key: mad.u16(72),
            path_mtu_code: mtu >> 4,
            rnr_retry_count: mtu & 7,
            max_cm_retries: mad.u8(75) >> 4,
            shared_receive_queue: mad.u8(75) & 8 != 0,
            extended_transport: mad.u8(75) & 7,
            local_gid: mad.bytes(80),
            remote_gid: mad.bytes(96),
            flow_label: mad.u24(112) >> 4,
            packet_rate: mad.u8(115) & 0x3f,
            traffic_class: mad.u8(116),
            hop_limit: mad.u8(117),
            local_ack_timeout: mad.u8(119) >> 3,
            private_data: mad.range(164, MAD_LEN),
        }
    }

    fn put(&self, mad: &mut [u8; MAD_LEN]) -> Result<(), BuildError> {
        put(mad, 24, &self.local_id.to_be_bytes());
        put(mad, 32, &self.service_id.to_be_bytes());
        put(mad, 40, &self.local_ca_guid.to_be_bytes());
        put(mad, 52, &self.local_q_key.to_be_bytes());
        put(mad, 56, &be24(fits(self.local_qpn, 24, "local QPN")?));
        put(mad, 59, &[self.responder_resources]);
        put(mad, 63, &[self.initiator_depth]);
        let timeout = bits(self.remote_response_timeout, 5, "remote response timeout")?;
        let transport = bits(self.transport, 2, "transport")?;
        put(mad, 67, &[timeout << 3 | transport << 1 | u8::from(self.flow_control)]);
        put(mad, 68, &be24(fits(self.starting_psn, 24, "starting PSN")?));
        let timeout = bits(self.local_response_timeout, 5, "local response timeout")?;
        put(mad, 71, &[timeout << 3 | bits(self.retry_count, 3, "retry count")?]);
        put(mad, 72, &self.p_key.to_be_bytes());
        let mtu = bits(self.path_mtu_code, 4, "path MTU")?;
        put(mad, 74, &[mtu << 4 | bits(self.rnr_retry_count, 3, "RNR retry count")?]);
        let retries = bits(self.max_cm_retries, 4, "CM retries")?;
        let extended = bits(self.extended_transport, 3, "extended transport")?;
        put(mad, 75, &[retries << 4 | u8::from(self.shared_receive_queue) << 3 | extended]);
        // The LIDs of Ethernet: permissive (annex A16).
        put(mad, 76, &[0xff; 4]);
        put(mad, 80, &self.local_gid);
        put(mad, 96, &self.remote_gid);
        put(mad, 112, &be24(fits(self.flow_label, 20, "flow label")? << 4));
        put(mad, 115, &[bits(self.packet_rate, 6, "packet rate")?]);
        put(mad, 116, &[self.traffic_class, self.hop_limit]);
        put(mad, 119, &[bits(self.local_ack_timeout, 5, "local ACK timeout")? << 3]);
        put_at_most(mad, 164, MAD_LEN, self.private_data)
    }
}

impl<'a> Rep<'a> {
    fn read(mad: Fields<'a>, ids: Ids) -> Self {
        let (delay, retries) = (mad.u8(50), mad.u8(51));
        Self {
            ids,
            local_q_key: mad.u32(32),
            local_qpn: mad.u24(36),
            starting_psn: mad.u24(44),
            responder_resources: mad.u8(48),
            initiator_depth: mad.u8(49),
            target_ack_delay: delay >> 3,
            failover: delay >> 1 & 3,
            flow_control: delay & 1 == 1,
            rnr_retry_count: retries >> 5,
            shared_receive_queue: retries & 0x10 != 0,
            local_ca_guid: u64::from_be_bytes(mad.bytes(52)),
            private_data: mad.range(60, MAD_LEN),
        }
    }

    fn put(&self, mad: &mut [u8; MAD_LEN]) -> Result<(), BuildError> {
        self.ids.put(mad);
        put(mad, 32, &self.local_q_key.to_be_bytes());
        put(mad, 36, &be24(fits(self.local_qpn, 24, "local QPN")?));
        put(mad, 44, &be24(fits(self.starting_psn, 24, "starting PSN")?));
        put(mad, 48, &[self.responder_resources, self.initiator_depth]);
        let delay = bits(self.target_ack_delay, 5, "target ACK delay")?;
        let failover = bits(self.failover, 2, "failover")?;
        put(mad, 50, &[delay << 3 | failover << 1 | u8::from(self.flow_control)]);
        let retries = bits(self.rnr_retry_count, 3, "RNR retry count")?;
        put(mad, 51, &[retries << 5 | u8::from(self.shared_receive_queue) << 4]);
        put(mad, 52, &self.local_ca_guid.to_be_bytes());
        put_at_most(mad, 60, MAD_LEN, self.private_data)
    }
}

impl<'a> Rej<'a> {
    /// Where the information about the reason lies.
    const INFO: std::ops::Range<usize> = 36..108;

    fn read(mad: Fields<'a>, ids: Ids) -> Self {
        let info_end = Self::INFO.start + usize::from(mad.u8(33) >> 1);
        Self {
            ids,
            rejected: mad.u8(32) >> 6,
            reason: mad.u16(34),
            info: mad.range(Self::INFO.start, info_end.min(Self::INFO.end)),
        }
    }

    fn put(&self, mad: &mut [u8; MAD_LEN]) -> Result<(), BuildError> {
        self.ids.put(mad);
        put_at_most(mad, Self::INFO.start, Self::INFO.end, self.info)?;
        let rejected = bits(self.rejected, 2, "rejected message")?;
        put(mad, 32, &[rejected << 6, (self.info.len() as u8) << 1]);
        put(mad, 34, &self.reason.to_be_bytes());
        Ok(())
    }
}

/// The fields of a MAD. Offsets are constants inside of it.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8; MAD_LEN]);

impl<'a> Fields<'a> {
    #[inline]
    fn bytes<const N: usize>(self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(self, at: usize) -> u8 {
        u8::from_be_bytes(self.bytes(at))
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.bytes(at))
    }

    fn u24(self, at: usize) -> u32 {
        let [a, b, c] = self.bytes(at);
        u32::from_be_bytes([0, a, b, c])
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes(at))
    }

    fn range(self, from: usize, to: usize) -> &'a [u8] {
        self.0.get(from..to).unwrap_or_default()
    }
}

/// Puts `bytes` into a MAD.
fn put(mad: &mut [u8; MAD_LEN], at: usize, bytes: &[u8]) {
    let rest = mad.get_mut(at..).unwrap_or_default();
    rest.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Puts `bytes` between two offsets of a MAD.
fn put_at_most(
    mad: &mut [u8; MAD_LEN],
    from: usize,
    to: usize,
    bytes: &[u8],
) -> Result<(), BuildError> {
    if bytes.len() > to - from {
        return Err(BuildError::Field("length of private data"));
    }
    put(mad, from, bytes);
    Ok(())
}

/// `value`, if it has no bits above the lowest `count`.
fn bits(value: u8, count: u32, field: &'static str) -> Result<u8, BuildError> {
    fits(value.into(), count, field).map(|_| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_classes_and_short_datagrams() {
        let mut mad = [0; MAD_LEN];
        mad[..4].copy_from_slice(&CM_SEND);
        mad[17] = 0x11; // MRA
        let read = Mad::parse(&mad).expect("a MAD");
        assert_eq!(read, Mad { transaction_id: 0, message: Message::Other(0x11) });
        assert_eq!(Mad::parse(&mad[..MAD_LEN - 1]), Err(Malformed::Truncated));
        mad[1] = 3; // subnet administration
        assert_eq!(Mad::parse(&mad), Err(Malformed::Kind));
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let ids = Ids { local: 1, remote: 2 };
        let mad = |message| Mad { transaction_id: 7, message };
        let mut buffer = [0; MAD_LEN];
        let qpn = mad(Message::Dreq(ids, 0x100_0000)).write(&mut buffer);
        assert_eq!(qpn, Err(BuildError::Field("remote QPN")));
        let info = &[0; 73];
        let rej = mad(Message::Rej(Rej { ids, rejected: 0, reason: 0, info })).write(&mut buffer);
        assert_eq!(rej, Err(BuildError::Field("length of private data")));
        let room = mad(Message::Rtu(ids)).write(&mut buffer[1..]);
        assert_eq!(room, Err(BuildError::Room { needed: MAD_LEN, room: MAD_LEN - 1 }));
    }

    proptest! {
        /// Whatever bytes a message has, writing what was read and reading it again changes
        /// nothing.
        #[test]
        fn what_was_written_is_read(
            mut bytes in prop::collection::vec(any::<u8>(), MAD_LEN..300),
            attribute in 0u8..0x1b,
        ) {
            bytes[..4].copy_from_slice(&CM_SEND);
            bytes[16..18].copy_from_slice(&[0, attribute]);
            let read = Mad::parse(&bytes).expect("a MAD");
            prop_assert_eq!(read.message.attribute(), u16::from(attribute));
            let mut buffer = [0xaa; MAD_LEN];
            prop_assert_eq!(read.write(&mut buffer), Ok(MAD_LEN));
            prop_assert_eq!(Mad::parse(&buffer), Ok(read));
        }
    }
}

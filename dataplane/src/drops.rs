//! Why a packet was dropped: one enum for the whole gateway, and a counter for each reason.

/// Declares the reasons once: variant, name in reports, and what it means for people.
macro_rules! drop_reasons {
    ($($variant:ident $name:literal $meaning:literal),+ $(,)?) => {
        /// Every reason for which the gateway lets go of a packet. The names are those of the JSON
        /// reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $meaning] $variant),+
        }

        impl DropReason {
            /// All reasons, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in reports and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }
    };
}

drop_reasons! {
    LinkLocalControl "link_local_control"
        "A link-local control frame (01-80-c2-00-00-0x: PAUSE, PFC, LACP), which ends at this port.",
    LanMalformed "lan_malformed"
        "From the LAN, and shorter than an Ethernet header.",
    LanOversize "lan_oversize"
        "From the LAN, too large for its path once encapsulated, and the policy is to drop.",
    LanNoHeadroom "lan_no_headroom"
        "From the LAN, in a buffer without room for the tunnel header.",
    LanNoNextHop "lan_no_next_hop"
        "Carried as IP, and the LAN port has no next hop, or none that answered yet.",
    TtlExpired "ttl_expired"
        "From the LAN, and its time to live ends at the router that a pair of gateways is.",
    PeerAbsent "peer_absent"
        "From the LAN, for a peer that is not there, and its packets are not to be forwarded bare.",
    RnicRepeat "rnic_repeat"
        "From the LAN, an RNIC's own repeat of what is still on its way; absorbed.",
    LanQueueFull "lan_queue_full"
        "Towards the LAN, and neither the port's queue nor the hold buffer had room.",
    QueueThreshold "queue_threshold"
        "A tenant's queue, or what all queues share, was full, and the queue is not lossless.",
    QueueHeadroom "queue_headroom"
        "A lossless queue's headroom was full: whoever sends to it did not stop in time.",
    QueuePoliced "queue_policed"
        "A tenant's queue was full whose senders are not paused: others share their priority.",
    QueuePackets "queue_packets"
        "As many packets waited in queues as may.",
    WanQueueFull "wan_queue_full"
        "Towards the WAN, not numbered yet or a control message, and the port's queue was full.",
    WanNoNextHop "wan_no_next_hop"
        "Towards the WAN, by a path whose next hop did not answer yet.",
    WanMalformed "wan_malformed"
        "From the WAN, for this gateway's tunnel, and not a tunnel packet that can be read.",
    WanChecksum "wan_checksum"
        "From the WAN, for this gateway's tunnel, with a wrong outer checksum; asked for again.",
    WanUnknownPeer "wan_unknown_peer"
        "From the WAN, for this gateway's tunnel, from an address that is no configured peer.",
    WanStaleSession "wan_stale_session"
        "From the WAN, numbered in a session that is not the present one.",
    WanBfd "wan_bfd"
        "From the WAN, a BFD packet that is malformed, or that no session here takes.",
    WanSegmentsLeft "wan_segments_left"
        "From the WAN, for this gateway's SID, and segments are left: the SID is not their last.",
    WanHmac "wan_hmac"
        "From the WAN, for this gateway's SID, with an HMAC, which is not checked here.",
    WanSrv6 "wan_srv6"
        "From the WAN, for this gateway's SID, and what it holds is nothing between gateways.",
    WanCe "wan_ce"
        "From the WAN, marked by the network though what it holds is not ECN-capable (RFC 6040).",
    WanForUs "wan_for_us"
        "From the WAN, addressed to this gateway, and nothing it serves.",
    LocalRate "local_rate"
        "A question for the gateway's own address, beyond what it answers in a second.",
    WanDuplicate "wan_duplicate"
        "From the WAN, received before: a copy made by the network, or a repair that came twice.",
    WanTooLate "wan_too_late"
        "From the WAN, after its lane had stopped waiting for it.",
    WanIcrc "wan_icrc"
        "From the WAN, numbered by its PSN, with a wrong ICRC; asked for again.",
    WanOutOfWindow "wan_out_of_window"
        "From the WAN, with a number that cannot be believed or remembered; asked for again.",
    ControlMalformed "control_malformed"
        "A control message that cannot be read.",
    ControlAuthentication "control_authentication"
        "A control message whose keyed MAC is wrong, or of another session.",
    ControlReplayed "control_replayed"
        "A control message received before, or too old to tell.",
    ControlNoBuffer "control_no_buffer"
        "A control message of ours for which there was no buffer.",
    HandoverFull "handover_full"
        "Another worker's, and the ring to it was full.",
    HandoverOversize "handover_oversize"
        "Another worker's, and longer than the rings between workers take.",
}

/// Packets and bytes dropped, a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drops {
    packets: [u64; DropReason::ALL.len()],
    bytes: [u64; DropReason::ALL.len()],
}

impl Default for Drops {
    fn default() -> Self {
        Self { packets: [0; DropReason::ALL.len()], bytes: [0; DropReason::ALL.len()] }
    }
}

impl Drops {
    /// Counts one packet of `bytes` bytes.
    #[inline]
    pub fn count(&mut self, reason: DropReason, bytes: usize) {
        self.packets[reason as usize] += 1;
        self.bytes[reason as usize] += bytes as u64;
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.packets.iter_mut().zip(other.packets).for_each(|(ours, theirs)| *ours += theirs);
        self.bytes.iter_mut().zip(other.bytes).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// Packets dropped for `reason`.
    #[must_use]
    pub fn packets(&self, reason: DropReason) -> u64 {
        self.packets[reason as usize]
    }

    /// Bytes dropped for `reason`.
    #[must_use]
    pub fn bytes(&self, reason: DropReason) -> u64 {
        self.bytes[reason as usize]
    }

    /// Packets dropped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.packets.iter().sum()
    }

    /// The reasons that occurred, with their packets.
    pub fn seen(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.packets(reason))).filter(|&(_, n)| n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_indices_match() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let same = DropReason::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{}", reason.name());
        }
    }

    #[test]
    fn each_reason_has_its_own_counter() {
        let mut drops = Drops::default();
        drops.count(DropReason::WanTooLate, 100);
        drops.count(DropReason::WanTooLate, 50);
        drops.count(DropReason::WanDuplicate, 1);
        assert_eq!(
            (drops.packets(DropReason::WanTooLate), drops.bytes(DropReason::WanTooLate)),
            (2, 150)
        );
        assert_eq!(drops.total(), 3);
        let mut twice = drops.clone();
        twice.add(&drops);
        assert_eq!((twice.total(), twice.bytes(DropReason::WanTooLate)), (6, 300));
        assert_eq!(
            drops.seen().collect::<Vec<_>>(),
            [(DropReason::WanDuplicate, 1), (DropReason::WanTooLate, 2)]
        );
    }
}

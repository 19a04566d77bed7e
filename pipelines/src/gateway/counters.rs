//! What a gateway counted: plain values of one worker.

use dataplane::drops::Drops;

/// Packets and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
}

impl Traffic {
    /// One more packet.
    #[inline]
    pub fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// Everything a gateway counted since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Received from the LAN.
    pub lan_rx: Traffic,
    /// Given to the LAN.
    pub lan_tx: Traffic,
    /// Received from the WAN.
    pub wan_rx: Traffic,
    /// Packets numbered and encapsulated, first copies only.
    pub tunnelled: Traffic,
    /// Packets numbered by their PSN, first copies only.
    pub numbered: Traffic,
    /// Packets for a peer without encapsulation that have no number of their own, or a repeat's.
    pub unnumbered: Traffic,
    /// Packets sent again.
    pub resent: Traffic,
    /// Control messages sent.
    pub control: Traffic,
    /// Control messages that asked for something.
    pub nacks_sent: u64,
    /// Numbers they asked for, each time counted.
    pub numbers_asked: u64,
    /// Packets that arrived after they were asked for.
    pub repaired: u64,
    /// Packets that arrived late rather than again: the network reordered inside a channel.
    pub reordered: u64,
    /// Packets forwarded bare, LAN to WAN or back.
    pub forwarded_bare: u64,
    /// Packets for a peer forwarded bare because they did not fit their path.
    pub oversize_forwarded: u64,
    /// Packets for a peer forwarded bare because it was not there.
    pub unprotected: u64,
    /// Packets no lane waits for any more although they never came.
    pub gave_up: u64,
    /// Questions for our own address that were answered: ARP and neighbour discovery.
    pub answered: u64,
    /// Echo requests to our own address that were answered.
    pub echoed: u64,
    /// Questions sent for the Ethernet addresses of next hops.
    pub asked: u64,
    /// Frames of other stations that say our address is theirs.
    pub conflicts: u64,
    /// Messages to peers not sent, as no path to the peer has a next hop that answered.
    pub withheld: u64,
    /// Messages to peers that say whom to stop.
    pub stop_messages_sent: u64,
    /// Those of peers.
    pub stop_messages_received: u64,
    /// Tenants that such a message names and the gateway that gets it has not; at either end.
    pub stops_unknown: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Dropped, a reason.
    pub drops: Drops,
}

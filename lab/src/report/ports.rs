//! What was paused on the LANs, in the report.

use pipelines::gateway::{Gateway, PfcStatus};
use serde::Serialize;

use crate::restart::SITES;
use crate::site::LAN;

/// The pauses of a gateway's LAN port, over all the gateway's lives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PortReport {
    /// Its site: `a` or `b`.
    pub name: &'static str,
    /// Frames of priority flow control that it sent.
    pub pfc_sent: u64,
    /// Frames that it got.
    pub pfc_received: u64,
    /// Pauses it asked for, by priority.
    pub pauses_sent: [u64; 8],
    /// Pauses it was asked for, by priority.
    pub pauses_received: [u64; 8],
    /// Pauses that were too long and not obeyed any more, of all priorities.
    pub pauses_broken: u64,
}

impl PortReport {
    /// Of a site, from all lives of its gateway; `None` if it never spoke of pauses.
    pub(crate) fn new<'a>(
        side: usize,
        mut lives: impl Iterator<Item = &'a Gateway>,
    ) -> Option<Self> {
        let name = SITES.get(side).copied().unwrap_or_default();
        let add = |all: Self, gateway: &Gateway| Some(all.and(&gateway.pfc_status(LAN)?));
        lives.try_fold(Self { name, ..Self::default() }, add)
    }

    fn and(mut self, status: &PfcStatus) -> Self {
        let PfcStatus { said, heard, .. } = status;
        self.pfc_sent += said.frames;
        self.pfc_received += heard.frames;
        self.pauses_broken += heard.broken.iter().sum::<u64>();
        for (all, more) in self.pauses_sent.iter_mut().zip(said.pauses) {
            *all += more;
        }
        for (all, more) in self.pauses_received.iter_mut().zip(heard.pauses) {
            *all += more;
        }
        self
    }
}

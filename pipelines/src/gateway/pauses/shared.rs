//! Pauses of a port that several workers have: what each wants, and what all must heed.

use dataplane::time::Time;

use super::super::team::Member;
use super::{Gateway, Pauses, Port};
use crate::pfc::Changed;

impl Port {
    /// What its stations are to pause: nothing, if another worker tells them.
    fn wanted(&self, index: usize, member: Option<&Member>) -> u8 {
        match member {
            None => self.claims.priorities(),
            Some(member) if member.speaks() => {
                member.board(index).map_or(0, |board| board.wanted())
            }
            Some(_) => 0,
        }
    }
}

impl Pauses {
    /// Has the stations told what any worker wants, if this is the one that tells them.
    pub(super) fn agree(&mut self, now: Time) {
        let Self { ports, member, .. } = self;
        for (index, port) in ports.iter_mut().enumerate() {
            let Some(port) = port else { continue };
            let wanted = port.wanted(index, member.as_ref());
            if wanted != port.sender.wanted() {
                port.sender.want(wanted, now);
            }
        }
    }

    /// Takes a place among several workers.
    pub(in super::super) fn join(&mut self, member: Member) {
        self.member = Some(member);
    }

    /// Whether another worker said something that this one has not heeded.
    #[inline]
    fn has_news(&self) -> bool {
        let Some(member) = &self.member else { return false };
        let news = |(index, port): (usize, &Port)| match (member.speaks(), member.board(index)) {
            (true, Some(board)) => board.wanted() != port.sender.wanted(),
            (false, Some(board)) => board.paused() != port.paused,
            (_, None) => false,
        };
        let ports = self.ports.iter().enumerate();
        ports.filter_map(|(index, port)| Some((index, port.as_ref()?))).any(news)
    }

    /// What the stations of a port pause otherwise than this worker has heeded, as another has it.
    fn heard_by_speaker(&self, index: usize) -> Changed {
        let port = self.ports.get(index).and_then(Option::as_ref);
        let board = self.member.as_ref().filter(|member| !member.speaks());
        match (port, board.and_then(|member| member.board(index))) {
            (Some(port), Some(board)) => Changed::between(port.paused, board.paused()),
            _ => Changed::default(),
        }
    }

    /// The stations of a port pause other priorities than before.
    pub(super) fn changed(&mut self, index: usize, changed: Changed) {
        let Some(port) = self.ports.get_mut(index).and_then(Option::as_mut) else { return };
        port.paused = (port.paused & !changed.resumed) | changed.paused;
        if let Some(member) = self.member.as_ref().filter(|member| member.speaks())
            && let Some(board) = member.board(index)
        {
            board.set_paused(port.paused);
        }
    }
}

impl Gateway {
    /// Whether another worker said something of pauses that is not heeded here yet.
    #[inline]
    pub(in super::super) fn has_news_of_pauses(&self) -> bool {
        self.common.pauses.as_ref().is_some_and(|pauses| pauses.has_news())
    }

    /// Heeds what other workers said of pauses.
    pub(in super::super) fn heed_speaker(&mut self, now: Time) {
        for port in 0..self.local.len() {
            let Some(pauses) = &self.common.pauses else { return };
            let changed = pauses.heard_by_speaker(port);
            self.lan_changed(port, changed, now);
        }
        self.common.arm_pauses(now);
    }
}

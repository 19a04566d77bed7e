//! Which channel something takes whose own way is avoided.

use super::peer::Sender;

/// A channel that leaves by another port than `via`, or by another path if it is the path that is
/// out of service, and is not avoided: another one each `turn`.
#[cold]
pub(super) fn detour(senders: &[Sender], via: usize, turn: u32) -> Option<usize> {
    let own = senders.get(via)?;
    let differs = |other: &Sender| match own.down {
        true => other.path != own.path,
        false => other.port != own.port,
    };
    let goes = |other: &Sender| differs(other) && !other.is_avoided() && other.hop.mac.is_some();
    let others = || senders.iter().enumerate().filter(|(_, sender)| goes(sender));
    let turn = turn as usize % others().count().max(1);
    others().nth(turn).map(|(channel, _)| channel)
}

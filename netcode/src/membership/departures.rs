//! What happens to a match when a peer is gone. Pure.

use signaling::protocol::PeerId;

use super::{
    reasons::{EndReason, GoodbyeCause},
    roster::Roster,
};

/// What happens because a peer is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing: the match does not need the peer. Where it goes on without the peer, its machines
    /// agree on that first (`change`).
    None,
    /// The match ends. The other peers receive the cause, so that all show the same reason.
    EndMatch { tell: GoodbyeCause, reason: EndReason },
}

/// The cause of the departure of `peer`, whose goodbye gave the cause `said`.
pub(super) fn cause_of_goodbye(peer: PeerId, said: GoodbyeCause) -> GoodbyeCause {
    match said {
        GoodbyeCause::Leaving => GoodbyeCause::PeerLeft(peer),
        because_of_another => because_of_another,
    }
}

/// The goodbye of a machine whose session ends for `reason`.
pub(super) fn goodbye_for(reason: &EndReason) -> GoodbyeCause {
    match reason {
        // The other peers run into the same timeout a moment later, and should not see ours as a
        // free choice.
        EndReason::StartTimedOut => GoodbyeCause::StartTimedOut,
        _ => GoodbyeCause::Leaving,
    }
}

/// Decides what happens because of `cause`. `is_needed` says whether the match cannot go on without
/// the peer that is gone.
pub(super) fn decide(cause: GoodbyeCause, is_needed: bool, roster: &Roster) -> Consequence {
    let name = |peer| roster.name_of(peer).unwrap_or("a player").to_owned();
    let reason = match cause {
        _ if !is_needed => return Consequence::None,
        GoodbyeCause::Leaving => return Consequence::None,
        GoodbyeCause::PeerLeft(peer) => EndReason::PeerLeft { name: name(peer) },
        GoodbyeCause::PeerLost(peer) => EndReason::PeerLost { name: name(peer) },
        GoodbyeCause::PeerRemoved(peer, misconduct) => {
            EndReason::PeerRemoved { name: name(peer), misconduct }
        }
        GoodbyeCause::StartTimedOut => EndReason::StartTimedOut,
    };
    Consequence::EndMatch { tell: cause, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{conduct::Misconduct, lineup::MatchPlan};

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    fn roster() -> Roster {
        let machines = vec![(ANN, "Ann".into(), 1), (BOB, "Bob".into(), 1)];
        Roster::from_plan(&MatchPlan::seated(1, machines), ANN)
    }

    fn decide_for(cause: GoodbyeCause, is_needed: bool) -> Consequence {
        decide(cause, is_needed, &roster())
    }

    #[test]
    fn a_match_ends_for_all_without_one_of_its_peers() {
        let name = || "Bob".to_owned();
        for (cause, reason) in [
            (GoodbyeCause::PeerLeft(BOB), EndReason::PeerLeft { name: name() }),
            (GoodbyeCause::PeerLost(BOB), EndReason::PeerLost { name: name() }),
            (
                GoodbyeCause::PeerRemoved(BOB, Misconduct::Flood),
                EndReason::PeerRemoved { name: name(), misconduct: Misconduct::Flood },
            ),
            (GoodbyeCause::StartTimedOut, EndReason::StartTimedOut),
        ] {
            assert_eq!(decide_for(cause, true), Consequence::EndMatch { tell: cause, reason });
            assert_eq!(decide_for(cause, false), Consequence::None);
        }
    }

    #[test]
    fn a_goodbye_names_its_sender_unless_it_blames_another_peer() {
        let left = GoodbyeCause::PeerLeft(BOB);
        assert_eq!(cause_of_goodbye(BOB, GoodbyeCause::Leaving), left);
        let lost = GoodbyeCause::PeerLost(ANN);
        assert_eq!(cause_of_goodbye(BOB, lost), lost);
    }

    #[test]
    fn a_start_that_took_too_long_is_reported_to_the_other_peers() {
        assert_eq!(goodbye_for(&EndReason::StartTimedOut), GoodbyeCause::StartTimedOut);
        assert_eq!(goodbye_for(&EndReason::SyncTestFailed), GoodbyeCause::Leaving);
    }
}

//! The seats of a match, and their players.

use bevy::prelude::Resource;
use signaling::protocol::PeerId;

use super::{lineup::MatchPlan, player_name::clean_name};
use crate::input::Seat;

/// The players of a match, seat by seat. The same on all peers, except for `is_local`.
///
/// The resource is that of the match that starts or runs, and of the last one as long as its world
/// stays; empty otherwise. It is a copy for the game: changing it does not change who plays.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    seats: Vec<RosterSeat>,
}

/// One seat of the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSeat {
    /// The seat.
    pub seat: Seat,
    /// The name of its player.
    pub name: String,
    /// The machine that holds the seat; `None` in a local match.
    pub peer: Option<PeerId>,
    /// Whether this machine holds the seat.
    pub is_local: bool,
}

impl Roster {
    /// The seats of an online match, as the plan gives them to its members. The first seat of a
    /// machine has its name, and each further one its name and a number.
    pub(crate) fn from_plan(plan: &MatchPlan, local: PeerId) -> Self {
        let mut seats = Vec::new();
        for member in &plan.members {
            for (number, seat) in (1..).zip(member.seats.iter()) {
                let name = if number == 1 {
                    member.name.clone()
                } else {
                    format!("{} {number}", member.name)
                };
                let (peer, is_local) = (Some(member.peer), member.peer == local);
                seats.push(RosterSeat { seat, name, peer, is_local });
            }
        }
        seats.sort_by_key(|seat| seat.seat);
        Self { seats }
    }

    /// The seats of a local match.
    pub(crate) fn local(names: &[String]) -> Self {
        let seat = |(index, name): (usize, &String)| RosterSeat {
            seat: Seat(index as u8),
            name: clean_name(name),
            peer: None,
            is_local: true,
        };
        Self { seats: names.iter().enumerate().map(seat).collect() }
    }

    /// All seats, in order.
    #[must_use]
    pub fn seats(&self) -> &[RosterSeat] {
        &self.seats
    }

    /// The seats that are played on this machine, in order.
    pub fn local_seats(&self) -> impl Iterator<Item = Seat> + '_ {
        self.seats.iter().filter(|seat| seat.is_local).map(|seat| seat.seat)
    }

    /// The other machines in the match, once for each of their seats.
    pub(crate) fn other_peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.seats.iter().filter(|seat| !seat.is_local).filter_map(|seat| seat.peer)
    }

    /// Whether the machine `peer` is in the match. So is this machine.
    pub(crate) fn has(&self, peer: PeerId) -> bool {
        self.seats.iter().any(|seat| seat.peer == Some(peer))
    }

    /// The name and the seats by which players know the machine `peer`.
    pub(crate) fn known_as(&self, peer: PeerId) -> (&str, Vec<Seat>) {
        let of_peer = self.seats.iter().filter(|seat| seat.peer == Some(peer));
        (self.name_of(peer).unwrap_or("a player"), of_peer.map(|seat| seat.seat).collect())
    }

    /// The name of the player on the machine `peer`.
    pub(crate) fn name_of(&self, peer: PeerId) -> Option<&str> {
        let seat = self.seats.iter().find(|seat| seat.peer == Some(peer))?;
        Some(&seat.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::lineup::{Member, SeatSet};

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    #[test]
    fn the_plan_says_which_seats_a_machine_holds() {
        let member = |peer, name: &str, seats| Member { peer, name: name.into(), seats };
        let ann = member(ANN, "Ann", SeatSet::of(&[1, 3]));
        let bob = member(BOB, "Bob", SeatSet::of(&[0, 2]));
        let roster =
            Roster::from_plan(&MatchPlan { match_number: 1, members: vec![ann, bob] }, BOB);
        let names = roster.seats().iter().map(|seat| (seat.seat.0, seat.name.as_str()));
        assert!(names.eq([(0, "Bob"), (1, "Ann"), (2, "Bob 2"), (3, "Ann 2")]));
        assert!(roster.local_seats().eq([Seat(0), Seat(2)]));
        assert_eq!(roster.name_of(ANN), Some("Ann"));
        assert_eq!(roster.known_as(ANN), ("Ann", vec![Seat(1), Seat(3)]));
        assert!(roster.other_peers().eq([ANN, ANN]) && roster.has(ANN) && roster.has(BOB));
        assert!(!roster.has(PeerId::from_u128(3)));
    }
}

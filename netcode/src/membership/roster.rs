//! The seats of a match, and their players.

use bevy::prelude::Resource;
use signaling::protocol::PeerId;

use super::{lineup::MatchPlan, player_name::clean_name};
use crate::input::Seat;

/// The players of a match, seat by seat. The same on all peers, except for `is_local`.
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
    /// The seats of an online match, in the order of the plan.
    pub(crate) fn from_plan(plan: &MatchPlan, local: PeerId) -> Self {
        let mut seats = Vec::new();
        for member in &plan.members {
            for number in 1..=member.seats {
                let name = if number == 1 {
                    member.name.clone()
                } else {
                    format!("{} {number}", member.name)
                };
                seats.push(RosterSeat {
                    seat: Seat(seats.len() as u8),
                    name,
                    peer: Some(member.peer),
                    is_local: member.peer == local,
                });
            }
        }
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

    /// The name of the player on the machine `peer`.
    pub(crate) fn name_of(&self, peer: PeerId) -> Option<&str> {
        let seat = self.seats.iter().find(|seat| seat.peer == Some(peer))?;
        Some(&seat.name)
    }
}

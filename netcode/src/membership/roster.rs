//! The seats of a match, and their players.

use bevy::prelude::{Message, Resource};
use serde::{Deserialize, Serialize};
use signaling::protocol::PeerId;

use super::{
    change::{Clock, Occupant},
    lineup::MatchPlan,
    player_name::clean_name,
};
use crate::{config::StandIn, input::Seat};

/// The seats of a match, and their players. The same on all peers, except for `is_local`.
///
/// A match keeps its seats from the first frame to the last, but a seat may change hands: see
/// [`SeatState`]. Such a change belongs to a frame, the same on all peers, and rolls back with it.
/// So inside [`Simulate`](crate::Simulate) the resource is the roster of the frame that is being
/// simulated, and outside it is that of the newest frame that was simulated: what you draw.
///
/// The resource is that of the match that starts or runs, and of the last one as long as its world
/// stays; empty otherwise. It is a copy for the game: changing it does not change who plays.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    seats: Vec<RosterSeat>,
    /// This machine, in an online match.
    local: Option<PeerId>,
    clock: Clock,
}

/// Why a match stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The player of this seat paused it: see [`PauseMatch`](crate::PauseMatch).
    ByPlayer(Seat),
    /// It waits for machines that are away: see
    /// [`DeparturePolicy::Wait`](crate::DeparturePolicy::Wait).
    ForMissing,
}

/// One seat of the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSeat {
    /// The seat.
    pub seat: Seat,
    /// What kind of player it has.
    pub state: SeatState,
    /// The name of its player; that of its last player while nobody, or a bot, plays it.
    pub name: String,
    /// The machine that holds the seat, or for which it is kept; `None` if there is none, and in a
    /// local match.
    pub peer: Option<PeerId>,
    /// Whether the seat is held by this machine, or kept for it.
    pub is_local: bool,
}

/// The kind of player that a seat has. It changes between two frames, the same on all peers: see
/// [`SeatChanged`].
///
/// The input of a seat that nobody plays is the default input of the game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SeatState {
    /// A player, on the machine in [`RosterSeat::peer`]; in a local match, on this machine.
    Peer,
    /// A bot, which is part of the simulation: see [`BotInputs`](crate::BotInputs).
    Bot,
    /// Nobody. The seat is kept for the machine in [`RosterSeat::peer`].
    Away,
    /// Nobody, and the seat is kept for no machine.
    #[default]
    Empty,
}

/// Message: a seat changes hands in the frame that is being simulated.
///
/// It is for systems of [`Simulate`](crate::Simulate), such as one that despawns the ship of a
/// player who has gone. They read the changes of exactly the frame that they simulate, in the
/// first frame with the new [`Roster`], and again whenever that frame is simulated again:
///
/// ```
/// # use bevy::prelude::*;
/// # use netcode::prelude::*;
/// # #[derive(Component)]
/// # struct Ship { seat: Seat }
/// fn remove_ships(
///     mut commands: Commands,
///     mut changes: MessageReader<SeatChanged>,
///     ships: Ordered<(Entity, &Ship)>,
/// ) {
///     for change in changes.read().filter(|change| change.now == SeatState::Empty) {
///         for (entity, _) in ships.iter().filter(|(_, ship)| ship.seat == change.seat) {
///             commands.entity(entity).despawn_rollback();
///         }
///     }
/// }
/// # let mut app = App::new();
/// # app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()));
/// app.add_systems(Simulate, remove_ships);
/// # app.finish();
/// # app.cleanup();
/// ```
///
/// Outside of `Simulate` the message is of little use: only those of the newest simulated frame
/// are there, and a rollback may take that frame back. What draws the players compares [`Roster`]
/// with what it shows.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatChanged {
    /// The seat.
    pub seat: Seat,
    /// The player that it had in the last frame that was simulated before.
    pub before: SeatState,
    /// The player that it has from this frame on.
    pub now: SeatState,
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
                seats.push(RosterSeat { seat, state: SeatState::Peer, name, peer, is_local });
            }
        }
        seats.sort_by_key(|seat| seat.seat);
        Self { seats, local: Some(local), clock: Clock::Runs }
    }

    /// The same seats in other states, one for each. Only the first seat is local.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_states(&self, states: &[SeatState]) -> Self {
        let seats = self.seats.iter().zip(states).map(|(seat, &state)| RosterSeat {
            state,
            is_local: seat.seat == Seat(0),
            ..seat.clone()
        });
        Self { seats: seats.collect(), ..self.clone() }
    }

    /// The same seats, in a match that stands still, or runs.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_pause(&self, pause: Option<Pause>) -> Self {
        self.clone().with_clock(match pause {
            None => Clock::Runs,
            Some(Pause::ByPlayer(seat)) => Clock::PausedBy(seat.0),
            Some(Pause::ForMissing) => Clock::Waits,
        })
    }

    /// The seats of a local match.
    pub(crate) fn local(names: &[String]) -> Self {
        let seat = |(index, name): (usize, &String)| RosterSeat {
            seat: Seat(index as u8),
            state: SeatState::Peer,
            name: clean_name(name),
            peer: None,
            is_local: true,
        };
        let seats = names.iter().enumerate().map(seat).collect();
        Self { seats, local: None, clock: Clock::Runs }
    }

    /// Changes who plays a seat. `peer` is the machine that holds it, or for which it is kept, and
    /// `is_local` says that this is ours. The name stays.
    pub(crate) fn set_state(
        &mut self,
        seat: Seat,
        state: SeatState,
        peer: Option<PeerId>,
        is_local: bool,
    ) {
        if let Some(old) = self.seats.iter_mut().find(|other| other.seat == seat) {
            let name = std::mem::take(&mut old.name);
            *old = RosterSeat { seat, state, name, peer, is_local };
        }
    }

    /// All seats, in order.
    #[must_use]
    pub fn seats(&self) -> &[RosterSeat] {
        &self.seats
    }

    /// Returns the kind of player of `seat`; `Empty` if the match has no such seat.
    #[must_use]
    pub fn state(&self, seat: Seat) -> SeatState {
        let found = self.seats.iter().find(|other| other.seat == seat);
        found.map_or(SeatState::Empty, |found| found.state)
    }

    /// The seats that have changed hands since the roster `before`, which is of the same match.
    pub(crate) fn changes_since(&self, before: &Self) -> impl Iterator<Item = SeatChanged> {
        let pairs = before.seats.iter().zip(&self.seats);
        let changed = pairs.filter(|(before, now)| before.state != now.state);
        changed.map(|(before, now)| SeatChanged {
            seat: now.seat,
            before: before.state,
            now: now.state,
        })
    }

    /// The seats that are played on this machine, in order.
    pub fn local_seats(&self) -> impl Iterator<Item = Seat> + '_ {
        let ours = |seat: &&RosterSeat| seat.is_local && seat.state == SeatState::Peer;
        self.seats.iter().filter(ours).map(|seat| seat.seat)
    }

    /// The seats that are played by bots, in order.
    pub(crate) fn bots(&self, stand_in: StandIn) -> impl Iterator<Item = Seat> + '_ {
        let is_bot = move |seat: &&RosterSeat| match seat.state {
            SeatState::Bot => true,
            SeatState::Away | SeatState::Empty => stand_in == StandIn::Bot,
            SeatState::Peer => false,
        };
        self.seats.iter().filter(is_bot).map(|seat| seat.seat)
    }

    /// The other machines in the match, once for each of their seats.
    pub(crate) fn other_peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.seats.iter().filter_map(|seat| seat.peer).filter(|&peer| Some(peer) != self.local)
    }

    /// The occupant of each seat, as the machines agree on it.
    pub(crate) fn occupants(&self) -> Vec<Occupant> {
        let occupant = |seat: &RosterSeat| match (seat.state, seat.peer) {
            (SeatState::Peer, Some(peer)) => Occupant::Peer(peer),
            (SeatState::Away, Some(peer)) => Occupant::Away(peer),
            (SeatState::Bot, _) => Occupant::Bot,
            _ => Occupant::Empty,
        };
        self.seats.iter().map(occupant).collect()
    }

    /// The same seats, filled as the machines have agreed. A seat keeps the name of the player who
    /// held it last.
    pub(crate) fn with_occupants(&self, occupants: &[Occupant]) -> Self {
        let seat = |(seat, occupant): (&RosterSeat, &Occupant)| {
            let (state, peer) = match *occupant {
                Occupant::Peer(peer) => (SeatState::Peer, Some(peer)),
                Occupant::Away(peer) => (SeatState::Away, Some(peer)),
                Occupant::Bot => (SeatState::Bot, None),
                Occupant::Empty => (SeatState::Empty, None),
            };
            let is_local = peer.is_some() && peer == self.local;
            RosterSeat { state, peer, is_local, ..seat.clone() }
        };
        Self { seats: self.seats.iter().zip(occupants).map(seat).collect(), ..self.clone() }
    }

    /// The same seats, in a match that runs or stands still.
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Why the match stands still; `None` while it runs.
    ///
    /// In a pause, [`Simulate`](crate::Simulate) does not run, so nothing in the world changes and
    /// `Time` stands still there; frames are counted all the same, and inputs do nothing. A seat
    /// that changes hands meanwhile does so for the simulation in the first frame after the pause.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        match self.clock {
            Clock::Runs => None,
            Clock::PausedBy(seat) => Some(Pause::ByPlayer(Seat(seat))),
            Clock::Waits => Some(Pause::ForMissing),
        }
    }

    /// The seats that are kept for machines that are away, with these machines.
    pub(crate) fn away(&self) -> impl Iterator<Item = (u8, PeerId)> + '_ {
        let away = self.seats.iter().filter(|seat| seat.state == SeatState::Away);
        away.filter_map(|seat| Some((seat.seat.0, seat.peer?)))
    }

    /// The number of machines that hold a seat.
    pub(crate) fn machines(&self) -> usize {
        let mut peers = Vec::from_iter(self.seats.iter().filter_map(|seat| seat.peer));
        peers.sort_unstable();
        peers.dedup();
        peers.len()
    }

    /// The name of the player of a seat.
    pub(crate) fn name_at(&self, seat: u8) -> Option<&str> {
        self.seats.get(usize::from(seat)).map(|seat| seat.name.as_str())
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

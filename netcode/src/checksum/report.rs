//! What a game and its log learn about a desync.

use std::fmt;

use bevy::prelude::Message;
use signaling::protocol::PeerId;

use super::Differing;
use crate::{diagnostics::SessionStats, input::Seat};

/// This peer and another one computed different worlds for the same confirmed frame, or have
/// different inputs before it.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct DesyncDetected(pub DesyncReport);

/// What is known about a desync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesyncReport {
    /// The compared frame that differs. Every compared frame from the first difference on is
    /// reported; the cause lies at most one checksum interval before the first one.
    pub frame: u32,
    /// The peer whose frame differs from ours.
    pub peer: PeerId,
    /// The name of its player.
    pub name: String,
    /// The seats that it holds, by which peers of the same name can be told apart.
    pub peer_seats: Vec<Seat>,
    /// The registered types whose values differ.
    pub types: Vec<String>,
    /// The seats whose inputs differ. Either the machine that holds such a seat gave that peer
    /// different inputs than us, or one of the two peers played with wrong ones. If this is empty,
    /// the simulation is not deterministic.
    pub seats: Vec<Seat>,
}

impl fmt::Display for DesyncReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { frame, name, peer_seats, types, seats, .. } = self;
        let peer_seats = Numbers(peer_seats);
        if !seats.is_empty() {
            return write!(
                f,
                "desync: before frame {frame}, our inputs of {} differ from those that {name} \
                 ({peer_seats}) has: the machine that holds the seat gave different inputs to \
                 different peers.",
                Numbers(seats)
            );
        }
        write!(
            f,
            "desync: our frame {frame} differs from that of {name} ({peer_seats}) in `{}`. ",
            types.join("`, `")
        )?;
        if *frame == 0 {
            f.write_str("`SetupMatch` already made different worlds. ")?;
        } else {
            f.write_str(
                "The cause lies at most one checksum interval before the first reported frame. ",
            )?;
        }
        f.write_str(
            "A sync test in chaos mode usually names the field. If it passes, see \"When two peers \
             disagree\" in netcode's README.",
        )
    }
}

/// Seats, by their numbers.
struct Numbers<'a>(&'a [Seat]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(|seat| seat.0.to_string()).collect();
        let seat = if numbers.len() == 1 { "seat" } else { "seats" };
        write!(f, "{seat} {}", numbers.join(", "))
    }
}

impl DesyncReport {
    /// Names the types that differ. `hashed_names` are the names of our types, in order; the peer
    /// has a name and seats.
    pub(crate) fn new<'a>(
        hashed_names: impl Iterator<Item = &'a str>,
        frame: u32,
        peer: PeerId,
        (name, peer_seats): (&str, Vec<Seat>),
        differing: &Differing,
    ) -> Self {
        let names: Vec<&str> = hashed_names.collect();
        let type_name = |&index: &usize| {
            let name = names.get(index).copied().unwrap_or("a type that only one of us has");
            name.to_owned()
        };
        let types = differing.types.iter().map(type_name).collect();
        let (name, seats) = (name.to_owned(), differing.seats.clone());
        Self { frame, peer, name, peer_seats, types, seats }
    }

    /// Counts the desync, and logs the first one of a match, as every compared frame after it
    /// differs, too.
    pub(crate) fn count(&self, stats: &mut SessionStats) {
        if stats.desyncs == 0 {
            tracing::error!("{self}");
        }
        stats.desyncs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_players_and_seats_as_people_know_them() {
        let peer = PeerId::from_u128(7);
        let report = DesyncReport {
            frame: 30,
            peer,
            name: "Bob".into(),
            peer_seats: vec![Seat(1)],
            types: vec!["game::Ship".into()],
            seats: Vec::new(),
        };
        let text = report.to_string();
        assert!(text.contains("differs from that of Bob (seat 1) in `game::Ship`"), "{text}");
        let seats = vec![Seat(0), Seat(2)];
        let inputs = DesyncReport { seats, ..report }.to_string();
        assert!(inputs.contains("our inputs of seats 0, 2 differ"), "{inputs}");
        assert!(inputs.contains("those that Bob (seat 1) has"), "{inputs}");
        for text in [text, inputs] {
            assert!(!text.contains(&peer.to_string()), "{text}");
        }
    }
}

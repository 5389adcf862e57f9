//! Properties of every control message, tested with arbitrary ones.

use proptest::{collection::vec, prelude::*};
use signaling::{lobby::MAX_NAME_CHARS, protocol::PeerId};

use super::{
    conduct::Misconduct,
    control::{Control, ControlError, Finish, Hello, Status, WIRE_VERSION},
    lineup::{LineUpMessage, MatchPlan, Member, SeatSet},
    reasons::GoodbyeCause,
};
use crate::{
    checksum::FrameHashes,
    config::{MAX_ID_BYTES, MAX_SEATS},
    exchange::{
        LastInputs,
        properties::{config, streams},
    },
    transport::{MAX_CONTROL_BYTES, MAX_PEERS},
};

/// The most types that a game may register for its checksums to fit into a message: far more than
/// any game has.
const MANY_TYPES: usize = 1000;

fn peer() -> impl Strategy<Value = PeerId> {
    any::<u128>().prop_map(PeerId::from_u128)
}

/// A name within our limits.
fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=MAX_NAME_CHARS).prop_map(String::from_iter)
}

fn hello() -> impl Strategy<Value = Control> {
    let id = || vec(any::<char>(), 0..=MAX_ID_BYTES / 4).prop_map(String::from_iter);
    (id(), id(), any::<u64>(), name(), any::<u8>()).prop_map(
        |(game_id, game_version, protocol_hash, name, seats)| {
            Control::Hello(Hello { game_id, game_version, protocol_hash, name, seats })
        },
    )
}

fn status() -> impl Strategy<Value = Control> {
    let flags = any::<[bool; 4]>();
    (flags, any::<u32>(), vec(peer(), 0..=MAX_PEERS), name()).prop_map(
        |([is_ready, is_in_match, is_hidden, is_spectator], last_match_number, reaches, name)| {
            Control::Status(Status {
                is_ready,
                is_in_match,
                is_hidden,
                is_spectator,
                last_match_number,
                reaches,
                name,
            })
        },
    )
}

fn line_up() -> impl Strategy<Value = Control> {
    let seats = vec(0..MAX_SEATS, 0..=usize::from(MAX_SEATS));
    let member = (peer(), name(), seats).prop_map(|(peer, name, seats)| {
        let seats = SeatSet::of(&seats);
        Member { peer, name, seats }
    });
    let plan = (any::<u32>(), vec(member, 0..=usize::from(MAX_SEATS)))
        .prop_map(|(match_number, members)| MatchPlan { match_number, members });
    let of_plan: [fn(MatchPlan) -> LineUpMessage; 2] =
        [LineUpMessage::Propose, LineUpMessage::Accept];
    let message = prop_oneof![
        (plan, 0..2usize).prop_map(move |(plan, index)| of_plan[index](plan)),
        any::<u32>().prop_map(|match_number| LineUpMessage::Decline { match_number }),
        any::<u32>().prop_map(|match_number| LineUpMessage::Begin { match_number }),
    ];
    message.prop_map(Control::LineUp)
}

fn goodbye() -> impl Strategy<Value = Control> {
    let misconduct =
        prop_oneof![Just(Misconduct::Junk), Just(Misconduct::Flood), Just(Misconduct::Stuck),];
    let cause = prop_oneof![
        Just(GoodbyeCause::Leaving),
        peer().prop_map(GoodbyeCause::PeerLeft),
        peer().prop_map(GoodbyeCause::PeerLost),
        Just(GoodbyeCause::StartTimedOut),
        (peer(), misconduct)
            .prop_map(|(peer, misconduct)| GoodbyeCause::PeerRemoved(peer, misconduct)),
    ];
    cause.prop_map(Control::Goodbye)
}

fn control() -> impl Strategy<Value = Control> {
    let finish =
        (any::<[u32; 3]>(), streams(8)).prop_map(|([match_number, end, given], streams)| {
            let last = LastInputs { given, streams };
            Control::Finish(Finish { match_number, end, last })
        });
    let seats = vec(any::<u64>(), 0..=usize::from(MAX_SEATS));
    let checksums = (any::<u32>(), any::<u32>(), vec(any::<u64>(), 0..=MANY_TYPES), seats)
        .prop_map(|(match_number, frame, parts, inputs)| {
            let hashes = FrameHashes { parts, inputs };
            Control::Checksums { match_number, frame, hashes }
        });
    prop_oneof![hello(), status(), line_up(), checksums, goodbye(), finish]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_control_message_comes_back_and_fits(message in control()) {
        let bytes = message.encode();
        prop_assert!(bytes.len() <= MAX_CONTROL_BYTES, "{} bytes", bytes.len());
        prop_assert_eq!(Control::decode(&bytes), Ok(message));
    }

    #[test]
    fn any_bytes_are_a_control_message_that_comes_back_or_none(
        is_ours in any::<bool>(), mut bytes in vec(any::<u8>(), 0..600),
    ) {
        if is_ours {
            bytes.insert(0, WIRE_VERSION);
        }
        match Control::decode(&bytes) {
            Ok(message) => prop_assert_eq!(Control::decode(&message.encode()), Ok(message)),
            Err(ControlError::OtherVersion) => prop_assert_ne!(bytes[0], WIRE_VERSION),
            Err(ControlError::Unknown) => {
                // What follows the tag makes no difference.
                bytes.truncate(2);
                prop_assert_eq!(Control::decode(&bytes), Err(ControlError::Unknown));
            }
            Err(ControlError::Malformed) => {}
        }
    }

    #[test]
    fn the_texts_of_a_hello_fit_a_line(message in hello(), long in ".{0,400}") {
        let Control::Hello(hello) = message else { panic!("it is one") };
        let hello = Hello { name: long.clone(), game_id: long, ..hello }.cleaned();
        prop_assert!((1..=MAX_NAME_CHARS).contains(&hello.name.chars().count()));
        prop_assert!(hello.game_id.chars().count() <= MAX_ID_BYTES);
        prop_assert_eq!(hello.clone().cleaned(), hello);
    }
}

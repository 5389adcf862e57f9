//! Checks that the examples in PROTOCOL.md are what the code sends: if the document drifts, these
//! tests fail.

use signaling::protocol::PeerId;

use crate::{
    checksum::FrameHashes,
    config::NetcodeConfig,
    exchange::{
        Datagram, DatagramHeader, InputRun, Inputs, LastInputs, Millis, Stream, encode_control,
    },
    membership::{
        change::{Ballot, Body, Message},
        control::{Control, Finish, Hello, Status},
        lineup::{LineUpMessage, MatchPlan, Member, SeatSet},
        reasons::GoodbyeCause,
    },
    packed_input::PackedInput,
};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

fn run(frames: u8, bytes: &[u8]) -> InputRun {
    InputRun { frames, input: PackedInput::from_bytes(bytes).expect("it is short") }
}

fn assert_documented(examples: &[(&str, Vec<u8>)]) {
    let rows = examples.iter().map(|(what, bytes)| format!("| {what} | `{}` |", hex(bytes)));
    let missing: Vec<String> = rows.filter(|row| !PROTOCOL.contains(row)).collect();
    assert!(missing.is_empty(), "PROTOCOL.md should have these rows:\n{}", missing.join("\n"));
}

#[test]
fn control_messages_are_as_documented() {
    let config = NetcodeConfig {
        game_id: "duel".into(),
        game_version: "1".into(),
        ..NetcodeConfig::default()
    };
    let hello = Hello::new(&config, 5, "Ada", 1);
    let reaches = vec![PeerId::from_u128(1)];
    let status = Status {
        is_ready: true,
        is_in_match: false,
        is_hidden: true,
        is_spectator: false,
        last_match_number: 300,
        reaches,
        name: "Ada".into(),
    };
    let seats = SeatSet::of(&[0, 1]);
    let member = Member { peer: PeerId::from_u128(1), name: "Ada".into(), seats };
    let plan = MatchPlan { match_number: 1, members: vec![member] };
    let hashes = FrameHashes { parts: vec![7, u64::MAX], inputs: vec![9] };
    let streams = vec![Stream { seat: 0, first: 243, runs: vec![run(3, &[17])] }];
    let finish = Finish { match_number: 1, end: 240, last: LastInputs { given: 246, streams } };
    let lost = GoodbyeCause::PeerLost(PeerId::from_u128(1));
    let ballot = Ballot { round: 1, leader: 2 };
    let accepted = Message { epoch: 1, body: Body::Accepted { ballot, digest: 300 } };
    assert_documented(&[
        ("Hello", Control::Hello(hello).encode()),
        ("Status", Control::Status(status).encode()),
        ("LineUp, Propose", Control::LineUp(LineUpMessage::Propose(plan)).encode()),
        ("LineUp, Decline", Control::LineUp(LineUpMessage::Decline { match_number: 1 }).encode()),
        ("Checksums", Control::Checksums { match_number: 1, frame: 30, hashes }.encode()),
        ("Goodbye, Leaving", Control::Goodbye(GoodbyeCause::Leaving).encode()),
        ("Goodbye, PeerLost", Control::Goodbye(lost).encode()),
        ("Finish", Control::Finish(finish).encode()),
        ("Change, Accepted", Control::Change { match_number: 1, message: accepted }.encode()),
        ("Return", Control::Return { match_number: 1 }.encode()),
        ("Pause", Control::Pause { match_number: 1, pauses: true }.encode()),
        ("Kick", Control::Kick { match_number: 1, peer: PeerId::from_u128(1) }.encode()),
    ]);
}

#[test]
fn a_datagram_is_as_documented() {
    let header = DatagramHeader {
        match_number: 1,
        epoch: 0,
        frame: 1000,
        sent_ms: Millis::new(20_000),
        echo_ms: Millis::new(19_900),
        held_ms: 12,
        lead_quarters: -2,
    };
    let inputs = |has, runs| {
        let streams = vec![Stream { seat: 0, first: 1000, runs }];
        Some(Inputs { confirmed: 996, has, streams })
    };
    let encoded = |inputs| {
        let mut bytes = Vec::new();
        Datagram { header, inputs }.encode(&mut bytes).expect("a datagram encodes");
        bytes
    };
    assert_documented(&[
        ("Datagram outside a match", encoded(None)),
        (
            "Datagram with three inputs of one byte",
            encoded(inputs(vec![996], vec![run(2, &[17]), run(1, &[16])])),
        ),
        (
            "Datagram to one of three others, an input held for 20 frames, the default one",
            encoded(inputs(vec![996, 998, 1_100], vec![run(20, &[17]), run(1, &[])])),
        ),
        ("Datagram that is a control message, Return", {
            let mut bytes = Vec::new();
            encode_control(&Control::Return { match_number: 1 }.encode(), &mut bytes);
            bytes
        }),
    ]);
}

#[test]
fn limits_are_as_documented() {
    use crate::{exchange, membership::control, packed_input::MAX_INPUT_BYTES, transport};
    for sentence in [
        format!("wire version **{}**", control::WIRE_VERSION),
        format!("at most {} characters", signaling::lobby::MAX_NAME_CHARS),
        format!("at most {} bytes, a datagram", transport::MAX_CONTROL_BYTES),
        format!("a datagram at most {}", transport::MAX_DATAGRAM_BYTES),
        format!("a bulk message at most {}", transport::MAX_BULK_BYTES),
        format!("at most {} frames", exchange::MAX_INPUT_FRAMES),
        format!("at most {} bytes for each frame", MAX_INPUT_BYTES),
    ] {
        assert!(PROTOCOL.contains(&sentence), "PROTOCOL.md should say: {sentence}");
    }
}

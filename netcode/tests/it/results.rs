//! The result of a match that has ended: its last frame, compared with those of the other peers,
//! and kept for the game to read.

use bevy::prelude::*;
use netcode::{
    Agreement, DesyncReport, InputDelay, NetcodeConfig, PeerId, PeerResult, TransportError,
    prelude::*, testing::Stepper,
};

use crate::{
    hostile::WIRE_VERSION,
    support::{
        Input, Mover, add_game, assert_agreement, busy, config, config_ending, grow_old, places,
        state, stats, write_to_all,
    },
};

/// Everything that the game saw after its match had ended.
#[derive(Resource, Default)]
struct Seen(Vec<Ending>);

#[derive(Clone, Debug, PartialEq)]
struct Ending {
    result: MatchResult,
    names: Vec<String>,
    places: Vec<i64>,
    frame: u32,
}

/// Adds the game, and records each ending twice: in `FinishedMatch`, and again once the state has
/// changed.
fn add_recorded(app: &mut App, script: fn(Seat, u32) -> Input) {
    add_recorded_with(app, config(), script);
}

fn add_recorded_with(app: &mut App, config: NetcodeConfig, script: fn(Seat, u32) -> Input) {
    add_game(app, config, script);
    app.init_resource::<Seen>().add_systems(FinishedMatch, record).add_systems(
        Update,
        record.run_if(|mut changes: MessageReader<SessionChanged>| {
            changes.read().filter(|change| change.from.is_running()).count() > 0
        }),
    );
}

fn record(
    mut seen: ResMut<Seen>,
    result: Res<MatchResult>,
    roster: Res<Roster>,
    frame: Res<SimFrame>,
    movers: Query<&Mover>,
) {
    let mut movers: Vec<&Mover> = movers.iter().collect();
    movers.sort_by_key(|mover| mover.seat);
    seen.0.push(Ending {
        result: result.clone(),
        names: roster.seats().iter().map(|seat| seat.name.clone()).collect(),
        places: movers.iter().map(|mover| mover.place).collect(),
        frame: frame.0,
    });
}

fn seen(app: &App) -> &[Ending] {
    &app.world().resource::<Seen>().0
}

fn agreements(app: &App) -> Vec<Agreement> {
    app.world().resource::<MatchResult>().peers.iter().map(|peer| peer.agreement).collect()
}

/// The rules: from frame 100 on, the match is over after the frame in which the second player asks
/// to remove anything.
fn decide(inputs: Res<PlayerInputs<Input>>, frame: Res<SimFrame>, mut end: ResMut<MatchEnd>) {
    if frame.0 >= 100 && inputs.get(Seat(1)).remove {
        end.finish_when_confirmed(frame.0);
    }
}

/// Removes until frame 92 and from frame 150 on. At frame 100 some peers predict that the match is
/// over, and are wrong, however long inputs are delayed.
fn decided_late(seat: Seat, frame: u32) -> Input {
    Input { remove: seat == Seat(1) && !(93..150).contains(&frame), ..busy(seat, frame) }
}

#[test]
fn a_match_ends_at_the_frame_that_its_rules_name_and_its_last_world_stays() {
    for conditions in [LinkConditions::NONE, LinkConditions::MOBILE_4G, LinkConditions::AWFUL] {
        let mut stepper = Stepper::in_match(3, |_, app| {
            add_recorded(app, decided_late);
            app.add_systems(Simulate, decide.after(grow_old));
        });
        stepper.set_network(conditions, 11);
        stepper.run_until("the match ends everywhere", |apps| {
            apps.iter().all(|app| *state(app) == SessionState::Gathering)
        });
        stepper.updates(120);
        for app in stepper.apps() {
            let [first, again] = seen(app) else { panic!("{:?}", seen(app)) };
            assert_eq!(first, again, "nothing is gone when the change of state is read");
            assert_eq!(first.frame, first.result.frames);
            assert!((150..170).contains(&first.frame), "{}", first.frame);
            assert_eq!(first.names, ["peer 0", "peer 1", "peer 2"]);
            assert_eq!((first.places.len(), &first.result.ended), (3, &None));
            assert_eq!(first.places, seen(stepper.app(0))[0].places);
            assert_eq!(first.frame, seen(stepper.app(0))[0].frame);
            assert_eq!(agreements(app), [Agreement::Same; 2]);
            assert_eq!(places(app), first.places, "the last world stays");
        }
        assert_agreement(&stepper, 5);
    }
}

/// The frames whose effects have started.
#[derive(Resource, Default)]
struct Heard(Vec<u32>);

#[test]
fn no_effect_starts_after_the_end_of_the_match() {
    let mut stepper = Stepper::in_match(2, |_, app| {
        add_recorded(app, busy);
        let decide = |frame: Res<SimFrame>, mut end: ResMut<MatchEnd>| {
            if frame.0 >= 150 {
                end.finish_when_confirmed(150);
            }
        };
        let ring = |mut bells: ResMut<Effects<u32>>, frame: Res<SimFrame>| bells.emit(frame.0);
        let listen = |mut rung: MessageReader<EffectStarted<u32>>, mut heard: ResMut<Heard>| {
            heard.0.extend(rung.read().map(|effect| effect.frame));
        };
        app.rollback_effect::<u32>()
            .init_resource::<Heard>()
            .add_systems(Simulate, (decide, ring).chain().after(grow_old))
            .add_systems(Update, listen);
    });
    stepper.set_network(LinkConditions::WIFI, 11);
    stepper.run_until("the match ends everywhere", |apps| {
        apps.iter().all(|app| *state(app) == SessionState::Gathering)
    });
    stepper.updates(10);
    for app in stepper.apps() {
        let mut heard = app.world().resource::<Heard>().0.clone();
        heard.sort_unstable();
        assert_eq!(heard, (0..=150).collect::<Vec<u32>>());
    }
}

#[test]
fn the_last_world_is_cleared_when_the_room_is_left_or_another_match_begins() {
    let mut stepper = Stepper::in_match(2, |_, app| add_recorded(app, busy));
    stepper.updates(60);
    write_to_all(&mut stepper, FinishMatch);
    stepper.updates(60);
    assert_eq!(places(stepper.app(0)).len(), 2);
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    let local = StartLocal { seats: vec!["one".into()], seed: 5, sync_test: None };
    stepper.app_mut(1).world_mut().write_message(local);
    stepper.update();
    assert_eq!(places(stepper.app(0)).len(), 0);
    assert_eq!(*stepper.app(0).world().resource::<Roster>(), Roster::default());
    assert_eq!(places(stepper.app(1)).len(), 1);
}

#[test]
fn a_match_that_is_broken_off_leaves_its_last_confirmed_world() {
    let mut stepper = Stepper::in_match(3, |_, app| add_recorded_with(app, config_ending(), busy));
    stepper.set_network(LinkConditions::WIFI, 3);
    stepper.updates(120);
    stepper.app_mut(0).world_mut().write_message(LeaveRoom);
    stepper.updates(30);
    assert!(seen(stepper.app(0)).iter().all(|ending| ending.places.is_empty()));
    assert!(places(stepper.app(0)).is_empty());
    let left = EndReason::PeerLeft { name: "peer 0".into() };
    for app in &stepper.apps()[1..] {
        let [first, again] = seen(app) else { panic!("{:?}", seen(app)) };
        assert_eq!(first, again);
        assert_eq!(first.result.ended, Some(left.clone()));
        assert_eq!((first.places.len(), first.names.len()), (3, 3));
        assert_eq!(first.frame, stats(app).confirmed_frames);
    }
}

#[test]
fn a_local_match_ends_by_its_rules_and_a_sync_test_goes_on() {
    for (sync_test, is_over) in [(None, true), (Some(SyncTest::EVERY_DEPTH), false)] {
        let mut stepper = Stepper::new(1, |_, app| {
            add_recorded(app, decided_late);
            app.add_systems(Simulate, decide.after(grow_old));
        });
        let seats = vec!["one".into(), "two".into()];
        stepper.app_mut(0).world_mut().write_message(StartLocal { seats, seed: 5, sync_test });
        stepper.updates(300);
        let app = stepper.app(0);
        assert_eq!(*state(app) == SessionState::Offline, is_over, "{:?}", state(app));
        assert_eq!(seen(app).first().map(|ending| ending.frame), is_over.then_some(151));
    }
}

#[derive(Resource, Default)]
struct Reports(Vec<DesyncReport>);

fn collect(mut desyncs: MessageReader<DesyncDetected>, mut reports: ResMut<Reports>) {
    reports.0.extend(desyncs.read().map(|desync| desync.0.clone()));
}

fn reports(app: &App) -> &[DesyncReport] {
    &app.world().resource::<Reports>().0
}

#[test]
fn a_desync_after_the_last_regular_checksum_is_found_before_the_match_is_over() {
    let mut stepper = Stepper::in_match(2, |index, app| {
        add_game(app, config(), busy);
        app.init_resource::<Reports>().add_systems(Update, collect);
        if index == 1 {
            let nudge = |frame: Res<SimFrame>, mut movers: Query<&mut Mover>| {
                if frame.0 == 95 {
                    movers.iter_mut().for_each(|mut mover| mover.place += 1);
                }
            };
            app.add_systems(Simulate, nudge.after(grow_old));
        }
    });
    stepper.run_until("the frame is past", |apps| stats(&apps[1]).frames >= 100);
    write_to_all(&mut stepper, FinishMatch);
    stepper.updates(60);
    for app in stepper.apps() {
        assert_eq!(*state(app), SessionState::Gathering);
        assert!(stats(app).desyncs > 0);
        assert_eq!(agreements(app), [Agreement::Different]);
        assert_eq!(reports(app)[0].seats, []);
    }
}

/// Makes the peer `to` receive different inputs of the peer `from` than those that `from` gives,
/// for the frames around `frame`, which `from` simulates next.
fn give_other_inputs(stepper: &mut Stepper, from: usize, to: usize, frame: u32) {
    let mut bytes = vec![0x11, 1, 0, 0xfc];
    bytes.extend_from_slice(&frame.to_le_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0, 0xfb, 0xff, 0xff, 0]);
    // The sender has the inputs of the other two seats up to 8 frames ago, and its own begin there.
    // There are 12 frames of them; only the last value counts.
    bytes.extend_from_slice(&[15, 0x20, 0, 0x21, 15, 0xc3, 0, 0, 1]);
    stepper.inject_datagram(from, to, &bytes);
}

#[test]
fn a_machine_that_gives_different_inputs_to_different_peers_is_named() {
    // The inputs change nothing, so all worlds are the same.
    let idle = |_: Seat, _: u32| Input::default();
    let mut stepper = Stepper::in_match(3, |_, app| {
        let delay = InputDelay::Fixed(1);
        add_game(app, NetcodeConfig { input_delay: delay, ..config() }, idle);
        app.init_resource::<Reports>().add_systems(Update, collect);
    });
    stepper.run_until("frame 95 is reached", |apps| stats(&apps[1]).frames >= 95);
    let frame = stats(stepper.app(1)).frames;
    give_other_inputs(&mut stepper, 2, 1, frame);
    stepper.updates(6);
    write_to_all(&mut stepper, FinishMatch);
    stepper.updates(90);
    for (app, other) in [(0, 1), (1, 0), (1, 2)] {
        let other: Option<PeerId> = stepper.id(other);
        let found = reports(stepper.app(app)).iter().find(|report| Some(report.peer) == other);
        let found = found.expect("the difference is found");
        assert_eq!((&found.seats[..], &found.types[..]), (&[Seat(2)][..], &[][..]), "{found}");
    }
    assert_eq!(agreements(stepper.app(0)), [Agreement::Different, Agreement::Same]);
    assert_eq!(agreements(stepper.app(1)), [Agreement::Different; 2]);
}

#[test]
fn a_peer_that_sends_no_last_checksums_is_named_and_holds_nobody_up() {
    for is_heard in [false, true] {
        let mut stepper = Stepper::in_match(2, |_, app| add_recorded(app, busy));
        stepper.updates(100);
        stepper.cut_off(1);
        let frame = stats(stepper.app(0)).frames;
        stepper.app_mut(0).world_mut().write_message(FinishMatch);
        for _ in 0..130 {
            if is_heard {
                // The peer sends the number of its frame, and nothing else.
                let mut here = vec![0, 0, 0, 0xfc];
                here.extend_from_slice(&frame.to_le_bytes());
                here.extend_from_slice(&[0, 0, 0, 0, 0xfb, 0xff, 0xff, 0]);
                stepper.inject_datagram(1, 0, &here);
            }
            stepper.app_mut(0).update();
        }
        assert_eq!(*state(stepper.app(0)), SessionState::Gathering);
        let result = &seen(stepper.app(0))[0].result;
        assert_eq!(result.peers.len(), 1);
        let PeerResult { name, frames, agreement, .. } = &result.peers[0];
        assert_eq!((name.as_str(), *agreement), ("peer 1", Agreement::Unknown));
        assert_eq!(*frames, None, "it has not said that the match is over for it");
    }
}

#[test]
fn a_result_says_until_which_frame_each_peer_played() {
    let mut stepper = Stepper::in_match(3, |_, app| add_recorded(app, busy));
    stepper.updates(100);
    for index in [2, 1, 0] {
        stepper.app_mut(index).world_mut().write_message(FinishMatch);
        stepper.updates(100);
    }
    let result = |index: usize| &seen(stepper.app(index))[0].result;
    let ends = [0, 1, 2].map(|index| result(index).frames);
    assert!(ends[0] > ends[1] && ends[1] > ends[2], "{ends:?}");
    // A peer that plays on has not said when it will stop.
    let expected = [[Some(ends[1]), Some(ends[2])], [None, Some(ends[2])], [None, None]];
    for (index, expected) in expected.into_iter().enumerate() {
        let frames: Vec<_> = result(index).peers.iter().map(|peer| peer.frames).collect();
        assert_eq!(frames, expected, "peer {index}");
    }
}

#[test]
fn a_match_is_finished_although_the_transport_fails_while_its_last_frame_is_compared() {
    let mut stepper = Stepper::in_match(3, |_, app| add_recorded_with(app, config_ending(), busy));
    stepper.updates(100);
    // The third peer is frozen, so the other two end the match where its inputs end.
    (0..2).for_each(|index| {
        stepper.app_mut(index).world_mut().write_message(FinishMatch);
    });
    (0..90).for_each(|_| stepper.update_some(|index| index < 2));
    assert!(state(stepper.app(0)).is_running(), "it still compares its last frame");
    stepper.fail_transport(0);
    stepper.update_some(|index| index < 2);
    let app = stepper.app(0);
    let closed = SessionState::Ended(EndReason::Transport(TransportError::Closed));
    assert_eq!(*state(app), closed);
    let [first, again] = seen(app) else { panic!("{:?}", seen(app)) };
    assert_eq!(first, again);
    assert_eq!((&first.result.ended, first.places.len()), (&None, 3));
    let peers: Vec<(&str, Agreement)> =
        first.result.peers.iter().map(|peer| (peer.name.as_str(), peer.agreement)).collect();
    assert_eq!(peers, [("peer 1", Agreement::Same), ("peer 2", Agreement::Unknown)]);
}

#[test]
fn a_match_is_broken_off_if_the_transport_fails_before_its_last_frame() {
    let mut stepper = Stepper::in_match(2, |_, app| add_recorded(app, busy));
    stepper.updates(100);
    stepper.fail_transport(0);
    stepper.updates(2);
    let result = &seen(stepper.app(0))[0].result;
    let closed = EndReason::Transport(TransportError::Closed);
    assert_eq!((&result.ended, &result.peers[..]), (&Some(closed), &[][..]));
}

/// The message with which a peer finishes match 1, as PROTOCOL.md describes it, without inputs.
fn finish_message(end: u8, given: u8) -> [u8; 6] {
    [WIRE_VERSION, 5, 1, end, given, 0]
}

#[test]
fn a_peer_that_names_an_impossible_end_does_not_count_as_the_same() {
    // The end lies long before the last inputs, or there are no inputs, or the end lies after them.
    for (end, given) in [(30, 120), (0, 0), (250, 0), (250, 120)] {
        let mut stepper = Stepper::in_match(2, |_, app| add_recorded(app, busy));
        stepper.run_until("three frames are compared", |apps| stats(&apps[0]).frames >= 115);
        stepper.app_mut(0).world_mut().write_message(FinishMatch);
        stepper.inject_control(1, 0, &finish_message(end, given));
        // The peer sends nothing for later frames.
        (0..180).for_each(|_| stepper.app_mut(0).update());
        let app = stepper.app(0);
        assert_eq!(*state(app), SessionState::Gathering);
        assert_eq!(agreements(app), [Agreement::Unknown], "{end}, {given}");
        assert_eq!(stats(app).dropped.false_end, 1, "{end}, {given}");
    }
}

#[test]
fn a_peer_that_leaves_after_the_match_spoils_no_result() {
    let mut stepper = Stepper::in_match(3, |_, app| add_recorded(app, busy));
    stepper.set_network(LinkConditions::WIFI, 3);
    stepper.updates(100);
    write_to_all(&mut stepper, FinishMatch);
    stepper.run_until("one peer is back in the lobby", |apps| {
        apps.iter().any(|app| *state(app) == SessionState::Gathering)
    });
    let first = stepper.apps().iter().position(|app| *state(app) == SessionState::Gathering);
    let first = first.expect("one peer is back in the lobby");
    stepper.app_mut(first).world_mut().write_message(LeaveRoom);
    stepper.updates(180);
    for index in (0..3).filter(|&index| index != first) {
        assert_eq!(*state(stepper.app(index)), SessionState::Gathering);
        assert_eq!(agreements(stepper.app(index)), [Agreement::Same; 2]);
    }
}

//! The same inputs give the same world: when a frame is simulated again, and in a recording from
//! another day.

use bevy::prelude::{IntoScheduleConfigs, Res, ResMut, Resource};
use demo_game::input::Input;
use demo_game::recording::Recording;
use demo_game::selftest::{self, HASHES, RECORDING, SelfTestError};
use demo_game::sim::SimSystems;
use netcode::prelude::{
    FinishMatch, PlayerInputs, ReadInputs, Seat, SessionState, Simulate, SyncTest, SyncTestFailed,
};

use crate::playground::{Playground, RandomInputs, press_at_random};

/// Plays random inputs in a sync test; a match that ends is followed by another.
fn sync_test(seats: usize, test: SyncTest, frames: u32, seed: u64) {
    let mut playground = Playground::offline();
    playground
        .app
        .insert_resource(RandomInputs::new(seed))
        .add_systems(ReadInputs, press_at_random);
    let mut played = 0;
    let mut matches = 0;
    while played < frames {
        playground.start(seats, seed + matches, Some(test));
        matches += 1;
        while played + playground.frame() < frames && !playground.state().is_finished() {
            playground.update();
            let messages =
                playground.app.world().resource::<bevy::prelude::Messages<SyncTestFailed>>();
            if let Some(SyncTestFailed(failure)) = messages.iter_current_update_messages().next() {
                panic!("seed {seed}, match {matches}: {failure}");
            }
        }
        played += playground.frame();
        assert!(playground.stats().resimulated_frames > 0, "a sync test simulates frames again");
        playground.app.world_mut().write_message(FinishMatch);
        playground.updates(2);
        assert_eq!(*playground.app.world().resource::<SessionState>(), SessionState::Offline);
    }
}

#[test]
fn random_play_gives_the_same_world_when_every_frame_is_simulated_again() {
    sync_test(4, SyncTest::at_depth(2), 20_000, 1);
}

#[test]
fn random_play_gives_the_same_world_after_the_deepest_rollbacks() {
    sync_test(2, SyncTest::at_depth(8), 4_000, 2);
}

#[test]
fn random_play_gives_the_same_world_in_chaos() {
    sync_test(4, SyncTest::CHAOS, 20_000, 3);
}

#[test]
fn the_recorded_match_has_its_known_hashes() {
    let report = selftest::run(RECORDING).expect("the recording that is checked in can be played");
    assert!(report.hashes.len() > 100, "a hash every half second of a minute");
    assert_eq!(report.to_string(), HASHES, "if the rules changed on purpose: see record_the_match");
}

#[test]
fn a_damaged_recording_is_an_error() {
    assert!(matches!(selftest::run(b"DUEL"), Err(SelfTestError::Recording(_))));
}

#[test]
fn a_recording_that_has_no_frames_is_played_at_once() {
    let report = selftest::run(&Recording::new(1, 2).to_bytes()).expect("it can be played");
    assert_eq!((report.frames, report.hashes.len()), (0, 0));
}

#[derive(Resource)]
struct Recorder(Recording);

fn record(inputs: Res<PlayerInputs<Input>>, mut recorder: ResMut<Recorder>) {
    recorder.0.push_frame(|seat| inputs.get(Seat(seat)));
}

/// Run by hand after a change of the rules: `cargo test -p demo-game --no-default-features --
/// --ignored record_the`
#[test]
#[ignore = "writes the recording and its hashes; they change only when the rules do"]
fn record_the_match() {
    const SEED: u64 = 20_000;
    let mut playground = Playground::bots_with(4, SEED, |app| {
        app.insert_resource(Recorder(Recording::new(SEED, 4)))
            .add_systems(Simulate, record.after(SimSystems));
    });
    playground.until("a minute", 4_000, |playground| playground.frame() >= 3_660);
    let recording = playground.app.world().resource::<Recorder>().0.to_bytes();
    let report = selftest::run(&recording).expect("what was just recorded can be played");
    let own: Vec<_> = playground.checksums();
    assert_eq!(report.hashes, own[..report.hashes.len()], "it is the same match when played again");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");
    std::fs::write(format!("{folder}/four-bots.duel"), recording)
        .expect("the recording can be written");
    std::fs::write(format!("{folder}/four-bots.hashes"), report.to_string())
        .expect("the hashes can be written");
}

//! Unusual inputs: equal but with different bits, of varying size, or in a form that no machine can
//! read.

use bevy::prelude::*;
use netcode::{
    GameInput,
    prelude::*,
    testing::{self, Stepper},
};
use serde::{Deserialize, Serialize};

use crate::support::{assert_agreement, state, stats};

/// A sum over the inputs of one seat, as the simulation saw them.
#[derive(Component, Clone, Serialize, Deserialize)]
struct Seen {
    seat: Seat,
    total: u64,
}

/// A game in which each seat gives the input `press(seat, frame)`, and in which each seat adds up
/// `weigh(input)`.
fn add_game<I: GameInput>(app: &mut App, press: fn(Seat, u32) -> I, weigh: fn(I) -> u64) {
    app.add_plugins(NetcodePlugin::<I>::default())
        .rollback_component::<Seen>()
        .add_systems(SetupMatch, |mut commands: Commands, roster: Res<Roster>| {
            for seat in roster.seats() {
                commands.spawn((Rollback, Seen { seat: seat.seat, total: 0 }));
            }
        })
        .add_systems(ReadInputs, move |mut inputs: ResMut<LocalInputs<I>>, frame: Res<SimFrame>| {
            for seat in inputs.seats().to_vec() {
                inputs.set(seat, press(seat, frame.0));
            }
        })
        .add_systems(Simulate, move |inputs: Res<PlayerInputs<I>>, mut all: Query<&mut Seen>| {
            for mut seen in &mut all {
                seen.total = seen.total.wrapping_mul(3).wrapping_add(weigh(inputs.get(seen.seat)));
            }
        });
}

fn two<I: GameInput>(press: fn(Seat, u32) -> I, weigh: fn(I) -> u64) -> Stepper {
    Stepper::in_match(2, |_, app| add_game(app, press, weigh))
}

/// The message of a sync test that fails with such a game.
fn sync_test_failure<I: GameInput>(press: fn(Seat, u32) -> I) -> String {
    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    add_game(&mut app, press, |_| 1);
    let outcome = testing::sync_test(&mut app, SyncTest::EVERY_DEPTH, 1, 200);
    outcome.expect_err("no machine could read the inputs").to_string()
}

/// The message with which a local match of such a game ends.
fn local_end<I: GameInput>(press: fn(Seat, u32) -> I) -> String {
    let mut stepper = Stepper::new(1, |_, app| add_game(app, press, |_| 1));
    let local = StartLocal { seats: vec!["one".into()], seed: 5, sync_test: None };
    stepper.app_mut(0).world_mut().write_message(local);
    stepper.updates(200);
    end_of(&stepper, 0)
}

fn end_of(stepper: &Stepper, index: usize) -> String {
    match state(stepper.app(index)) {
        SessionState::Ended(reason) => reason.to_string(),
        other => panic!("the match goes on: {other:?}"),
    }
}

/// Asserts that a text contains the name of the input type and all of `names`.
fn assert_names<I>(text: &str, names: &[&str]) {
    for name in [std::any::type_name::<I>()].iter().chain(names) {
        assert!(text.contains(name), "{name} is not named in: {text}");
    }
}

#[test]
fn inputs_that_are_equal_but_differ_in_bits_are_corrected() {
    let press = |_, frame: u32| if (frame / 13).is_multiple_of(2) { 0.0 } else { -0.0f32 };
    let mut stepper = two(press, |stick| u64::from(stick.is_sign_negative()));
    stepper.set_network(LinkConditions::WIFI, 1);
    stepper.updates(900);
    assert!(stats(stepper.app(0)).rollbacks > 0, "no input was corrected");
    assert_agreement(&stepper, 20);
}

#[test]
fn nan_is_predicted_like_any_other_held_input() {
    let mut stepper = two(|_, _| f32::NAN, |stick| u64::from(stick.to_bits()));
    stepper.set_network(LinkConditions::WIFI, 1);
    stepper.updates(300);
    for app in stepper.apps() {
        // One rollback, for the first input that was not the default.
        assert!(stats(app).rollbacks <= 1, "{:?}", stats(app));
    }
    assert_agreement(&stepper, 6);
}

#[test]
fn nan_with_different_bits_is_just_a_different_input() {
    let press = |_, frame: u32| f32::from_bits(0x7fc0_0000 + frame / 13);
    let mut stepper = two(press, |stick| u64::from(stick.to_bits()));
    stepper.set_network(LinkConditions::WIFI, 1);
    stepper.updates(300);
    for app in stepper.apps() {
        // At most one for each change.
        assert!(stats(app).rollbacks <= 300 / 13 + 1, "{:?}", stats(app));
    }
    assert_agreement(&stepper, 6);
}

#[test]
fn two_seats_of_one_machine_may_have_inputs_of_varying_size() {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    enum Order {
        #[default]
        Wait,
        Build(u8),
        March {
            x: i16,
            y: i16,
        },
    }
    let press = |seat: Seat, frame: u32| match (frame / 5 + u32::from(seat.0)) % 3 {
        0 => Order::Wait,
        1 => Order::Build(seat.0),
        _ => Order::March { x: frame as i16, y: -1 },
    };
    let weigh = |order| match order {
        Order::Wait => 0,
        Order::Build(what) => 1 + u64::from(what),
        Order::March { x, y } => x as u64 ^ y as u64,
    };
    let mut stepper = Stepper::new(2, |_, app| add_game(app, press, weigh));
    stepper.join(0, 2);
    stepper.join(1, 1);
    stepper.start();
    stepper.set_network(LinkConditions::WIFI, 1);
    stepper.updates(400);
    assert_agreement(&stepper, 8);

    let mut app = App::new();
    app.add_plugins(MinimalPlugins);
    add_game(&mut app, press, weigh);
    let outcome = testing::sync_test(&mut app, SyncTest::CHAOS, 2, 200);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_machine_simulates_what_it_sends() {
    /// A field that is not sent has its default, even on the machine that pressed it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Press {
        sent: u8,
        #[serde(skip)]
        kept: u8,
    }
    let press = |_, frame: u32| Press { sent: (frame / 20) as u8, kept: 7 };
    let mut stepper = two(press, |press| u64::from(press.sent) + 1000 * u64::from(press.kept));
    stepper.updates(120);
    assert_agreement(&stepper, 3);
}

#[test]
fn an_input_that_is_too_long_ends_the_match_and_accuses_no_peer() {
    type Long = Option<[[u8; 32]; 3]>;
    let press: fn(Seat, u32) -> Long = |_, frame| (frame == 60).then_some([[1; 32]; 3]);
    let here: fn(Seat, u32) -> Long =
        |seat, frame| (seat == Seat(0) && frame == 60).then_some([[1; 32]; 3]);
    let mut stepper = two(here, |_| 1);
    stepper.updates(600);
    assert_names::<Long>(&end_of(&stepper, 0), &["97 bytes", "64", "smaller"]);
    assert_eq!(end_of(&stepper, 1), "peer 0 left the match", "no peer is accused");
    assert_names::<Long>(&local_end(press), &["97 bytes"]);
    assert_names::<Long>(&sync_test_failure(press), &["97 bytes"]);
}

/// An input with a field that `skip_serializing_if` may leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Named {
    #[serde(default, skip_serializing_if = "Option::is_some")]
    aim: Option<u8>,
    go: bool,
}

#[test]
fn an_input_that_cannot_be_read_back_is_named() {
    let named = |_, frame: u32| Named { aim: (frame % 50 > 40).then_some(3), go: true };
    assert_names::<Named>(&local_end(named), &["its own bytes", "`skip_serializing_if`"]);
    assert_names::<Named>(&sync_test_failure(named), &["its own bytes"]);
    let here = |seat: Seat, frame: u32| Named {
        aim: (seat == Seat(0) && frame == 60).then_some(3),
        go: true,
    };
    let mut stepper = two(here, |_| 1);
    stepper.updates(120);
    assert_names::<Named>(&end_of(&stepper, 0), &["its own bytes"]);
    assert_eq!(end_of(&stepper, 1), "peer 0 left the match", "no peer is accused");
}

#[test]
#[should_panic(expected = "`it::inputs::refused::Aim` cannot be sent: it cannot be read")]
fn a_default_input_that_cannot_be_sent_is_refused_when_the_app_is_built() {
    two(|_, _| refused::Aim::default(), |_| 1);
}

#[test]
#[should_panic(expected = "`it::inputs::refused::Loose` cannot be sent: it cannot be read")]
fn a_default_input_without_a_tag_is_refused_when_the_app_is_built() {
    App::new().add_plugins(NetcodePlugin::<refused::Loose>::default());
}

/// Types whose defaults cannot be read from their own bytes.
mod refused {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Aim {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<u8>,
        go: bool,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Loose {
        Turn(u8),
        Go { far: bool },
    }

    impl Default for Loose {
        fn default() -> Self {
            Self::Turn(0)
        }
    }
}

#[test]
#[should_panic(expected = "it never will, as the session of peer 0 ended: the match cannot be")]
fn a_match_that_cannot_start_is_given_up_with_the_reason() {
    let mut stepper = Stepper::new(2, |_, app| add_game(app, |_, _| [0u8; 32], |_| 1));
    // The default inputs of all its seats exceed what a machine can send.
    stepper.join(0, 3);
    stepper.join(1, 1);
    stepper.start();
}

#[test]
fn an_input_that_does_not_serialize_is_named_with_the_reason() {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
    struct Angle(f32);
    impl Serialize for Angle {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 > 1.0 {
                return Err(serde::ser::Error::custom("beyond the dial"));
            }
            serializer.serialize_f32(self.0)
        }
    }
    let press = |_, frame: u32| Angle(frame as f32 / 50.0);
    assert_names::<Angle>(&local_end(press), &["does not serialize", "beyond the dial"]);
    assert_names::<Angle>(&sync_test_failure(press), &["beyond the dial"]);
}

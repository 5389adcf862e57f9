//! Events that happen once although their frame may be simulated many times: sounds, particles,
//! messages.
//!
//! The simulation emits effects. An effect plays when a simulation first emits it. When its frame
//! is simulated again, an equal effect in that frame or a neighbouring one is recognised as the
//! same event. Once it is known at which frame the match ends, no effect beyond that frame plays
//! any more; an effect that has already played cannot be taken back.

use bevy::prelude::{App, IntoScheduleConfigs, Message, Res, ResMut, Resource, World};
use bevy::prelude::{MessageWriter, PreUpdate};

use crate::{AppRollbackExt, NetcodeSystems};

/// The number of frames by which an event may shift between two simulations and still be the same.
/// A correction often moves a hit by a frame or two, and hearing it twice is worse than hearing it
/// 50 ms early.
const SAME_WITHIN_FRAMES: u32 = 3;

/// Emits effects from [`Simulate`](crate::Simulate).
///
/// When a frame is simulated again, an effect that equals (`==`) an earlier one at most three
/// frames away is the same event, and does not play again. So `==` only decides whether an effect
/// plays once or twice, and affects nothing that rolls back: an effect that does not equal itself,
/// such as one that holds NaN, plays again each time.
#[derive(Resource, Clone, Debug)]
pub struct Effects<E> {
    frame: u32,
    /// What the latest simulation of each recent frame emitted.
    emitted: Vec<(u32, E)>,
    /// What has been played, and for which frame.
    played: Vec<(u32, E)>,
}

impl<E> Default for Effects<E> {
    fn default() -> Self {
        Self { frame: 0, emitted: Vec::new(), played: Vec::new() }
    }
}

impl<E: Clone + PartialEq> Effects<E> {
    /// Makes `effect` happen in the frame that is being simulated.
    pub fn emit(&mut self, effect: E) {
        self.emitted.push((self.frame, effect));
    }

    /// Begins a simulation of `frame`: drops what earlier simulations emitted from that frame on.
    fn begin(&mut self, frame: u32) {
        self.frame = frame;
        self.emitted.retain(|&(emitted, _)| emitted < frame);
    }

    /// Plays the effects before frame `end` that have not been played yet. Later effects wait: they
    /// are played if the match does not end there after all.
    fn play(&mut self, end: u32, mut start: impl FnMut(u32, E)) {
        let mut claimed = vec![false; self.played.len()];
        let mut fresh = Vec::new();
        for (frame, effect) in self.emitted.iter().filter(|&&(frame, _)| frame < end) {
            let same = (0..claimed.len())
                .filter(|&index| !claimed[index] && self.played[index].1 == *effect)
                .map(|index| (self.played[index].0.abs_diff(*frame), index))
                .filter(|&(distance, _)| distance <= SAME_WITHIN_FRAMES)
                .min();
            if let Some((_, index)) = same {
                claimed[index] = true;
            } else {
                fresh.push((*frame, effect.clone()));
            }
        }
        for (frame, effect) in fresh {
            self.played.push((frame, effect.clone()));
            start(frame, effect);
        }
    }

    /// Forgets what no rollback can reach any more.
    fn confirm(&mut self, confirmed: u32) {
        self.emitted.retain(|&(frame, _)| frame + SAME_WITHIN_FRAMES >= confirmed);
        self.played.retain(|&(frame, _)| frame + 2 * SAME_WITHIN_FRAMES >= confirmed);
    }
}

/// An effect happened for the first time.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EffectStarted<E: Send + Sync + 'static> {
    /// The frame in which it happened.
    pub frame: u32,
    /// What happened.
    pub effect: E,
}

/// The frames whose effects are still of interest.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct EffectFrames {
    /// The oldest frame that may still be simulated again.
    pub(crate) oldest_open: u32,
    /// The frame at which the match is to end, as far as that is known. The frame itself is no
    /// longer part of the match.
    pub(crate) end: u32,
}

impl Default for EffectFrames {
    fn default() -> Self {
        Self { oldest_open: 0, end: u32::MAX }
    }
}

/// What the session does with each registered effect type.
#[derive(Resource, Default)]
pub(crate) struct EffectTypes {
    begin: Vec<fn(&mut World, u32)>,
    reset: Vec<fn(&mut World)>,
}

impl EffectTypes {
    /// Prepares all effect types for the simulation of `frame`.
    pub(crate) fn begin(world: &mut World, frame: u32) {
        for index in 0..world.resource::<Self>().begin.len() {
            let begin = world.resource::<Self>().begin[index];
            begin(world, frame);
        }
    }

    /// Forgets all effects of the match.
    pub(crate) fn reset(world: &mut World) {
        world.resource_scope(|world, types: bevy::prelude::Mut<Self>| {
            for reset in &types.reset {
                reset(world);
            }
        });
    }
}

/// Registers effects.
pub trait AppEffectsExt {
    /// Adds the resource [`Effects<E>`] and the message [`EffectStarted<E>`].
    fn rollback_effect<E: Clone + PartialEq + Send + Sync + 'static>(&mut self) -> &mut Self;
}

impl AppEffectsExt for App {
    fn rollback_effect<E: Clone + PartialEq + Send + Sync + 'static>(&mut self) -> &mut Self {
        self.init_resource::<Effects<E>>()
            .init_resource::<EffectFrames>()
            .add_message::<EffectStarted<E>>()
            .allow_unregistered::<Effects<E>>()
            .add_systems(PreUpdate, play_effects::<E>.in_set(NetcodeSystems::Confirm));
        let mut types = self.world_mut().get_resource_or_init::<EffectTypes>();
        types.begin.push(|world, frame| world.resource_mut::<Effects<E>>().begin(frame));
        types.reset.push(|world| world.insert_resource(Effects::<E>::default()));
        self
    }
}

fn play_effects<E: Clone + PartialEq + Send + Sync + 'static>(
    mut effects: ResMut<Effects<E>>,
    frames: Res<EffectFrames>,
    mut started: MessageWriter<EffectStarted<E>>,
) {
    effects.play(frames.end, |frame, effect| {
        started.write(EffectStarted { frame, effect });
    });
    effects.confirm(frames.oldest_open);
}

/// Adds what effects of all types need to know about the match.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<EffectTypes>().init_resource::<EffectFrames>();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(effects: &mut Effects<&'static str>) -> Vec<(u32, &'static str)> {
        let mut all = Vec::new();
        effects.play(u32::MAX, |frame, effect| all.push((frame, effect)));
        all
    }

    #[test]
    fn an_effect_plays_once_however_often_its_frame_is_simulated() {
        let mut effects = Effects::default();
        effects.begin(5);
        effects.emit("bang");
        assert_eq!(played(&mut effects), [(5, "bang")]);
        effects.begin(5);
        effects.emit("bang");
        assert_eq!(played(&mut effects), []);
    }

    #[test]
    fn an_effect_that_shifts_by_a_frame_is_the_same_but_a_second_one_is_not() {
        let mut effects = Effects::default();
        effects.begin(5);
        effects.emit("bang");
        assert_eq!(played(&mut effects).len(), 1);
        effects.begin(4);
        effects.begin(6);
        effects.emit("bang");
        effects.emit("bang");
        assert_eq!(played(&mut effects), [(6, "bang")]);
    }

    #[test]
    fn two_equal_effects_of_one_frame_both_play() {
        let mut effects = Effects::default();
        effects.begin(1);
        effects.emit("bang");
        effects.emit("bang");
        assert_eq!(played(&mut effects).len(), 2);
    }

    #[test]
    fn an_effect_that_only_the_corrected_frame_has_plays_late() {
        let mut effects = Effects::default();
        effects.begin(5);
        effects.begin(6);
        assert_eq!(played(&mut effects), []);
        effects.begin(5);
        effects.emit("bang");
        effects.begin(6);
        assert_eq!(played(&mut effects), [(5, "bang")]);
    }

    #[test]
    fn effects_from_the_end_on_wait_until_the_match_goes_on() {
        let mut effects = Effects::default();
        for frame in 4..7 {
            effects.begin(frame);
            effects.emit("bang");
        }
        let mut frames = Vec::new();
        effects.play(5, |frame, _| frames.push(frame));
        effects.play(5, |frame, _| frames.push(frame));
        assert_eq!(frames, [4]);
        effects.play(u32::MAX, |frame, _| frames.push(frame));
        assert_eq!(frames, [4, 5, 6]);
    }

    #[test]
    fn confirmed_effects_are_forgotten() {
        let mut effects = Effects::default();
        effects.begin(5);
        effects.emit("bang");
        assert_eq!(played(&mut effects).len(), 1);
        effects.confirm(100);
        assert!(effects.emitted.is_empty() && effects.played.is_empty());
    }
}

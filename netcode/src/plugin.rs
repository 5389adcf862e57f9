//! The plugin: one part per capability, each of which registers its own resources, messages and
//! systems.

use std::any::type_name;

use bevy::prelude::{App, Plugin, Resource};

use crate::{
    audit::audit,
    checksum,
    config::NetcodeConfig,
    diagnostics, effects, frame,
    input::{self, GameInput},
    latch, match_maker, membership, pacing,
    packed_input::{PackedInput, UnfitInput},
    rollback::{self, Registrations},
    schedules::{self, build_schedules},
    session,
};

/// Marks an app that has the plugin, with the name of its input type.
#[derive(Resource)]
struct Added(&'static str);

/// Rollback netcode for the input type `I`; an app has it once. Needs Bevy's `TimePlugin`, which is
/// in `MinimalPlugins` and `DefaultPlugins`.
#[derive(Clone, Debug)]
pub struct NetcodePlugin<I> {
    config: NetcodeConfig,
    input: std::marker::PhantomData<fn() -> I>,
}

impl<I: GameInput> NetcodePlugin<I> {
    /// Creates the plugin with these settings.
    #[must_use]
    pub fn new(config: NetcodeConfig) -> Self {
        Self { config, input: std::marker::PhantomData }
    }
}

impl<I: GameInput> Default for NetcodePlugin<I> {
    fn default() -> Self {
        Self::new(NetcodeConfig::default())
    }
}

impl<I: GameInput> Plugin for NetcodePlugin<I> {
    /// # Panics
    ///
    /// If the app has the plugin already, with this or another input type; if the configuration is
    /// not valid, see [`NetcodeConfig::validate`]; or if the default of the input type cannot be
    /// sent, see [`GameInput`].
    fn build(&self, app: &mut App) {
        refuse_second::<I>(app);
        refuse_unplayable::<I>(&self.config);
        app.insert_resource(self.config.clone()).add_plugins((
            schedules::plugin,
            frame::plugin,
            match_maker::plugin,
            membership::plugin,
            input::plugin::<I>,
            latch::plugin,
            rollback::plugin,
            checksum::plugin,
            pacing::plugin,
            session::plugin::<I>,
            effects::plugin,
            diagnostics::plugin,
        ));
        // Peers must have the same input type, too.
        app.world_mut().resource_mut::<Registrations>().0.push(type_name::<I>());
    }

    /// Returns false, so that a second plugin is refused here, in words that help.
    fn is_unique(&self) -> bool {
        false
    }

    /// Looks for state that the simulation changes although it is not registered; see
    /// [`AuditReport`](crate::AuditReport).
    ///
    /// # Panics
    ///
    /// If the systems of [`Simulate`], [`PlayBots`], [`SetupMatch`], [`ReadInputs`] or
    /// [`FinishedMatch`] cannot run, for example because two systems that share data have no fixed
    /// order.
    ///
    /// [`Simulate`]: crate::Simulate
    /// [`PlayBots`]: crate::PlayBots
    /// [`SetupMatch`]: crate::SetupMatch
    /// [`ReadInputs`]: crate::ReadInputs
    /// [`FinishedMatch`]: crate::FinishedMatch
    fn cleanup(&self, app: &mut App) {
        audit(app.world_mut());
        build_schedules(app.world_mut());
    }
}

/// Panics if the app has the plugin already.
fn refuse_second<I>(app: &mut App) {
    let (world, input) = (app.world_mut(), type_name::<I>());
    match world.get_resource::<Added>() {
        None => world.insert_resource(Added(input)),
        Some(&Added(first)) if first == input => panic!(
            "NetcodePlugin::<{input}> was added twice: add it once, and if it needs settings, as \
             `NetcodePlugin::new(config)`"
        ),
        Some(Added(first)) => panic!(
            "NetcodePlugin was added for two input types, `{first}` and `{input}`, but a match has \
             one: add it once, for a struct or an enum that has everything that a player can send"
        ),
    }
}

/// Panics if no match could be played with this configuration or input type.
fn refuse_unplayable<I: GameInput>(config: &NetcodeConfig) {
    if let Err(error) = config.validate() {
        panic!("NetcodePlugin was given a configuration that cannot work: {error}");
    }
    if let Err(unfit) = PackedInput::pack(&I::default()).map_err(UnfitInput::new::<I>) {
        panic!("NetcodePlugin was given an input type that cannot be used: {unfit}");
    }
}

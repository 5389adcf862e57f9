//! Devices as a step sees them: each press reaches exactly one step, whatever the frame rate of the
//! display.
//!
//! Bevy reads devices once in each update. Between two steps there may be several updates, or none,
//! so a step that reads `just_pressed` would miss presses or see them twice. While
//! [`ReadInputs`](crate::ReadInputs) runs, a latched device shows what happened since the last step
//! instead. All other systems see it unchanged.
//!
//! Read `buttons` first: `gamepads` uses it, too. `mouse` and `touches` work differently.

mod buttons;
#[cfg(feature = "devices")]
mod gamepads;
#[cfg(feature = "devices")]
mod mouse;
#[cfg(feature = "devices")]
mod touches;

use std::{any::TypeId, hash::Hash};

use bevy::{
    input::InputSystems,
    prelude::{App, IntoScheduleConfigs, PreUpdate, World},
};

use self::buttons::ButtonLatch;
use crate::{membership::SessionState, schedules::NetcodeSystems, scoped::Scoped};

/// One device, or all devices of one kind.
trait Latch: Send + Sync + 'static {
    /// Collects what happened in this update. A press outside a match never reaches a step.
    fn observe(&mut self, world: &mut World, is_running: bool);

    /// Makes the device show what happened since the last call.
    fn show(&mut self, world: &mut World);

    /// Makes the device show its present state again.
    fn restore(&mut self, world: &mut World);
}

/// The devices that are latched.
#[derive(Default)]
pub(crate) struct Latches(Vec<(TypeId, Box<dyn Latch>)>);

impl Latches {
    fn add<L: Latch>(&mut self, latch: L) {
        let id = TypeId::of::<L>();
        // If a device were latched twice, the second latch would undo the first.
        if self.0.iter().all(|&(known, _)| known != id) {
            self.0.push((id, Box::new(latch)));
        }
    }

    /// Calls `read` in a world in which devices show what happened since the last call.
    pub(crate) fn show_during(world: &mut World, read: impl FnOnce(&mut World)) {
        Scoped::scope(world, |world, latches: &mut Self| {
            latches.0.iter_mut().for_each(|(_, latch)| latch.show(world));
            read(world);
            latches.0.iter_mut().for_each(|(_, latch)| latch.restore(world));
        });
    }
}

/// Collects what devices did in this update.
fn observe_devices(world: &mut World) {
    let is_running = world.resource::<SessionState>().is_running();
    Scoped::scope(world, |world, latches: &mut Latches| {
        latches.0.iter_mut().for_each(|(_, latch)| latch.observe(world, is_running));
    });
}

/// Makes each press of a button reach exactly one simulation step.
///
/// An app may run several updates between two steps, or several steps in one update. If
/// [`ReadInputs`](crate::ReadInputs) read Bevy's devices directly, it would miss presses in the
/// first case (`just_pressed` is true in only one update, and a short tap may be over when the next
/// step comes), and see a press in several steps in the second.
///
/// While `ReadInputs` runs, latched devices show what happened since the last step. A button that
/// was pressed is `just_pressed` in exactly one step. If it has already been released, it is also
/// `pressed` in that step, and `just_released` in the next. All other systems see the devices
/// unchanged. In `ReadInputs`, you read `Res<ButtonInput<KeyCode>>` as usual.
///
/// Presses from before the match do not count, but a button that is still held is `pressed`.
/// Several presses of one button between two steps count as one. Input libraries that compute their
/// actions in [`PreUpdate`] read the devices outside `ReadInputs`, so their actions are not
/// latched.
///
/// ```
/// # use bevy::prelude::*;
/// # use netcode::prelude::*;
/// # #[derive(Clone, Copy, PartialEq, Eq, Hash)] enum Pedal { Brake }
/// # let mut app = App::new();
/// # app.add_plugins((MinimalPlugins, NetcodePlugin::<bool>::default()))
/// #     .init_resource::<ButtonInput<Pedal>>();
/// app.latch_buttons::<Pedal>().add_systems(
///     ReadInputs,
///     |mut inputs: ResMut<LocalInputs<bool>>, pedals: Res<ButtonInput<Pedal>>| {
///         for seat in inputs.seats().to_vec() {
///             inputs.set(seat, pedals.just_pressed(Pedal::Brake));
///         }
///     },
/// );
/// ```
pub trait AppLatchExt {
    /// Latches keyboard, mouse, gamepads and touch screen: their buttons, and the motion of the
    /// mouse and its wheel.
    ///
    /// Needs the crate's feature `devices`. Sticks, triggers and cursors have no presses, so they
    /// show their present state.
    ///
    /// ```
    /// # use bevy::{input::InputPlugin, prelude::*};
    /// # use netcode::prelude::*;
    /// # let mut app = App::new();
    /// # app.add_plugins((MinimalPlugins, InputPlugin, NetcodePlugin::<bool>::default()));
    /// app.latch_devices().add_systems(
    ///     ReadInputs,
    ///     |mut inputs: ResMut<LocalInputs<bool>>, keys: Res<ButtonInput<KeyCode>>| {
    ///         for seat in inputs.seats().to_vec() {
    ///             inputs.set(seat, keys.just_pressed(KeyCode::Space)); // one jump for each tap
    ///         }
    ///     },
    /// );
    /// ```
    #[cfg(feature = "devices")]
    fn latch_devices(&mut self) -> &mut Self;

    /// Latches the resource `ButtonInput<T>`, for a device of your own or of Bevy's, if the
    /// resource exists.
    fn latch_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(&mut self) -> &mut Self;
}

impl AppLatchExt for App {
    #[cfg(feature = "devices")]
    fn latch_devices(&mut self) -> &mut Self {
        use bevy::input::{
            keyboard::{Key, KeyCode},
            mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll, MouseButton},
        };

        add(self, ButtonLatch::<KeyCode>::default());
        add(self, ButtonLatch::<Key>::default());
        add(self, ButtonLatch::<MouseButton>::default());
        add(self, mouse::MotionLatch::<AccumulatedMouseMotion>::default());
        add(self, mouse::MotionLatch::<AccumulatedMouseScroll>::default());
        add(self, gamepads::GamepadLatch::default());
        add(self, touches::TouchLatch::default());
        self
    }

    fn latch_buttons<T: Clone + Eq + Hash + Send + Sync + 'static>(&mut self) -> &mut Self {
        add(self, ButtonLatch::<T>::default());
        self
    }
}

fn add(app: &mut App, latch: impl Latch) {
    app.world_mut().get_resource_or_init::<Scoped<Latches>>().add(latch);
}

/// Adds the latched devices, and observes them before any step.
pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<Scoped<Latches>>().add_systems(
        PreUpdate,
        observe_devices.after(InputSystems).before(NetcodeSystems::Receive),
    );
}

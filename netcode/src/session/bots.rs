//! Seats that are played by the simulation itself.

use bevy::{
    ecs::system::SystemParam,
    prelude::{Res, ResMut},
};

use crate::{
    config::NetcodeConfig,
    input::{GameInput, PlayerInputs, Seat},
    membership::Roster,
};

/// The inputs of seats that are played by bots, for the frame that is being simulated; set them in
/// [`PlayBots`](crate::PlayBots). With [`StandIn::Bot`](crate::StandIn::Bot), these include seats
/// whose players are away or gone.
///
/// A bot has no machine: every peer computes its inputs, from the same world, so they cost no bytes
/// and outlast every player. Like the rest of the simulation, they may depend only on what rolls
/// back. The bot of a seat that a player takes over ends with the frame before.
///
/// Every bot starts each frame with `I::default()`.
///
/// ```
/// # use bevy::prelude::*;
/// # use netcode::{BotInputs, PlayBots, prelude::*};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Resource, Clone, Default, Serialize, Deserialize)]
/// struct Ball { height: i32 }
///
/// #[derive(Component, Clone, Serialize, Deserialize)]
/// struct Paddle { seat: Seat, height: i32 }
///
/// /// Each bot follows the ball.
/// fn follow(mut bots: BotInputs<i8>, ball: Res<Ball>, paddles: Query<&Paddle>) {
///     for paddle in &paddles {
///         bots.set(paddle.seat, (ball.height - paddle.height).signum() as i8);
///     }
/// }
///
/// /// Moves the paddles of players and bots alike.
/// fn steer(inputs: Res<PlayerInputs<i8>>, mut paddles: Query<&mut Paddle>) {
///     for mut paddle in &mut paddles {
///         paddle.height += i32::from(inputs.get(paddle.seat));
///     }
/// }
///
/// # let mut app = App::new();
/// app.add_plugins((MinimalPlugins, NetcodePlugin::<i8>::default()))
///     .init_resource::<Ball>()
///     .rollback_resource::<Ball>()
///     .rollback_component::<Paddle>()
///     .add_systems(PlayBots, follow)
///     .add_systems(Simulate, steer);
/// # app.finish();
/// # app.cleanup();
/// # assert!(app.world().resource::<netcode::AuditReport>().findings().is_empty());
/// ```
#[derive(SystemParam)]
pub struct BotInputs<'w, I: GameInput> {
    roster: Res<'w, Roster>,
    config: Res<'w, NetcodeConfig>,
    inputs: ResMut<'w, PlayerInputs<I>>,
}

impl<'w, I: GameInput> BotInputs<'w, I> {
    /// Sets the input of a seat. Does nothing if no bot plays `seat` in this frame: nothing
    /// replaces the input of a player, and a seat that nobody plays has none.
    pub fn set(&mut self, seat: Seat, input: I) {
        if self.seats().any(|bot| bot == seat) {
            self.inputs.set(seat, input);
        }
    }

    /// Returns the seats that are played by bots, in order.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + use<'w, I> {
        Res::clone(&self.roster).into_inner().bots(self.config.stand_in)
    }
}

//! What a game asks of a match that runs, or that has just ended.

use bevy::{
    ecs::system::SystemParam,
    prelude::{MessageReader, Res, ResMut},
};

use super::finish::{FinishedWorld, MatchEnd};
use crate::{
    config::NetcodeConfig,
    membership::{
        Connection, FinishMatch, JoinRoom, LeaveMatch, LeaveRoom, SessionState, StartLocal,
    },
};

/// The requests that leave the room, and a match with it.
#[derive(SystemParam)]
pub(super) struct Leaving<'w, 's> {
    leave: MessageReader<'w, 's, LeaveRoom>,
    join: MessageReader<'w, 's, JoinRoom>,
    local: MessageReader<'w, 's, StartLocal>,
}

/// Finishes or leaves the match for a game that asks for it, and discards what is left of a match
/// once the room is left.
pub(super) fn take_match_requests(
    mut leaving: Leaving,
    (mut finish, mut leave_match): (MessageReader<FinishMatch>, MessageReader<LeaveMatch>),
    mut match_end: ResMut<MatchEnd>,
    mut finished_world: ResMut<FinishedWorld>,
    state: Res<SessionState>,
) {
    let Leaving { leave, join, local } = &mut leaving;
    if leave.read().count() + join.read().count() + local.read().count() > 0 {
        finished_world.discard();
    }
    if finish.read().count() > 0 && state.is_running() {
        match_end.want();
    }
    if leave_match.read().count() > 0 && state.is_running() {
        match_end.want_at_once();
    }
}

/// Finishes the match once enough of its peers have finished it, by the policy of the game.
pub(super) fn finish_with_peers(
    connection: Res<Connection>,
    state: Res<SessionState>,
    config: Res<NetcodeConfig>,
    mut match_end: ResMut<MatchEnd>,
) {
    if state.is_running() && connection.is_finished_by(config.finish_policy) {
        match_end.want();
    }
}

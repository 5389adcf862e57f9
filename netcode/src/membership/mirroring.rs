//! Tells the server what the peers have agreed on among themselves.

use bevy::prelude::{Real, Res, ResMut, Time};

use super::{Connection, Lobby, SessionState};
use crate::match_maker::{Agreed, Mirror, Room, wish};

/// Keeps the server's record of the room up to date.
pub(crate) fn mirror_room(
    mut connection: ResMut<Connection>,
    mut mirror: ResMut<Mirror>,
    room: Res<Room>,
    lobby: Res<Lobby>,
    session: Res<SessionState>,
    time: Res<Time<Real>>,
) {
    let (Some(state), Some(local)) = (&room.state, lobby.local_id) else { return };
    if lobby.is_signaling_lost {
        // The server receives all of it at once when it is back.
        return;
    }
    let owner = state.owner;
    let wish = wish(
        state,
        &Agreed {
            local,
            name: &lobby.name,
            is_ready: lobby.is_ready,
            is_playing: connection.is_in_match(),
            is_running: session.is_running(),
            is_owner_ready: lobby
                .peers
                .iter()
                .any(|peer| Some(peer.id) == owner && (peer.is_ready || peer.is_in_match)),
            do_others_play: lobby.peers.iter().any(|peer| peer.is_in_match),
        },
    );
    if mirror.is_due(time.elapsed(), wish.as_ref())
        && let Some(wish) = wish
    {
        connection.ask(time.elapsed(), wish);
    }
}

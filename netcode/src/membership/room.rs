//! The room as the server has it: what it tells, what the game asks it for, and what it is told by itself.
//!
//! The server lists rooms, so it has to know who is ready and whether a match runs. The peers agree on that among themselves; here
//! the server learns of it.

use std::time::Duration;

use bevy::{
    ecs::system::SystemParam,
    prelude::{Message, MessageWriter, Real, Res, ResMut, Resource, Time},
};
use signaling::{
    lobby::{
        Denial, Place, RoomEvent, RoomPhase, RoomRequest, RoomState, ServiceState, is_same_name,
        numbered_name,
    },
    protocol::PeerId,
};

use super::{Connection, Lobby, SessionState};

/// What the server does not do is asked for again so often.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The room that we are in, as the server told it last.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Who is in it, who owns it, and on which terms others come in. `None` outside of rooms, and with a server that knows none of this.
    pub state: Option<RoomState>,
    /// The server has lost its store of rooms: nobody can come or change anything until it has it again. Matches go on.
    pub is_impaired: bool,
    /// The owner of the room removed us while we play a match that it is not in. The match goes on,
    /// and we leave the room when it is over.
    pub is_removed: bool,
}

impl Room {
    /// Whether this peer owns the room: see [`RoomState::owner`].
    #[must_use]
    pub fn is_owner(&self, peer: PeerId) -> bool {
        self.state.as_ref().and_then(|state| state.owner) == Some(peer)
    }
}

/// Request: ask the server for something in the room. What it does not do comes back as a [`RoomDenied`].
///
/// The plugin itself asks for `SetReady`, `Start` and `Finish`, as the session goes: leave them to it. Names are changed by
/// [`Rename`](crate::Rename), of which the other peers hear as well, and places by [`SetSpectating`](crate::SetSpectating).
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct AskRoom(pub RoomRequest);

/// The server does not do what was asked for by [`AskRoom`] or [`SetSpectating`](crate::SetSpectating).
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomDenied(pub Denial);

/// What the plugin asked for by itself, and when.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct Mirror {
    asked: Option<(RoomRequest, Duration)>,
}

impl Mirror {
    /// Whether it is time to ask for this.
    fn is_due(&mut self, now: Duration, wish: Option<&RoomRequest>) -> bool {
        let Some(wish) = wish else { return false };
        let waits = self
            .asked
            .as_ref()
            .is_some_and(|(asked, at)| asked == wish && now.saturating_sub(*at) < ASK_EVERY);
        if !waits {
            self.asked = Some((wish.clone(), now));
        }
        !waits
    }

    /// Whether a denial is about what the plugin asked for, which is of no interest to players: it asks again.
    fn explains(&self, now: Duration, denial: Denial) -> bool {
        let Some((asked, at)) = &self.asked else { return false };
        let is_of_it = match asked {
            RoomRequest::Start => matches!(denial, Denial::NotReady | Denial::Playing),
            RoomRequest::Finish => denial == Denial::NotPlaying,
            RoomRequest::Rename(_) => denial == Denial::BadName,
            _ => false,
        };
        is_of_it && now.saturating_sub(*at) < ASK_EVERY
    }
}

/// What [`RoomChange::follow`] changes.
#[derive(SystemParam)]
pub(super) struct RoomChange<'w> {
    room: ResMut<'w, Room>,
    mirror: Res<'w, Mirror>,
    denied: MessageWriter<'w, RoomDenied>,
}

impl RoomChange<'_> {
    pub(super) fn state(&self) -> Option<&RoomState> {
        self.room.state.as_ref()
    }

    /// Follows what the server tells.
    pub(super) fn follow(&mut self, now: Duration, event: RoomEvent) {
        match event {
            RoomEvent::Room(state) => self.room.state = Some(state),
            RoomEvent::Service(service) => {
                self.room.is_impaired = service == ServiceState::Impaired;
            }
            RoomEvent::Denied(denial) => {
                if !self.mirror.explains(now, denial) {
                    self.denied.write(RoomDenied(denial));
                }
            }
            // Neither comes this far.
            RoomEvent::Resume(_) | RoomEvent::Rooms(_) => {}
        }
    }

    /// Notes that we leave the room, from which we were removed, after the match.
    pub(super) fn be_removed(&mut self) {
        self.room.is_removed = true;
    }

    pub(super) fn is_removed(&self) -> bool {
        self.room.is_removed
    }

    /// We are in no room.
    pub(super) fn forget(&mut self) {
        if *self.room != Room::default() {
            *self.room = Room::default();
        }
    }
}

/// What we are called in the room, with a number behind our `name`, because another member has that
/// already.
pub(super) fn name_in<'a>(room: &'a RoomState, us: PeerId, name: &str) -> Option<&'a str> {
    let mut others = room.members.iter().filter(|member| member.id != us);
    let is_taken = others.any(|other| is_same_name(&other.name, name));
    let given = &*room.member(us).filter(|_| is_taken)?.name;
    let mut numbers = 2..=room.members.len() + 1;
    numbers.any(|number| numbered_name(name, number) == given).then_some(given)
}

/// What the peers agreed on, of which the server should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session<'a> {
    local: PeerId,
    name: &'a str,
    /// We want to play.
    is_ready: bool,
    /// A match starts or runs.
    is_playing: bool,
    is_running: bool,
    /// The owner of the room wants to play or plays, as it told us.
    is_owner_ready: bool,
    /// Somebody else is still in a match.
    do_others_play: bool,
}

/// What is to be asked for so that the server has the room as it is.
fn wish(room: &RoomState, session: &Session) -> Option<RoomRequest> {
    let us = room.member(session.local)?;
    // Strangers have no owner: each of them that plays may say what their match does.
    let has_owner = room.owner.is_some();
    let is_leader = match room.owner {
        Some(owner) => owner == session.local,
        None => us.place == Place::Player,
    };
    if us.name != session.name {
        return Some(RoomRequest::Rename(session.name.to_owned()));
    }
    let owner = room.owner.and_then(|owner| room.member(owner));
    // It starts the match all the same.
    let does_owner_look_on = owner.is_some_and(|owner| owner.place == Place::Spectator);
    match room.phase {
        RoomPhase::Lobby if us.place == Place::Player => {
            // A player whose match has begun is no longer ready for the next one, but it takes all
            // to be ready to start this one. It is over when the owner has left it, and among
            // strangers when all others have.
            let is_ready = if session.is_playing {
                let is_of_match = if has_owner { is_leader } else { session.do_others_play };
                is_of_match || session.is_owner_ready || does_owner_look_on
            } else {
                session.is_ready
            };
            if us.is_ready != is_ready {
                return Some(RoomRequest::SetReady(is_ready));
            }
            (is_leader && session.is_running && room.is_ready()).then_some(RoomRequest::Start)
        }
        RoomPhase::Lobby if is_leader && session.do_others_play && room.is_ready() => {
            Some(RoomRequest::Start)
        }
        RoomPhase::Playing if is_leader && !session.is_playing && !session.do_others_play => {
            Some(RoomRequest::Finish)
        }
        RoomPhase::Lobby | RoomPhase::Playing => None,
    }
}

/// Keeps what the server has of the room up to date.
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
        // It would be told all at once when it is back.
        return;
    }
    let owner = state.owner;
    let wish = wish(
        state,
        &Session {
            local,
            name: &lobby.name,
            is_ready: lobby.ready,
            is_playing: matches!(*session, SessionState::Starting | SessionState::Running),
            is_running: session.is_running(),
            is_owner_ready: lobby
                .peers
                .iter()
                .any(|peer| Some(peer.id) == owner && (peer.ready || peer.in_match)),
            do_others_play: lobby.peers.iter().any(|peer| peer.in_match),
        },
    );
    if mirror.is_due(time.elapsed(), wish.as_ref())
        && let Some(wish) = wish
    {
        connection.ask(wish);
    }
}

#[cfg(test)]
mod tests {
    use signaling::lobby::RoomMember;

    use super::*;

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    /// Ann's room, with Bob in it.
    fn room(phase: RoomPhase, ready: [bool; 2]) -> RoomState {
        let member = |(id, is_ready)| RoomMember {
            id,
            name: String::new(),
            place: Place::Player,
            is_ready,
            is_here: true,
        };
        RoomState {
            name: "den".into(),
            game: String::new(),
            version: String::new(),
            is_public: true,
            is_locked: false,
            phase,
            capacity: 4,
            spectators: 0,
            owner: Some(ANN),
            members: [ANN, BOB].into_iter().zip(ready).map(member).collect(),
        }
    }

    fn in_lobby(local: PeerId, is_ready: bool) -> Session<'static> {
        Session {
            local,
            name: "",
            is_ready,
            is_playing: false,
            is_running: false,
            is_owner_ready: false,
            do_others_play: false,
        }
    }

    fn in_match(local: PeerId) -> Session<'static> {
        Session {
            is_playing: true,
            is_running: true,
            is_owner_ready: local != ANN,
            do_others_play: true,
            ..in_lobby(local, false)
        }
    }

    #[test]
    fn the_server_hears_who_is_ready() {
        use RoomPhase::Lobby;
        use RoomRequest::SetReady;
        let [none, bob] = [[false, false], [false, true]].map(|ready| room(Lobby, ready));
        assert_eq!(wish(&none, &in_lobby(BOB, true)), Some(SetReady(true)));
        assert_eq!(wish(&bob, &in_lobby(BOB, true)), None);
        assert_eq!(wish(&bob, &in_lobby(BOB, false)), Some(SetReady(false)));
        assert_eq!(wish(&none, &in_lobby(PeerId::from_u128(3), true)), None, "a stranger");
        let mut looks_on = none;
        looks_on.members[1].place = Place::Spectator;
        assert_eq!(wish(&looks_on, &in_lobby(BOB, true)), None);
    }

    #[test]
    fn the_owner_starts_once_the_match_runs_and_all_are_ready() {
        use RoomPhase::{Lobby, Playing};
        let ready = room(Lobby, [true, true]);
        assert_eq!(wish(&ready, &in_lobby(ANN, true)), None, "no match runs yet");
        let starting = Session { is_running: false, ..in_match(ANN) };
        assert_eq!(wish(&ready, &starting), None);
        assert_eq!(wish(&ready, &in_match(ANN)), Some(RoomRequest::Start));
        assert_eq!(wish(&ready, &in_match(BOB)), None, "that is for the owner");
        let late = room(Lobby, [true, false]);
        assert_eq!(wish(&late, &in_match(ANN)), None);
        assert_eq!(wish(&late, &in_match(BOB)), Some(RoomRequest::SetReady(true)));
        assert_eq!(wish(&room(Playing, [true, true]), &in_match(ANN)), None);
    }

    #[test]
    fn an_owner_that_looks_on_starts_once_all_who_play_are_ready() {
        let mut room = room(RoomPhase::Lobby, [false, true]);
        room.members[0].place = Place::Spectator;
        let looks_on = in_lobby(ANN, false);
        assert_eq!(wish(&room, &looks_on), None);
        let others_play = Session { do_others_play: true, ..looks_on };
        assert_eq!(wish(&room, &others_play), Some(RoomRequest::Start));
        let does_not_know = Session { is_owner_ready: false, ..in_match(BOB) };
        assert_eq!(wish(&room, &does_not_know), None, "Bob stays ready");
        room.members[1].is_ready = false;
        assert_eq!(wish(&room, &others_play), None);
    }

    #[test]
    fn the_owner_finishes_once_all_have_left_the_match() {
        use RoomPhase::{Lobby, Playing};
        let playing = room(Playing, [true, true]);
        let others_play = Session { do_others_play: true, ..in_lobby(ANN, false) };
        assert_eq!(wish(&playing, &others_play), None);
        assert_eq!(wish(&playing, &in_lobby(ANN, false)), Some(RoomRequest::Finish));
        assert_eq!(wish(&playing, &in_lobby(BOB, true)), None);
        let finished = Session { is_owner_ready: false, ..in_match(BOB) };
        assert_eq!(wish(&room(Lobby, [false, false]), &finished), None, "it is on its way out");
    }

    #[test]
    fn each_of_the_strangers_in_a_match_tells_how_far_it_is() {
        use RoomPhase::{Lobby, Playing};
        let among_strangers = |phase, ready| RoomState { owner: None, ..room(phase, ready) };
        let ready = among_strangers(Lobby, [true, true]);
        let playing = among_strangers(Playing, [true, true]);
        for peer in [ANN, BOB] {
            let in_match = Session { is_owner_ready: false, ..in_match(peer) };
            assert_eq!(wish(&ready, &in_match), Some(RoomRequest::Start));
            assert_eq!(wish(&playing, &in_match), None);
            let none = among_strangers(Lobby, [false, false]);
            assert_eq!(wish(&none, &in_match), Some(RoomRequest::SetReady(true)));
            let last = Session { do_others_play: false, ..in_match };
            assert_eq!(wish(&none, &last), None, "the others have left it");
            assert_eq!(wish(&playing, &in_lobby(peer, true)), Some(RoomRequest::Finish));
        }
        let mut looks_on = playing;
        looks_on.members[0].place = Place::Spectator;
        assert_eq!(wish(&looks_on, &in_lobby(ANN, false)), None);
    }

    #[test]
    fn the_server_hears_of_a_new_name() {
        let room = room(RoomPhase::Lobby, [false, false]);
        let renamed = Session { name: "Ada", ..in_lobby(BOB, false) };
        assert_eq!(wish(&room, &renamed), Some(RoomRequest::Rename("Ada".into())));
    }

    #[test]
    fn a_name_that_another_member_has_is_ours_with_a_number() {
        let mut room = room(RoomPhase::Lobby, [false, false]);
        (room.members[0].name, room.members[1].name) = ("ANN".into(), "Ann 2".into());
        assert_eq!(name_in(&room, BOB, "Ann"), Some("Ann 2"));
        assert_eq!(name_in(&room, ANN, "Ann"), None, "it has it");
        assert_eq!(name_in(&room, BOB, "Bob"), None, "the server will hear of it");
        room.members[1].name = "Bob".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "the server has not heard of it yet");
        room.members[1].name = "Ann 2".into();
        room.members[0].name = "Zoe".into();
        assert_eq!(name_in(&room, BOB, "Ann"), None, "it is free again");
    }

    #[test]
    fn what_is_not_done_is_asked_for_again_in_a_while() {
        let mut mirror = Mirror::default();
        let at = Duration::from_millis;
        let start = Some(&RoomRequest::Start);
        assert!(mirror.is_due(at(0), start));
        assert!(!mirror.is_due(at(1900), start));
        assert!(mirror.is_due(at(1950), Some(&RoomRequest::Finish)));
        assert!(mirror.is_due(at(2000), start) && mirror.is_due(at(4000), start));
        assert!(!mirror.is_due(at(9000), None));
        assert!(!mirror.explains(at(5000), Denial::NotPlaying), "that was asked for before");
        assert!(mirror.explains(at(5000), Denial::NotReady));
        assert!(!mirror.explains(at(5000), Denial::NotOwner), "the game asked for that");
        assert!(!mirror.explains(at(9000), Denial::NotReady));
    }
}

//! What each change of a room does, and whom it tells.

use super::*;
use crate::lobby::{Denial, RoomRequest};

const GAME: &str = "asteroids";
const INCARNATION: u64 = 7;

fn peer(number: u128) -> PeerId {
    PeerId::from_u128(number)
}

fn terms() -> Terms {
    Terms {
        game: GAME.into(),
        version: "1".into(),
        capacity: 3,
        spectators: 1,
        is_public: false,
        group: None,
        closes_when_full: false,
    }
}

fn room() -> Room {
    Room::new(RoomId("DAM3R".into()), INCARNATION, terms(), false)
}

fn ours(number: u128) -> Newcomer {
    Newcomer {
        peer: peer(number),
        name: format!("peer {number}"),
        place: Place::Player,
        is_v1: true,
        process: ProcessId(1),
        game: GAME.into(),
        version: "1".into(),
        returns: None,
    }
}

fn stock(number: u128) -> Newcomer {
    let (game, version, name) = Default::default();
    Newcomer { is_v1: false, game, version, name, ..ours(number) }
}

fn spectator(number: u128) -> Newcomer {
    Newcomer { place: Place::Spectator, ..ours(number) }
}

/// A peer with proof that it had this role in the room.
fn back(number: u128, claim: Claim) -> Newcomer {
    Newcomer { returns: Some(Proof { incarnation: INCARNATION, claim }), ..ours(number) }
}

fn with(newcomers: &[Newcomer]) -> Room {
    let mut room = room();
    for newcomer in newcomers {
        room.join(newcomer).expect("there is a place");
    }
    room
}

/// Returns the events of matchbox's protocol, each with the peers that it is sent to.
fn told(effects: &[Effect]) -> Vec<(Vec<PeerId>, PeerEvent<()>)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Tell { to, event } if !to.is_empty() => Some((to.clone(), event.clone())),
        _ => None,
    });
    told.collect()
}

/// Returns the peers that are shown the room, and the state that they are shown.
fn shown(effects: &[Effect]) -> Option<(&[PeerId], &RoomState)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Show { to, state } => Some((&to[..], state)),
        _ => None,
    })
}

#[test]
fn a_newcomer_receives_its_id_and_is_announced_to_the_other_peers() {
    let mut room = with(&[ours(1), stock(2)]);
    let effects = room.join(&ours(3)).expect("there is a place");
    let (one, two, three) = (peer(1), peer(2), peer(3));
    assert_eq!(
        told(&effects),
        [(vec![three], PeerEvent::IdAssigned(three)), (vec![one, two], PeerEvent::NewPeer(three))]
    );
    let (to, state) = shown(&effects).expect("ours see the room");
    assert_eq!(to, [one, three], "and stock clients do not");
    assert_eq!((state.owner, state.count(Place::Player)), (Some(one), 3));
    assert_eq!(state.member(three).map(|member| &*member.name), Some("peer 3"));
    assert_eq!(
        told(&room.leave(two)),
        [(vec![one, three], PeerEvent::PeerLeft(two))],
        "and so is a departure"
    );
    assert_eq!(room.leave(two), [], "leaving twice has no effect");
}

#[test]
fn players_and_spectators_are_counted_separately() {
    let mut room = with(&[ours(1), ours(2), ours(3)]);
    assert_eq!(room.join(&ours(4)), Err(Refusal::RoomFull));
    assert!(room.join(&spectator(4)).is_ok());
    assert_eq!(room.join(&spectator(5)), Err(Refusal::RoomFull));
    let play = RoomRequest::SetPlace(Place::Player);
    assert_eq!(room.ask(peer(4), &play), Err(Denial::NoPlace));
    room.leave(peer(2));
    assert!(room.ask(peer(4), &play).is_ok());
    assert_eq!(room.ask(peer(1), &RoomRequest::SetPlace(Place::Spectator)).err(), None);
    let state = room.state();
    assert_eq!((state.count(Place::Player), state.count(Place::Spectator)), (2, 1));
}

#[test]
fn only_peers_of_the_same_game_may_enter() {
    let mut room = with(&[ours(1)]);
    let other = Newcomer { game: "chess".into(), ..ours(2) };
    assert_eq!(room.join(&other), Err(Refusal::OtherGame));
    let newer = Newcomer { version: "2".into(), ..ours(2) };
    assert_eq!(room.join(&newer), Err(Refusal::OtherGame));
    assert!(room.join(&stock(2)).is_ok(), "a stock client cannot say");
}

#[test]
fn only_the_owner_locks_and_kicks() {
    let mut room = with(&[ours(1), ours(2), stock(3)]);
    for request in [
        RoomRequest::SetLocked(true),
        RoomRequest::SetPublic(true),
        RoomRequest::Kick(peer(3)),
        RoomRequest::Start,
        RoomRequest::Finish,
    ] {
        assert_eq!(room.ask(peer(2), &request), Err(Denial::NotOwner), "{request:?}");
    }
    assert_eq!(room.ask(peer(1), &RoomRequest::Kick(peer(9))), Err(Denial::NoSuchPeer));
    let effects = room.ask(peer(1), &RoomRequest::Kick(peer(3))).expect("it is the owner");
    assert_eq!(told(&effects), [(vec![peer(1), peer(2)], PeerEvent::PeerLeft(peer(3)))]);
    assert!(effects.contains(&Effect::SendOff { peer: peer(3) }));
    assert_eq!(room.join(&stock(3)), Err(Refusal::Kicked));
    assert!(room.ask(peer(1), &RoomRequest::SetLocked(true)).is_ok());
    assert_eq!(room.join(&ours(4)), Err(Refusal::Locked));
    assert_eq!(room.join(&back(4, Claim::Owner(9))), Err(Refusal::Locked), "whatever it was");
}

#[test]
fn a_lock_keeps_out_all_peers_but_those_lost_while_locked() {
    let mut room = with(&[ours(1), ours(2), ours(3)]);
    room.leave(peer(3));
    room.ask(peer(1), &RoomRequest::SetLocked(true)).expect("the owner");
    assert_eq!(room.join(&back(3, Claim::Member)), Err(Refusal::Locked), "it left before");
    room.leave(peer(2));
    assert_eq!(room.join(&back(2, Claim::Member)), Err(Refusal::Locked), "it gave up its place");
    let mut room = with(&[ours(1), ours(2), ours(3)]);
    room.ask(peer(1), &RoomRequest::SetLocked(true)).expect("the owner");
    for number in [2, 3] {
        room.mark_absent_unless_away(peer(number), 0);
        room.leave(peer(number));
    }
    assert!(room.clone().join(&ours(2)).is_ok());
    let mut full = room.clone();
    full.terms.capacity = 1;
    assert_eq!(full.join(&ours(2)), Err(Refusal::RoomFull));
    room.join(&ours(2)).expect("its connection broke");
    room.leave(peer(2));
    assert_eq!(room.join(&ours(2)), Err(Refusal::Locked), "this time it left");
    room.ask(peer(1), &RoomRequest::SetLocked(false)).expect("the owner");
    room.ask(peer(1), &RoomRequest::SetLocked(true)).expect("the owner");
    assert_eq!(room.join(&ours(3)), Err(Refusal::Locked), "another lock");
}

#[test]
fn a_removed_peer_cannot_return_as_a_lost_one() {
    let mut room = with(&[ours(1), ours(2)]);
    room.ask(peer(1), &RoomRequest::SetLocked(true)).expect("the owner");
    room.mark_absent_unless_away(peer(2), 0);
    room.ask(peer(1), &RoomRequest::Kick(peer(2))).expect("it has a place");
    assert_eq!((room.join(&ours(2)), room.lost.len()), (Err(Refusal::Kicked), 0));
}

#[test]
fn the_later_of_two_claims_to_a_room_counts() {
    let mut room = with(&[ours(1), ours(2)]);
    let first = room.claim(peer(1));
    room.leave(peer(1));
    let second = room.claim(peer(2));
    assert_eq!((first, second), (Claim::Owner(1), Claim::Owner(2)));
    room.join(&back(1, first)).expect("there is a place");
    assert_eq!(room.owner, Some(peer(2)), "it was passed on");
    for claims in [[(1, first), (2, second)], [(2, second), (1, first)]] {
        let mut rebuilt = Room::new(RoomId("DAM3R".into()), INCARNATION, terms(), true);
        rebuilt.join(&back(3, Claim::Member)).expect("there is a place");
        for (number, claim) in claims {
            rebuilt.join(&back(number, claim)).expect("there is a place");
        }
        assert_eq!(rebuilt.owner, Some(peer(2)));
        rebuilt.leave(peer(2));
        assert_eq!(rebuilt.owner, Some(peer(3)));
        assert_eq!(rebuilt.claim(peer(3)), Claim::Owner(2));
        rebuilt.join(&back(2, second)).expect("there is a place");
        assert_eq!(rebuilt.owner, Some(peer(3)), "it was passed on again");
    }
    // An earlier owner that passes the rebuilt room on and gets it back does not become a later
    // owner.
    let mut rebuilt = Room::new(RoomId("DAM3R".into()), INCARNATION, terms(), true);
    rebuilt.join(&back(1, first)).expect("there is a place");
    rebuilt.join(&ours(3)).expect("there is a place");
    rebuilt.leave(peer(1));
    rebuilt.join(&back(1, first)).expect("there is a place");
    rebuilt.leave(peer(3));
    assert_eq!(rebuilt.owner, Some(peer(1)));
    rebuilt.join(&back(2, second)).expect("there is a place");
    assert_eq!(rebuilt.owner, Some(peer(2)));
    let mut other = Room::new(RoomId("DAM3R".into()), INCARNATION + 1, terms(), false);
    other.join(&ours(3)).expect("there is a place");
    other.join(&back(2, second)).expect("there is a place");
    assert_eq!(other.owner, Some(peer(3)), "that was another room");
}

#[test]
fn the_next_player_that_can_own_inherits_the_room() {
    let mut room = with(&[stock(1), ours(2), spectator(3), ours(4)]);
    assert_eq!(room.state().owner, Some(peer(2)), "a stock client could not use it");
    room.leave(peer(2));
    assert_eq!(room.state().owner, Some(peer(4)));
    room.leave(peer(4));
    assert_eq!(room.state().owner, None);
    room.ask(peer(3), &RoomRequest::SetPlace(Place::Player)).expect("there are places");
    assert_eq!(room.state().owner, Some(peer(3)));
}

#[test]
fn a_match_ends_when_all_its_players_have_left() {
    let mut room = with(&[ours(1), ours(2), spectator(3)]);
    for number in [1, 2] {
        room.ask(peer(number), &RoomRequest::SetReady(true)).expect("it is here");
    }
    room.ask(peer(1), &RoomRequest::Start).expect("all are ready");
    room.leave(peer(1));
    assert_eq!(room.state().phase, RoomPhase::Playing);
    room.leave(peer(2));
    assert_eq!(room.state().phase, RoomPhase::Lobby);
}

#[test]
fn a_match_ends_even_if_players_for_the_next_one_have_come() {
    let mut room = with(&[ours(1), spectator(2)]);
    room.ask(peer(1), &RoomRequest::SetReady(true)).expect("it is here");
    room.ask(peer(1), &RoomRequest::Start).expect("all are ready");
    room.ask(peer(2), &RoomRequest::SetPlace(Place::Player)).expect("there are places");
    room.join(&ours(3)).expect("there is a place");
    room.leave(peer(1));
    assert_eq!((room.state().phase, room.state().owner), (RoomPhase::Lobby, Some(peer(2))));
}

#[test]
fn players_of_a_match_inherit_the_room_and_only_they_can_remove_each_other() {
    let mut room = with(&[ours(1), spectator(2), ours(3)]);
    for number in [1, 3] {
        room.ask(peer(number), &RoomRequest::SetReady(true)).expect("it is here");
    }
    room.ask(peer(1), &RoomRequest::Start).expect("all are ready");
    room.ask(peer(2), &RoomRequest::SetPlace(Place::Player)).expect("there are places");
    let mut looks_on = room.clone();
    looks_on.owner = Some(peer(2));
    assert_eq!(looks_on.ask(peer(2), &RoomRequest::Kick(peer(3))), Err(Denial::Playing));
    assert_eq!(looks_on.ask(peer(2), &RoomRequest::Kick(peer(9))), Err(Denial::NoSuchPeer));
    assert!(
        looks_on.ask(peer(2), &RoomRequest::Finish).is_ok(),
        "the match goes on between its players"
    );
    assert!(looks_on.ask(peer(2), &RoomRequest::Kick(peer(3))).is_ok());
    assert!(room.clone().ask(peer(1), &RoomRequest::Kick(peer(3))).is_ok(), "it plays in it");
    room.leave(peer(1));
    assert_eq!(room.state().owner, Some(peer(3)), "not the one that came first");
    let alone = room.with_only(|member| member.id == peer(2));
    assert_eq!((alone.owner, &alone.in_match[..]), (Some(peer(2)), &[][..]));
}

#[test]
fn a_place_changed_during_a_match_is_for_the_next_one() {
    let mut room = with(&[ours(1), spectator(2)]);
    room.ask(peer(1), &RoomRequest::SetReady(true)).expect("it is here");
    room.ask(peer(1), &RoomRequest::Start).expect("all are ready");
    room.ask(peer(2), &RoomRequest::SetPlace(Place::Player)).expect("there are places");
    let state = room.state();
    assert_eq!((state.phase, state.count(Place::Player)), (RoomPhase::Playing, 2));
}

#[test]
fn a_changed_name_outlives_the_connection() {
    let mut room = with(&[ours(1)]);
    room.ask(peer(1), &RoomRequest::Rename("Ann".into())).expect("it is a name");
    room.mark_absent_unless_away(peer(1), 0);
    room.join(&ours(1)).expect("it has a place");
    assert_eq!(room.state().member(peer(1)).map(|member| &*member.name), Some("Ann"));
}

#[test]
fn a_match_starts_when_all_are_ready_and_ends_with_nobody_ready() {
    let mut room = with(&[ours(1), ours(2), spectator(3)]);
    let ready = RoomRequest::SetReady(true);
    assert_eq!(room.ask(peer(1), &RoomRequest::Finish), Err(Denial::NotPlaying));
    assert!(room.ask(peer(1), &ready).is_ok());
    assert_eq!(room.ask(peer(1), &RoomRequest::Start), Err(Denial::NotReady));
    assert!(room.ask(peer(2), &ready).is_ok());
    let effects = room.ask(peer(1), &RoomRequest::Start).expect("spectators need not be ready");
    let (to, state) = shown(&effects).expect("all see it");
    assert_eq!((to.len(), state.phase), (3, RoomPhase::Playing));
    assert_eq!(room.ask(peer(1), &RoomRequest::Start), Err(Denial::Playing));
    assert!(room.ask(peer(1), &RoomRequest::Finish).is_ok());
    let state = room.state();
    assert_eq!(state.phase, RoomPhase::Lobby);
    assert!(state.members.iter().all(|member| !member.is_ready), "the next match is another one");
    room.leave(peer(1));
    room.leave(peer(2));
    assert!(room.start().is_err(), "nobody plays");
}

#[test]
fn a_new_name_must_have_only_visible_characters() {
    let mut room = with(&[ours(1)]);
    for bad in ["", "  ", "a\u{7}b", "1234567890123456789012345"] {
        let rename = RoomRequest::Rename(bad.into());
        assert_eq!(room.ask(peer(1), &rename), Err(Denial::BadName), "{bad:?}");
    }
    assert!(room.ask(peer(1), &RoomRequest::Rename(" Zoë ".into())).is_ok());
    assert_eq!(room.state().members[0].name, "Zoë");
}

#[test]
fn no_two_peers_have_the_same_name() {
    let called = |number, name: &str| Newcomer { name: name.into(), ..ours(number) };
    let mut room = with(&[called(1, "Ann"), called(2, "ANN"), called(3, "ann 2")]);
    let names = |room: &Room| -> Vec<String> {
        room.members.iter().map(|member| member.name.clone()).collect()
    };
    assert_eq!(names(&room), ["Ann", "ANN 2", "ann 2 2"]);
    assert!(room.ask(peer(3), &RoomRequest::Rename("Ann".into())).is_ok());
    assert!(room.ask(peer(1), &RoomRequest::Rename("Ann".into())).is_ok(), "it is its own name");
    assert_eq!(names(&room), ["Ann", "ANN 2", "Ann 3"]);
    let before = room.clone();
    room.leave(peer(1));
    assert!(room.ask(peer(2), &RoomRequest::Rename("Ann".into())).is_ok());
    assert!(room.put_back(&before, &[peer(1), peer(2), peer(3)]));
    assert_eq!(names(&room), ["Ann", "Ann 3", "Ann 2"], "it came back, and its old name is taken");
    // Several clients may have no name.
    assert_eq!(names(&with(&[stock(1), stock(2)])), ["", ""]);
}

#[test]
fn an_absent_peer_stays_in_the_room_and_is_not_reported_as_left() {
    let mut room = with(&[ours(1), ours(2), stock(3)]);
    let effects = room.mark_absent_unless_away(peer(1), 1000);
    assert_eq!(told(&effects), []);
    let (to, state) = shown(&effects).expect("ours see it");
    assert_eq!(to, [peer(2)]);
    assert_eq!(state.member(peer(1)).map(|member| member.is_here), Some(false));
    assert_eq!(state.owner, Some(peer(1)));
    assert_eq!(room.mark_absent_unless_away(peer(1), 2000), [], "it is absent already");
    assert_eq!(room.members()[0].absence, Some(1000));
    assert_eq!(room.join(&ours(4)), Err(Refusal::RoomFull), "its place is kept");
    let effects = room.join(&ours(1)).expect("it has its place");
    assert_eq!(
        told(&effects)[1..],
        [(vec![peer(2)], PeerEvent::NewPeer(peer(1)))],
        "a stock client would take it for another peer"
    );
    assert_eq!(room.state().members.len(), 3);
}

#[test]
fn a_rebuilt_room_returns_to_its_owner() {
    let mut room = Room::new(RoomId("DAM3R".into()), INCARNATION, terms(), true);
    room.join(&back(2, Claim::Member)).expect("it was here");
    assert_eq!(room.state().owner, Some(peer(2)), "somebody must be");
    room.join(&back(1, Claim::Owner(1))).expect("it was here");
    assert_eq!(room.state().owner, Some(peer(1)));
}

#[test]
fn a_group_that_closes_when_full_takes_nobody_afterwards() {
    for closes in [true, false] {
        let group = Some("pairs".to_owned());
        let terms = Terms { capacity: 2, group, closes_when_full: closes, ..terms() };
        let mut room = Room::new(RoomId("a.1".into()), INCARNATION, terms.clone(), false);
        room.join(&ours(1)).expect("there is a place");
        assert_eq!(room.open_group(), Some("pairs"));
        room.join(&ours(2)).expect("there is a place");
        assert_eq!(room.open_group(), None);
        room.leave(peer(2));
        assert_eq!(room.open_group().is_some(), !closes);
        let rebuilt = Room::new(RoomId("a.1".into()), INCARNATION, terms, true);
        assert_eq!(rebuilt.open_group(), None, "strangers wait until all are back");
    }
}

#[test]
fn a_peer_that_missed_changes_is_told_the_differences() {
    let before = with(&[ours(1), ours(2), ours(3)]);
    let mut now = before.clone();
    now.leave(peer(2));
    now.join(&spectator(4)).expect("there is a place");
    let effects = now.catch_up(&before, &[peer(1), peer(4)]);
    assert_eq!(
        told(&effects),
        [
            (vec![peer(1), peer(4)], PeerEvent::PeerLeft(peer(2))),
            (vec![peer(1)], PeerEvent::NewPeer(peer(4)))
        ]
    );
    assert_eq!(shown(&effects).map(|(to, _)| to), Some(&[peer(1), peer(4)][..]));
}

#[test]
fn a_forgotten_peer_is_put_back_unless_it_was_removed() {
    let before = with(&[ours(1), ours(2), ours(3)]);
    let mut now = before.clone();
    now.mark_absent_unless_away(peer(1), 5);
    now.leave(peer(2));
    now.kick(peer(3)).expect("it is there");
    assert!(now.put_back(&before, &[peer(1), peer(2), peer(3)]));
    let is_here = |number| now.member(peer(number)).map(|member| member.absence.is_none());
    assert_eq!([1, 2, 3].map(is_here), [Some(true), Some(true), None]);
    assert!(!now.clone().put_back(&before, &[peer(1), peer(2), peer(3)]), "all is done");
    // By now another process has it, and knows whether it is connected.
    now.join(&Newcomer { process: ProcessId(2), ..ours(2) }).expect("it is in");
    now.mark_absent_unless_away(peer(2), 7);
    assert!(!now.put_back(&before, &[peer(2)]));
}

#[test]
fn a_room_that_strangers_made_again_is_restored() {
    let mut before = with(&[ours(1), ours(2)]);
    before.ask(peer(1), &RoomRequest::SetLocked(true)).expect("the owner");
    let made_again = with(&[ours(9)]);
    // First the process of the peer that did not own the room puts it back, then that of the owner.
    let mut now = made_again.clone();
    assert!(now.put_back(&before, &[peer(2)]));
    assert!(now.is_locked);
    assert!(now.put_back(&before, &[peer(1)]));
    assert_eq!(now.owner, Some(peer(1)));
    assert_eq!(now.members.len(), 3, "every peer that came stays");
    // The peer that inherited the room while its owner was taken for dead keeps it.
    let mut passed_on = before.clone();
    passed_on.leave(peer(1));
    passed_on.put_back(&before, &[peer(1)]);
    assert_eq!(passed_on.owner, Some(peer(2)));
    let mut untouched = made_again.clone();
    assert!(!untouched.put_back(&before, &[]), "none of its peers is here");
    // A room that is gone is not owned by a peer that is not in it.
    assert_eq!(before.with_only(|member| member.id == peer(2)).owner, Some(peer(2)));
}

#[test]
fn a_listing_describes_the_room() {
    let mut room = with(&[ours(1), spectator(2)]);
    assert_eq!(room.listed_game(), None);
    assert!(room.ask(peer(1), &RoomRequest::SetPublic(true)).is_ok());
    assert_eq!(room.listed_game(), Some(GAME));
    let listing = room.listing();
    assert_eq!((listing.name.as_str(), listing.owner.as_str()), ("DAM3R", "peer 1"));
    assert_eq!((listing.players, listing.capacity), (1, 3));
    assert_eq!((listing.spectators, listing.max_spectators), (1, 1));
}

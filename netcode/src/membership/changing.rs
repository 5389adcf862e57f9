//! How the roster of a running match changes: the machines that we miss, what is sent and heard of
//! the agreement (`change`), and what it decides. Part of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    change::{Asked, Change, MatchInputs, Message, Occupant, Outlook, Presence, Step, Value},
    connection::{Connection, ConnectionEvent, Limits},
    control::Control,
    finishing::STUCK_AFTER,
    link::Link,
    match_wire::{MatchPosition, MatchWire, Playing},
    patience::Patience,
    reasons::EndReason,
    roster::{Roster, RosterSeat, SeatState},
};
use crate::exchange::Exchange;

/// A machine is missed once it has been silent for as long as the others can play without its
/// inputs, and for this long beyond: longer than most networks are down for.
const MIN_PATIENCE: Duration = Duration::from_millis(250);
/// And for at least this many round trips, so that what was lost once could be sent again.
const PATIENCE_ROUND_TRIPS: u32 = 3;
/// A machine that is heard, and gives too few inputs, is missed once the match has stood still for
/// this much longer than it ran.
const STALLED_WITHIN: Duration = Duration::from_secs(1);
/// A machine that is away and lags behind by no more frames has caught up.
const NEAR_FRAMES: u32 = 2;
/// A planned change takes effect after this many round trips.
const PLANNED_ROUND_TRIPS: u32 = 2;

impl MatchWire {
    /// The number of times that the machines of the match have changed.
    pub(super) fn epoch(&self) -> u32 {
        self.change().map_or(0, |change| change.installed().epoch)
    }

    /// Whether the match that we play goes on without some of its machines. It does not before it
    /// has begun for all.
    pub(super) fn goes_on_without_some(&self) -> bool {
        self.is_agreeing() && self.playing.as_ref().is_some_and(|playing| playing.loses_machines)
    }

    /// Whether the match has begun for all, so that its machines may agree on changes.
    fn is_agreeing(&self) -> bool {
        self.change().is_some() && self.ask(|exchange| exchange.are_all_here()).unwrap_or(false)
    }

    /// Whether the machines decide about a change, or have promised to.
    pub(super) fn is_held(&self) -> bool {
        self.change().is_some_and(|change| change.hold().is_some())
    }

    /// Whether the peer holds a seat of our match now.
    pub(super) fn holds_seat(&self, peer: PeerId) -> bool {
        let holds_seat = |playing: &Playing| {
            let mut seats = playing.present.seats().iter();
            seats.any(|seat| seat.peer == Some(peer) && seat.state == SeatState::Peer)
        };
        self.playing.as_ref().is_some_and(holds_seat)
    }

    /// Whether a seat of our match is kept for the peer.
    pub(super) fn is_away(&self, peer: PeerId) -> bool {
        let is_away = |playing: &Playing| playing.present.away().any(|(_, away)| away == peer);
        self.playing.as_ref().is_some_and(is_away)
    }

    /// Takes the rosters that were agreed on since the last call, each with its first frame.
    pub(super) fn take_rosters(&mut self) -> Vec<(u32, Roster)> {
        self.playing
            .as_mut()
            .map(|playing| std::mem::take(&mut playing.rosters))
            .unwrap_or_default()
    }

    /// Takes the epoch that a peer is in, by the header of its datagram.
    pub(super) fn hear_epoch(&mut self, peer: PeerId, epoch: u32) {
        if let Some(change) = self.playing.as_mut().and_then(|playing| playing.change.as_mut()) {
            change.hear_epoch(peer, epoch);
        }
    }

    fn change(&self) -> Option<&Change> {
        self.playing.as_ref()?.change.as_ref()
    }

    /// Does something about the agreement. What is held back follows from it at once.
    fn with_change(
        &mut self,
        work: impl FnOnce(&mut Change, &mut Exchange) -> Vec<Step>,
    ) -> Vec<Step> {
        let Some(Playing { change: Some(change), exchange: Some(exchange), .. }) =
            &mut self.playing
        else {
            return Vec::new();
        };
        let steps = exchange.with(|exchange| {
            let steps = work(change, exchange);
            if change.has_left() {
                exchange.hold_all();
            } else {
                let held = change.held_machines();
                exchange.hold(change.hold().map(|hold| hold.from), &held);
            }
            for step in &steps {
                if let Step::Installed(value) = step {
                    let uses = value.seats.iter().map(|occupant| occupant.seat_use());
                    exchange.change_roster(value.epoch, value.first, uses);
                }
            }
            exchange.expose();
            steps
        });
        steps.unwrap_or_default()
    }

    /// The match goes on with another roster. Returns whether a seat is ours, or kept for us.
    fn install(&mut self, now: Duration, value: &Value) -> bool {
        let Some(playing) = &mut self.playing else { return false };
        playing.present = playing.roster.with_occupants(&value.seats).with_clock(value.clock);
        playing.clock.change(value.clock);
        playing.rosters.push((value.first, playing.present.clone()));
        playing.absences.change(now, &playing.present);
        playing.present.has(playing.local)
    }

    /// A machine that is away wants its seats back.
    pub(super) fn note_return(&mut self, now: Duration, peer: PeerId) {
        let is_away = self.is_away(peer);
        if let Some(playing) = self.playing.as_mut().filter(|_| is_away) {
            playing.absences.note_return(now, peer);
        }
    }

    /// Whether we are away, and have caught up with the match.
    fn wants_to_return(&self) -> bool {
        self.finished().is_none()
            && self.playing.as_ref().is_some_and(|playing| self.is_away(playing.local))
            && self.lag().is_some_and(|lag| lag <= NEAR_FRAMES)
    }

    /// Gives up a return that we prepared for and that does not come.
    fn watch_return(&mut self, now: Duration) {
        let returns_at = self.ask(|exchange| exchange.returns_at()).flatten();
        let Some(playing) = &mut self.playing else { return };
        if playing.absences.is_return_over(now, returns_at) {
            self.ask(Exchange::give_up_return);
        }
    }

    /// The frames by which we lag behind what is known, if we are away.
    pub(super) fn lag(&self) -> Option<u32> {
        self.ask(|exchange| exchange.lag()).flatten()
    }

    /// Asks for the changes that we see to be due: a machine that is back gets its seats again, one
    /// that stays away for too long, has left or is to be removed loses them, and players pause.
    fn ask_for_changes(&mut self, now: Duration, limits: &Limits) {
        let Some(Playing { present, absences, clock, kicked, .. }) = &self.playing else { return };
        let wanted = Vec::from_iter(present.away().map(|(seat, peer)| {
            let is_over = absences.is_over(now, seat, limits.seat_hold);
            (seat, peer, is_over, absences.may_return(now, peer))
        }));
        let is_kicked = |seat: &&RosterSeat| seat.peer.is_some_and(|peer| kicked.contains(&peer));
        let unwanted = present.seats().iter().filter(is_kicked).map(|seat| seat.seat.0);
        let unwanted = Vec::from_iter(unwanted);
        let clock = clock.wish(now, present.clock());
        let seats = present.seats().len() as u8;
        self.with_change(|change, exchange| {
            for seat in 0..seats {
                let wish = wanted.iter().find(|(wanted, ..)| *wanted == seat);
                let occupant = wish.and_then(|&(_, peer, is_over, may_return)| {
                    if is_over || exchange.is_leaving(peer) {
                        Some(Occupant::Empty)
                    } else {
                        let is_back = may_return && exchange.has_caught_up(peer, 2 * limits.window);
                        is_back.then_some(Occupant::Peer(peer))
                    }
                });
                let is_unwanted = unwanted.contains(&seat);
                let occupant = if is_unwanted { Some(Occupant::Empty) } else { occupant };
                match occupant {
                    Some(occupant) => change.ask(Asked::Seat { seat, occupant }),
                    None => change.withdraw(Some(seat)),
                }
            }
            match clock {
                Some(clock) => change.ask(Asked::Clock(clock)),
                None => change.withdraw(None),
            }
            Vec::new()
        });
    }
}

impl Connection {
    /// Takes the rosters that were agreed on since the last call, each with its first frame.
    pub(crate) fn take_rosters(&mut self) -> Vec<(u32, Roster)> {
        self.match_wire.take_rosters()
    }

    /// The frames by which we lag behind what is known, if the others play on without us.
    pub(crate) fn lag(&self) -> Option<u32> {
        self.match_wire.lag()
    }

    /// Why a match that goes on without some of its machines cannot go on: all others are gone, or
    /// nothing became final for too long.
    pub(crate) fn dead_end(&self) -> Option<EndReason> {
        let wire = &self.match_wire;
        let Playing { roster, present, absences, local, .. } = wire.playing.as_ref()?;
        if !wire.is_agreeing() || wire.finished().is_some() {
            return None;
        }
        let loses_machines = wire.goes_on_without_some();
        let Limits { outage_timeout, seat_hold, .. } = self.limits();
        let is_away = present.away().any(|(_, peer)| peer == *local);
        // A machine that hears nobody is likely the one that is cut off: the others keep its seats.
        let kept_for = outage_timeout.max(seat_hold) + STUCK_AFTER;
        let is_cut_off = self.is_cut_off_for(kept_for);
        let patience = match (is_away, loses_machines) {
            (true, _) => kept_for,
            (false, true) => outage_timeout + STUCK_AFTER,
            // A peer that is lost, or gives too few inputs, ends the match before. This is for one
            // that keeps the others from agreeing.
            (false, false) => outage_timeout + 2 * STUCK_AFTER,
        };
        let is_over = |change: &Change| change.is_deserted() || (is_away && change.have_we_lost());
        let is_over = loses_machines && (is_cut_off || wire.change().is_some_and(is_over));
        if !is_over && !absences.is_stuck(patience) {
            return None;
        }
        if is_away {
            return Some(EndReason::PutAway);
        }
        let last_known = wire.ask(|exchange| exchange.last_known()).flatten();
        let lost = last_known.or_else(|| roster.other_peers().next());
        let name = lost.and_then(|peer| roster.name_of(peer)).unwrap_or("a player").to_owned();
        Some(EndReason::PeerLost { name })
    }

    /// Whether all other machines of the match have been silent for `time`, and the channels to all
    /// of them are open.
    pub(super) fn is_cut_off_for(&self, time: Duration) -> bool {
        let mut others = self.match_wire.roster().into_iter().flat_map(Roster::other_peers);
        others.all(|peer| self.peers.get(peer).is_some_and(|link| link.silence() >= time))
    }

    /// Takes a peer's message of the agreement on a change.
    pub(super) fn handle_change(&mut self, now: Duration, from: PeerId, message: &Message) {
        let steps = self.match_wire.with_change(|change, exchange| {
            if let Some(first) = change.offered_return(from, message, exchange) {
                exchange.prepare_return(first);
            }
            change.handle(now, from, message, exchange)
        });
        self.carry_out_change(now, steps);
    }

    /// Notes which machines of the match we miss. To be called once everything that has arrived is
    /// read: a machine that stood still itself misses nobody.
    pub(super) fn watch_machines(&mut self) {
        let roster = self.match_wire.roster().filter(|_| self.match_wire.goes_on_without_some());
        let Some(roster) = roster else { return };
        let others = Vec::from_iter(roster.other_peers());
        let presences = others.into_iter().map(|peer| {
            let link = self.peers.get(peer);
            let is_hidden = link.is_some_and(|link| link.claims.is_hidden);
            (peer, self.presence(link), is_hidden)
        });
        let presences = Vec::from_iter(presences);
        let us = self.us.id().map(|us| (us, self.us.is_hidden()));
        self.match_wire.with_change(|change, _| {
            if let Some((us, is_hidden)) = us {
                change.notice_hidden(us, is_hidden);
            }
            for (peer, presence, is_hidden) in presences {
                change.notice(peer, presence);
                change.notice_hidden(peer, is_hidden);
            }
            Vec::new()
        });
    }

    fn presence(&self, link: Option<&Link>) -> Presence {
        let Some(link) = link.filter(|link| !link.is_removed()) else { return Presence::Closed };
        let limits = self.limits();
        let round_trip = link.clock.rtt().unwrap_or_default() + link.clock.jitter();
        let patience = MIN_PATIENCE.max(PATIENCE_ROUND_TRIPS * round_trip);
        let is_silent = link.silence() >= limits.step * limits.window + patience;
        if is_silent || link.patience.is_used_up(STALLED_WITHIN) {
            Presence::Missing
        } else {
            Presence::Here
        }
    }

    /// Goes on with the agreement, and repeats what nobody answered. To be called once per update.
    pub(super) fn agree(&mut self, now: Duration) {
        let limits = self.limits();
        self.match_wire.ask_for_changes(now, &limits);
        self.match_wire.watch_return(now);
        self.ask_for_seats(now);
        let round_trips = self.peers.iter().map(|link| {
            let round_trip = link.clock.rtt().unwrap_or_default() + link.clock.jitter();
            if link.silence() < limits.quiet_after { round_trip } else { Duration::ZERO }
        });
        let round_trip = round_trips.max().unwrap_or_default();
        let ahead = (PLANNED_ROUND_TRIPS * round_trip).as_secs_f32() * f32::from(limits.fps);
        let MatchPosition { frame, .. } = self.match_wire.position();
        if !self.match_wire.is_agreeing() {
            return;
        }
        let steps = self.match_wire.with_change(|change, exchange| {
            let ahead = ahead.ceil() as u32 + limits.window + limits.max_delay;
            let soon = frame.saturating_add(ahead).min(MatchInputs::limit(exchange));
            let until_soon = limits.step * (soon - frame.min(soon));
            change.poll(now, Outlook { round_trip, soon, until_soon }, exchange)
        });
        self.carry_out_change(now, steps);
        let repeated = self.match_wire.with_change(|change, exchange| change.repeat(now, exchange));
        self.repeat_change(now, repeated);
    }

    /// Tells the other machines that we give no more inputs, with the last ones.
    pub(super) fn leave_roster(&mut self, now: Duration) {
        let steps = self.match_wire.with_change(|change, exchange| change.leave(false, exchange));
        self.carry_out_change(now, steps);
    }

    /// Asks all machines for our seats, if we are away and have caught up.
    fn ask_for_seats(&mut self, now: Duration) {
        if !self.match_wire.wants_to_return() {
            return;
        }
        let MatchPosition { match_number, .. } = self.match_wire.position();
        if let Some(playing) = &mut self.match_wire.playing
            && playing.absences.is_time_to_ask(now)
        {
            self.for_machines(|connection, peer| {
                connection.wire.send_unreliably(now, peer, &Control::Return { match_number });
            });
        }
    }

    pub(super) fn for_machines(&mut self, mut work: impl FnMut(&mut Self, PeerId)) {
        let Some(roster) = self.match_wire.roster() else { return };
        let mut others = Vec::from_iter(roster.other_peers());
        others.sort_unstable();
        others.dedup();
        others.into_iter().for_each(|peer| work(self, peer));
    }

    /// Sends a message of the agreement to one machine, as a datagram.
    fn send_change(&mut self, now: Duration, to: PeerId, message: &Control) {
        // Inputs of very many seats may be too large for one.
        if !self.wire.send_unreliably(now, to, message) {
            self.wire.send_control(now, to, message);
        }
    }

    /// Sends messages of the agreement again. The network may be down one way, so nothing may pile
    /// up for the other machines.
    fn repeat_change(&mut self, now: Duration, steps: Vec<Step>) {
        let MatchPosition { match_number, .. } = self.match_wire.position();
        for step in steps {
            match step {
                Step::ToAll(message) => {
                    let message = Control::Change { match_number, message };
                    self.for_machines(|connection, peer| {
                        connection.send_change(now, peer, &message);
                    });
                }
                Step::Send(peer, message) => {
                    self.send_change(now, peer, &Control::Change { match_number, message });
                }
                Step::Installed(_) | Step::Differs { .. } => {}
            }
        }
    }

    /// What is said to all is news, and goes reliably as well. An answer is a datagram only: if it
    /// is lost, the other machine asks again.
    fn carry_out_change(&mut self, now: Duration, steps: Vec<Step>) {
        let MatchPosition { match_number, .. } = self.match_wire.position();
        for step in steps {
            match step {
                Step::ToAll(message) => {
                    let message = Control::Change { match_number, message };
                    self.for_machines(|connection, peer| {
                        connection.wire.send_unreliably(now, peer, &message);
                        connection.wire.send_control(now, peer, &message);
                    });
                }
                Step::Send(peer, message) => {
                    self.send_change(now, peer, &Control::Change { match_number, message });
                }
                Step::Installed(value) => {
                    self.peers.iter_mut().for_each(|link| link.patience = Patience::default());
                    if !self.match_wire.install(now, &value) {
                        self.push_event(ConnectionEvent::PutAway);
                    }
                }
                Step::Differs { seat } => {
                    let roster = self.match_wire.roster();
                    let name = roster.and_then(|roster| roster.name_at(seat)).unwrap_or("a player");
                    tracing::warn!(
                        "{name} sent different inputs to different machines: all go on with the \
                         same ones"
                    );
                }
            }
        }
    }
}

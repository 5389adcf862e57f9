//! Handles each packet of a peer: the receiving half of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    conduct::Misconduct,
    connection::{Connection, ConnectionEvent, Limits},
    control::{Control, ControlError, Finish, Hello},
    lineup::{MatchPlan, View, next_match_number},
    lobby::Lobby,
    player_name::clean_name,
    reasons::Refusal,
};
use crate::{
    diagnostics::DroppedPackets,
    exchange::{BadInputs, Datagram, DatagramError, Departure, control_message},
    transport::{Channel, MAX_PEERS},
};

/// Whether a packet could be understood.
enum Packet {
    Sound,
    /// It is of a kind that is not known here, which says nothing about its sender.
    Unknown,
    Junk,
}

impl Connection {
    /// Takes a packet. Checks first whether it is one too many, then its size, and only then its
    /// content.
    pub(super) fn handle_packet(
        &mut self,
        now: Duration,
        from: PeerId,
        channel: Channel,
        bytes: &[u8],
        our_frame: Option<f32>,
    ) {
        let limits = self.limits().flood;
        let Some(link) = self.peers.get_mut(from) else {
            self.dropped.stranger += 1;
            return;
        };
        // Of another version, only control messages are read: the peer is already refused for it.
        let is_foreign = link.refusal == Some(Refusal::OtherProtocol);
        if link.is_removed() || (is_foreign && channel != Channel::Control) {
            self.dropped.stranger += 1;
            return;
        }
        let packet = match link.conduct.allows(now, channel, &limits) {
            Ok(true) if bytes.len() > channel.max_bytes() => {
                self.dropped.oversized += 1;
                Packet::Junk
            }
            Ok(true) => match channel {
                Channel::Datagrams => self.handle_datagram(now, from, bytes, our_frame),
                Channel::Control => self.handle_control(now, from, bytes),
                // No kind of bulk message is known yet.
                Channel::Bulk => self.skip_unknown(),
            },
            Ok(false) => {
                self.dropped.flooded += 1;
                return;
            }
            Err(misconduct) => {
                self.dropped.flooded += 1;
                return self.remove(from, misconduct);
            }
        };
        let Some(link) = self.peers.get_mut(from) else { return };
        match packet {
            Packet::Sound => {
                link.heard();
                link.conduct.made_sense();
            }
            Packet::Unknown => link.heard(),
            Packet::Junk => {
                if let Err(misconduct) = link.conduct.made_no_sense(now) {
                    self.remove(from, misconduct);
                }
            }
        }
    }

    /// Stops listening to a peer; its channels cannot be closed one by one.
    fn remove(&mut self, peer: PeerId, misconduct: Misconduct) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.refusal = Some(Refusal::Removed { name: link.name(), misconduct });
        }
        self.lineup.forget(peer);
        self.push_event(ConnectionEvent::Misconduct(peer, misconduct));
    }

    fn handle_datagram(
        &mut self,
        now: Duration,
        from: PeerId,
        bytes: &[u8],
        our_frame: Option<f32>,
    ) -> Packet {
        if let Some(message) = control_message(bytes) {
            return self.handle_unreliable(now, from, message);
        }
        let Datagram { header, inputs } = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(DatagramError::Unknown) => {
                self.dropped.unknown += 1;
                return Packet::Unknown;
            }
            Err(DatagramError::Malformed) => {
                self.dropped.malformed += 1;
                return Packet::Junk;
            }
        };
        let fps = self.limits().fps;
        if self.match_wire.is_of(header.match_number) && self.match_wire.has(from) {
            self.match_wire.hear_epoch(from, header.epoch);
        }
        let Some(link) = self.peers.get_mut(from) else {
            return Packet::Sound;
        };
        let is_same_match = self.match_wire.is_of(header.match_number);
        let our_frame = our_frame.filter(|_| is_same_match);
        let Some(inputs) = inputs else {
            let is_echo_sound = link.clock.receive(now, &header, our_frame, fps);
            self.dropped.bad_echo += u32::from(!is_echo_sound);
            return Packet::Sound;
        };
        if !link.is_compatible() {
            self.dropped.stranger += 1;
            return Packet::Sound;
        }
        if !is_same_match {
            // A peer that begins a little before us is early, not wrong: it will send all of it
            // again.
            self.dropped.wrong_match +=
                u32::from(!self.match_wire.is_expected(header.match_number));
            link.clock.receive(now, &header, None, fps);
            return Packet::Sound;
        }
        match self.match_wire.receive(from, &header, &inputs) {
            Some(Err(bad)) => {
                count_refused(&mut self.dropped, bad);
                return Packet::Junk;
            }
            Some(Ok(is_lag_possible)) => self.dropped.false_lag += u32::from(!is_lag_possible),
            None => {}
        }
        let is_echo_sound = link.clock.receive(now, &header, our_frame, fps);
        self.dropped.bad_echo += u32::from(!is_echo_sound);
        Packet::Sound
    }

    /// Takes a control message that came as a datagram. Only those may that do no harm if they are
    /// lost, doubled, or overtake others.
    fn handle_unreliable(&mut self, now: Duration, from: PeerId, bytes: &[u8]) -> Packet {
        match Control::decode(bytes) {
            Ok(
                message @ (Control::Change { .. } | Control::Return { .. } | Control::Finish(_)),
            ) => {
                self.handle_message(now, from, message);
                Packet::Sound
            }
            Err(ControlError::Unknown) => self.skip_unknown(),
            Ok(_) | Err(ControlError::Malformed | ControlError::OtherVersion) => {
                self.dropped.malformed += 1;
                Packet::Junk
            }
        }
    }

    fn handle_control(&mut self, now: Duration, from: PeerId, bytes: &[u8]) -> Packet {
        match Control::decode(bytes) {
            Ok(Control::Hello(hello)) => self.handle_hello(from, hello),
            Ok(message) => self.handle_message(now, from, message),
            Err(ControlError::Unknown) => return self.skip_unknown(),
            Err(ControlError::OtherVersion) if !self.has_said_hello(from) => {
                if let Some(link) = self.peers.get_mut(from) {
                    link.refusal = Some(Refusal::OtherProtocol);
                }
            }
            // A peer keeps its version: after a hello in ours, a message in another one makes no
            // sense.
            Err(ControlError::Malformed | ControlError::OtherVersion) => {
                self.dropped.malformed += 1;
                return Packet::Junk;
            }
        }
        Packet::Sound
    }

    /// Skips a message of a kind that is not known here. Later builds may send it.
    fn skip_unknown(&mut self) -> Packet {
        self.dropped.unknown += 1;
        Packet::Unknown
    }

    fn has_said_hello(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some_and(|link| link.hello.is_some())
    }

    /// Takes a peer's hello. Only the first counts: a peer stays what it is.
    fn handle_hello(&mut self, from: PeerId, hello: Hello) {
        let hello = hello.cleaned();
        let refusal = self.us.hello().refuse(&hello);
        if let Some(link) = self.peers.get_mut(from)
            && link.hello.is_none()
            && link.refusal.is_none()
        {
            link.refusal = refusal;
            link.hello = Some(hello);
        }
    }

    fn handle_message(&mut self, now: Duration, from: PeerId, message: Control) {
        let Some(link) = self.peers.get_mut(from) else { return };
        if !link.is_compatible() {
            self.dropped.stranger += 1;
            return;
        }
        match message {
            Control::Hello(_) => {}
            Control::Status(mut status) => {
                status.reaches.truncate(MAX_PEERS);
                if let Some(hello) = &mut link.hello {
                    hello.name = clean_name(&std::mem::take(&mut status.name));
                }
                if !status.is_ready {
                    self.lineup.reset_start_delay(from);
                }
                link.claims = status;
            }
            Control::LineUp(message) => {
                let Some(local) = self.us.id() else { return };
                let last_match_number = link.claims.last_match_number;
                let possible = self.possible_match();
                let view = View { local, possible: possible.as_ref(), last_match_number };
                let steps = self.lineup.handle(now, from, message, view);
                self.carry_out(now, steps);
            }
            Control::Checksums { match_number, frame, hashes } => {
                if self.is_of_match(from, match_number) {
                    self.push_event(ConnectionEvent::Checksums { peer: from, frame, hashes });
                }
            }
            Control::Goodbye(cause) => self.push_event(ConnectionEvent::Goodbye(from, cause)),
            Control::Finish(finish) => self.handle_finish(from, &finish),
            Control::Change { match_number, message } => {
                if self.is_of_match(from, match_number) {
                    self.handle_change(now, from, &message);
                }
            }
            Control::Return { match_number } => {
                if self.is_of_match(from, match_number) {
                    self.match_wire.note_return(now, from);
                }
            }
            Control::Pause { match_number, pauses } => {
                if self.is_of_match(from, match_number) {
                    self.note_pause(now, from, pauses);
                }
            }
            Control::Kick { match_number, peer } => {
                if self.is_of_match(from, match_number) {
                    if self.us.owner() == Some(from) && self.limits().may_kick {
                        self.note_kick(peer);
                    } else {
                        self.dropped.stranger += 1;
                    }
                }
            }
        }
    }

    /// Whether a message of a peer is about the match that both of us play. It is counted if not.
    fn is_of_match(&mut self, from: PeerId, match_number: u32) -> bool {
        let is_member = self.match_wire.has(from);
        let is_same = self.match_wire.is_of(match_number);
        self.dropped.stranger += u32::from(!is_member);
        self.dropped.wrong_match += u32::from(is_member && !is_same);
        is_member && is_same
    }

    /// A peer leaves the match, which goes on without it.
    fn handle_finish(&mut self, from: PeerId, finish: &Finish) {
        let name = self.match_wire.roster().and_then(|roster| roster.name_of(from));
        let Some(name) = name.map(str::to_owned) else {
            self.dropped.stranger += 1;
            return;
        };
        if !self.match_wire.is_of(finish.match_number) {
            self.dropped.wrong_match += 1;
            return;
        }
        match self.match_wire.receive_finish(from, finish) {
            Some(Ok(Some(Departure { end, is_possible }))) => {
                self.dropped.false_end += u32::from(!is_possible);
                self.push_event(ConnectionEvent::Finished { peer: from, name, end });
            }
            Some(Err(bad)) => count_refused(&mut self.dropped, bad),
            Some(Ok(None)) | None => {}
        }
    }

    /// The match that could start now, as seen from here.
    pub(super) fn possible_match(&self) -> Option<MatchPlan> {
        let is_free = !self.is_in_match() && self.newcomers_until.is_none();
        let local = self.us.id().filter(|_| self.us.is_ready() && is_free)?;
        let Limits { min_players, max_players, .. } = self.limits();
        let mut lobby = Lobby::for_seats(min_players, max_players);
        self.show(&mut lobby);
        // The same rules decide what the player sees and what happens.
        if lobby.obstacle().is_some() {
            return None;
        }
        let players = || self.players().filter(|link| !self.lineup.has_counted_out(link.peer));
        let others = players().filter_map(|link| Some((link.peer, link.hello.as_ref()?)));
        let machines = std::iter::once((local, self.us.hello()))
            .chain(others)
            .map(|(peer, hello)| (peer, hello.name.clone(), hello.seats));
        let claimed = players().map(|link| link.claims.last_match_number);
        let match_number = next_match_number(self.us.last_match_number(), claimed);
        let plan = MatchPlan::seated(match_number, machines.collect());
        #[cfg(any(test, feature = "testing"))]
        if self.has_reversed_seats {
            return Some(plan.with_reversed_seats());
        }
        Some(plan)
    }
}

/// Counts inputs that were refused.
fn count_refused(dropped: &mut DroppedPackets, bad: BadInputs) {
    *match bad {
        BadInputs::TooMany => &mut dropped.too_many_inputs,
        BadInputs::Gap => &mut dropped.input_gap,
        BadInputs::FalseAck => &mut dropped.false_ack,
        BadInputs::NotInputs => &mut dropped.not_inputs,
        BadInputs::NoSeat => &mut dropped.stranger,
    } += 1;
}

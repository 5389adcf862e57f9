//! What single packets of a peer mean: the receiving half of [`Connection`].

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    connection::{Connection, Limits, Occurrence},
    control::{Control, ControlError, Hello},
    lineup::{LineUpStep, MatchPlan, Member},
    lobby::Lobby,
    reasons::Refusal,
};
use crate::transport::{Datagram, MAX_PEERS, SharedMailbox};

impl Connection {
    pub(super) fn take_datagram(
        &mut self,
        now: Duration,
        from: PeerId,
        bytes: &[u8],
        our_frame: Option<u32>,
    ) {
        let Ok(datagram) = Datagram::decode(bytes) else {
            self.dropped.malformed += 1;
            return;
        };
        let (epoch, fps) = (self.epoch, self.limits().fps);
        let Some(link) = self.links.iter_mut().find(|link| link.peer == from) else { return };
        let is_same_epoch = epoch != 0 && datagram.header.epoch == epoch;
        link.clock.receive(now, &datagram.header, our_frame.filter(|_| is_same_epoch), fps);
        if datagram.messages.is_empty() {
            return;
        }
        if !link.is_compatible() {
            self.dropped.stranger += 1;
        } else if is_same_epoch {
            for message in datagram.messages {
                if !self.mailbox.with(|mailbox| mailbox.deliver(from, message)) {
                    self.dropped.flooded += 1;
                }
            }
        } else {
            self.dropped.wrong_epoch += 1;
        }
    }

    pub(super) fn take_control(
        &mut self,
        now: Duration,
        from: PeerId,
        bytes: &[u8],
        occurrences: &mut Vec<Occurrence>,
    ) {
        match Control::decode(bytes) {
            Ok(Control::Hello(hello)) => self.meet(from, hello),
            Ok(message) => self.obey(now, from, message, occurrences),
            Err(ControlError::Malformed) => self.dropped.malformed += 1,
            Err(ControlError::OtherVersion) => {
                if let Some(link) = self.links.iter_mut().find(|link| link.peer == from) {
                    link.refusal = Some(Refusal::OtherProtocol);
                }
            }
        }
    }

    /// Takes a peer's hello. Only the first counts: nobody changes what it is.
    fn meet(&mut self, from: PeerId, hello: Hello) {
        let hello = hello.cleaned();
        let refusal = self.hello.refuse(&hello);
        if let Some(link) = self.links.iter_mut().find(|link| link.peer == from)
            && link.hello.is_none()
        {
            link.refusal = refusal;
            link.hello = Some(hello);
        }
    }

    fn obey(
        &mut self,
        now: Duration,
        from: PeerId,
        message: Control,
        occurrences: &mut Vec<Occurrence>,
    ) {
        let Some(link) = self.links.iter_mut().find(|link| link.peer == from) else { return };
        if !link.is_compatible() {
            self.dropped.stranger += 1;
            return;
        }
        match message {
            Control::Hello(_) => {}
            Control::Status(mut status) => {
                status.reaches.truncate(MAX_PEERS);
                link.status = status;
            }
            Control::LineUp(message) => {
                let Some(local) = self.local else { return };
                let possible = self.possible_match();
                let steps = self.lineup.handle(now, local, from, message, possible.as_ref());
                self.follow(now, steps, occurrences);
            }
            Control::Checksums { epoch, frame, parts } => {
                if epoch == self.epoch && epoch != 0 {
                    occurrences.push(Occurrence::Checksums { peer: from, frame, parts });
                } else {
                    self.dropped.wrong_epoch += 1;
                }
            }
            Control::Goodbye(cause) => occurrences.push(Occurrence::Goodbye(from, cause)),
        }
    }

    /// Does what the line-up asks for.
    pub(super) fn follow(
        &mut self,
        now: Duration,
        steps: Vec<LineUpStep>,
        occurrences: &mut Vec<Occurrence>,
    ) {
        for step in steps {
            match step {
                LineUpStep::Send(to, message) => {
                    self.send_control(now, to, &Control::LineUp(message));
                }
                LineUpStep::Expect(epoch) => {
                    self.epoch = epoch;
                    // A fresh one: the session of the last match still empties its own.
                    self.mailbox = SharedMailbox::default();
                }
                LineUpStep::Begin(plan) => {
                    // At once, so that nothing in this update takes us for ready still and asks again.
                    self.enter_match(now, plan.epoch);
                    occurrences.push(Occurrence::Begin(plan));
                }
            }
        }
    }

    /// The match that could start now, as seen from here.
    pub(super) fn possible_match(&self) -> Option<MatchPlan> {
        let local = self.local.filter(|_| self.status.ready && !self.status.in_match)?;
        let Limits { min_players, max_players, .. } = self.limits();
        let mut lobby = Lobby::for_seats(min_players, max_players);
        self.show(&mut lobby);
        // What a player is told and what happens follow from the same rules.
        if lobby.blocker().is_some() {
            return None;
        }
        let fitting = || self.fitting_links();
        let others = fitting().filter_map(|link| Some((link.peer, link.hello.as_ref()?)));
        let members = std::iter::once((local, &self.hello))
            .chain(others)
            .map(|(peer, hello)| Member { peer, name: hello.name.clone(), seats: hello.seats });
        let epochs = fitting().map(|link| link.status.last_epoch);
        let last_epoch = epochs.fold(self.status.last_epoch, u32::max);
        Some(MatchPlan::new(last_epoch.saturating_add(1), members.collect()))
    }
}

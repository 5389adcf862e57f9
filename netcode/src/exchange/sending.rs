//! What a datagram to a peer carries, and when one is due.

use signaling::protocol::PeerId;

use super::{
    DatagramHeader, Exchange, Inputs, MAX_INPUT_FRAMES, SeatInputs, Stream, datagram::InputRun,
};
use crate::transport::MAX_DATAGRAM_BYTES;

/// Bytes of a datagram for everything but the runs of inputs: its header, what we have of each
/// seat, and, for each stream, what stands before its runs.
pub(super) const HEADER_BYTES: usize = 96;
pub(super) const STREAM_BYTES: usize = 8;
/// An input that changed nothing may wait for this many frames before it is sent: every peer
/// predicts that inputs are held, so it is not missed, and half of the datagrams need not be sent.
const HELD_FRAMES: u32 = 2;
/// After a loss, a link counts as lossy for this many frames: at 1 % of 30 datagrams a second,
/// every third loss falls into that time.
const LOSSY_FRAMES: u32 = 60;

/// How late a datagram reaches a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    /// Frames of a round trip, jitter included.
    pub(crate) round_trip: f32,
}

impl Exchange {
    /// Returns the inputs for a datagram with this header to a peer.
    pub(crate) fn inputs_for(&mut self, to: PeerId, header: &DatagramHeader) -> Option<Inputs> {
        let index = self.index(to)?;
        let seats = self.our_seats().count();
        let max_bytes = MAX_DATAGRAM_BYTES - HEADER_BYTES - seats * STREAM_BYTES;
        let streams = self.streams_for(index, max_bytes);
        let confirmed = self.exposed();
        let inputs = Inputs { confirmed, has: self.has_for(index), streams };
        let our_end = self.our_end();
        let peer = &mut self.peers[index];
        let mut carried = our_end;
        for stream in &inputs.streams {
            let end = stream.first + stream.frames() as u32;
            let sent_end = &mut peer.sent_end[usize::from(stream.seat)];
            *sent_end = end.max(*sent_end);
            carried = carried.min(end);
        }
        if peer.is_here {
            // Before that, the peer may drop the inputs and echo the datagram all the same.
            peer.delivered.note_sent(header.sent_ms, carried);
        }
        Some(inputs)
    }

    /// The inputs of our seats that a peer lacks, in at most `max_bytes` of runs.
    pub(super) fn streams_for(&self, index: usize, max_bytes: usize) -> Vec<Stream> {
        if self.is_gone(index) {
            return Vec::new();
        }
        let peer = &self.peers[index];
        let stream = |seat: usize| {
            let first = peer.has[seat];
            let runs = self.seats[seat].stream.wire_runs(first, MAX_INPUT_FRAMES);
            (!runs.is_empty()).then_some(Stream { seat: seat as u8, first, runs })
        };
        let mut streams: Vec<Stream> = self.our_seats().filter_map(stream).collect();
        cut(&mut streams, max_bytes);
        streams
    }

    /// The first frame that we lack of each seat that we do not hold, for the peer at `index`.
    fn has_for(&self, index: usize) -> Vec<u32> {
        let neutral_end = self.unheld_end();
        let has = |seat: usize| {
            let SeatInputs { holder, stream, held_end, .. } = &self.seats[seat];
            // A machine that has left gives no more.
            if *holder != Some(index) && self.is_over(seat) {
                neutral_end.max(stream.end())
            } else {
                stream.end().min(held_end.unwrap_or(u32::MAX))
            }
        };
        let seats = 0..self.seats.len();
        seats.filter(|&seat| self.seats[seat].holder.is_some()).map(has).collect()
    }

    /// Whether a peer should get a datagram now that we took a step.
    pub(crate) fn is_due(&mut self, to: PeerId, lateness: Lateness) -> bool {
        let Some(index) = self.index(to).filter(|&index| !self.is_gone(index)) else {
            return false;
        };
        if self.is_away() {
            // It acknowledges what it catches up with.
            return true;
        }
        let end = self.our_end();
        let unacknowledged = end.saturating_sub(self.acked(index)) as f32;
        let sent_ends = &self.peers[index].sent_end;
        let unsent = |seat: usize| self.seats[seat].stream.end().saturating_sub(sent_ends[seat]);
        let has_waited = self.our_seats().any(|seat| unsent(seat) >= HELD_FRAMES);
        let is_held = |seat: usize| self.seats[seat].stream.is_held_from(sent_ends[seat]);
        let are_held = self.our_seats().all(is_held);
        let peer = &mut self.peers[index];
        // Both sides may have waited, and each polls once a frame. If an input is still not
        // acknowledged then, it is lost, or its acknowledgement is: on such a link every datagram
        // counts.
        if unacknowledged > lateness.round_trip + 2.0 * HELD_FRAMES as f32 + 1.0 {
            peer.lossy_until = end + LOSSY_FRAMES;
        }
        // Where half of a round trip comes close to the window, one frame later may mean a stall.
        let is_far =
            lateness.round_trip / 2.0 + HELD_FRAMES as f32 > self.rules.window as f32 / 2.0;
        has_waited || is_far || end < peer.lossy_until || !are_held
    }

    /// Whether a peer still lacks inputs of ours.
    pub(crate) fn is_behind(&self, peer: PeerId) -> bool {
        let Some(index) = self.index(peer) else { return false };
        let peer = &self.peers[index];
        let lacks = |seat: usize| peer.has[seat] < self.seats[seat].stream.end();
        !self.is_gone(index) && self.our_seats().any(lacks)
    }
}

/// Cuts the streams so that their runs take at most `max_bytes`. Bytes that one of them does not
/// need go to the others, and each keeps one run at least.
pub(crate) fn cut(streams: &mut [Stream], max_bytes: usize) {
    let bytes = |stream: &Stream| stream.runs.iter().map(InputRun::bytes).sum::<usize>();
    let mut order: Vec<usize> = (0..streams.len()).collect();
    order.sort_by_key(|&index| bytes(&streams[index]));
    let mut left = max_bytes;
    for (number, &index) in order.iter().enumerate() {
        let share = left / (order.len() - number);
        let runs = &mut streams[index].runs;
        let mut used = 0;
        let fits = runs.iter().take_while(|run| {
            used += run.bytes();
            used <= share
        });
        let fitting = fits.count().max(1);
        runs.truncate(fitting);
        left = left.saturating_sub(bytes(&streams[index]));
    }
}

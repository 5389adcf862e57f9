//! One peer of the match, as the exchange keeps track of it.

use signaling::protocol::PeerId;

use super::delivered::Delivered;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Whether the peer's session exists too: anything said before that would be said in vain.
    pub(super) is_here: bool,
    /// For each seat, the first frame whose input the peer lacks, as far as it has said.
    pub(super) has: Vec<u32>,
    /// The first frame whose inputs the peer does not all have, as far as it has said.
    pub(super) confirmed: u32,
    /// For each seat of ours, the first frame that no datagram to the peer has carried yet.
    pub(super) sent_end: Vec<u32>,
    pub(super) delivered: Delivered,
    /// The highest frame that the peer said it was at.
    pub(super) newest_frame: u32,
    /// How many frames the peer's inputs reached beyond that.
    pub(super) delay: i32,
    /// Our frame at which the peer last said how far it predicts us.
    pub(super) sampled_at: Option<u32>,
    /// Until this frame of ours every step is followed by a datagram, because the link lost some.
    pub(super) lossy_until: u32,
    /// The first frame for which the peer gives no inputs, once it has said that it leaves.
    pub(super) given: Option<u32>,
    /// The frame at which the match is over for the peer, once it has left and named one that is
    /// possible.
    pub(super) end: Option<u32>,
    /// How often the roster had changed for the peer when we last heard of it.
    pub(super) epoch: u32,
    /// Whether we take none of the peer's inputs for now.
    pub(super) is_held: bool,
}

impl Peer {
    /// A peer of a match with `seats` seats.
    pub(super) fn new(id: PeerId, seats: usize) -> Self {
        Self {
            id,
            is_here: false,
            has: vec![0; seats],
            confirmed: 0,
            sent_end: vec![0; seats],
            delivered: Delivered::default(),
            newest_frame: 0,
            delay: 0,
            sampled_at: None,
            lossy_until: 0,
            given: None,
            end: None,
            epoch: 0,
            is_held: false,
        }
    }

    /// Whether the peer has said that it leaves the match: it needs none of our inputs.
    pub(super) fn is_leaving(&self) -> bool {
        self.given.is_some()
    }
}

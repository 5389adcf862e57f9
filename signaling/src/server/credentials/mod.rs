//! What peers show to be let in, and what they are given: tickets for rooms, tokens that bring them
//! back, and passwords for TURN servers.

mod ticket;
mod token;
mod turn;

pub(crate) use self::{
    ticket::check_ticket,
    token::{Resume, Signer},
    turn::IceSettings,
};
pub use self::{
    ticket::{ANY_ROOM, MIN_SECRET_BYTES, TicketSecret, WeakSecret},
    turn::TurnSecret,
};

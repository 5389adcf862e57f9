//! The credentials that peers present or receive: tickets for rooms, tokens with which peers return
//! to their rooms, and passwords for TURN servers.

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

//! Datagrams that follow all rules and still claim something false: see the file of this name in
//! `exchange`.

use super::connection::Connection;
use crate::exchange::Datagram;

impl Connection {
    /// Whether a datagram of our match would make us believe something false about its sender,
    /// although it follows all rules.
    pub(crate) fn believes_false_claim(&self, bytes: &[u8], sender: &Self) -> bool {
        let Ok(Datagram { header, inputs: Some(inputs) }) = Datagram::decode(bytes) else {
            return false;
        };
        let (Some(from), Some(us)) = (sender.local(), self.local()) else { return false };
        self.match_wire.is_of(header.match_number)
            && self.match_wire.believes_false_claim((from, us), &inputs, &sender.match_wire)
    }
}

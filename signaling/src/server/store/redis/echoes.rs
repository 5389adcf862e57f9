//! Changes by this process that have not come back to it yet.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::server::store::StoreDown;

/// The tasks that wait for their changes to come back.
#[derive(Default)]
pub(super) struct Echoes(Mutex<Expected>);

#[derive(Default)]
struct Expected {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<()>>,
    is_cut_off: bool,
}

/// A change that has not come back yet.
pub(super) struct Echo<'a> {
    echoes: &'a Echoes,
    number: u64,
    heard: oneshot::Receiver<()>,
}

impl Echoes {
    fn lock(&self) -> MutexGuard<'_, Expected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a change a number before it is made. Without a connection this is an error, because
    /// nothing could come back.
    pub(super) fn expect(&self) -> Result<Echo<'_>, StoreDown> {
        let mut expected = self.lock();
        if expected.is_cut_off {
            return Err(StoreDown);
        }
        let (sender, heard) = oneshot::channel();
        expected.last += 1;
        let number = expected.last;
        expected.waiting.insert(number, sender);
        Ok(Echo { echoes: self, number, heard })
    }

    pub(super) fn heard(&self, number: u64) {
        if let Some(sender) = self.lock().waiting.remove(&number) {
            // The task may no longer be waiting.
            let _ = sender.send(());
        }
    }

    /// Returns whether there is no connection. After an outage, there is a connection again before
    /// the rooms are restored.
    pub(super) fn is_cut_off(&self) -> bool {
        self.lock().is_cut_off
    }

    /// Notes that the connection is gone, and with it all changes on their way. The tasks that wait
    /// for them must not blame the next connection.
    pub(super) fn cut_off(&self) {
        let mut expected = self.lock();
        expected.is_cut_off = true;
        expected.waiting.clear();
    }

    pub(super) fn reconnect(&self) {
        self.lock().is_cut_off = false;
    }
}

impl Echo<'_> {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Waits until the change is back; returns an error if it will not come back.
    pub(super) async fn heard(&mut self) -> Result<(), StoreDown> {
        (&mut self.heard).await.map_err(|_| StoreDown)
    }
}

impl Drop for Echo<'_> {
    fn drop(&mut self) {
        self.echoes.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_on_their_way_are_lost_with_the_connection() -> Result<(), StoreDown> {
        let echoes = Echoes::default();
        let mut before = echoes.expect()?;
        echoes.cut_off();
        assert_eq!(before.heard().await, Err(StoreDown));
        assert!(echoes.expect().is_err());
        echoes.reconnect();
        let mut after = echoes.expect()?;
        echoes.heard(before.number());
        echoes.heard(after.number());
        after.heard().await
    }
}

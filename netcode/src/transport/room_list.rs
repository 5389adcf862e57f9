//! The list of public rooms, kept up to date while the game shows it.

use std::sync::{Arc, Mutex, PoisonError};

use signaling::lobby::RoomListing;

use super::TransportError;

/// The latest answer about a list: its rooms, or why there are none.
pub(crate) type ListAnswer = Result<Vec<RoomListing>, TransportError>;

/// Keeps the list up to date until it is dropped.
#[derive(Debug)]
pub(crate) struct Lister {
    latest: Arc<Mutex<Option<ListAnswer>>>,
    /// The task that fetches the list stops once this is dropped.
    #[cfg(feature = "webrtc")]
    _wanted: futures::channel::oneshot::Sender<()>,
}

impl Lister {
    /// Takes the answer that has arrived since the last call, if there is one.
    pub(crate) fn take(&self) -> Option<ListAnswer> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(not(feature = "webrtc"))]
impl Lister {
    /// Fails: without WebRTC no server can be reached.
    pub(crate) fn open(_server: &str, _game: &str) -> Result<Self, TransportError> {
        let _ = Self { latest: Arc::default() };
        Err(TransportError::NotBuilt)
    }
}

#[cfg(feature = "webrtc")]
mod looking {
    use std::time::Duration;

    use futures::{
        channel::oneshot,
        future::{Either, select},
        pin_mut,
    };
    use futures_timer::Delay;
    use signaling::lobby::RoomEvent;

    use super::{Arc, ListAnswer, Lister, Mutex, PoisonError, TransportError};
    use crate::transport::webrtc::{
        address::{list_url, server_of},
        platform::{Closing, Incoming, Socket, run},
        room_news::sound_listings,
    };

    /// About as often as a person looks; the server answers once a second.
    const REFRESH_EVERY: Duration = Duration::from_secs(2);
    /// The time until the next attempt to reach a server that is away.
    const RETRY_AFTER: Duration = Duration::from_secs(5);
    /// A server that has not answered within this time will not answer.
    const ANSWER_WITHIN: Duration = Duration::from_secs(10);
    /// Asks the server for the list again. Any text would do.
    const AGAIN: &str = "again";

    impl Lister {
        /// Starts to fetch the list of `game` from the server at this address.
        pub(crate) fn open(server: &str, game: &str) -> Result<Self, TransportError> {
            let url = list_url(server, game)?;
            let latest: Arc<Mutex<Option<ListAnswer>>> = Arc::default();
            let (wanted, unwanted) = oneshot::channel();
            let tell = {
                let latest = latest.clone();
                move |told| *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(told)
            };
            run(
                async move {
                    let looking = look(&url, tell);
                    pin_mut!(looking);
                    let _ = select(looking, unwanted).await;
                },
                (),
            );
            Ok(Self { latest, _wanted: wanted })
        }
    }

    /// Fetches the list again and again, for ever.
    async fn look(url: &str, tell: impl Fn(ListAnswer)) {
        loop {
            let error = match Socket::connect(url).await {
                Ok(mut socket) => relay_list(url, &mut socket, &tell).await,
                Err(words) => failure(url, words),
            };
            tell(Err(error));
            Delay::new(RETRY_AFTER).await;
        }
    }

    /// Passes on the list until the connection ends. Returns why it ended.
    async fn relay_list(
        url: &str,
        socket: &mut Socket,
        tell: &impl Fn(ListAnswer),
    ) -> TransportError {
        loop {
            let incoming = {
                let next = socket.next();
                pin_mut!(next);
                match select(next, Delay::new(ANSWER_WITHIN)).await {
                    Either::Left((incoming, _)) => incoming,
                    Either::Right(_) => return failure(url, None),
                }
            };
            match incoming {
                Incoming::Text(text) => {
                    if let Ok(RoomEvent::Rooms(rooms)) = serde_json::from_str(&text) {
                        tell(Ok(sound_listings(rooms)));
                    }
                    Delay::new(REFRESH_EVERY).await;
                    if !socket.send(AGAIN.to_owned()).await {
                        return failure(url, None);
                    }
                }
                Incoming::Other => {}
                Incoming::Closed(Closing { words, .. }) => return failure(url, words),
            }
        }
    }

    fn failure(url: &str, words: Option<String>) -> TransportError {
        let unreachable = || TransportError::Unreachable { url: server_of(url).to_owned() };
        words.map_or_else(unreachable, TransportError::Refused)
    }
}

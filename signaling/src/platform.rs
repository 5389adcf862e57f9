//! What differs between operating systems: the signals by which the program is stopped and renewed,
//! and an option of connections. All other code here is the same everywhere.

use std::io;

use socket2::SockRef;
#[cfg(unix)]
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};

/// Most bytes that the system takes from us beyond those that are under way, where it can be told
/// so: a client that reads nothing has next to nothing under way.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// Asks the program to stop: Ctrl-C, and SIGTERM where there is such a thing.
#[derive(Debug)]
pub struct StopSignal {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl StopSignal {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves when the program is asked to stop, once for each time.
    ///
    /// # Errors
    ///
    /// If the system has no means to hear of it.
    pub async fn recv(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            Ok(())
        }
        #[cfg(not(unix))]
        {
            tokio::signal::ctrl_c().await
        }
    }
}

/// Asks the program to read its certificate again: SIGHUP, where there is such a thing.
#[derive(Debug)]
pub struct RenewSignal {
    #[cfg(unix)]
    hangup: Signal,
}

impl RenewSignal {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves each time the program is asked; to `None` where nobody can ask.
    pub async fn recv(&mut self) -> Option<()> {
        #[cfg(unix)]
        {
            self.hangup.recv().await
        }
        #[cfg(not(unix))]
        {
            None
        }
    }
}

/// Bounds what the system takes of what is not under way yet, where it can be told so.
pub(crate) fn limit_unsent(socket: &SockRef<'_>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = socket;
        Ok(())
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn accepted_connections_inherit_the_limit_of_their_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port is free");
        limit_unsent(&SockRef::from(&listener)).expect("the option exists");
        let address = listener.local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).expect("it listens");
        let (accepted, _) = listener.accept().expect("a client has connected");
        let limit = SockRef::from(&accepted).tcp_notsent_lowat();
        assert_eq!(limit.expect("the option exists"), UNSENT_BYTES);
    }
}

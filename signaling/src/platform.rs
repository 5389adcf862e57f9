//! What differs between operating systems: the signals that stop the program or renew its
//! certificate, and one socket option. All other code in this crate is the same everywhere.

use std::io;

use socket2::SockRef;
#[cfg(unix)]
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};

/// The most unsent bytes that the system takes from us beyond those in flight, where it has an
/// option for this. For a client that reads nothing, almost nothing is in flight.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// The request to stop the program: Ctrl-C, and SIGTERM on systems that have it.
#[derive(Debug)]
pub struct StopSignal {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl StopSignal {
    /// Starts to listen for the signals.
    ///
    /// # Errors
    ///
    /// If the system refuses to report them.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves once for each time the program is asked to stop.
    ///
    /// # Errors
    ///
    /// If the system cannot report Ctrl-C.
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

/// The request to read the certificate again: SIGHUP, on systems that have it.
#[derive(Debug)]
pub struct RenewSignal {
    #[cfg(unix)]
    hangup: Signal,
}

impl RenewSignal {
    /// Starts to listen for the signal.
    ///
    /// # Errors
    ///
    /// If the system refuses to report it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves each time the signal arrives; returns `None` on systems without it.
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

/// Limits how many bytes the system takes beyond those in flight, where it has an option for this.
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

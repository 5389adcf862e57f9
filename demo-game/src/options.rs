//! How to open the game in a window or a page: the options of the command line and of the page's
//! address.

/// The server that a window uses by default, at the default port of `signaling`.
pub const DEFAULT_SERVER: &str = "ws://127.0.0.1:3536";

/// How to open the game. `default()` opens the menu.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct WindowOptions {
    /// The signaling server for rooms given by code, `ws://HOST:PORT` or `wss://…`; `None` means
    /// the server that the page came from, or the one on this machine.
    pub server: Option<String>,
    /// The room to go straight into: a code, a link, or a server's address with the room. `None`
    /// opens the menu.
    pub room: Option<String>,
    /// Whether to open a room on this machine at the start, for players on the same network. A page
    /// cannot do this.
    pub is_host: bool,
    /// The name that others see; `None` leaves it to the game.
    pub name: Option<String>,
    /// Makes the player ready automatically as soon as this many players are in the room; `None`
    /// leaves it to the player.
    pub ready_at: Option<u8>,
    /// Whether to draw without bloom from the start.
    pub is_low: bool,
    /// Width and height of the window in pixels; a page always fills its window.
    pub size: Option<(u32, u32)>,
    /// STUN servers; `None` means those that the signaling server hands out.
    pub stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only, so that nobody learns this machine's address.
    pub is_relay_only: bool,
}

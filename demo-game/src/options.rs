//! How to open the game in a window or a page: what the command line and the page's address can say.

/// Where a window looks for a server when it is not told: the port that `signaling` listens on by default.
pub const DEFAULT_SERVER: &str = "ws://127.0.0.1:3536";

/// How to open the game. `default()` opens the menu.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct WindowOptions {
    /// The signaling server of rooms that are given by code, `ws://HOST:PORT` or `wss://…`; `None`: the page's own, or
    /// the one on this machine.
    pub server: Option<String>,
    /// The room to go straight into: a code, a link, or a server's address with the room. `None` opens the menu.
    pub room: Option<String>,
    /// Whether to be the host of a room for players in the same network, from the start. A page cannot.
    pub is_host: bool,
    /// The name that others see; `None` leaves it to the game.
    pub name: Option<String>,
    /// Be ready by itself as soon as this many players are in the room; `None` leaves it to the player.
    pub ready_at: Option<u8>,
    /// Whether to draw without bloom from the start.
    pub is_low: bool,
    /// Width and height of the window in pixels; a page always fills its window.
    pub size: Option<(u32, u32)>,
    /// STUN servers; `None`: what the signaling server hands out.
    pub stun_servers: Option<Vec<String>>,
    /// Whether to go through TURN servers only, so that nobody learns this machine's address.
    pub is_relay_only: bool,
}

//! What the log leaves out: our dependencies warn of things that happen in every good match.

/// A log filter with which a good match logs nothing that looks like a fault.
///
/// The WebRTC stack warns of each ordinary handshake and departure. [`Lobby`](crate::Lobby) and
/// [`SessionState`](crate::SessionState) say in words what happens to a connection, so these
/// warnings add nothing. Errors of the stack still show, for example that no port can be opened,
/// and so does everything that this crate, Bevy and the game log. Bevy's own filter is included:
///
/// ```ignore
/// DefaultPlugins.set(LogPlugin { filter: netcode::LOG_FILTER.into(), ..default() })
/// ```
///
/// (The example is not compiled, because it needs Bevy's feature `bevy_log`.) The environment
/// variable `RUST_LOG` takes precedence: `RUST_LOG=rtc=warn,matchbox_socket=warn` shows what the
/// filter leaves out.
pub const LOG_FILTER: &str = concat!(
    // Each of its errors shows as a state of the session or a departure, and some of them are
    // ordinary departures.
    "matchbox_socket=off,",
    "webrtc=error,",
    // All crates of the stack whose names begin like this: `rtc_ice`, `rtc_dtls`, `rtc_sctp` and
    // others.
    "rtc=error,",
    // It is no fault if this network cannot resolve the local name of a browser, nor if other
    // programs there send messages.
    "rtc_mdns=off,",
    "rtc_ice::agent::agent_proto=off,",
    // Bevy 0.19's own filter, `bevy::log::DEFAULT_FILTER`.
    "wgpu=error,",
    "naga=warn,",
    "symphonia_bundle_mp3::demuxer=warn,",
    "symphonia_format_caf::demuxer=warn,",
    "symphonia_format_isompf4::demuxer=warn,",
    "symphonia_format_mkv::demuxer=warn,",
    "symphonia_format_ogg::demuxer=warn,",
    "symphonia_format_riff::demuxer=warn,",
    "symphonia_format_wav::demuxer=warn,",
    "calloop::loop_logic=error,",
    "calloop::sources=debug",
);

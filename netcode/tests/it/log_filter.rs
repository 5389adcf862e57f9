//! The log of a match without faults: nothing looks like a fault, and nothing that matters is lost.

use std::sync::{Arc, Mutex};

use netcode::LOG_FILTER;
use tracing::{Event, Subscriber, error, info, subscriber::with_default, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Context, SubscriberExt},
};

/// Keeps the levels and targets of all events that are logged.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Shown {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut shown = self.0.lock().expect("no test panics while it logs");
        shown.push(format!("{} {}", event.metadata().level(), event.metadata().target()));
    }
}

/// Returns the events of `log` that pass the filter, to which Bevy adds the level `info`.
fn shown(filter: &str, log: impl FnOnce()) -> Vec<String> {
    let shown = Shown::default();
    let filter = EnvFilter::try_new(format!("info,{filter}")).expect("a filter of Bevy's form");
    with_default(Registry::default().with(filter).with(shown.clone()), log);
    let lines = shown.0.lock().expect("no test panics while it logs");
    lines.clone()
}

/// Logs what two native peers and a page log in a match with an ordinary beginning and end.
fn good_match() {
    warn!(target: "rtc_ice::agent", "pingAllCandidates called with no candidate pairs");
    warn!(target: "rtc_dtls::config", "conn.remote_addr is empty");
    warn!(target: "rtc::peer_connection::handler", "there already exists a stream with identifier");
    warn!(target: "matchbox_socket::webrtc_socket", "Outgoing message queue closed");
    warn!(target: "matchbox_socket::webrtc_socket::wasm", "data channel closed");
    error!(target: "matchbox_socket::webrtc_socket::wasm", "error in data channel");
    error!(target: "rtc_ice::agent::agent_proto", "mDNS query timed out");
    info!(target: "rtc::peer_connection::internal", "signaling state changed to stable");
    info!(target: "rtc_ice::agent", "setting new connection state");
}

/// Logs what a developer has to see.
fn faults() {
    error!(target: "webrtc::peer_connection::driver", "failed to bind UDP");
    error!(target: "netcode::checksum", "two peers disagree");
    warn!(target: "netcode::audit", "the simulation uses what does not roll back");
    warn!(target: "bevy_ecs", "anything");
    info!(target: "game", "anything");
}

#[test]
fn a_good_match_logs_nothing_and_faults_show() {
    assert_eq!(shown("", good_match).len(), 9, "all of it without the filter");
    assert_eq!(shown(LOG_FILTER, good_match), Vec::<String>::new());
    assert_eq!(
        shown(LOG_FILTER, faults),
        [
            "ERROR webrtc::peer_connection::driver",
            "ERROR netcode::checksum",
            "WARN netcode::audit",
            "WARN bevy_ecs",
            "INFO game",
        ]
    );
}

#[test]
fn filtered_messages_can_be_shown_again() {
    let asked = format!("{LOG_FILTER},rtc=warn,matchbox_socket=warn");
    let lines = shown(&asked, good_match);
    assert!(lines.contains(&"WARN matchbox_socket::webrtc_socket".to_owned()), "{lines:?}");
    assert!(lines.contains(&"WARN rtc_ice::agent".to_owned()), "{lines:?}");
}

//! What a page holds, seen through the developer tools of its browser.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Page;

/// Describes each `RTCPeerConnection` of an array.
const DESCRIBE: &str = "function () {
    return this.map((connection) => ({
        isOpen: connection.signalingState !== 'closed',
        isAnswered: connection.remoteDescription?.type === 'answer',
    }));
}";

/// A peer connection of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerConnection {
    /// Whether it is not closed yet.
    pub is_open: bool,
    /// Whether it has taken an answer to its offer.
    pub is_answered: bool,
}

impl PeerConnection {
    fn read(value: &Value) -> Option<Self> {
        let is = |field| value[field].as_bool();
        Some(Self { is_open: is("isOpen")?, is_answered: is("isAnswered")? })
    }
}

impl Page {
    /// The peer connections of the page, including closed ones that something in it still refers
    /// to. The browser collects all others first.
    ///
    /// # Panics
    ///
    /// If the browser does not list them.
    pub fn connections(&self) -> Vec<PeerConnection> {
        let expression = json!({ "expression": "RTCPeerConnection.prototype" });
        let prototype = self.devtools("Runtime.evaluate", &expression)["result"]["objectId"].take();
        let of_prototype = json!({ "prototypeObjectId": prototype });
        let found =
            self.devtools("Runtime.queryObjects", &of_prototype)["objects"]["objectId"].take();
        let describe =
            json!({ "objectId": found, "functionDeclaration": DESCRIBE, "returnByValue": true });
        let described = self.devtools("Runtime.callFunctionOn", &describe);
        // Without a release, the list would keep them from being collected.
        for object in [found, prototype] {
            self.devtools("Runtime.releaseObject", &json!({ "objectId": object }));
        }
        let described = described["result"]["value"].as_array();
        let read = |values: &Vec<Value>| values.iter().map(PeerConnection::read).collect();
        described.and_then(read).expect("the browser describes each connection")
    }

    /// Waits until the page has a peer connection that `is_wanted`.
    ///
    /// # Panics
    ///
    /// If it never has.
    pub fn wait_for_connection(
        &self,
        what: &str,
        patience: Duration,
        is_wanted: impl Fn(&PeerConnection) -> bool,
    ) {
        let what = format!("a connection {what}");
        self.wait(&what, patience, || self.connections().iter().any(&is_wanted).then_some(()));
    }

    /// The bytes of the page's objects, plus those of the memory that the browser holds for them.
    ///
    /// # Panics
    ///
    /// If the browser does not count them.
    pub fn heap_bytes(&self) -> u64 {
        let usage = self.devtools("Runtime.getHeapUsage", &json!({}));
        let bytes =
            |field: &str| usage[field].as_f64().expect("the browser counts its bytes") as u64;
        bytes("usedSize") + bytes("embedderHeapUsedSize")
    }
}

//! The WebRTC stack that matchbox uses natively. matchbox unwraps its results, so the stack has to
//! accept everything that we let through. Shared with the fuzz targets.

use std::time::Instant;

use netcode::testing::fuzz::Passed;
use rtc::peer_connection::{
    RTCPeerConnection, RTCPeerConnectionBuilder, sdp::RTCSessionDescription,
    transport::RTCIceCandidateInit,
};

/// Asserts that the stack accepts all that matchbox does with these texts.
#[expect(clippy::disallowed_methods, reason = "the stack takes the time with each call")]
pub(crate) fn assert_usable(passed: &[Passed]) {
    let now = Instant::now();
    for text in passed {
        match text {
            Passed::Offer(sdp) => {
                let mut connection = connection(now);
                let theirs = RTCSessionDescription::offer(sdp.clone());
                let theirs = theirs.unwrap_or_else(|error| panic!("{error}: {sdp}"));
                let taken = connection.set_remote_description(now, theirs);
                assert!(taken.is_ok(), "{taken:?}: {sdp}");
                let answer = connection.create_answer(None);
                let answer = answer.unwrap_or_else(|error| panic!("{error}: {sdp}"));
                let set = connection.set_local_description(now, answer);
                assert!(set.is_ok(), "{set:?}: {sdp}");
            }
            // We did not offer any other section; `Signals` refuses such an answer.
            Passed::Answer(sdp) if !sdp.contains("a=mid:0\r\n") => {}
            Passed::Answer(sdp) => {
                let mut connection = connection(now);
                let ours = connection.create_offer(None).expect("there is something to offer");
                connection.set_local_description(now, ours).expect("it is our own");
                let theirs = RTCSessionDescription::answer(sdp.clone());
                let theirs = theirs.unwrap_or_else(|error| panic!("{error}: {sdp}"));
                let taken = connection.set_remote_description(now, theirs);
                assert!(taken.is_ok(), "{taken:?}: {sdp}");
            }
            Passed::Candidate(json) if json == "null" => {}
            Passed::Candidate(json) => {
                let read = serde_json::from_str::<RTCIceCandidateInit>(json);
                assert!(read.is_ok(), "{read:?}: {json}");
            }
        }
    }
}

/// A connection with the channels of every pair of peers.
fn connection(now: Instant) -> RTCPeerConnection {
    let mut connection = RTCPeerConnectionBuilder::new().build(now).expect("the defaults work");
    for label in ["datagrams", "control", "bulk"] {
        connection.create_data_channel(label, None).expect("a new connection takes channels");
    }
    connection
}

//! Agreement and blame, over reports as the bots write them.

use super::*;

fn report(name: &str, checksums: Value) -> Report {
    let mut fields = json!({ "checksums": checksums, "rtt_ms": 1.25, "score": [2, 0] });
    for (field, _) in FIELDS {
        if fields.get(field).is_none() {
            fields[*field] = json!(600);
        }
    }
    (fields["desyncs"], fields["taken_back"]) = (json!(0), json!(0));
    Report { name: name.to_owned(), fate: Fate::Stays, succeeded: true, fields: Some(fields) }
}

#[test]
fn the_last_frame_common_to_all_decides() {
    let verdict = Verdict::of(vec![
        report("a", json!([[30, "aa"], [60, "bb"], [90, "cc"]])),
        report("b", json!([[30, "aa"], [60, "bb"]])),
    ]);
    assert!(verdict.result().is_ok());
    let json: Value = serde_json::from_str(&verdict.json()).unwrap();
    assert_eq!(json["agreed"], true);
    for peer in json["peers"].as_array().unwrap() {
        assert_eq!(peer["checksum_frame"], 60);
        assert_eq!(peer["checksum"], "bb");
        assert_eq!(peer.as_object().unwrap().len(), FIELDS.len() + 1);
    }
}

#[test]
fn an_earlier_difference_counts_even_if_the_last_frames_agree() {
    let verdict = Verdict::of(vec![
        report("a", json!([[30, "aa"], [60, "bb"]])),
        report("b", json!([[30, "xx"], [60, "bb"]])),
    ]);
    let failure = verdict.result().unwrap_err().to_string();
    assert!(failure.contains("frame 30"), "{failure}");
    assert!(verdict.json().contains("\"agreed\": false"));
}

#[test]
fn no_common_frame_is_no_agreement() {
    let verdict = Verdict::of(vec![report("a", json!([[30, "aa"]])), report("b", json!([]))]);
    assert!(verdict.result().is_err());
}

#[test]
fn a_peer_without_a_report_a_failed_one_and_a_desynced_one_are_named() {
    let mut failed = report("failed", json!([[30, "aa"]]));
    failed.succeeded = false;
    let mut desynced = report("desynced", json!([[30, "aa"]]));
    desynced.fields.as_mut().unwrap()["desyncs"] = json!(1);
    let missing =
        Report { name: "missing".to_owned(), fate: Fate::Stays, succeeded: false, fields: None };
    let verdict = Verdict::of(vec![failed, desynced, missing]);
    let failure = verdict.result().unwrap_err().to_string();
    for sentence in ["failed failed", "desynced desynced", "missing wrote no report"] {
        assert!(failure.contains(sentence), "{failure}");
    }
    assert!(verdict.table().contains("missing"));
}

#[test]
fn a_peer_that_left_a_field_out_is_named() {
    let mut shy = report("shy", json!([[30, "aa"]]));
    shy.fields.as_mut().unwrap().as_object_mut().unwrap().remove("rtt_ms");
    let failure = Verdict::of(vec![shy]).result().unwrap_err().to_string();
    assert!(failure.contains("shy did not report rtt_ms"), "{failure}");
}

#[test]
fn bots_that_leave_are_compared_as_long_as_they_play_and_killed_ones_owe_no_report() {
    let stayers = || {
        [
            report("a", json!([[30, "aa"], [60, "bb"], [90, "cc"]])),
            report("b", json!([[30, "aa"], [60, "bb"], [90, "cc"]])),
        ]
    };
    let leaver = |checksums| Report { fate: Fate::Leaves, ..report("left", checksums) };
    let killed =
        Report { name: "killed".to_owned(), fate: Fate::Killed, succeeded: false, fields: None };
    let [a, b] = stayers();
    let verdict = Verdict::of(vec![a, leaver(json!([[30, "aa"]])), killed, b]);
    assert!(verdict.result().is_ok());
    assert!(verdict.json().contains("\"checksum_frame\": 90"));
    let [a, b] = stayers();
    let failure = Verdict::of(vec![a, leaver(json!([[30, "xx"]])), b]).result().unwrap_err();
    assert!(failure.to_string().contains("frame 30"), "{failure}");
}

#[test]
fn a_bot_that_took_back_what_was_confirmed_is_named() {
    let mut liar = report("liar", json!([[30, "aa"]]));
    liar.fields.as_mut().unwrap()["taken_back"] = json!(1);
    let failure = Verdict::of(vec![liar]).result().unwrap_err().to_string();
    assert!(failure.contains("liar took back"), "{failure}");
}

#[test]
fn cells_read_well() {
    assert_eq!(seats(&json!(["peer", "peer"])), "all play");
    assert_eq!(seats(&json!(["peer", "away", "empty"])), "2 away, 3 empty");
    assert_eq!(cell(&json!(12.345)), "12.3");
    assert_eq!(cell(&json!([5, 3])), "5 : 3");
    assert_eq!(cell(&json!(null)), "-");
}

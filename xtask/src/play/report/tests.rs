//! Agreement and blame, over reports as the bots write them.

use super::*;

fn report(name: &str, checksums: Value) -> Report {
    let mut fields = json!({ "checksums": checksums, "rtt_ms": 1.25, "score": [2, 0] });
    for (field, _) in FIELDS {
        if fields.get(field).is_none() {
            fields[*field] = json!(600);
        }
    }
    fields["desyncs"] = json!(0);
    Report { name: name.to_owned(), succeeded: true, fields: Some(fields) }
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
        assert_eq!(peer.as_object().unwrap().len(), FIELDS.len());
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
    let missing = Report { name: "missing".to_owned(), succeeded: false, fields: None };
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
fn cells_read_well() {
    assert_eq!(cell(&json!(12.345)), "12.3");
    assert_eq!(cell(&json!([5, 3])), "5 : 3");
    assert_eq!(cell(&json!(null)), "-");
}

//! A peer's report, from a process's file or a page's data attribute: the same fields from both.
//!
//! `cargo xtask play` reads the same files, but answers a different question (a verdict over all
//! peers, for a table). It shares no code with this, because it must build in seconds on a bare
//! machine.

use std::collections::BTreeMap;

use serde_json::Value;

/// The report of one peer on its match.
#[derive(Debug, Clone)]
pub struct Report(Value);

impl Report {
    /// Reads a report's JSON; `None` if `json` is not a report.
    pub fn parse(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        value.is_object().then_some(Self(value))
    }

    /// A number.
    ///
    /// # Panics
    ///
    /// If there is no such number.
    pub fn number(&self, field: &str) -> f64 {
        let value = self.0[field].as_f64();
        value.unwrap_or_else(|| panic!("the report has no number `{field}`: {self:?}"))
    }

    /// A text, empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// A number about the ship of a seat.
    ///
    /// # Panics
    ///
    /// If there is no such number.
    pub fn of_ship(&self, seat: f64, field: &str) -> f64 {
        let mut ships = self.0["ships"].as_array().into_iter().flatten();
        let ship = ships.find(|ship| ship["seat"].as_f64() == Some(seat));
        ship.and_then(|ship| ship[field].as_f64())
            .unwrap_or_else(|| panic!("the report has no `{field}` of seat {seat}: {self:?}"))
    }

    /// The logged checksums by frame.
    pub fn checksums(&self) -> BTreeMap<u64, String> {
        let pairs = self.0["checksums"].as_array().into_iter().flatten();
        pairs.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_str()?.to_owned()))).collect()
    }
}

/// Asserts that all peers computed the same world wherever more than one of them logged a checksum,
/// up to at least `frame`.
///
/// # Panics
///
/// If they did not, if a peer counted a desync, or if they have no common checksum at or after
/// `frame`.
pub fn assert_agreement(reports: &[Report], frame: u64) {
    let mut last_common = None;
    let mut logs: Vec<_> = reports.iter().map(Report::checksums).collect();
    let first = logs.remove(0);
    for (frame, checksum) in &first {
        let others: Vec<_> = logs.iter().filter_map(|log| log.get(frame)).collect();
        assert!(
            others.iter().all(|other| *other == checksum),
            "different worlds at frame {frame}: {checksum} and {others:?}"
        );
        if others.len() == logs.len() {
            last_common = Some(*frame);
        }
    }
    assert!(
        last_common >= Some(frame),
        "the last checksum that all peers have is at {last_common:?}, not at {frame} or later"
    );
    for report in reports {
        assert!(report.number("desyncs") == 0.0, "a peer saw a desync: {report:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(json: &str) -> Report {
        Report::parse(json).unwrap()
    }

    #[test]
    fn equal_checksums_agree_up_to_their_last_common_frame() {
        let long = report(r#"{"desyncs": 0, "checksums": [[30, "a"], [60, "b"]]}"#);
        let short = report(r#"{"desyncs": 0, "checksums": [[30, "a"]]}"#);
        assert_agreement(&[long, short], 30);
    }

    #[test]
    #[should_panic(expected = "different worlds at frame 30")]
    fn different_checksums_do_not_agree() {
        let one = report(r#"{"desyncs": 0, "checksums": [[30, "a"]]}"#);
        let other = report(r#"{"desyncs": 0, "checksums": [[30, "b"]]}"#);
        assert_agreement(&[one, other], 30);
    }

    #[test]
    #[should_panic(expected = "not at 60 or later")]
    fn too_few_checksums_do_not_agree() {
        let one = report(r#"{"desyncs": 0, "checksums": [[30, "a"]]}"#);
        assert_agreement(&[one.clone(), one], 60);
    }
}

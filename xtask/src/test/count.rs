//! Counts tests from the lines that cargo's test programs print.

use std::fmt;

/// The start of the line with which a test reports that it cannot run here.
const SKIPPED_MARK: &str = "SKIPPED ";

/// The number of tests with each outcome.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
    /// Tests that skipped themselves; their program reports them as passed.
    self_skipped: u32,
}

impl Counts {
    /// Counts a line of a test program's output. Returns the test that was skipped and the reason,
    /// if the line reports one.
    pub(super) fn add_line(&mut self, line: &str) -> Option<String> {
        if let Some(reason) = line.strip_prefix(SKIPPED_MARK) {
            self.self_skipped += 1;
            return Some(reason.to_owned());
        }
        // `test determinism::record ... ignored, writes the recording`. Their number is in the last
        // line.
        if let Some((test, ignored)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
        {
            let reason = ignored.trim_start_matches(", ");
            let reason = if reason.is_empty() { "no reason given" } else { reason };
            return Some(format!("{test} ({reason})"));
        }
        // `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`
        if let Some((_, numbers)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            for part in numbers.split("; ") {
                match part.split_once(' ').map(|(number, word)| (number.parse::<u32>(), word)) {
                    Some((Ok(number), "passed")) => self.passed += number,
                    Some((Ok(number), "failed")) => self.failed += number,
                    Some((Ok(number), "ignored")) => self.skipped += number,
                    _ => {}
                }
            }
        }
        None
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.saturating_sub(self.self_skipped);
        let skipped = self.skipped + self.self_skipped;
        write!(formatter, "{passed} passed, {} failed, {skipped} skipped", self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_are_summed_and_a_test_that_skipped_itself_did_not_pass() {
        let mut counts = Counts::default();
        let lines = [
            "running 6 tests",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "SKIPPED browser: no chromium",
            "test slow::record ... ignored, writes a file",
            "test plain ... ok",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        let reasons: Vec<_> = lines.iter().filter_map(|line| counts.add_line(line)).collect();
        assert_eq!(reasons, ["browser: no chromium", "slow::record (writes a file)"]);
        assert_eq!(counts.to_string(), "6 passed, 3 failed, 2 skipped");
    }
}

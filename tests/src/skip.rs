//! The line in which a test reports that it cannot run here.

/// Prints that `test` was skipped, in the form that `cargo xtask test` collects.
#[expect(clippy::print_stdout, reason = "this is how a test reports that it skips itself")]
pub(crate) fn skip(test: &str, reason: &str) {
    println!("\nSKIPPED {test} ({reason})");
}

//! How a test says that it cannot run here.

/// Says it in the words that `cargo xtask test` collects.
#[expect(clippy::print_stdout, reason = "this is how a test says that it skips itself")]
pub(crate) fn skip(test: &str, reason: &str) {
    println!("\nSKIPPED {test} ({reason})");
}

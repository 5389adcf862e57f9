//! Why a command failed: one sentence for the person at the terminal. No code handles failures by
//! kind.

use std::fmt;
use std::io;

/// A sentence that says what failed and, where it can, what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a command step returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Fails with a sentence.
pub(crate) fn fail<T>(sentence: impl Into<String>) -> Outcome<T> {
    Err(Failure(sentence.into()))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self(format!("{error}; `--help` lists the flags"))
    }
}

/// Adds to an I/O error what was being done when it happened.
pub(crate) trait DuringExt<T> {
    /// Turns the error into a failure that names the activity.
    fn during(self, activity: impl fmt::Display) -> Outcome<T>;
}

impl<T> DuringExt<T> for io::Result<T> {
    fn during(self, activity: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{activity}: {error}")))
    }
}

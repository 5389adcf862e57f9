//! Components that are registered, and only on entities that do not roll back.

use std::fmt;

/// The warning about such components, by full path.
pub(crate) struct Strays<'a>(pub(crate) &'a [&'static str]);

impl fmt::Display for Strays<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "`{}` is registered, but only on entities without `Rollback`, so it does not roll \
             back: spawn them with `Rollback`",
            self.0.join("`, `")
        )
    }
}

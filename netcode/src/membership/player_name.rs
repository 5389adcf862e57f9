//! Names of players, as they are shown.

use signaling::lobby::shown_name;

/// A name fit to be shown: as the server shows it, and never empty.
pub(crate) fn clean_name(name: &str) -> String {
    let name = shown_name(name);
    if name.is_empty() { "player".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_to_be_shown() {
        assert_eq!(clean_name("  Ada\n\u{7}  "), "Ada");
        assert_eq!(clean_name(" \t"), "player");
        assert_eq!(clean_name(&"é".repeat(100)).chars().count(), signaling::lobby::MAX_NAME_CHARS);
    }
}

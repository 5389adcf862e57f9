//! Room codes: a few letters that can be read out over a phone, and typed in lower case too.

use signaling::lobby::{CODE_LENGTH as LENGTH, CODE_LETTERS as LETTERS};

/// The name of a room as the server knows it: a code in capitals, any other name unchanged.
///
/// Every room name that a person typed must go through this; otherwise two people who mean the same
/// room do not meet.
pub(crate) fn canonical_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let is_code = upper.len() == LENGTH && upper.bytes().all(|byte| LETTERS.contains(&byte));
    if is_code { upper } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_code_is_recognised_as_a_code() {
        for random in [0, 1, 0x1234_5678_9abc_def0, u64::MAX] {
            let code = signaling::lobby::room_code(random);
            assert_eq!(canonical_name(&code.to_ascii_lowercase()), code);
        }
    }

    #[test]
    fn a_code_in_lower_case_is_recognised_and_other_names_are_kept() {
        assert_eq!(canonical_name("dam3r"), "DAM3R");
        assert_eq!(
            canonical_name("arena"),
            "ARENA",
            "it could be a code, so it is one for everybody"
        );
        for name in ["quick", "my_room", "dam3", "dam3rr", ""] {
            assert_eq!(canonical_name(name), name);
        }
    }
}

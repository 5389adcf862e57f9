//! Large messages use up more of a limit than small ones.

/// The number of messages that this many bytes count as: one for each KiB or part of one.
pub(crate) fn message_cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_for_each_kibibyte_or_part_of_one() {
        let costs = [0, 1, 1024, 1025, 2048, 65_536].map(message_cost);
        assert_eq!(costs, [1, 1, 1, 2, 2, 64]);
    }
}

//! Copying rows fast, in pieces.

/// The number of bytes that are copied at once. Larger values are copied one by one.
///
/// From 2,113 bytes on, glibc copies with `rep movsb` on processors that report it as fast. On
/// AMD's Zen 3 that takes twenty times as long as it should if, modulo 4,096, the target lies 1 to
/// 31 bytes after the source, as it does for one in 256 pairs of allocations.
const PIECE_BYTES: usize = 2_048;

/// The number of values that are copied at once.
const fn rows_per_piece<C>() -> usize {
    let size = if size_of::<C>() == 0 { 1 } else { size_of::<C>() };
    if size > PIECE_BYTES { 1 } else { PIECE_BYTES / size }
}

/// Overwrites rows with other rows.
///
/// # Panics
///
/// If the two slices differ in length.
pub(super) fn copy_rows<C: Clone>(from: &[C], to: &mut [C]) {
    assert_eq!(from.len(), to.len(), "each row overwrites one row");
    for (to, from) in to.chunks_mut(rows_per_piece::<C>()).zip(from.chunks(rows_per_piece::<C>())) {
        to.clone_from_slice(from);
    }
}

/// Replaces a list of rows with another, in the same buffer.
pub(super) fn copy_list<C: Clone>(from: &[C], to: &mut Vec<C>) {
    to.truncate(from.len());
    let (head, rest) = from.split_at(to.len());
    copy_rows(head, to);
    for piece in rest.chunks(rows_per_piece::<C>()) {
        to.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_copied<C: Clone + PartialEq + std::fmt::Debug>(value: impl Fn(usize) -> C) {
        let values = |range: std::ops::Range<usize>| range.map(&value).collect::<Vec<C>>();
        for count in
            [0, 1, rows_per_piece::<C>(), rows_per_piece::<C>() + 1, 3 * rows_per_piece::<C>() - 1]
        {
            let from = values(0..count);
            for old in [0, 1, count, 2 * count + 5] {
                let mut to = values(1_000..1_000 + old);
                copy_list(&from, &mut to);
                assert_eq!(to, from, "{count} rows over {old}");
            }
        }
    }

    #[test]
    fn rows_of_any_size_are_copied_completely() {
        assert_copied(|index| index);
        assert_copied(|index| [index; 3]);
        assert_copied(|index| [index; 1_000]);
        assert_copied(|index| index.to_string());
        assert_copied(|_| ());
    }

    #[test]
    fn pieces_are_short_but_hold_at_least_one_value() {
        assert_eq!(
            (rows_per_piece::<u64>(), rows_per_piece::<[u8; 40]>(), rows_per_piece::<()>()),
            (256, 51, PIECE_BYTES)
        );
        assert_eq!((rows_per_piece::<[u8; 2_048]>(), rows_per_piece::<[u8; 2_049]>()), (1, 1));
    }
}

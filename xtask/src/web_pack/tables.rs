//! Mends a table export that an old wasm-opt breaks.
//!
//! wasm-opt 108, which Debian 12 ships, writes every exported table as table 0. wasm-bindgen
//! exports table 1, which holds JavaScript's values, and its script would put them into table 0,
//! which holds functions: the browser refuses and the page never starts.

use crate::sections::{Reader, section};

/// The table's name in wasm-bindgen's script.
const EXPORT_NAME: &[u8] = b"__wbindgen_externrefs";

/// Sections, kinds and types as the WebAssembly binary format numbers them.
const TABLE_SECTION: u8 = 4;
const EXPORT_SECTION: u8 = 7;
const KIND_TABLE: u8 = 1;
const TYPE_EXTERNREF: u8 = 0x6f;
const HAS_MAXIMUM: u8 = 1;

/// Makes wasm-bindgen's table export name the module's table of JavaScript values; leaves a correct
/// export as it is.
///
/// Returns whether anything had to be changed; `None` if the module has no such table or export, or
/// one that this function does not understand.
pub(crate) fn mend_export(module: &mut [u8]) -> Option<bool> {
    let table = externref_table(section(module, TABLE_SECTION)?)?;
    let at = export_index_at(section(module, EXPORT_SECTION)?)?;
    // A table index is one byte up to 127, so the new one takes exactly the place of the old one.
    if table > 0x7f || *module.get(at)? > 0x7f {
        return None;
    }
    let is_wrong = module[at] != table as u8;
    module[at] = table as u8;
    Some(is_wrong)
}

/// The index of the one table of JavaScript values.
fn externref_table(mut tables: Reader<'_>) -> Option<usize> {
    for index in 0..tables.number()? {
        let kind = tables.byte()?;
        let limits = tables.byte()?;
        tables.number()?;
        if limits & HAS_MAXIMUM != 0 {
            tables.number()?;
        }
        if kind == TYPE_EXTERNREF {
            return Some(index);
        }
    }
    None
}

/// The position of the export's table index in the module.
fn export_index_at(mut exports: Reader<'_>) -> Option<usize> {
    for _ in 0..exports.number()? {
        let is_meant = exports.name()? == EXPORT_NAME;
        let kind = exports.byte()?;
        let at = exports.at;
        exports.number()?;
        if kind == KIND_TABLE && is_meant {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of functions, a table of values, and exports of the memory and of table `exported`.
    fn module(exported: u8) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([TABLE_SECTION, 9, 2, 0x70, 1, 3, 3, TYPE_EXTERNREF, 0, 0x80, 0x08]);
        let mut exports = vec![2, 1, b'm', 2, 0, EXPORT_NAME.len() as u8];
        exports.extend(EXPORT_NAME);
        exports.extend([KIND_TABLE, exported]);
        module.extend([EXPORT_SECTION, exports.len() as u8]);
        module.extend(exports);
        module
    }

    #[test]
    fn a_wrong_export_is_mended_and_a_right_one_left() {
        let mut wrong = module(0);
        assert_eq!(mend_export(&mut wrong), Some(true));
        assert_eq!(wrong, module(1));
        assert_eq!(mend_export(&mut wrong), Some(false));
    }

    #[test]
    fn a_module_that_is_cut_anywhere_is_not_understood() {
        let whole = module(0);
        for length in 0..whole.len() {
            assert_eq!(mend_export(&mut whole[..length].to_vec()), None, "{length} bytes");
        }
    }
}

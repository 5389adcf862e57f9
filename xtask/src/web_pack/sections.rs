//! Reads the sections of a compiled module.

/// The id of custom sections in the WebAssembly binary format.
const CUSTOM_SECTION: u8 = 0;
const HEADER_BYTES: usize = 8;

/// Reads a module's bytes from a position on; `None` at the end.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
    end: usize,
}

impl Reader<'_> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes[..self.end].get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// An unsigned number in LEB128.
    pub(crate) fn number(&mut self) -> Option<usize> {
        let mut number: u64 = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
        }
        None
    }

    /// A name, preceded by its length.
    pub(crate) fn name(&mut self) -> Option<&[u8]> {
        let length = self.number()?;
        let at = self.at;
        self.skip(length)?;
        self.bytes.get(at..self.at)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.end)?;
        Some(())
    }
}

/// The content of the first section of this kind.
pub(crate) fn section(bytes: &[u8], kind: u8) -> Option<Reader<'_>> {
    sections(bytes).find(|&(found, _)| found == kind).map(|(_, content)| content)
}

/// Returns whether there is a custom section of that name.
pub(crate) fn has_custom(bytes: &[u8], name: &str) -> bool {
    sections(bytes).any(|(kind, mut content)| {
        kind == CUSTOM_SECTION && content.name().is_some_and(|found| found == name.as_bytes())
    })
}

/// All complete sections with their kinds.
fn sections(bytes: &[u8]) -> impl Iterator<Item = (u8, Reader<'_>)> {
    let mut reader = Reader { bytes, at: HEADER_BYTES, end: bytes.len() };
    std::iter::from_fn(move || {
        let kind = reader.byte()?;
        let length = reader.number()?;
        let at = reader.at;
        reader.skip(length)?;
        Some((kind, Reader { bytes, at, end: at + length }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of code and a custom one.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x0a\x01\0\0\x06\x04name\0";

    #[test]
    fn a_custom_section_is_found_by_its_name() {
        assert!(has_custom(MODULE, "name"));
        assert!(!has_custom(MODULE, "nam") && !has_custom(MODULE, "names"));
        for length in 0..MODULE.len() {
            assert!(!has_custom(&MODULE[..length], "name"), "{length} bytes");
        }
    }
}

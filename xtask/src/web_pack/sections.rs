//! Reads the sections of a compiled module.

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

    /// A name with its length before it.
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

/// All sections with their kinds, as far as they are whole.
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

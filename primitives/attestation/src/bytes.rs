// SPDX-License-Identifier: Apache-2.0
//! Reading of fixed layouts, little endian.

use crate::Fault;

/// The rest of some bytes.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Fault::Format)?;
        self.0 = rest;
        Ok(head)
    }

    /// The number of bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault::Format)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next bytes, as many as the 32 bits before them say.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.u32()?).map_err(|_| Fault::Format)?;
        self.take(len)
    }
}

/// Whether two values agree in the bits of a mask.
pub(crate) fn agree(left: &[u8], right: &[u8], mask: &[u8]) -> bool {
    left.len() == right.len()
        && left.len() == mask.len()
        && left
            .iter()
            .zip(right)
            .zip(mask)
            .all(|((left, right), mask)| left & mask == right & mask)
}

/// The bytes of a hexadecimal number of exactly this length.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Fault::Document)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut reader = Reader::new(&[3, 0, 0, 0, 1, 2, 3]);
        assert_eq!(reader.counted(), Ok([1, 2, 3].as_slice()));
        assert_eq!(reader.take(1), Err(Fault::Format));
        let mut reader = Reader::new(&[4, 0, 0, 0, 1, 2, 3]);
        assert_eq!(reader.counted(), Err(Fault::Format));
    }

    #[test]
    fn a_mask_hides_what_may_differ() {
        assert!(agree(&[0b11, 7], &[0b01, 9], &[0b01, 0]));
        assert!(!agree(&[0b11], &[0b01], &[0b10]));
        assert!(!agree(&[1], &[1, 2], &[1]));
    }

    #[test]
    fn hexadecimal_numbers_have_one_length() {
        assert_eq!(from_hex("00fF"), Ok([0, 255]));
        assert_eq!(from_hex::<2>("00"), Err(Fault::Document));
        assert_eq!(from_hex::<1>("0g"), Err(Fault::Document));
    }
}

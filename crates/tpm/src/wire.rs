//! The encoding of the TPM 2.0 Library Specification, part 2: numbers in network order, and buffers with their length in
//! front of them.

use zeroize::Zeroizing;

use crate::TpmError;

/// What goes to the TPM. Wiped: secrets pass through it.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `TPM2B`. Nothing that is written here comes near 64 KiB.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).bytes(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What came from the TPM.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], TpmError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(TpmError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmError> {
        self.bytes(N)?.try_into().map_err(|_| TpmError::Malformed)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, TpmError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TpmError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A `TPM2B`.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], TpmError> {
        let len = self.u16()?;
        self.bytes(len.into())
    }
}

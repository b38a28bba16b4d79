//! Writing `MessagePack`, each value in its shortest form.

use rmp::encode::{self, RmpWriteErr, ValueWriteError};

/// The bytes written so far.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
}

/// A vector takes everything: there is no error to pass on.
fn written<T, E: RmpWriteErr>(result: &Result<T, ValueWriteError<E>>) {
    debug_assert!(result.is_ok(), "writing to memory does not fail");
}

impl Packer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn nil(&mut self) {
        self.bytes.push(0xc0);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0xc3 } else { 0xc2 });
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        written(&encode::write_uint(&mut self.bytes, value));
    }

    pub(crate) fn signed(&mut self, value: i64) {
        written(&encode::write_sint(&mut self.bytes, value));
    }

    pub(crate) fn float(&mut self, value: f64) {
        written(&encode::write_f64(&mut self.bytes, value));
    }

    pub(crate) fn text(&mut self, text: &str) {
        written(&encode::write_str(&mut self.bytes, text));
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        written(&encode::write_bin(&mut self.bytes, bytes));
    }

    pub(crate) fn array(&mut self, count: u32) {
        written(&encode::write_array_len(&mut self.bytes, count));
    }

    pub(crate) fn map(&mut self, count: u32) {
        written(&encode::write_map_len(&mut self.bytes, count));
    }

    /// Values that are encoded already.
    pub(crate) fn encoded(&mut self, values: &[u8]) {
        self.bytes.extend_from_slice(values);
    }
}

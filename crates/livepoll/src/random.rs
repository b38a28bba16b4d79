//! Random bytes, from the system.

use crate::error::Refused;

/// Bytes that nobody can foresee.
///
/// # Errors
///
/// [`Refused::Bug`], where the system has none.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Refused::Bug
    })?;
    Ok(bytes)
}

/// A number that nobody can foresee.
///
/// # Errors
///
/// The same.
pub(crate) fn number() -> Result<u64, Refused> {
    bytes().map(u64::from_le_bytes)
}

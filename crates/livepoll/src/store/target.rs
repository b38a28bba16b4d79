//! Which database is meant.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sqlx::any::AnyConnectOptions;

use super::Dialect;

/// The file in the data directory.
const FILE_NAME: &str = "livepoll.db";

/// What cannot stand in the path of a URL as it is.
const IN_A_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// A database.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// SQLite without a file: gone with the process.
    Memory,
    /// SQLite.
    File(PathBuf),
    /// PostgreSQL, by its URL.
    Postgres(String),
}

/// Why a text does not name a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither of the two.
    #[error("expected `sqlite` or a URL that begins with `postgres://`")]
    Unknown,
    /// Not a URL.
    #[error("this is no URL of a PostgreSQL database; expected postgres://user@host/database")]
    Url,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Memory => f.write_str("Memory"),
            Target::File(path) => write!(f, "File({})", path.display()),
            // The URL has a password.
            Target::Postgres(_) => f.write_str("Postgres"),
        }
    }
}

impl Target {
    /// The database that was set: `sqlite`, in the data directory if there is one, or a URL.
    ///
    /// # Errors
    ///
    /// [`TargetError`].
    pub(crate) fn of(set: &str, data: Option<&Path>) -> Result<Self, TargetError> {
        if set == "sqlite" {
            return Ok(data.map_or(Target::Memory, |data| Target::File(data.join(FILE_NAME))));
        }
        if !(set.starts_with("postgres://") || set.starts_with("postgresql://")) {
            return Err(TargetError::Unknown);
        }
        AnyConnectOptions::from_str(set).map_err(|_| TargetError::Url)?;
        Ok(Target::Postgres(set.to_owned()))
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Target::Memory | Target::File(_) => Dialect::Sqlite,
            Target::Postgres(_) => Dialect::Postgres,
        }
    }

    /// How to connect to it.
    pub(super) fn options(&self) -> sqlx::Result<AnyConnectOptions> {
        match self {
            Target::Memory => AnyConnectOptions::from_str("sqlite::memory:"),
            Target::File(path) => {
                let path = path.to_string_lossy();
                let path = utf8_percent_encode(&path, IN_A_PATH);
                AnyConnectOptions::from_str(&format!("sqlite://{path}?mode=rwc"))
            }
            Target::Postgres(url) => AnyConnectOptions::from_str(url),
        }
    }
}

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

/// The URL of a PostgreSQL database. It may have a password, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// Why a text is no [`DatabaseUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Of another kind of database, or nothing of the kind.
    #[error("does not begin with `postgres://`")]
    Scheme,
    /// Not a URL.
    #[error("is no URL of the form postgres://user:password@host/database")]
    Form,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl")
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Err(DatabaseUrlError::Scheme);
        }
        AnyConnectOptions::from_str(text).map_err(|_| DatabaseUrlError::Form)?;
        Ok(DatabaseUrl(text.to_owned()))
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// SQLite without a file: gone with the process.
    Memory,
    /// SQLite.
    File(PathBuf),
    /// PostgreSQL.
    Postgres(DatabaseUrl),
}

impl Target {
    /// The one that was set, or a file in the data directory if there is one.
    pub(crate) fn of(set: Option<DatabaseUrl>, data: Option<&Path>) -> Self {
        match (set, data) {
            (Some(url), _) => Target::Postgres(url),
            (None, Some(data)) => Target::File(data.join(FILE_NAME)),
            (None, None) => Target::Memory,
        }
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
            Target::Postgres(DatabaseUrl(url)) => AnyConnectOptions::from_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_postgresql_database_and_is_not_shown() {
        for (text, expected) in [
            ("postgres://me:secret@db.example/polls", Ok(())),
            ("postgresql://db.example/polls?sslmode=require", Ok(())),
            ("postgres://[", Err(DatabaseUrlError::Form)),
            ("mysql://db.example", Err(DatabaseUrlError::Scheme)),
            ("sqlite::memory:", Err(DatabaseUrlError::Scheme)),
            ("", Err(DatabaseUrlError::Scheme)),
        ] {
            let url = text.parse::<DatabaseUrl>();
            assert_eq!(url.as_ref().map(drop).map_err(|error| *error), expected, "{text}");
            assert!(!format!("{url:?}").contains("secret"), "{text}");
        }
    }
}

//! The key of the HTTP API: given by the settings, or made at the first start on loopback.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use services::KeyDigest;

use crate::settings::Secret;

/// The file in the data directory that holds a generated key.
const FILE_NAME: &str = "api_key";

/// The random bytes of a generated key: 192 bits, which are 32 characters.
const KEY_BYTES: usize = 24;

/// The largest file that is taken for a key.
const MAX_FILE_BYTES: u64 = 4_096;

/// Keys shorter than this can be guessed by trying; whoever sets one is told.
pub(crate) const SHORT_KEY: usize = 16;

/// The key that holds, and where it came from.
#[derive(Debug)]
pub(crate) struct ApiKey {
    key: Secret,
    /// Where a person finds it.
    pub(crate) origin: Origin,
}

/// Where the key came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The settings.
    Settings,
    /// The file of an earlier start.
    File(PathBuf),
    /// Made just now, for this file.
    New(PathBuf),
}

/// Why there is no key. The environment's fault, or the settings'.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Whoever can reach the server could publish with a key that anybody on the machine can read.
    #[error(
        "{listen} can be reached from other machines, so the API key must be set\n  \
         set it     FANFARE_API_KEY=$(openssl rand -hex 24) fanfare serve …\n  \
         or listen  --listen 127.0.0.1:{}, where a key is made at the first start", .listen.port()
    )]
    Required {
        /// The address that is listened on.
        listen: SocketAddr,
    },
    /// The data directory cannot be made.
    #[error("the data directory {} cannot be created: {error}\n  set another one with --data", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// The key's file cannot be read or written.
    #[error("the API key file {} cannot be {what}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// The system's word.
        error: io::Error,
    },
    /// The file does not hold a key.
    #[error(
        "{} does not hold an API key (one line of visible ASCII characters); delete it and a new \
         one is made", .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness to give.
    #[error("no random bytes for a new API key: {0}")]
    Random(getrandom::Error),
}

impl ApiKey {
    /// The key of the settings, of the data directory, or a new one, which is not written yet.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub(crate) fn find(
        set: Option<&Secret>,
        listen: SocketAddr,
        data: &Path,
    ) -> Result<Self, KeyError> {
        if let Some(key) = set {
            if key.expose().len() < SHORT_KEY {
                tracing::warn!(
                    "the API key has fewer than {SHORT_KEY} characters: it can be guessed"
                );
            }
            return Ok(Self { key: key.clone(), origin: Origin::Settings });
        }
        if !listen.ip().to_canonical().is_loopback() {
            return Err(KeyError::Required { listen });
        }
        let path = data.join(FILE_NAME);
        match read(&path) {
            Ok(Some(key)) => Ok(Self { key, origin: Origin::File(path) }),
            Ok(None) => Ok(Self { key: generate()?, origin: Origin::New(path) }),
            Err(error) => Err(error),
        }
    }

    /// Writes a new key to its file. Done when nothing else can keep the server from starting:
    /// a key is printed at the start that made it, and only then.
    ///
    /// # Errors
    ///
    /// [`KeyError::File`].
    pub(crate) fn keep(&self) -> Result<(), KeyError> {
        let Origin::New(path) = &self.origin else {
            return Ok(());
        };
        write(path, &self.key).map_err(|error| KeyError::File {
            path: path.clone(),
            what: "written",
            error,
        })
    }

    /// The key as a person needs it, for the one time it is printed.
    pub(crate) fn expose(&self) -> &str {
        self.key.expose()
    }

    /// What the server keeps to compare with.
    pub(crate) fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.key.expose())
    }
}

/// Makes the directory for the server's files, for this user only.
///
/// # Errors
///
/// [`KeyError::Directory`].
pub(crate) fn prepare_directory(path: &Path) -> Result<(), KeyError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| KeyError::Directory { path: path.to_owned(), error })
}

fn read(path: &Path) -> Result<Option<Secret>, KeyError> {
    let failed = |error| KeyError::File { path: path.to_owned(), what: "read", error };
    let size = match fs::metadata(path) {
        Ok(metadata) => {
            warn_if_readable(path, &metadata);
            metadata.len()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let no_key = || KeyError::NoKey { path: path.to_owned() };
    if size > MAX_FILE_BYTES {
        return Err(no_key());
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let key = text.trim_end();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(no_key());
    }
    Ok(Some(Secret::new(key.to_owned())))
}

/// A copied or restored file easily gets other permissions than ours had.
fn warn_if_readable(path: &Path, metadata: &fs::Metadata) {
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(%path, "other users may read the API key: chmod 600 is missing");
    }
    #[cfg(not(unix))]
    let _ = (path, metadata);
}

fn generate() -> Result<Secret, KeyError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Writes the key for this user only, and never over a file that is there.
fn write(path: &Path, key: &Secret) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    //! Where the key comes from, and that comparing it is exact.

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:3000";

    fn find(set: Option<&str>, listen: &str, data: &Path) -> Result<ApiKey, KeyError> {
        let set = set.map(|key| Secret::new(key.to_owned()));
        ApiKey::find(set.as_ref(), listen.parse().unwrap(), data)
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_second_finds_it() {
        let data = tempfile::tempdir().unwrap();
        let first = find(None, LOOPBACK, data.path()).unwrap();
        first.keep().unwrap();
        let second = find(None, LOOPBACK, data.path()).unwrap();
        let path = data.path().join("api_key");
        assert_eq!(first.origin, Origin::New(path.clone()));
        assert_eq!(second.origin, Origin::File(path.clone()));
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 32);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_address_others_can_reach_needs_a_key_that_was_set() {
        let data = tempfile::tempdir().unwrap();
        find(None, LOOPBACK, data.path()).unwrap().keep().unwrap();
        for listen in ["0.0.0.0:3000", "[::]:3000", "192.0.2.1:80"] {
            let error = find(None, listen, data.path()).unwrap_err();
            assert!(matches!(error, KeyError::Required { .. }), "{listen}: {error}");
            let key = find(Some("given"), listen, data.path()).unwrap();
            assert_eq!((key.expose(), &key.origin), ("given", &Origin::Settings));
        }
        for listen in ["[::1]:3000", "127.8.8.8:1", "[::ffff:127.0.0.1]:1"] {
            assert!(find(None, listen, data.path()).is_ok(), "{listen}");
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_kept() {
        for text in ["", "\n", "two words\n", "a\nb\n", &"x".repeat(5_000)] {
            let data = tempfile::tempdir().unwrap();
            let path = data.path().join("api_key");
            fs::write(&path, text).unwrap();
            let error = find(None, LOOPBACK, data.path()).unwrap_err();
            assert!(matches!(error, KeyError::NoKey { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), *text);
        }
    }
}

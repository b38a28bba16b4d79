//! A PostgreSQL of one test: on a socket in a directory of its own, gone when the test is over.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is asked whether it is there.
const PAUSE: Duration = Duration::from_millis(50);

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Whose name the server runs under when the test runs as root, whom it refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A running server with an empty database.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When it is not installed (`apt-get install postgresql`), or does not start.
    pub fn start() -> io::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let user = if folder.path().metadata()?.uid() == 0 { Some(unprivileged()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let data = folder.path().join("data");
        let command = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(folder.path()).arg("-D").arg(&data);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let initialised = command("initdb")
            .args(["-U", "fanfare", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .status()?;
        if !initialised.success() {
            return Err(io::Error::other("initdb failed"));
        }
        let server = command("postgres")
            .arg("-k")
            .arg(folder.path())
            // No port, and no care for a loss of power: it lives as long as a test.
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"])
            .spawn()?;
        let mut postgres = Postgres { server, folder };
        postgres.wait(&programs)?;
        Ok(postgres)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.path().to_string_lossy().replace('/', "%2F");
        format!("postgres://fanfare@localhost/postgres?host={folder}")
    }

    fn wait(&mut self, programs: &Path) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.server.try_wait()? {
                return Err(io::Error::other(format!("PostgreSQL ended: {status}")));
            }
            let ready = Command::new(programs.join("pg_isready"))
                .arg("-h")
                .arg(self.folder.path())
                .args(["-d", "postgres", "-U", "fanfare", "-q"])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            sleep(PAUSE);
        }
        Err(io::Error::other("PostgreSQL takes too long to start"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own children end with it only if it is asked; nobody is left to tell if this fails.
        let pid = self.server.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.server.wait();
    }
}

/// The folder with the newest version's programs.
fn programs() -> io::Result<PathBuf> {
    let missing =
        || io::Error::other("PostgreSQL is not installed; `apt-get install postgresql` does it");
    let versions = std::fs::read_dir(DEBIAN).map_err(|_| missing())?;
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").exists().then_some((version, programs))
        })
        .collect();
    versions.sort();
    versions.pop().map(|(_, programs)| programs).ok_or_else(missing)
}

/// The ids of a user that is not root.
fn unprivileged() -> io::Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    USERS.iter().find_map(|name| ids(name)).ok_or_else(|| io::Error::other("no user but root"))
}

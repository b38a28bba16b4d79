//! The program under test, as a child process, with all that it writes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::case::Profile;
use crate::figures::Figures;
use crate::tls::{NAME, Version, Visit, config, trusting};
use crate::tunnel::Tunnel;

/// How long a start or a stop may take: far above what either needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something that has to become true.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The key of the HTTP API: one of the secrets that must not be written anywhere.
const KEY: &str = "canary-key-6f1d0c2b9a8e4753";

/// What is planted in tokens, headers and payloads, to be looked for in the log.
const SECRET: &str = "canary-secret-0b7e51c39d2f486a";

/// A running server. It is killed when the test is over.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    port: String,
    /// The way in for those who do not encrypt, if it does.
    tunnel: Option<Tunnel>,
    /// Who to trust, if it encrypts.
    roots: RootCertStore,
    written: Arc<Mutex<Vec<u8>>>,
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts one on a free port and waits until it says that it listens.
    pub(crate) async fn start(profile: Profile) -> Result<Self, String> {
        let data = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new(match profile {
            Profile::Listeners => example()?,
            _ => Path::new(env!("CARGO_BIN_EXE_fanfare")),
        });
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FANFARE_") {
                command.env_remove(name);
            }
        }
        let certificate = (profile == Profile::Tls).then(|| Certificate::new(data.path()));
        let roots = trusting(certificate.as_ref().map(|certificate| &certificate.der));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("FANFARE_API_KEY", KEY)
            .env("FANFARE_LOG_LEVEL", "trace")
            .env("FANFARE_LOG_FORMAT", "json")
            .env("FANFARE_SHARDS", "2")
            .env("FANFARE_METRICS_ENABLED", "false")
            // Cases send in a moment what people send in a minute.
            .env("FANFARE_LIMITS_EVENTS_PER_SECOND", "0")
            .env("FANFARE_LIMITS_USER_EVENTS_PER_SECOND", "0")
            // What memory keeps on purpose must not hide what it keeps by mistake.
            .env("FANFARE_EVENT_LOG_CACHE", "64KiB")
            .envs(profile.environment().iter().copied())
            .envs(certificate.iter().flat_map(Certificate::environment))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let written = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), &written);
        collect(child.stderr.take().unwrap(), &written);
        let port = String::new();
        let mut server = Self { child, port, tunnel: None, roots, written, _data: data };
        server.port = server.wait_for_address().await?;
        if certificate.is_some() {
            let opened = Tunnel::open(&server.port, config(&server.roots, Version::Tls13)).await;
            server.tunnel = Some(opened.map_err(|error| error.to_string())?);
        }
        Ok(server)
    }

    async fn wait_for_address(&mut self) -> Result<String, String> {
        let started = Instant::now();
        loop {
            let text = self.written();
            if let Some(address) = address_in(&text) {
                return Ok(address);
            }
            if !self.is_alive() || started.elapsed() > PATIENCE {
                return Err(format!("the server does not start:\n{text}"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// `127.0.0.1:<port>`: where everybody connects who does not care for encryption.
    pub(crate) fn host(&self) -> &str {
        self.tunnel.as_ref().map_or(&self.port, Tunnel::host)
    }

    /// `127.0.0.1:<port>`: the server's own.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// A client that speaks TLS does this.
    pub(crate) async fn visited(&self, version: Version, visit: Visit) -> Result<(), String> {
        let (port, roots) = (self.port.clone(), self.roots.clone());
        let visit = move || crate::tls::visit(&port, &roots, version, visit);
        tokio::task::spawn_blocking(visit).await.map_err(|error| error.to_string())?
    }

    /// The key of the HTTP API.
    pub(crate) const fn key(&self) -> &'static str {
        KEY
    }

    /// What is planted and must not be written.
    pub(crate) const fn secret(&self) -> &'static str {
        SECRET
    }

    /// What the process uses now.
    pub(crate) fn figures(&self) -> Option<Figures> {
        Figures::of(self.child.id())
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How many bytes were written so far.
    pub(crate) fn written_bytes(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// What was written from there on.
    pub(crate) fn written_since(&self, at: usize) -> Vec<u8> {
        self.written.lock().unwrap()[at..].to_vec()
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Asks it to stop, as an operator does, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        if !cfg!(unix) {
            return Ok(());
        }
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        asked.map_err(|error| format!("kill: {error}"))?;
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("asked to stop, it ended with {status}")),
                Ok(None) if begun.elapsed() < PATIENCE => {}
                other => return Err(format!("asked to stop, it did not: {other:?}")),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate of our own, and its files.
struct Certificate {
    der: CertificateDer<'static>,
    files: [(&'static str, PathBuf); 2],
}

impl Certificate {
    fn new(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let files = [
            ("FANFARE_TLS_CERT", folder.join("cert.pem"), made.cert.pem()),
            ("FANFARE_TLS_KEY", folder.join("key.pem"), made.signing_key.serialize_pem()),
        ];
        let files = files.map(|(name, path, text)| {
            std::fs::write(&path, text).unwrap();
            (name, path)
        });
        Self { der: made.cert.der().clone(), files }
    }

    fn environment(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        self.files.iter().map(|(name, path)| (*name, path))
    }
}

/// Builds the example with listeners of its own and says where it is: a program that lies there may
/// be missing or old.
fn example() -> Result<&'static Path, String> {
    static EXAMPLE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = EXAMPLE.get_or_init(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_fanfare")).parent().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--example", "listeners", "--target-dir"]);
        build.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        // What cargo tells this test about itself would make it build some dependencies anew.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
            if told.iter().any(|begin| name.starts_with(begin)) {
                build.env_remove(name);
            }
        }
        match build.status() {
            Ok(status) if status.success() => {
                let name = format!("listeners{}", std::env::consts::EXE_SUFFIX);
                Ok(profile.join("examples").join(name))
            }
            other => Err(format!("the example does not build: {other:?}")),
        }
    });
    built.as_deref().map_err(Clone::clone)
}

/// Reads a stream of the child to its end.
fn collect(mut stream: impl Read + Send + 'static, written: &Arc<Mutex<Vec<u8>>>) {
    let written = Arc::clone(written);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            written.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
}

/// The first address on loopback with a port that was really taken.
fn address_in(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find("127.0.0.1:") {
        let port: String = rest[at + 10..].chars().take_while(char::is_ascii_digit).collect();
        rest = &rest[at + 10 + port.len()..];
        // A port is whole only when something stands behind it.
        if !rest.is_empty() && !port.is_empty() && port != "0" {
            return Some(format!("127.0.0.1:{port}"));
        }
    }
    None
}

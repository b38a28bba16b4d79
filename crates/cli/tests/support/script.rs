//! Pages of the project, and the scripts and commands in them, run for real.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::Running;

/// Far above what any step takes: a step that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address in the pages; the test's server has another.
const ADDRESS: &str = "http://127.0.0.1:3000";

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A page of the project.
pub(crate) fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The block of a page in the given language that contains a word; there is exactly one.
pub(crate) fn block(page: &str, language: &str, word: &str) -> String {
    let opening = format!("\n```{language}\n");
    let blocks = page.split(&opening).skip(1).filter_map(|rest| rest.split_once("```"));
    let mut found = blocks.map(|(block, _)| block).filter(|block| block.contains(word));
    let only = found.next().unwrap_or_else(|| panic!("no {language} block with {word}"));
    assert!(found.next().is_none(), "several {language} blocks with {word}");
    only.to_owned()
}

/// A folder where a script finds `socket.io-client`: that of the conformance suite, or else one
/// fetched as the README says.
pub(crate) fn with_client() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // Once for all tests of this file, which run side by side.
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let ours = root().join("conformance/node_modules/client-4.8");
        if ours.exists() { ours } else { install() }
    });
    let modules = folder.path().join("node_modules");
    fs::create_dir(&modules).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(installed, modules.join("socket.io-client")).unwrap();
    #[cfg(windows)]
    std::os::windows::fs::symlink_dir(installed, modules.join("socket.io-client")).unwrap();
    folder
}

/// `npm install` in a copy of the example's folder.
fn install() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-client");
    fs::create_dir_all(&copy).unwrap();
    for name in ["package.json", ".npmrc"] {
        fs::copy(root().join("examples/hello-client").join(name), copy.join(name)).unwrap();
    }
    let installed = Command::new("npm").arg("install").current_dir(&copy).status();
    assert!(
        installed.is_ok_and(|status| status.success()),
        "socket.io-client is missing and `npm install` did not fetch it.\n\
         Node.js 20 or later with npm is needed: `apt-get install nodejs npm`, `brew install node`, \
         or https://nodejs.org/en/download; then `npm ci` in {}",
        root().join("conformance").display()
    );
    copy.join("node_modules/socket.io-client")
}

/// A script that runs in Node.js. It is killed when the test is over.
pub(crate) struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    /// Starts `text` in `folder`, with the server's real address.
    pub(crate) fn start(folder: &Path, text: &str, server: &Running) -> Script {
        Self::start_with(folder, text, server, |_| {})
    }

    /// Starts `text` with arguments and variables of its own.
    pub(crate) fn start_with(
        folder: &Path,
        text: &str,
        server: &Running,
        prepare: impl FnOnce(&mut Command),
    ) -> Script {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("script-{}.mjs", NUMBER.fetch_add(1, Ordering::Relaxed));
        let text = text.replace(ADDRESS, server.url());
        fs::write(folder.join(&name), text).unwrap();
        let mut node = Command::new("node");
        node.arg(name).current_dir(folder).env("FANFARE_API_KEY", server.key());
        prepare(&mut node);
        let mut child = node.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect(
            "Node.js 20 or later is needed: `apt-get install nodejs npm`, `brew install node`, or \
             https://nodejs.org/en/download",
        );
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Until the script ends, or the test has seen enough.
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Script { child, lines }
    }

    /// What it prints next.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the script prints a line")
    }

    /// Waits until it has ended, well: what it has still printed.
    pub(crate) fn ended(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the script does not end: {rest:?}"),
            }
        }
        assert!(self.child.wait().unwrap().success(), "{rest:?}");
        rest
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a shell command in the folder in which the server was started: what it prints.
pub(crate) fn shell(command: &str, folder: &Path, server: &Running) -> String {
    let command = command.replace(ADDRESS, server.url());
    let output = Command::new("sh").args(["-c", &command]).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{errors}\n(curl: `apt-get install curl`)");
    String::from_utf8(output.stdout).unwrap()
}

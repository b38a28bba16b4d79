#![cfg(test)]
//! What the README, the quick start and the page on live polling tell a reader to do works: their scripts and commands are
//! taken from the pages and run against the real binary with the real client.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use support::{Running, is_published};

/// Far above what any step takes: a step that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address in the pages; the test's server has another.
const ADDRESS: &str = "http://127.0.0.1:3000";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A page of the project.
fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The block of a page in the given language that contains a word; there is exactly one.
fn block(page: &str, language: &str, word: &str) -> String {
    let opening = format!("\n```{language}\n");
    let blocks = page.split(&opening).skip(1).filter_map(|rest| rest.split_once("```"));
    let mut found = blocks.map(|(block, _)| block).filter(|block| block.contains(word));
    let only = found.next().unwrap_or_else(|| panic!("no {language} block with {word}"));
    assert!(found.next().is_none(), "several {language} blocks with {word}");
    only.to_owned()
}

/// A folder where a script finds `socket.io-client`: that of the conformance suite, or else one
/// fetched as the README says.
fn with_client() -> tempfile::TempDir {
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
struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    /// Starts `text` in `folder`, with the server's real address.
    fn start(folder: &Path, text: &str, server: &Running) -> Script {
        let text = text.replace(ADDRESS, server.url());
        fs::write(folder.join("script.mjs"), text).unwrap();
        let mut node = Command::new("node");
        node.arg("script.mjs").current_dir(folder).env("FANFARE_API_KEY", server.key());
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

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the script prints a line")
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
fn shell(command: &str, folder: &Path, server: &Running) -> String {
    let command = command.replace(ADDRESS, server.url());
    let output = Command::new("sh").args(["-c", &command]).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{errors}\n(curl: `apt-get install curl`)");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_stock_client_prints_what_one_curl_publishes() {
    let readme = page("README.md");
    let script = block(&readme, "js", "socket.io-client");
    assert_eq!(script, page("examples/hello-client/hello.mjs"), "the page shows the file");
    let expected = block(&readme, "text", "hello");
    let mut expected = expected.lines();

    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &[]);
    let client = Script::start(folder.path(), &script, &server);
    assert_eq!(Some(client.line().as_str()), expected.next());
    let answer = shell(&block(&readme, "sh", "curl"), folder.path(), &server);
    assert!(is_published(&answer), "{answer}");
    for line in expected {
        assert_eq!(client.line(), line);
    }
}

#[test]
fn the_quick_start_publishes_from_the_shell_and_from_node() {
    let quick_start = page("docs/quick-start.md");
    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &[]);
    // What the page in the browser does, without the browser's document.
    let listener = block(&quick_start, "html", "<script>");
    let (_, listener) = listener.split_once("<script>").unwrap();
    let (listener, _) = listener.split_once("</script>").unwrap();
    let listener = format!(
        "import {{ io }} from \"socket.io-client\";
         const list = {{ append: (item) => console.log(item.textContent) }};
         const document = {{ createElement: () => ({{}}), getElementById: () => list }};
         {listener}"
    );
    let page = Script::start(folder.path(), &listener, &server);
    assert_eq!(page.line(), "{ ok: true, room: 'news' }");
    let answer = shell(&block(&quick_start, "sh", "curl"), folder.path(), &server);
    assert!(is_published(&answer), "{answer}");
    assert_eq!(page.line(), "It works");

    let backend = block(&quick_start, "js", "fetch(");
    let mut backend = Script::start(folder.path(), &backend, &server);
    assert!(backend.child.wait().unwrap().success());
    assert_eq!(page.line(), "It works");
}

#[test]
fn the_settings_in_the_quick_start_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    fs::write(&file, block(&page("docs/quick-start.md"), "toml", "listen")).unwrap();
    let output = support::run(support::fanfare(&["config", "--config"]).arg(&file));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", support::stderr(&output));
    assert!(printed.contains("0.0.0.0:3000") && printed.contains("rooms_per_socket"), "{printed}");
}

/// The presenter's and the participant's part by `curl`, and a screen that listens: the screen hears of the
/// vote that the shell sends.
#[test]
fn the_walk_of_live_polling_ends_with_a_vote_on_a_screen() {
    let walk = page("docs/livepoll.md");
    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &["--livepoll-enabled=true"]);
    // The walk in two parts, with the screen between them.
    let steps = block(&walk, "sh", "/sessions");
    let (first, second) = steps.split_once("\njoined=").unwrap();
    let keep = "printf '%s' \"$session\" > session; echo \"$presenter\"";
    let printed = shell(&format!("{first}\n{keep}"), folder.path(), &server);
    let token = printed.lines().last().unwrap().strip_prefix("Authorization: Bearer ").unwrap();
    let screen = block(&walk, "js", "socket.io-client").replace('…', token);
    let screen = Script::start(folder.path(), &screen, &server);
    assert_eq!(screen.line(), "listening as presenter");

    let (beginning, _) = first.split_once("\nsession=").unwrap();
    let again = "session=$(cat session); id=$(echo \"$session\" | sed -E 's/.*\"id\":\"(ses_[^\"]*)\".*/\\1/'); \
                 presenter=\"Authorization: Bearer $(echo \"$session\" | field presenterToken)\"";
    let printed = shell(&format!("{beginning}\n{again}\njoined={second}"), folder.path(), &server);
    let results = printed.lines().last().unwrap();
    assert!(results.contains(r#""votes":1,"kind":"single_choice""#), "{printed}");
    assert!(results.contains(r#"{"id":"opt_1","label":"Tea","votes":1}"#), "{printed}");
    assert_eq!(screen.line(), "1 votes");
}

#![cfg(test)]
//! The programs in `examples/` do what their page says: each runs against the real binary, with the
//! real client, and prints what stands there.

mod support;

use std::path::Path;

use support::script::{Script, page, with_client};
use support::{Running, fanfare, run, stderr};
use tempfile::TempDir;

const SECRET: &str = "a-secret-that-only-this-test-knows";

/// A server as the page starts it, and a folder with the client.
fn start() -> (TempDir, Running) {
    let folder = with_client();
    let data = folder.path().join("data");
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(&data).env("FANFARE_AUTH_JWT_SECRET", SECRET).env("FANFARE_AUTH_GUESTS", "true");
    // What people meet: this is what examples must live with.
    command.env("FANFARE_PRESENCE_GRACE", "500ms"); // the page has time
    command.env_remove("FANFARE_LIMITS_EVENTS_PER_SECOND");
    command.env_remove("FANFARE_LIMITS_USER_EVENTS_PER_SECOND");
    let server = Running::spawn(command, &data);
    (folder, server)
}

/// A token as the page makes it.
fn token(user: &str) -> String {
    let mut command = fanfare(&["token", "mint", "--subject", user]);
    let minted = run(command.env("FANFARE_AUTH_JWT_SECRET", SECRET));
    assert!(minted.status.success(), "{}", stderr(&minted));
    String::from_utf8(minted.stdout).unwrap().trim().to_owned()
}

/// What the page says that a program prints.
fn printed(name: &str) -> Vec<String> {
    let page = page("examples/README.md");
    let opening = format!("\n```text {name}\n");
    let (_, rest) = page.split_once(&opening).unwrap_or_else(|| panic!("no output of {name}"));
    rest.split_once("```").unwrap().0.lines().map(str::to_owned).collect()
}

fn example(path: &str) -> String {
    page(&format!("examples/{path}"))
}

fn lines(script: &Script, count: usize) -> Vec<String> {
    (0..count).map(|_| script.line()).collect()
}

#[test]
fn a_backend_tells_users_of_their_tasks() {
    let (folder, server) = start();
    let device = |token: String| {
        let text = example("task_events/client.mjs");
        Script::start_with(folder.path(), &text, &server, |command| {
            command.env("TOKEN", token);
        })
    };
    let (ada, ben) = (device(token("ada")), device(token("ben")));
    assert_eq!([ada.line(), ben.line()], ["connected", "connected"]);
    let backend = Script::start(folder.path(), &example("task_events/backend.mjs"), &server);
    assert_eq!(backend.ended(), printed("backend"));
    let heard = printed("ben");
    assert_eq!(lines(&ben, heard.len() - 1), heard[1..]);
    // Ada began the task: she is not told so, nor of the task after it.
    assert_eq!(lines(&ada, 2), [heard[1].as_str(), heard[3].as_str()]);
    let stranger = device("not a token".to_owned());
    assert_eq!(stranger.line(), "not let in: AUTH_REQUIRED");
}

#[test]
fn a_job_is_followed_to_its_end() {
    let (folder, server) = start();
    let follow = || Script::start(folder.path(), &example("job_progress/client.mjs"), &server);
    let (client, expected) = (follow(), printed("job"));
    assert_eq!(client.line(), expected[0]);
    let worker = Script::start(folder.path(), &example("job_progress/worker.mjs"), &server);
    assert_eq!(client.ended(), expected[1..]);
    assert_eq!(worker.ended(), [""; 0]);
    assert_eq!(follow().ended(), expected[expected.len() - 1..], "who comes late");
}

fn robot(folder: &Path, server: &Running, name: &str) -> Script {
    let text = example("presence_cursors/robot.mjs");
    Script::start_with(folder, &text, server, |command| {
        command.arg(name);
    })
}

#[test]
fn people_see_each_others_cursors() {
    let (folder, server) = start();
    let (expected, folder) = (printed("cursors"), folder.path());
    let ada = robot(folder, &server, "Ada");
    assert_eq!(ada.line(), expected[0]);
    let ben = robot(folder, &server, "Ben");
    assert_eq!(ada.line(), expected[1]);
    assert_eq!(ben.line(), "here: Ada, Ben");
    drop(ben);
    assert_eq!(ada.line(), expected[2]);
}

/// What the page in the browser does, without the browser's document: it prints which elements there
/// are and where the last one is put.
#[test]
fn the_page_shows_the_cursors_of_others() {
    let (folder, server) = start();
    let html = example("presence_cursors/index.html");
    let (_, script) = html.split_once("<script>").unwrap();
    let script = script.split_once("</script>").unwrap().0;
    let text = format!(
        r#"import {{ io }} from "socket.io-client";
        const element = () => {{
          const style = new Proxy({{}}, {{ set: (_, name, value) => console.log("style", name, /^\d+px$/.test(value)) || true }});
          return {{ style, remove: () => console.log("removed") }};
        }};
        const body = {{ append: ({{ textContent }}) => console.log("added", textContent) }};
        const document = {{ createElement: element, body, addEventListener: () => {{}} }};
        {script}"#
    );
    let shown = Script::start(folder.path(), &text, &server);
    let robot = robot(folder.path(), &server, "Ada");
    assert_eq!(lines(&shown, 2), ["style background false", "added Ada"]);
    for _ in 0..10 {
        assert_eq!(lines(&shown, 2), ["style left true", "style top true"]);
    }
    drop(robot);
    while shown.line() != "removed" {}
}

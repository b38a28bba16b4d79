#![cfg(test)]
//! Each example does what it says: it runs as a process of its own, and real clients use it.

use serde_json::{Value, json};
use std::env::consts::EXE_SUFFIX;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use testkit::{Client, Error, Event, Options, Request, Transport, http_get};

/// Far above what a start or an end takes: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: [&str; 3] = ["chat", "embed_in_axum", "backend_publish"];

/// Builds the examples and returns the folder they are in.
///
/// `cargo test --all-targets` builds examples as tests, and `--test examples` not at all: a program
/// that lies there may be missing or old.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // <target>/<profile>/deps/examples-<hash>
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "fanfare", "--target-dir"]);
        build.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        for name in EXAMPLES {
            build.args(["--example", name]);
        }
        // What cargo tells this test about itself would make it build some dependencies anew.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        assert!(build.status().unwrap().success(), "the examples do not build");
        profile.join("examples")
    })
}

/// An example that runs. It is killed when the test is over.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(name: &str) -> Running {
        let program = folder().join(format!("{name}{EXE_SUFFIX}"));
        let mut command = Command::new(program);
        command.arg("127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect(&line).to_owned();
        Running { child, url }
    }

    async fn connect(&self, auth: Value) -> Result<Client, Error> {
        Client::connect(&self.url, Options::default().auth(auth)).await
    }

    /// Asks the example to stop, as Ctrl-C does; it ends in order.
    #[cfg(unix)]
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask<const N: usize>(client: &Client, event: &str, args: [Value; N]) -> Value {
    client.emit_with_ack(event, args).await.unwrap().args.remove(0)
}

async fn next(client: &mut Client) -> (String, Value) {
    let Event { name, mut args, .. } = client.next_event().await.unwrap();
    assert_eq!(args.len(), 1, "{name}: {args:?}");
    (name, args.remove(0))
}

fn event(name: &str, argument: Value) -> (String, Value) {
    (name.to_owned(), argument)
}

#[tokio::test]
async fn people_chat_in_rooms() {
    let chat = Running::start("chat");
    let page = http_get(&chat.url).await.unwrap();
    assert!(page.text().contains("<title>Chat</title>"), "{}", page.text());

    let nameless = chat.connect(json!({ "name": "" })).await;
    let Err(Error::Refused { data: Some(why), .. }) = nameless else { panic!("{nameless:?}") };
    assert_eq!(why, json!({ "code": "NO_NAME" }));

    let mut ada = chat.connect(json!({ "name": "Ada" })).await.unwrap();
    let alone = ask(&ada, "enter", [json!("lobby")]).await;
    assert_eq!(alone, json!({ "ok": true, "present": ["Ada"] }));

    let mut ben = chat.connect(json!({ "name": "Ben" })).await.unwrap();
    let outside = ask(&ben, "say", [json!("lobby"), json!("hi")]).await;
    assert_eq!(outside, json!({ "ok": false, "error": "enter the room first" }));
    let mut present = ask(&ben, "enter", [json!("lobby")]).await["present"].take();
    present.as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(present, json!(["Ada", "Ben"]));
    let lobby = |name: &str| json!({ "room": "lobby", "name": name });
    assert_eq!(next(&mut ada).await, event("entered", lobby("Ben")));

    ben.emit("typing", [json!("lobby")]).await.unwrap();
    assert_eq!(next(&mut ada).await, event("typing", lobby("Ben")));
    assert_eq!(ask(&ben, "say", [json!("lobby"), json!("hi")]).await, json!({ "ok": true }));
    let said = json!({ "room": "lobby", "name": "Ben", "text": "hi" });
    assert_eq!(next(&mut ada).await, event("said", said.clone()));
    assert_eq!(next(&mut ben).await, event("said", said));

    ben.disconnect().await.unwrap();
    assert_eq!(next(&mut ada).await, event("left", lobby("Ben")));
    #[cfg(unix)]
    tokio::task::spawn_blocking(|| chat.stop()).await.unwrap();
}

#[tokio::test]
async fn an_axum_application_has_routes_and_events_on_one_port() {
    let app = Running::start("embed_in_axum");
    let notes = format!("{}/notes", app.url);
    assert_eq!(http_get(&notes).await.unwrap().text(), "[]");

    let mut clients = Vec::new();
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        let mut client = Client::connect(&app.url, Options::over(transport)).await.unwrap();
        assert_eq!(next(&mut client).await, event("notes", json!([])));
        clients.push(client);
    }
    let request = Request::new("POST", &notes).header("Content-Type", "application/json");
    let added = request.body(r#"{"text":"milk"}"#).send().await.unwrap();
    let note = json!({ "number": 1, "text": "milk" });
    assert_eq!((added.status, added.text()), (201, note.to_string()));
    for client in &mut clients {
        assert_eq!(next(client).await, event("note", note.clone()));
    }
    assert_eq!(http_get(&notes).await.unwrap().text(), json!([note]).to_string());
    let mut late = app.connect(json!({})).await.unwrap();
    assert_eq!(next(&mut late).await, event("notes", json!([note])));
    #[cfg(unix)]
    tokio::task::spawn_blocking(|| app.stop()).await.unwrap();
}

#[tokio::test]
async fn a_backend_tells_the_devices_of_a_user() {
    let backend = Running::start("backend_publish");
    assert!(backend.connect(json!({ "token": "guessed" })).await.is_err());
    let ada = json!({ "token": "token-of-ada" });
    let mut phone = backend.connect(ada.clone()).await.unwrap();
    let mut laptop = backend.connect(ada).await.unwrap();
    let mut ben = backend.connect(json!({ "token": "token-of-ben" })).await.unwrap();

    assert_eq!(ask(&phone, "job:start", [json!("report")]).await, json!({ "ok": true }));
    for device in [&mut phone, &mut laptop] {
        let mut percents = Vec::new();
        let done = loop {
            let event = device.next_event().await.unwrap();
            if event.name != "job:progress" {
                break event;
            }
            percents.push(event.args[0]["percent"].as_u64().unwrap());
        };
        // Progress is volatile: steps may be missing, but none comes twice or late.
        assert!(percents.is_sorted_by(|a, b| a < b), "{percents:?}");
        assert_eq!(
            (done.name.as_str(), done.args.as_slice()),
            ("job:done", &[json!("report")][..])
        );
        device.answer(&done, []).await.unwrap();
    }
    let seen = json!({ "title": "report", "devices": 2 });
    for device in [&mut phone, &mut laptop] {
        assert_eq!(next(device).await, event("job:seen", seen.clone()));
    }
    // Ben hears of his own jobs only: the answer to his comes behind whatever was sent before.
    assert_eq!(ask(&ben, "job:start", [json!("other")]).await, json!({ "ok": true }));
    let first = ben.next_event().await.unwrap();
    assert_eq!(first.args[0]["title"].as_str().or(first.args[0].as_str()), Some("other"));
}

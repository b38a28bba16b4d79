#![cfg(test)]
//! The example does what it says: it runs as a process of its own, and a client and a backend use it.

use std::env::consts::EXE_SUFFIX;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use testkit::{Client, Error, Options, Request};

/// Builds the example and starts it: `cargo test --test examples` alone would not.
fn start() -> (Running, Lines<BufReader<ChildStdout>>) {
    // <target>/<profile>/deps/examples-<hash>
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "fanfare-services", "--example", "task_events"]);
    build.arg("--target-dir").arg(profile.parent().unwrap());
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    // What cargo tells this test about itself would make it build some dependencies anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    assert!(build.status().unwrap().success(), "the example does not build");
    let program = profile.join("examples").join(format!("task_events{EXE_SUFFIX}"));
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (Running(child), lines)
}

/// It is killed when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_user_is_told_of_a_task_that_a_route_created() {
    let (_running, mut lines) = start();
    let mut word = |prefix: &str| {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(prefix).expect(&line).to_owned()
    };
    let (url, token) = (word("listening on "), word("TOKEN="));

    let stranger = Client::connect(&url, Options::default()).await;
    let Err(Error::Refused { data: Some(why), .. }) = stranger else { panic!("{stranger:?}") };
    assert_eq!(why["code"], "AUTH_REQUIRED");

    let auth = Options::default().auth(json!({ "token": token }));
    let mut ada = Client::connect(&url, auth).await.unwrap();
    let task = json!({ "id": 7, "title": "Write the minutes", "assignees": ["ada", "ben"] });
    for repeated in [false, true] {
        let request = Request::new("POST", &format!("{url}/tasks"));
        let request = request.header("Content-Type", "application/json");
        let answer = request.body(task.to_string()).send().await.unwrap();
        let told: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(told, json!({ "repeated": repeated, "online": ["ada"] }));
    }
    let heard = ada.next_event().await.unwrap();
    assert_eq!((heard.name.as_str(), &heard.args[0]), ("task.created", &task));
    let answer = ada.emit_with_ack("room:leave", [json!({ "roomId": "a" })]).await.unwrap();
    assert_eq!(answer.args[0]["ok"], true);
    assert!(ada.take_events().is_empty(), "told once");
}

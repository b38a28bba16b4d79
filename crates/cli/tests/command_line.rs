#![cfg(test)]
//! The program as a person in a terminal meets it: help, settings, and every start that fails.

mod support;

use std::net::TcpListener;

use support::{Running, fanfare, run, stderr};

#[test]
fn help_and_version_are_answers_and_no_errors() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["config", "--help"], &["--version"]]
    {
        let output = run(&mut fanfare(arguments));
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(run(&mut fanfare(&[])).status.code(), Some(2), "help for who says nothing");
}

#[test]
fn config_prints_values_with_their_sources_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fanfare.toml");
    std::fs::write(&file, "ping_interval = \"5s\"\nmax_payload = \"2MB\"\n").unwrap();
    let mut command = fanfare(&["config", "--ping-timeout", "3s", "--allow-v3"]);
    command.current_dir(directory.path());
    command
        .env("FANFARE_API_KEY", "canary-7d1f-canary-7d1f-canary-7d")
        .env("FANFARE_MAX_PAYLOAD", "3MB");
    let output = run(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for (line, source) in [
        ("listen = \"127.0.0.1:3000\"", "# default"),
        ("ping_interval = \"5s\"", "# fanfare.toml, line 1"),
        ("max_payload = \"3MB\"", "# environment variable FANFARE_MAX_PAYLOAD"),
        ("ping_timeout = \"3s\"", "# flag --ping-timeout"),
        ("allow_v3 = true", "# flag --allow-v3"),
        ("api_key = \"(set, 33 characters)\"", "# environment variable FANFARE_API_KEY"),
    ] {
        let found = text.lines().find(|found| found.starts_with(line));
        assert!(found.is_some_and(|found| found.ends_with(source)), "{line} {source} in\n{text}");
    }
    let json = run(command.arg("--json"));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("ping_timeout")["value"], "3s");
    assert_eq!(row("allow_v3")["value"], true);
    assert_eq!(row("api_key")["value"], "(set, 33 characters)");
    assert!(!text.contains("canary"));
    assert!(!String::from_utf8(json.stdout).unwrap().contains("canary"));
}

/// A start that must fail: its flags, its environment, its exit code, and what it must say.
fn refuses(flags: &[&str], environment: &[(&str, &str)], code: i32, parts: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let mut command = fanfare(&["serve", "--data"]);
    command.arg(data.path().join("d")).args(flags).envs(environment.iter().copied());
    let output = run(&mut command);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{flags:?} {said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not said:\n{said}");
    }
    assert!(!said.contains("canary") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_start_that_fails_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a-file");
    std::fs::write(&file, "no PEM").unwrap();
    let file = file.to_str().unwrap();
    let inside_file = format!("{file}/data");

    refuses(
        &["--ping-interval", "25"],
        &[],
        2,
        &["ping_interval: `25` has no unit", "flag --ping-interval", "ms, s, m, h or d"],
    );
    refuses(
        &[],
        &[("FANFARE_LISTENN", "canary")],
        2,
        &["FANFARE_LISTENN", "perhaps   FANFARE_LISTEN"],
    );
    refuses(&[], &[("FANFARE_API_KEY", "canary canary")], 2, &["api_key", "without spaces"]);
    refuses(&["--lisen", "x"], &[], 2, &["--lisen", "--listen"]);
    refuses(
        &["--config", "/nowhere/fanfare.toml"],
        &[],
        2,
        &["/nowhere/fanfare.toml", "flag --config"],
    );
    refuses(&["--listen", "0.0.0.0:0"], &[], 1, &["API key must be set", "FANFARE_API_KEY"]);
    refuses(
        &[],
        &[("PORT", "0")],
        1,
        &["0.0.0.0:0", "API key must be set", "is from: environment variable PORT"],
    );
    refuses(
        &["--listen", "127.0.0.1:0"],
        &[("LOG_LEVEL", "loud")],
        2,
        &["log.level: `loud`", "environment variable LOG_LEVEL"],
    );
    refuses(
        &["--listen", "127.0.0.1:0"],
        &[("REDIS_URL", "redis://:canary@host:port")],
        2,
        &["redis.url: the value", "environment variable REDIS_URL"],
    );
    refuses(&["--listen", &taken], &[], 1, &[&taken, "in use", "--listen"]);
    refuses(&["--listen", "192.0.2.1:0"], &[("FANFARE_API_KEY", "canary")], 1, &["192.0.2.1"]);
    refuses(&["--data", &inside_file], &[], 2, &["cannot be used multiple times"]);
    refuses(
        &["--listen", "127.0.0.1:0", "--tls-cert", "/nowhere/cert.pem", "--tls-key", file],
        &[],
        1,
        &["/nowhere/cert.pem", "tls.cert"],
    );
    refuses(
        &["--listen", "127.0.0.1:0", "--tls-cert", file, "--tls-key", file],
        &[],
        1,
        &[file, "BEGIN CERTIFICATE"],
    );
    let output = run(&mut fanfare(&["serve", "--listen", "127.0.0.1:0", "--data", &inside_file]));
    assert!(stderr(&output).contains("data directory") && stderr(&output).contains("--data"));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_server_runs_with_the_names_that_existing_deployments_use() {
    let data = tempfile::tempdir().unwrap();
    let mut command = fanfare(&["serve", "--data"]);
    let key = "0123456789abcdef0123456789abcdef";
    command.arg(data.path()).envs([
        ("FANFARE_API_KEY", key),
        ("PORT", "0"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("SOCKET_IO_PING_INTERVAL", "11000"),
        ("SOCKET_IO_PING_TIMEOUT", "7s"),
        ("SOCKET_IO_TRANSPORTS", "polling"),
        ("WEBSOCKET_PATH", "ws"),
        ("LOG_LEVEL", "WARNING"),
    ]);
    let server = Running::spawn(command, data.path());
    let port = server.url().rsplit(':').next().unwrap();
    let url = format!("http://127.0.0.1:{port}/ws/?EIO=4&transport=polling");
    let opened = testkit::Request::new("GET", &url)
        .header("Origin", "https://app.example")
        .send()
        .await
        .unwrap();
    let handshake: serde_json::Value = serde_json::from_str(&opened.text()[1..]).unwrap();
    assert_eq!(
        (&handshake["pingInterval"], &handshake["pingTimeout"]),
        (&11_000.into(), &7_000.into())
    );
    assert_eq!(handshake["upgrades"], serde_json::json!([]));
    assert_eq!(opened.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(!server.killed().contains("listening"), "that is no warning");
}

#[test]
fn the_first_start_prints_a_key_that_the_second_keeps() {
    let data = tempfile::tempdir().unwrap();
    let first = Running::start_in(data.path(), &[]);
    let key = first.key();
    assert!(key.len() >= 22, "at least 128 bits");
    assert!(first.banner().contains(&key), "{}", first.banner());
    assert!(!first.killed().contains(&key), "not in the log");
    let second = Running::start_in(data.path(), &[]);
    assert_eq!(second.key(), key);
    assert!(!second.banner().contains(&key), "printed once only");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.path().join("api_key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn tokens_are_made_and_explained() {
    let secret = "a canary secret with spaces";
    let token = |arguments: &[&str]| {
        let mut command = fanfare(&["token"]);
        run(command.args(arguments).env("JWT_SECRET", secret))
    };
    let minted = |more: &[&str]| {
        let output = token(&[&["mint", "--subject", "ada"], more].concat());
        assert!(output.status.success(), "{more:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let good = minted(&["--name", "Ada", "--room", "chat:*=join,history", "--claim", "team=7"]);
    let explained = token(&["explain", "--json", &good]);
    let told: serde_json::Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!((&told["holds"], &told["user"]), (&true.into(), &"ada".into()), "{told}");
    assert_eq!(told["claims"]["rooms"]["chat:*"], serde_json::json!(["join", "history"]));
    assert_eq!((&told["claims"]["name"], &told["claims"]["team"]), (&"Ada".into(), &7.into()));
    let other = minted(&["--claim", "exp=1"]);
    for (given, code, word) in [
        (good.as_str(), 0, "holds here, for the user \"ada\""),
        (&format!("{good}x"), 1, "does not hold here: its signature is wrong"),
        ("opaque", 1, "does not hold here: it is not a token of a form that is taken"),
    ] {
        let output = token(&["explain", given]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word) && !said.contains("canary"), "{said}");
        let signature = given.rsplit_once('.').map_or("", |(_, signature)| signature);
        assert!(signature.is_empty() || !said.contains(signature), "{said}");
    }
    let end = run(fanfare(&["token", "explain", &other]).env("JWT_SECRET", secret));
    let said = String::from_utf8(end.stdout).unwrap();
    assert!(end.status.success() && said.contains("exp     "), "the end is the lifetime's: {said}");
    for arguments in [
        &["mint", "--subject", "a", "--room", "x=admin"][..],
        &["mint", "--subject", "a", "--claim", "x"],
    ] {
        let output = token(arguments);
        assert!(!output.status.success() && !stderr(&output).contains("panicked"), "{arguments:?}");
    }
    let without = run(&mut fanfare(&["token", "mint", "--subject", "ada"]));
    assert!(stderr(&without).contains("FANFARE_AUTH_JWT_SECRET"), "{}", stderr(&without));
}

#![cfg(test)]
#![cfg(unix)]
//! `fanfare doctor` and `fanfare health` beside a running server, a real Redis, and proxies that do what bad
//! proxies do.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Running, fanfare, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Changes the head of a request or of an answer.
type Change = fn(&str) -> String;

/// Sends connections to servers in turn, and changes the heads of the first request and answer.
async fn proxy(servers: &[&Running], request: Change, answer: Change) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let servers: Vec<String> =
        servers.iter().map(|it| it.url().trim_start_matches("http://").to_owned()).collect();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((client, _)) = listener.accept().await else { return };
            let server = servers[turn % servers.len()].clone();
            tokio::spawn(pass(client, server, request, answer));
        }
    });
    url
}

async fn pass(mut client: TcpStream, server: String, request: Change, answer: Change) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    forward(&mut client, &mut server, request).await;
    forward(&mut server, &mut client, answer).await;
    // Either may be gone.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn forward(from: &mut TcpStream, to: &mut TcpStream, change: Change) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if from.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let body = bytes.split_off(end);
    let head = change(std::str::from_utf8(&bytes).unwrap());
    let _ = to.write_all(head.as_bytes()).await;
    let _ = to.write_all(&body).await;
}

fn same(head: &str) -> String {
    head.to_owned()
}

fn without_upgrade(head: &str) -> String {
    let is_kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != "upgrade" && name != "connection"
    };
    head.split_inclusive("\r\n").filter(is_kept).collect()
}

fn with_a_header(head: &str, header: &str) -> String {
    head.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

fn with_cors(head: &str) -> String {
    with_a_header(head, "Access-Control-Allow-Origin: *")
}

fn as_nginx(head: &str) -> String {
    with_a_header(head, "Server: nginx")
}

fn years_ago(head: &str) -> String {
    let lines =
        head.split_inclusive("\r\n").filter(|line| !line.to_lowercase().starts_with("date:"));
    with_a_header(&lines.collect::<String>(), "Date: Sun, 06 Nov 2022 08:49:37 GMT")
}

/// A server whose settings the doctor has too.
fn server(data: &Path) -> Running {
    let data = &data.join("data"); // made by the server, for its user only
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data).env("FANFARE_API_KEY", KEY).env("CORS_ORIGINS", "https://app.example");
    Running::spawn(command, data)
}

/// Asks the doctor of a server, through an address: its findings by check, and its exit code.
async fn doctor(server: &Running, data: &Path, flags: &[&str]) -> (Vec<Value>, Option<i32>) {
    let data = data.join("data");
    let listen = server.url().trim_start_matches("http://").to_owned();
    let mut command = fanfare(&["doctor", "--json", "--listen", &listen, "--data"]);
    command.arg(data).env("FANFARE_API_KEY", KEY).env("CORS_ORIGINS", "https://app.example");
    // What this machine allows is not what is shown here.
    command.args(["--limits-connections", "10"]).args(flags);
    let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (report["findings"].as_array().unwrap().clone(), output.status.code())
}

/// The findings of a check as `verdict: found`.
fn of<'a>(findings: &'a [Value], check: &str) -> Vec<String> {
    let text = |it: &'a Value, name: &str| it[name].as_str().unwrap_or_default();
    let of_check = findings.iter().filter(|it| it["check"] == check);
    of_check.map(|it| format!("{}: {}", text(it, "verdict"), text(it, "found"))).collect()
}

#[tokio::test]
async fn a_server_that_is_well_is_told_so() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path());
    let (findings, code) = doctor(&server, data.path(), &["--url", server.url()]).await;
    assert_eq!(code, Some(0), "{findings:#?}");
    let checks: Vec<&str> = findings.iter().filter_map(|it| it["check"].as_str()).collect();
    let expected = [
        "open files",
        "port",
        "data directory",
        "disk",
        "API key",
        "encryption",
        "polling",
        "websocket",
        "origins",
        "origins",
        "clock",
    ];
    assert_eq!(checks, expected);
    for finding in &findings {
        let is_space = finding["check"] == "disk"; // the machine's own affair
        assert!(finding["verdict"] == "ok" || is_space, "{finding}");
    }
    assert!(of(&findings, "port")[0].contains("a server of ours"), "{findings:#?}");
}

#[tokio::test]
async fn what_a_bad_proxy_does_is_named() {
    let data = tempfile::tempdir().unwrap();
    let first = server(data.path());
    let other_data = tempfile::tempdir().unwrap();
    let other = server(other_data.path());
    let both = [&first, &other];
    for (servers, request, answer, check, expected) in [
        (&both[..1], without_upgrade as Change, same as Change, "websocket", "fail: the upgrade"),
        (&both[..], same, same, "polling", "fail: requests of one session reach different"),
        (&both[..1], same, with_cors, "origins", "fail: the answer has Access-Control"),
        (&both[..1], same, as_nginx, "client address", "warn: a proxy stands before it (nginx)"),
        (&both[..1], same, years_ago, "clock", "fail: "),
    ] {
        let url = proxy(servers, request, answer).await;
        let (findings, code) = doctor(&first, data.path(), &["--url", &url]).await;
        let found = of(&findings, check);
        assert!(found.iter().any(|it| it.starts_with(expected)), "{expected}: {findings:#?}");
        let is_wrong = expected.starts_with("fail");
        assert_eq!(code, Some(i32::from(is_wrong)), "{expected}: {findings:#?}");
        let others = findings.iter().filter(|it| it["check"] != check && it["check"] != "disk");
        for other in others {
            assert_eq!(other["verdict"], "ok", "{expected}: {other}");
        }
    }
}

#[tokio::test]
async fn an_address_without_a_server_behind_it_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let (findings, code) = doctor(&server, data.path(), &["--url", &nobody]).await;
    assert_eq!(code, Some(1));
    assert!(of(&findings, "polling")[0].starts_with("fail: no connection"), "{findings:#?}");
    let (findings, _) =
        doctor(&server, data.path(), &["--url", server.url(), "--path", "/other"]).await;
    assert_eq!(of(&findings, "polling"), ["fail: answered 404 Not Found"]);
    let wrong = run(fanfare(&["doctor", "--url", "ftp://a"]).arg("--json"));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(support::stderr(&wrong).contains("not an http:// or https:// URL"));
}

#[tokio::test]
async fn what_the_machine_lacks_is_named() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path());
    let file = data.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let page = ["--origin", "https://other.example"];
    let (findings, code) = doctor(&server, data.path(), &page).await;
    assert_eq!(code, Some(1));
    assert!(of(&findings, "origins").iter().any(|it| it.contains("https://other.example cannot")));
    assert_eq!(of(&findings, "proxy"), ["skipped: not looked at"]);
    let kept = data.path().join("data");
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (findings, _) = doctor(&server, data.path(), &[]).await;
    assert!(of(&findings, "data directory")[0].starts_with("warn: other users can look into"));

    let told = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let mut command = fanfare(&["doctor", "--listen", "0.0.0.0:0", "--data"]);
    let output = run(command.arg(&inside).args(["--limits-connections", "10000000"]));
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["cannot be made", "none is set, and 0.0.0.0:0", "do this: set FANFARE_API_KEY"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_not_taken_for_ours() {
    let data = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        }
    });
    let mut command = fanfare(&["doctor", "--listen", &address, "--data"]);
    command.arg(data.path());
    let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("is taken by another program") && text.contains("ss -ltnp"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// A Redis on a socket in a directory of its own. It is killed when the test is over.
struct Redis {
    child: Child,
    directory: tempfile::TempDir,
}

impl Redis {
    fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "redis.sock", "--requirepass", "canary-hush"])
            .args(flags)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    async fn url(&self) -> String {
        let socket = self.directory.path().join("redis.sock");
        let listens = async {
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.unwrap();
        format!("unix://{}", socket.display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn redis_is_asked_for_its_policy_and_its_password_is_not_shown() {
    let kept = ["--maxmemory-policy", "noeviction", "--appendonly", "yes"];
    let cache = ["--maxmemory-policy", "allkeys-lru", "--save", ""];
    for (flags, password, code, parts) in [
        (&kept[..], "canary-hush", 0, vec!["Redis memory       noeviction", "append-only file"]),
        (
            &cache[..],
            "canary-hush",
            1,
            vec!["is allkeys-lru", "noeviction, and keep", "no append-only"],
        ),
        (&kept[..], "canary-wrong", 1, vec!["no connection", "redis.url has its host"]),
    ] {
        let redis = Redis::start(flags);
        let url = redis.url().await;
        let data = tempfile::tempdir().unwrap();
        let mut command =
            fanfare(&["doctor", "--listen", "127.0.0.1:0", "--limits-connections", "10"]);
        command.arg("--data").arg(data.path());
        command.env("REDIS_URL", url).env("REDIS_PASSWORD", password);
        let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for part in parts {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
}

/// The certificate has the public name, and the server is asked on this machine.
#[tokio::test]
async fn health_is_asked_of_a_server_that_encrypts() {
    let certified = rcgen::generate_simple_self_signed(vec!["live.example".to_owned()]).unwrap();
    let data = tempfile::tempdir().unwrap();
    let (cert, key) = (data.path().join("cert.pem"), data.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Running::start_in(data.path(), &tls);
    let listen = server.url().trim_start_matches("https://");
    let output = run(fanfare(&["health", "--listen", listen]).args(tls));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("https://127.0.0.1:"), "{told}");
}

#[tokio::test]
async fn health_is_the_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start_in(data.path(), &["--drain-notice", "1h"]);
    let listen = server.url().trim_start_matches("http://").to_owned();
    let ask = |flags: &[&str]| {
        let output = run(fanfare(&["health", "--listen", &listen]).args(flags));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = ask(&[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("/health/ready: ") && told.ends_with("(200)\n"), "{told}");
    assert_eq!(ask(&["--live"]).0, Some(0));
    assert_eq!(ask(&["--url", server.url()]).0, Some(0));
    server.signal("TERM");
    while ask(&[]).0 == Some(0) {}
    let (code, told) = ask(&[]);
    assert_eq!((code, told.ends_with("draining (503)\n")), (Some(1), true), "{told}");
    server.killed();
    let (code, told) = ask(&[]);
    assert_eq!((code, told.contains("no connection")), (Some(1), true), "{told}");
    let free = run(&mut fanfare(&["health", "--listen", "127.0.0.1:0"]));
    assert!(support::stderr(&free).contains("--url"));
}

#![cfg(test)]
//! The figures for Prometheus and the checks of readiness, at the running binary; and that the dashboard
//! asks for figures that there are.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::{Running, fanfare};
use testkit::{Client, Options, Request, Response, Transport, http_get, http_raw};

/// A server whose figures are served, and where.
fn observed(flags: &[&str]) -> (Running, String, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).args(flags);
    command.env("FANFARE_METRICS_ENABLED", "true").env("FANFARE_METRICS_LISTEN", "127.0.0.1:0");
    let server = Running::spawn(command, data.path());
    let banner = server.banner();
    let metrics = banner.split_whitespace().find(|word| word.ends_with("/metrics")).unwrap();
    let metrics = metrics.trim_end_matches("/metrics").to_owned();
    (server, metrics, data)
}

/// Each series and its value.
async fn scrape(url: &str) -> BTreeMap<String, f64> {
    let answer = http_get(&format!("{url}/metrics")).await.unwrap();
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

fn json_of(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

async fn ask(server: &Running, path: &str, key: Option<&str>) -> Response {
    let request = Request::new("GET", &format!("{}{path}", server.url()));
    let request = match key {
        Some(key) => request.header("Authorization", &format!("Bearer {key}")),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (server, url, _data) = observed(&[]);
    let mut clients = Vec::new();
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        clients.push(Client::connect(server.url(), Options::over(transport)).await.unwrap());
    }
    for client in &clients {
        client.emit_with_ack("room:join", [json!({"roomId": "r"})]).await.unwrap();
    }
    let answer = server.publish(json!({"event": "e", "rooms": ["r"]})).await;
    assert_eq!(answer.status, 200);
    for client in &mut clients {
        while client.next_event().await.unwrap().name != "e" {}
    }
    let series = scrape(&url).await;
    let of =
        |name: &str| series.get(name).copied().unwrap_or_else(|| panic!("{name}: {series:#?}"));
    for (name, value) in [
        ("realtime_active_connections{transport=\"polling\"}", 1.0),
        ("realtime_active_connections{transport=\"websocket\"}", 2.0),
        ("realtime_active_connections{transport=\"sse\"}", 0.0),
        ("realtime_connections_total{transport=\"polling\",status=\"opened\"}", 2.0),
        ("realtime_connections_total{transport=\"websocket\",status=\"opened\"}", 1.0),
        ("realtime_connections_total{transport=\"any\",status=\"refused\"}", 0.0),
        ("realtime_upgrades_total", 1.0),
        ("realtime_sockets", 3.0),
        ("realtime_messages_received_total", 3.0),
        ("realtime_log_ready", 1.0),
        ("realtime_memory_short", 0.0),
        ("realtime_undelivered_events", 0.0),
        ("realtime_undelivered_webhooks", 0.0),
        ("realtime_presence_updates_total", 0.0),
    ] {
        assert_eq!(of(name).total_cmp(&value), std::cmp::Ordering::Equal, "{name} is {}", of(name));
    }
    assert!(of("realtime_messages_sent_total") >= 3.0);
    let all = of("realtime_message_latency_seconds_count");
    assert!(all >= 1.0 && of("realtime_message_latency_seconds_bucket{le=\"+Inf\"}") >= all);
    assert!(of("process_resident_memory_bytes") > 1e6 && of("process_open_fds") > 5.0);

    let refused = ask(&server, "/v1/stats", None).await;
    assert_eq!(refused.status, 401);
    let stats = json_of(&ask(&server, "/v1/stats", Some(&server.key())).await);
    assert_eq!((&stats["sockets"], &stats["event_log"]["health"]), (&json!(3), &json!("ready")));
    assert_eq!(stats["load"]["memory_short"], json!(false));
}

/// No word of a client becomes a label: whatever they send, the number of series does not grow.
#[tokio::test]
async fn the_number_of_series_is_fixed() {
    let (server, url, _data) = observed(&["--limits-refusals", "1000"]);
    let play = async |round: usize| {
        let client = Client::connect(server.url(), Options::default()).await.unwrap();
        for n in 0..20 {
            let name = format!("canary-{round}-{n}");
            client.emit_with_ack("room:join", [json!({"roomId": name})]).await.unwrap();
            client.emit(&name, [json!(name)]).await.unwrap();
            server.publish(json!({"event": name, "rooms": [name]})).await;
            for path in [format!("/{name}"), format!("/socket.io/?EIO=4&transport={name}")] {
                let request = Request::new("GET", &format!("{}{path}", server.url()));
                request.header("User-Agent", &name).send().await.unwrap();
            }
        }
        client.disconnect().await.unwrap();
        while scrape(&url).await["realtime_active_connections{transport=\"websocket\"}"] > 0.0 {}
    };
    play(0).await;
    let before: BTreeSet<String> = scrape(&url).await.into_keys().collect();
    for round in 1..4 {
        play(round).await;
    }
    let after: BTreeSet<String> = scrape(&url).await.into_keys().collect();
    assert_eq!(before, after);
    assert!(after.iter().all(|series| !series.contains("canary")));
    assert!(after.len() < 200, "{}", after.len());
}

/// The figures are not at the address of the clients, and not for pages that lead a name of theirs here.
#[tokio::test]
async fn figures_are_for_operators() {
    let (server, url, _data) = observed(&[]);
    for path in ["/metrics", "/debug", "/debug/pprof", "/admin"] {
        assert_eq!(ask(&server, path, None).await.status, 404, "{path}");
    }
    for (method, path, host, status) in [
        ("GET", "/metrics", "localhost", 200),
        ("GET", "/metrics", "127.0.0.1:1", 200),
        ("GET", "/metrics", "[::1]:80", 200),
        ("HEAD", "/metrics", "localhost", 200),
        ("GET", "/health/ready", "localhost", 200),
        ("GET", "/metrics", "evil.example", 403),
        ("GET", "/metrics", "localhost.evil.example", 403),
        ("GET", "/health/ready", "127.0.0.1.evil.example:80", 403),
        ("GET", "/metrics", "localhost\r\nHost: evil.example", 403),
        ("GET", "/metrics", "", 403),
        ("POST", "/metrics", "localhost", 405),
        ("GET", "/", "localhost", 404),
        ("GET", "/v1/publish", "localhost", 404),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = http_raw(&url, head.as_bytes()).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{method} {path} {host:?}: {answer}");
    }
}

/// The word is for everybody; why is for who has the key, and for the address of the metrics.
#[tokio::test]
async fn readiness_says_what_it_looked_at() {
    let (server, url, _data) = observed(&[]);
    let told = ask(&server, "/health/ready", None).await;
    assert_eq!((told.status, told.text().as_str()), (200, r#"{"status":"healthy"}"#));
    let wrong = ask(&server, "/health/ready?verbose", Some("wrong")).await;
    assert_eq!(wrong.text(), r#"{"status":"healthy"}"#);
    let inside = json_of(&http_get(&format!("{url}/health/ready")).await.unwrap());
    let told = json_of(&ask(&server, "/health/ready", Some(&server.key())).await);
    for told in [inside, told] {
        let checks = told["checks"].as_object().unwrap();
        let names: Vec<&str> = checks.keys().map(String::as_str).collect();
        assert_eq!(names, ["connections", "event_log", "memory", "storage"]);
        assert!(checks.values().all(|check| check["status"] == "healthy"), "{told}");
        assert!(checks["memory"]["resident_bytes"].as_u64().unwrap() > 1_000_000);
    }
    // A memory limit below what is used: nobody new is let in, who is there stays.
    let (server, url, _data) = observed(&["--limits-memory", "4MiB"]);
    let degraded = async || {
        let told = json_of(&http_get(&format!("{url}/health/ready")).await.unwrap());
        told["checks"]["memory"]["status"] == "degraded" && told["status"] == "degraded"
    };
    while !degraded().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let refused = Client::connect(server.url(), Options::default()).await;
    assert!(matches!(refused, Err(testkit::Error::Http { status: 503, .. })), "{refused:?}");
}

/// Each figure that the dashboard asks for is there.
#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let (server, url, _data) = observed(&[]);
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let names: BTreeSet<String> = http_get(&format!("{url}/metrics"))
        .await
        .unwrap()
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            match kind {
                "counter" => vec![format!("{name}_total")],
                "histogram" => ["bucket", "sum", "count"].map(|it| format!("{name}_{it}")).to_vec(),
                _ => vec![name.to_owned()],
            }
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/grafana/fanfare.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let mut asked = BTreeSet::new();
    for target in targets.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default())
    {
        let text = target["expr"].as_str().unwrap().to_owned();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        asked.extend(
            words
                .filter(|it| it.starts_with("realtime_") || it.starts_with("process_"))
                .map(str::to_owned),
        );
    }
    assert!(asked.len() > 20, "{asked:?}");
    let missing: Vec<_> = asked.difference(&names).collect();
    assert!(missing.is_empty(), "{missing:?} of {names:#?}");
    drop(client);
}

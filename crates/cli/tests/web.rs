#![cfg(test)]
//! The pages: which paths have them, under which policy, for whom, and what is said when they were not
//! built in.

mod support;

use serde_json::{Value, json};
use support::Running;
use testkit::{Client, Options, Request, Response, http_get, http_raw};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; font-src 'self'; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Whether this binary was built with pages; without them it says so, which is tested too.
fn are_embedded(server: &Running) -> bool {
    !server.banner().contains("not built in")
}

fn assert_protected(path: &str, response: &Response) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{path}: {name}");
    }
}

#[tokio::test]
async fn known_paths_have_pages_and_no_others() {
    let server = Running::start(&["--livepoll-enabled=true"]);
    let embedded = are_embedded(&server);
    for path in [
        "/",
        "/join",
        "/join/",
        "/join/ABC234",
        "/host",
        "/host/ses_x",
        "/host/ses_x/present",
        "/console",
        "/join/%3Cscript%3E",
    ] {
        let response = http_get(&format!("{}{path}", server.url())).await.unwrap();
        assert_eq!(response.status, if embedded { 200 } else { 404 }, "{path}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_protected(path, &response);
        assert!(!response.text().contains("script>alert"), "{path}");
        if !embedded {
            assert!(response.text().contains("cargo xtask web"), "{}", response.text());
        }
    }
    for path in ["/index.html", "/host/a/b", "/join/a/b", "/assets", "/assets/x.js", "/favicon.ico"]
    {
        let response = http_get(&format!("{}{path}", server.url())).await.unwrap();
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    }
    if embedded {
        let post = Request::new("POST", &format!("{}/host", server.url())).send().await.unwrap();
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    }
}

#[tokio::test]
async fn files_of_the_pages_are_kept_for_ever_and_the_document_is_asked_for_again() {
    let server = Running::start(&["--livepoll-enabled=true"]);
    if !are_embedded(&server) {
        return; // the other tests show what is said then
    }
    let url = |path: &str| format!("{}{path}", server.url());
    let document = http_get(&url("/host")).await.unwrap();
    let text = document.text();
    assert_eq!(document.header("cache-control"), Some("no-cache"));
    let etag = document.header("etag").unwrap();
    let again =
        Request::new("GET", &url("/host")).header("If-None-Match", etag).send().await.unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_protected("/host again", &again);
    // Nothing inline: the policy would stop it.
    assert!(!text.contains("<style") && !text.contains("style="), "{text}");
    assert_eq!(
        text.matches("<script").count(),
        text.matches("<script type=\"module\" crossorigin src=").count()
    );
    let files: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(files.len() >= 3, "{text}");
    for file in files {
        let response = http_get(&url(file)).await.unwrap();
        let kind = match file.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!((response.status, response.header("content-type")), (200, Some(kind)), "{file}");
        let cache = "public, max-age=31536000, immutable";
        assert_eq!(response.header("cache-control"), Some(cache), "{file}");
        assert_protected(file, &response);
        let small =
            Request::new("GET", &url(file)).header("Accept-Encoding", "br").send().await.unwrap();
        assert_eq!(small.header("content-encoding"), Some("br"), "{file}");
        assert!(small.body.len() < response.body.len(), "{file}");
    }
}

#[tokio::test]
async fn the_pages_know_where_the_sockets_are() {
    let server =
        Running::start(&["--livepoll-enabled=true", "--path=/live", "--livepoll-namespace=/votes"]);
    if !are_embedded(&server) {
        return;
    }
    let text = http_get(&format!("{}/", server.url())).await.unwrap().text();
    assert!(text.contains("name=\"fanfare-path\" content=\"/live\""), "{text}");
    assert!(text.contains("name=\"fanfare-namespace\" content=\"/votes\""), "{text}");
}

#[tokio::test]
async fn without_live_polling_there_is_only_the_console() {
    let server = Running::start(&[]);
    for path in ["/", "/join", "/host"] {
        let response = http_get(&format!("{}{path}", server.url())).await.unwrap();
        assert_eq!(response.status, 404, "{path}");
    }
    let console = http_get(&format!("{}/console", server.url())).await.unwrap();
    assert_eq!(console.header("content-type"), Some("text/html; charset=utf-8"));
}

/// Whether the console is shown to a request with these lines in its head.
async fn shows_console(server: &Running, head: &str) -> bool {
    let request = format!("GET /console HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n");
    let answer = http_raw(server.url(), request.as_bytes()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    // Built without pages, the page that says so is the console's.
    answer.contains("content-type: text/html; charset=utf-8")
}

#[tokio::test]
async fn the_console_is_for_whom_the_setting_says() {
    for (setting, head, expected) in [
        ("this-machine", "Host: 127.0.0.1", true),
        ("this-machine", "Host: localhost:3000", true),
        ("this-machine", "Host: console.example", false),
        ("this-machine", "Host: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.1", false),
        ("everybody", "Host: console.example", true),
        ("everybody", "Host: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.1", true),
        ("nobody", "Host: 127.0.0.1", false),
    ] {
        let server = Running::start(&[&format!("--console-serve={setting}")]);
        assert_eq!(shows_console(&server, head).await, expected, "{setting} {head}");
    }
}

#[tokio::test]
async fn the_start_prints_the_links() {
    let server = Running::start(&["--livepoll-enabled=true"]);
    let banner = server.banner();
    if are_embedded(&server) {
        for path in ["/host", "/", "/console"] {
            assert!(banner.contains(&format!("{}{path}\n", server.url())), "{path} in {banner}");
        }
    } else {
        assert!(banner.contains("cargo xtask web"), "{banner}");
    }
}

/// What an operator is told, as JSON.
async fn told(server: &Running, path: &str) -> Value {
    let request = Request::new("GET", &format!("{}{path}", server.url()));
    let key = format!("Bearer {}", server.key());
    let response = request.header("Authorization", &key).send().await.unwrap();
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test]
async fn operators_are_told_what_is_there_now() {
    let server = Running::start(&["--livepoll-enabled=true"]);
    for path in ["/v1/nodes", "/v1/live/rooms", "/v1/live/sockets"] {
        let response = http_get(&format!("{}{path}", server.url())).await.unwrap();
        assert_eq!(response.status, 401, "{path}");
    }
    let nodes = told(&server, "/v1/nodes").await;
    let node = &nodes["nodes"][0];
    assert_eq!(
        (node["this"].as_bool(), node["sockets"].as_u64()),
        (Some(true), Some(0)),
        "{nodes}"
    );
    let names: Vec<_> =
        node["namespaces"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["/", "/livepoll"]);

    let mut clients = Vec::new();
    for place in 0..5 {
        let client = Client::connect(server.url(), Options::default()).await.unwrap();
        for room in ["all".to_owned(), format!("own:{place}")] {
            let joined = client.emit_with_ack("room:join", [json!({ "roomId": room })]).await;
            assert_eq!(joined.unwrap().args[0]["ok"], true);
        }
        clients.push(client);
    }
    let rooms = told(&server, "/v1/live/rooms?limit=2").await;
    assert_eq!(rooms["rooms"][0], json!({ "room": "all", "sockets": 5 }), "{rooms}");
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 2);
    let own = told(&server, "/v1/live/rooms?contains=own%3A").await;
    assert_eq!((own["rooms"].as_array().unwrap().len(), own["matching"].as_u64()), (5, Some(5)));
    let sockets = told(&server, "/v1/live/sockets?limit=3").await;
    assert_eq!(
        (sockets["sockets"].as_array().unwrap().len(), sockets["total"].as_u64()),
        (3, Some(5))
    );
    let rooms = sockets["sockets"][0]["rooms"].as_array().unwrap();
    assert!(rooms.contains(&Value::from("all")), "{sockets}");
    for path in
        ["/v1/live/rooms?namespace=/none", "/v1/live/rooms?room=x", "/v1/live/sockets?limit=-1"]
    {
        assert_eq!(told(&server, path).await["ok"], false, "{path}");
    }
}

#[tokio::test]
async fn the_history_of_live_polling_is_for_operators_only() {
    let server = Running::start(&["--livepoll-enabled=true"]);
    let path = "/v1/rooms/session%3Ax/history?namespace=%2Flivepoll";
    let stranger = http_get(&format!("{}{path}", server.url())).await.unwrap();
    let refused: Value = serde_json::from_slice(&stranger.body).unwrap();
    assert_eq!(refused["ok"], false, "{refused}");
    assert_eq!(told(&server, path).await["events"], Value::Array(Vec::new()));
}

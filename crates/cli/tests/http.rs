#![cfg(test)]
//! The HTTP side of the running binary: publishing, health, the client bundle, and what is refused.

mod support;

use serde_json::{Value, json};
use support::{Running, is_published};
use testkit::{Client, Options, Request, Response, http_get, http_raw};

/// The code of a refusal; asserts that it has the shape all refusals have.
fn code_of(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let error = &body["error"];
    assert_eq!(body["ok"], false, "{body}");
    assert!(error["message"].is_string() && error["details"].is_object(), "{body}");
    let timestamp = error["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    error["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn health_says_ok_and_unknown_paths_are_refused() {
    let server = Running::start(&[]);
    let response = http_get(&format!("{}/health", server.url())).await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"status":"ok"}"#));
    let response = http_get(&format!("{}/nothing", server.url())).await.unwrap();
    assert_eq!((response.status, code_of(&response).as_str()), (404, "NOT_FOUND"));
    let post = Request::new("POST", &format!("{}/health", server.url())).send().await.unwrap();
    assert_eq!((post.status, code_of(&post).as_str()), (405, "METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn without_the_key_every_answer_is_the_same() {
    let server = Running::start(&[]);
    let url = format!("{}/v1/publish", server.url());
    let key = server.key();
    let post = |url: &str| Request::new("POST", url).header("Content-Type", "application/json");
    let body = json!({"event": "e", "all": true}).to_string();
    let wrong_case =
        key.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c });
    let wrong_case: String = wrong_case.collect();
    for (name, request) in [
        ("no key", post(&url)),
        ("key in the query", post(&format!("{url}?api_key={key}"))),
        ("empty", post(&url).header("Authorization", "")),
        ("no scheme", post(&url).header("Authorization", &key)),
        ("other scheme", post(&url).header("Authorization", &format!("Basic {key}"))),
        ("empty key", post(&url).header("Authorization", "Bearer ")),
        ("part", post(&url).header("Authorization", &format!("Bearer {}", &key[..31]))),
        ("longer", post(&url).header("Authorization", &format!("Bearer {key}x"))),
        ("other case", post(&url).header("Authorization", &format!("Bearer {wrong_case}"))),
        (
            "twice",
            post(&url)
                .header("Authorization", &format!("Bearer {key}"))
                .header("Authorization", "Bearer other"),
        ),
    ] {
        // Also with a body nobody reads, and one that is no JSON.
        for body in [body.as_str(), "{"] {
            let response = request.clone().body(body.to_owned()).send().await.unwrap();
            assert_eq!(response.status, 401, "{name}");
            assert_eq!(code_of(&response), "AUTH_REQUIRED", "{name}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"), "{name}");
        }
    }
    let with_query =
        post(&format!("{url}?debug=1")).header("Authorization", &format!("Bearer {key}"));
    let response = with_query.body(body).send().await.unwrap();
    assert_eq!((response.status, code_of(&response).as_str()), (400, "INVALID_REQUEST"));
    let answer = server.publish(json!({"event": "e", "all": true})).await.text();
    assert!(is_published(&answer), "{answer}");
}

#[tokio::test]
async fn bad_bodies_are_refused_and_the_next_request_is_served() {
    let server = Running::start(&["--max-payload", "1kB"]);
    let long = "e".repeat(257);
    for (body, field) in [
        (json!({"event": "e"}), "rooms"),
        (json!({"event": "e", "rooms": []}), "rooms"),
        (json!({"event": "e", "rooms": null}), "rooms"),
        (json!({"event": "e", "rooms": "a"}), "rooms"),
        (json!({"event": "e", "rooms": ["a"], "all": true}), "rooms"),
        (json!({"event": "e", "users": []}), "users"),
        (json!({"event": "e", "users": [1]}), "users"),
        (json!({"event": "e", "all": false}), "all"),
        (json!({"event": "disconnect", "all": true}), "event"),
        (json!({"event": "", "all": true}), "event"),
        (json!({"event": long, "all": true}), "event"),
        (json!({"event": "a\r\nb", "all": true}), "event"),
        (json!({"event": "e", "all": true, "args": 1}), "args"),
        (json!({"event": "e", "all": true, "namespace": "/elsewhere"}), "namespace"),
    ] {
        let response = server.publish(body.clone()).await;
        assert_eq!(response.status, 400, "{body}");
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer["error"]["details"]["field"], field, "{body}");
        code_of(&response);
    }
    let unknown = server.publish(json!({"event": "e", "room": ["a"]})).await;
    assert_eq!((unknown.status, code_of(&unknown).as_str()), (400, "INVALID_REQUEST"));
    assert_eq!(server.publish(json!({"event": "e", "rooms": ["a"]})).await.status, 200);
}

#[tokio::test]
async fn figures_are_for_who_has_the_key() {
    let server = Running::start(&[]);
    let url = format!("{}/v1/stats", server.url());
    let response = http_get(&url).await.unwrap();
    assert_eq!((response.status, code_of(&response).as_str()), (401, "AUTH_REQUIRED"));
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let request =
        Request::new("GET", &url).header("Authorization", &format!("Bearer {}", server.key()));
    let response = request.send().await.unwrap();
    let figures: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((&figures["sessions"], &figures["sockets"]), (&json!(1), &json!(1)), "{figures}");
    assert!(!figures.to_string().contains(client.engine_sid()));
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_type_are_not_read() {
    let server = Running::start(&["--max-payload", "1kB"]);
    let (key, url) = (server.key(), format!("{}/v1/publish", server.url()));
    let fits = |total: usize| {
        let empty = json!({"event": "e", "all": true, "args": [""]}).to_string();
        let filler = "x".repeat(total - empty.len());
        json!({"event": "e", "all": true, "args": [filler]}).to_string()
    };
    assert_eq!(server.publish_raw(&key, fits(1_000).as_bytes()).await.status, 200);
    let response = server.publish_raw(&key, fits(1_001).as_bytes()).await;
    assert_eq!((response.status, code_of(&response).as_str()), (413, "PAYLOAD_TOO_LARGE"));

    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
                        Connection: close\r\nContent-Type: application/json\r\n"
    );
    let announced = format!("{head}Content-Length: 999999999\r\n\r\n");
    let answer = http_raw(server.url(), announced.as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3));
    let answer = http_raw(server.url(), chunked.as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));

    let body = json!({"event": "e", "all": true}).to_string();
    let request = || Request::new("POST", &url).header("Authorization", &format!("Bearer {key}"));
    for (header, value) in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/jsonx"),
        ("X-Nothing", "no content type at all"),
    ] {
        let response = request().header(header, value).body(body.clone()).send().await.unwrap();
        assert_eq!((response.status, code_of(&response).as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    }
    let zipped =
        request().header("Content-Type", "application/json").header("Content-Encoding", "gzip");
    assert_eq!(zipped.body(body.clone()).send().await.unwrap().status, 415);
    let charset = request().header("Content-Type", "Application/JSON; charset=utf-8");
    assert_eq!(charset.body(body).send().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let server = Running::start(&["--http-body-timeout", "50ms"]);
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{\"event\"",
        server.key()
    );
    let answer = http_raw(server.url(), head.as_bytes()).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn methods_other_than_post_do_not_publish() {
    let server = Running::start(&[]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let url = format!("{}/v1/publish", server.url());
        let response = Request::new(method, &url).send().await.unwrap();
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[tokio::test]
async fn the_client_bundle_is_served_as_node_serves_it_or_its_absence_is_said() {
    let server = Running::start(&[]);
    let url = format!("{}/socket.io/socket.io.js", server.url());
    let plain = http_get(&url).await.unwrap();
    let Some((_, rest)) = server.banner().split_once("socket.io.js (version ") else {
        assert_eq!((plain.status, code_of(&plain).as_str()), (404, "NO_CLIENT_BUNDLE"));
        return;
    };
    let etag = format!("\"{}\"", rest.split(')').next().unwrap());
    assert_eq!(plain.status, 200);
    for (name, value) in [
        ("etag", etag.as_str()),
        ("cache-control", "public, max-age=0"),
        ("content-type", "application/javascript; charset=utf-8"),
    ] {
        assert_eq!(plain.header(name), Some(value), "{name}");
    }
    assert!(plain.text().contains(&format!("Socket.IO v{}", etag.trim_matches('"'))));
    for (accept, encoding) in
        [("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0", ""), ("deflate", "")]
    {
        let response =
            Request::new("GET", &url).header("Accept-Encoding", accept).send().await.unwrap();
        assert_eq!(response.header("content-encoding").unwrap_or(""), encoding, "{accept}");
        assert_eq!(response.body.len() < plain.body.len() / 3, !encoding.is_empty(), "{accept}");
    }
    for known in [etag.clone(), format!("W/{etag}")] {
        let response =
            Request::new("GET", &url).header("If-None-Match", &known).send().await.unwrap();
        assert_eq!((response.status, response.body.len()), (304, 0), "{known}");
    }
    for name in ["socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"] {
        for (suffix, kind) in [("", "javascript"), (".map", "json")] {
            let response =
                http_get(&format!("{}/socket.io/{name}{suffix}?v=1", server.url())).await.unwrap();
            let expected = format!("application/{kind}; charset=utf-8");
            assert_eq!(
                (response.status, response.header("content-type")),
                (200, Some(expected.as_str()))
            );
        }
    }
}

#[tokio::test]
async fn the_client_bundle_can_be_left_out() {
    let server = Running::start(&["--serve-client=false"]);
    let response = http_get(&format!("{}/socket.io/socket.io.js", server.url())).await.unwrap();
    assert!(response.status == 400 || response.status == 404, "{}", response.status);
}

/// Every route of the description, as one without the key, with a user's token and with a wrong key.
#[tokio::test]
async fn no_route_for_backends_is_open() {
    let server = Running::start(&["--auth-jwt-secret", "tokens-of-this-test-are-signed-so"]);
    let mint = services::Mint {
        subject: "7".to_owned(),
        lifetime: std::time::Duration::from_secs(600),
        claims: serde_json::Map::new(),
    };
    let token = services::mint("tokens-of-this-test-are-signed-so", mint).unwrap();
    let described = http_get(&format!("{}/v1/openapi.json", server.url())).await.unwrap();
    let described: Value = serde_json::from_slice(&described.body).unwrap();
    let mut routes = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        // These two are for users too, who may be refused as such.
        if !path.starts_with("/v1/")
            || ["/v1/rooms/{room}/history", "/v1/sse"].contains(&path.as_str())
        {
            continue;
        }
        let target = path.replace("{room}", "r").replace("{id}", "7");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_ascii_uppercase();
            for (who, secret) in [("nobody", ""), ("a user", &*token), ("a wrong key", "wrong")] {
                let mut request = Request::new(&method, &format!("{}{target}", server.url()))
                    .header("Content-Type", "application/json");
                if !secret.is_empty() {
                    request = request.header("Authorization", &format!("Bearer {secret}"));
                }
                let answer = request.body("{}").send().await.unwrap();
                assert_eq!(
                    (answer.status, code_of(&answer).as_str()),
                    (401, "AUTH_REQUIRED"),
                    "{method} {target} of {who}"
                );
                routes += 1;
            }
        }
    }
    assert!(routes > 60, "{routes}");
}

/// Each key holds, has a limit of its own, and is in no log and no page of the settings.
#[tokio::test]
async fn several_keys_have_limits_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let mut command = support::fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).envs([
        ("FANFARE_API_KEY", "the-key-of-the-chat"),
        ("FANFARE_API_KEYS", "the-key-of-the-tasks,the-key-of-the-jobs"),
        ("FANFARE_LIMITS_API_PER_SECOND", "1"),
        ("FANFARE_LIMITS_API_BURST", "10"),
        ("FANFARE_LOG_LEVEL", "trace"),
    ]);
    let server = Running::spawn(command, data.path());
    let ask = async |key: &str| {
        let request = Request::new("GET", &format!("{}/v1/rooms", server.url()));
        let request = request.header("Authorization", &format!("Bearer {key}"));
        request.send().await.unwrap()
    };
    for wrong in ["the-key-of-the-tasks,the-key-of-the-jobs", "the-key-of", "", ","] {
        assert_eq!(ask(wrong).await.status, 401, "{wrong}");
    }
    let mut last = ask("the-key-of-the-tasks").await;
    for _ in 0..20 {
        last = ask("the-key-of-the-tasks").await;
    }
    assert_eq!((last.status, code_of(&last).as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert!(last.header("retry-after").is_some());
    for other in ["the-key-of-the-chat", "the-key-of-the-jobs"] {
        assert_eq!(ask(other).await.status, 200, "{other}");
    }
    assert!(!server.killed().contains("the-key-of"));
}

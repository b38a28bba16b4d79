#![cfg(test)]
//! The history of a room, as the running binary gives it: over HTTP, and to clients in an ack.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Running;
use testkit::{Client, Options, Request, Response, http_get};

fn url(server: &Running, room_and_query: &str) -> String {
    let (room, query) = room_and_query.split_once('?').unwrap_or((room_and_query, ""));
    format!("{}/v1/rooms/{room}/history?{query}", server.url())
}

/// What a client without a key is answered.
async fn get(server: &Running, room_and_query: &str) -> (u16, Value) {
    answer(&http_get(&url(server, room_and_query)).await.unwrap())
}

fn answer(response: &Response) -> (u16, Value) {
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

async fn page(server: &Running, room_and_query: &str) -> Value {
    let (status, page) = get(server, room_and_query).await;
    assert_eq!(status, 200, "{room_and_query} {page}");
    page
}

async fn publish(server: &Running, room: &str, args: Value) -> String {
    let body = json!({ "event": "said", "args": args, "rooms": [room] });
    let response = server.publish(body).await;
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    answer["position"].as_str().unwrap().to_owned()
}

/// The first argument of each event of a page.
fn firsts(page: &Value) -> Vec<i64> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["args"][0].as_i64().unwrap()).collect()
}

async fn ask(client: &Client, question: Value) -> Value {
    client.emit_with_ack("history", [question]).await.unwrap().args.remove(0)
}

#[tokio::test]
async fn a_room_is_read_page_by_page_in_both_directions() {
    let server = Running::start(&[]);
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(publish(&server, "news", json!([number])).await);
        publish(&server, "other", json!([number])).await;
    }
    server.publish(json!({ "event": "all", "all": true })).await;
    let newest = page(&server, "news").await;
    assert_eq!(firsts(&newest), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!((&newest["ok"], &newest["room"]), (&json!(true), &json!("news")));
    assert_eq!(newest["next"], Value::Null);
    let event = &newest["events"][0];
    assert_eq!((&event["position"], &event["event"]), (&json!(positions[9]), &json!("said")));
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    for (order, from) in [("asc", "after"), ("desc", "before")] {
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let at = next.map_or_else(String::new, |next: String| format!("&{from}={next}"));
            let page = page(&server, &format!("news?order={order}&limit=3{at}")).await;
            seen.extend(firsts(&page));
            next = page["next"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        let mut expected: Vec<i64> = (0..10).collect();
        if order == "desc" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
    let since = page(&server, &format!("news?after={}", positions[7])).await;
    assert_eq!(firsts(&since), [8, 9], "oldest first, since it goes on from there");
    let nothing = page(&server, &format!("news?after={}", since["head"].as_str().unwrap())).await;
    assert_eq!((firsts(&nothing), &nothing["next"]), (vec![], &Value::Null));
    assert_eq!(nothing["head"], since["head"]);
}

/// The arguments are what was published, to the byte.
#[tokio::test]
async fn arguments_are_told_as_they_were_published() {
    let server = Running::start(&[]);
    let body = br#"{"event":"e","args":[1.0,1e2,{"a":1,"a":2},"\u00e9\ud800"],"rooms":["a"]}"#;
    assert_eq!(server.publish_raw(&server.key(), body).await.status, 200);
    let text = http_get(&url(&server, "a")).await.unwrap().text();
    assert!(text.contains(r#""args":[1.0,1e2,{"a":1,"a":2},"\u00e9\ud800"]"#), "{text}");
}

/// Who may not be in a room reads no history of it, however the name is written; the name is decoded
/// once and then compared.
#[tokio::test]
async fn access_is_that_of_joining() {
    let server = Running::start(&["--namespaces", "/,/chat"]);
    let key = format!("Bearer {}", server.key());
    server.publish(json!({ "event": "e", "args": [1], "users": ["7"] })).await;
    publish(&server, "a%62", json!([2])).await;
    publish(&server, "a/../b", json!([3])).await;
    let body = json!({ "event": "e", "args": [4], "rooms": ["ab"], "namespace": "/chat" });
    server.publish(body).await;
    for (room, client, backend) in [
        ("user:7", Err("PERMISSION_DENIED"), Ok(vec![1])),
        ("user%3a7", Err("PERMISSION_DENIED"), Ok(vec![1])),
        ("%75ser:7", Err("PERMISSION_DENIED"), Ok(vec![1])),
        ("user%253a7", Ok(vec![]), Ok(vec![])), // another name
        ("PWuJ1IT4M4LrwHUgAAAA", Err("PERMISSION_DENIED"), Ok(vec![])),
        ("a%2562", Ok(vec![2]), Ok(vec![2])),
        ("ab", Ok(vec![]), Ok(vec![])),
        ("ab?namespace=/chat", Ok(vec![4]), Ok(vec![4])),
        ("ab?namespace=%2Fchat", Ok(vec![4]), Ok(vec![4])),
        ("a%2f..%2fb", Ok(vec![3]), Ok(vec![3])),
        ("%24system", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("%2a", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("a%23b", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("a%00", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("a%20b", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("%ff", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
        ("r%C3%B6om", Err("INVALID_MESSAGE"), Err("INVALID_MESSAGE")),
    ] {
        let asked = Request::new("GET", &url(&server, room));
        for (request, expected) in
            [(asked.clone(), client), (asked.header("Authorization", &key), backend)]
        {
            let (status, answer) = answer(&request.send().await.unwrap());
            match expected {
                Ok(expected) => assert_eq!(firsts(&answer), expected, "{room} {answer}"),
                Err(code) => {
                    assert_eq!(answer["error"]["code"], code, "{room} {answer}");
                    let expected = if code == "INVALID_MESSAGE" { 400 } else { 403 };
                    assert_eq!(status, expected, "{room}");
                }
            }
        }
    }
    // A wrong key is not taken for none.
    let wrong = Request::new("GET", &url(&server, "ab")).header("Authorization", "Bearer x");
    assert_eq!(wrong.send().await.unwrap().status, 401);
    let post = Request::new("POST", &url(&server, "ab")).send().await.unwrap();
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let head = Request::new("HEAD", &url(&server, "ab")).send().await.unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let long = get(&server, &"r".repeat(256)).await;
    assert_eq!((long.0, &long.1["error"]["code"]), (400, &json!("INVALID_MESSAGE")));
}

#[tokio::test]
async fn bad_questions_name_the_field() {
    let server = Running::start(&[]);
    let first = publish(&server, "a", json!([1])).await;
    for (query, code, field) in [
        ("limit=-1".to_owned(), "INVALID_REQUEST", json!("limit")),
        ("limit=NaN".to_owned(), "INVALID_REQUEST", json!("limit")),
        ("after=x".to_owned(), "INVALID_REQUEST", json!("after")),
        (format!("after={first}&before={first}"), "INVALID_REQUEST", json!("before")),
        ("wait=20s".to_owned(), "INVALID_REQUEST", json!("wait")),
        ("limit=5&limit=5".to_owned(), "INVALID_REQUEST", Value::Null),
        ("from=5".to_owned(), "INVALID_REQUEST", Value::Null),
        ("namespace=/other".to_owned(), "UNKNOWN_NAMESPACE", json!("namespace")),
    ] {
        let (status, answer) = get(&server, &format!("a?{query}")).await;
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{query}");
        assert_eq!(error["details"]["field"], field, "{query}");
        assert!(error["details"]["expected"].is_string() || error["details"]["fields"].is_array());
    }
}

/// What came after a position and is not there any more is never left out in silence.
#[tokio::test]
async fn a_position_that_cannot_be_resumed_is_gone() {
    let server = Running::start(&["--event-log-max-events", "5", "--event-log-kind", "memory"]);
    let mut positions = Vec::new();
    for number in 0..20 {
        positions.push(publish(&server, "a", json!([number])).await);
    }
    let gone = |reason: &'static str, after: String| {
        let server = &server;
        async move {
            let begun = Instant::now();
            loop {
                let (status, answer) = get(server, &format!("a?after={after}")).await;
                let error = &answer["error"];
                if status == 410 {
                    assert_eq!(error["code"], "POSITION_GONE", "{answer}");
                    assert_eq!(error["details"]["reason"], reason, "{answer}");
                    assert_eq!(error["details"]["field"], "after", "{answer}");
                    return error["details"]["head"].as_str().unwrap().to_owned();
                }
                // It is trimmed every second.
                assert!(begun.elapsed() < Duration::from_secs(20), "{answer}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let head = gone("trimmed", positions[3].clone()).await;
    assert_eq!(head, positions[19]);
    gone("epoch_changed", format!("AAAAAAAAAAA{}", &head[11..])).await;
    gone("ahead", format!("{}.zzzz", &head[..11])).await;
    assert_eq!(firsts(&page(&server, &format!("a?after={}", positions[17])).await), [18, 19]);
    let oldest = page(&server, "a?order=asc").await;
    assert_eq!(firsts(&oldest), [15, 16, 17, 18, 19], "without a position nothing is missing");
}

#[tokio::test]
async fn what_is_not_recorded_has_no_history() {
    let server = Running::start(&["--event-log-kind", "off"]);
    let (status, answer) = get(&server, "a").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("NO_HISTORY")));
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let answer = ask(&client, json!({ "roomId": "a" })).await;
    assert_eq!(answer["error"]["code"], "NO_HISTORY");
    let server = Running::start(&["--event-log-ephemeral", "cursor:*"]);
    assert_eq!(get(&server, "cursor:1").await.0, 404);
    assert_eq!(get(&server, "cursors").await.0, 200);
}

/// A request with nothing to tell yet is held until something comes, or until its time is over.
#[tokio::test]
async fn a_request_waits_for_what_comes() {
    let server = Running::start(&[]);
    let first = publish(&server, "a", json!([1])).await;
    let empty = page(&server, &format!("a?after={first}&wait=100ms")).await;
    assert_eq!((firsts(&empty), &empty["head"]), (vec![], &json!(first)));
    let at_once = page(&server, &format!("a?after={}.A&wait=60s", &first[..11])).await;
    assert_eq!(firsts(&at_once), [1]);

    let waiting = Request::new("GET", &url(&server, &format!("a?after={first}&wait=60s")));
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(waiting.start().await.unwrap());
    }
    publish(&server, "b", json!([0])).await;
    publish(&server, "a", json!([2])).await;
    for exchange in &mut held {
        let (status, page) = answer(&exchange.response().await.unwrap());
        assert_eq!((status, firsts(&page)), (200, vec![2]), "{page}");
    }
}

/// A server that stops answers those who wait.
#[cfg(unix)]
#[tokio::test]
async fn a_server_that_stops_answers_those_who_wait() {
    let server = Running::start(&[]);
    let first = publish(&server, "a", json!([1])).await;
    let waiting = Request::new("GET", &url(&server, &format!("a?after={first}&wait=60s")));
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(waiting.start().await.unwrap());
    }
    // One that the server has read proves that it has read those before, more or less: what was
    // not read yet is answered all the same.
    page(&server, "a").await;
    server.signal("TERM");
    for exchange in &mut held {
        let (status, page) = answer(&exchange.response().await.unwrap());
        assert_eq!((status, firsts(&page), &page["head"]), (200, vec![], &json!(first)));
    }
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
}

#[tokio::test]
async fn clients_ask_in_an_event() {
    let server = Running::start(&["--namespaces", "/,/chat"]);
    let mut client = Client::connect(server.url(), Options::default()).await.unwrap();
    let mut positions = Vec::new();
    for number in 0..5 {
        positions.push(publish(&server, "news", json!([number])).await);
    }
    let newest = ask(&client, json!({ "roomId": "news", "limit": 2 })).await;
    assert_eq!((firsts(&newest), &newest["room"]), (vec![4, 3], &json!("news")));
    assert_eq!(newest["next"], json!(positions[3]));
    let question = json!({ "roomId": "news", "limit": 2, "before": newest["next"] });
    assert_eq!(firsts(&ask(&client, question).await), [2, 1]);
    let since = ask(&client, json!({ "roomId": "news", "after": positions[2] })).await;
    assert_eq!((firsts(&since), &since["head"]), (vec![3, 4], &json!(positions[4])));

    // Its own room is one that it is in; others' are not.
    let other = Client::connect(server.url(), Options::default()).await.unwrap();
    publish(&server, client.id(), json!([7])).await;
    let own = ask(&client, json!({ "roomId": client.id() })).await;
    assert_eq!(firsts(&own), [7]);
    for (question, code) in [
        (json!({ "roomId": other.id() }), "PERMISSION_DENIED"),
        (json!({ "roomId": "user:7" }), "PERMISSION_DENIED"),
        (json!({ "roomId": "" }), "INVALID_MESSAGE"),
        (json!({ "roomId": 7 }), "INVALID_MESSAGE"),
        (json!("news"), "INVALID_MESSAGE"),
        (json!({ "room": "news" }), "INVALID_MESSAGE"),
        (json!({ "roomId": "news", "limit": 0 }), "INVALID_REQUEST"),
        (json!({ "roomId": "news", "since": 0 }), "INVALID_REQUEST"),
        (json!({ "roomId": "news", "after": "x" }), "INVALID_REQUEST"),
        (
            json!({ "roomId": "news", "after": format!("AAAAAAAAAAA{}", &positions[0][11..]) }),
            "POSITION_GONE",
        ),
    ] {
        let answer = ask(&client, question.clone()).await;
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)));
    }
    let options = Options::default().namespace("/chat");
    let chat = Client::connect(server.url(), options).await.unwrap();
    assert_eq!(firsts(&ask(&chat, json!({ "roomId": "news" })).await), Vec::<i64>::new());

    ask(&client, json!({ "roomId": "news" })).await;
    client.take_events();
    client.emit("history", [json!({ "roomId": "news" })]).await.unwrap();
    let event = client.next_event().await.unwrap();
    assert_eq!((event.name.as_str(), &event.args[0]["code"]), ("error", &json!("INVALID_REQUEST")));
}

/// Pages of other origins may read it if the setting says so, and not unless.
#[tokio::test]
async fn other_origins_are_let_in_by_the_setting() {
    let strict = Running::start(&[]);
    let open = Running::start(&["--cors-origins", "https://one.example"]);
    for (server, origin, expected) in [
        (&strict, "https://one.example", None),
        (&open, "https://one.example", Some("https://one.example")),
        (&open, "https://two.example", None),
    ] {
        let request = Request::new("GET", &url(server, "a")).header("Origin", origin);
        let response = request.send().await.unwrap();
        assert_eq!(response.header("access-control-allow-origin"), expected, "{origin}");
    }
}

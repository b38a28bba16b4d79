//! What works: both databases over a kill, hostile names as texts, pages of other
//! origins, the description, and settings that cannot hold.

use serde_json::{Value, json};
use testkit::{Client, Options, Postgres, Request, http_get};

use crate::scene::{ON, Session, ask, done, send, server};
use crate::support::{Running, fanfare, run, stderr};

/// What was answered is there after `kill -9`, tokens hold, and the session goes on.
async fn survives(flags: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let flags = [&[ON], flags].concat();
    let server = Running::start_in(data.path(), &flags);
    let session = Session::started(&server).await;
    let draft = json!({ "question": "?", "kind": "single_choice", "options": ["a", "b"] });
    let poll = session.poll(&server, draft, &["activate"]).await;
    let (ada, bob) = (session.join(&server, "Ada").await, session.join(&server, "Bob").await);
    let votes = format!("/polls/{poll}/votes");
    let choose = |option: &str| json!({ "optionIds": [option] });
    done(&server, ("POST", &votes), Some(&ada), Some(&choose("opt_2"))).await;
    server.killed();

    let server = Running::start_in(data.path(), &flags);
    let (status, problem) =
        ask(&server, ("POST", &votes), Some(&ada), Some(&choose("opt_1"))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("ALREADY_VOTED")));
    done(&server, ("POST", &votes), Some(&bob), Some(&choose("opt_2"))).await;
    let results = session.results(&server, &poll).await;
    assert_eq!((&results["votes"], &results["options"][1]["votes"]), (&json!(2), &json!(2)));
    let path = format!("/sessions/{}/participants?limit=1", session.id);
    let people = done(&server, ("GET", &path), Some(&bob), None).await;
    assert_eq!(
        (&people["total"], people["participants"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    let screen = Options::default().namespace("/livepoll").auth(json!({ "token": session.token }));
    let mut screen = Client::connect(server.url(), screen).await.unwrap();
    done(&server, ("POST", &format!("/polls/{poll}/close")), Some(&session.token), None).await;
    let told = loop {
        let event = screen.next_event().await.unwrap().args.swap_remove(0);
        if event["eventType"] == "poll:closed" {
            break event;
        }
    };
    assert_eq!(told["payload"]["results"], session.results(&server, &poll).await);
    let ready = Request::new("GET", &format!("{}/health/ready", server.url()))
        .header("Authorization", &format!("Bearer {}", server.key()));
    let ready: Value = serde_json::from_slice(&ready.send().await.unwrap().body).unwrap();
    assert_eq!(ready["checks"]["livepoll"]["status"], "healthy", "{ready}");
}

#[tokio::test]
async fn sqlite_survives_a_kill() {
    survives(&[]).await;
}

#[tokio::test]
async fn postgresql_survives_a_kill() {
    let postgres = Postgres::start().unwrap();
    let url = format!("--livepoll-database={}", postgres.url());
    survives(&[&url]).await;
}

#[tokio::test]
async fn what_is_in_memory_is_gone_with_the_process() {
    let data = tempfile::tempdir().unwrap();
    let flags = [ON, "--event-log-kind", "memory"];
    let server = Running::start_in(data.path(), &flags);
    let session = Session::started(&server).await;
    assert!(!data.path().join("livepoll.db").exists());
    server.killed();
    let server = Running::start_in(data.path(), &flags);
    let path = format!("/sessions/{}", session.id);
    assert_eq!(ask(&server, ("GET", &path), Some(&session.token), None).await.0, 401);
}

#[tokio::test]
async fn hostile_names_are_texts() {
    let server = server(&[]);
    let session = Session::open(&server).await;
    let names = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'; DROP TABLE participants; --",
        "{{7*7}} ${7*7} %s%n",
        "=HYPERLINK(\"http://evil\")",
        "../../etc/passwd",
        "null",
        "👩‍👩‍👧‍👦 Ω≈ç√ 田中",
    ];
    for name in names {
        session.join(&server, name).await;
    }
    let path = format!("/sessions/{}/participants", session.id);
    let response = send(&server, ("GET", &path), Some(&session.token), None).await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let people: Value = serde_json::from_slice(&response.body).unwrap();
    let people = people["participants"].as_array().unwrap();
    let mut kept: Vec<_> = people.iter().map(|it| it["displayName"].as_str().unwrap()).collect();
    kept.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(kept, names);
}

#[tokio::test]
async fn it_is_off_unless_it_is_wanted() {
    let server = Running::start(&[]);
    for path in ["/sessions", "/sessions/join"] {
        let (status, answer) = ask(&server, ("POST", path), None, Some(&json!({}))).await;
        assert_eq!((status, &answer["error"]["code"]), (404, &json!("NOT_FOUND")));
    }
    let options = Options::default().namespace("/livepoll").auth(json!({ "token": "x" }));
    assert!(Client::connect(server.url(), options).await.is_err());
}

/// The description has all routes; what it calls by one name is one thing.
#[tokio::test]
async fn the_description_has_it_beside_the_rest() {
    let describe = async |server: &Running| -> Value {
        let answer = http_get(&format!("{}/v1/openapi.json", server.url())).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    };
    let (without, with) = (describe(&Running::start(&[])).await, describe(&server(&[])).await);
    let names = |description: &Value, part: &str| -> Vec<String> {
        let part = description.pointer(part).unwrap().as_object().unwrap();
        part.keys().cloned().collect()
    };
    let (before, after) = (names(&without, "/paths"), names(&with, "/paths"));
    let ours: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(
        ours,
        [
            "/polls/{pollId}",
            "/polls/{pollId}/activate",
            "/polls/{pollId}/close",
            "/polls/{pollId}/results",
            "/polls/{pollId}/votes",
            "/sessions",
            "/sessions/join",
            "/sessions/{id}",
            "/sessions/{id}/end",
            "/sessions/{id}/participants",
            "/sessions/{id}/polls",
            "/sessions/{id}/polls/order",
            "/sessions/{id}/results.csv",
            "/sessions/{id}/start",
        ]
    );
    let page = include_str!("../../../../docs/livepoll.md");
    let taken = names(&without, "/components/schemas");
    for path in ours {
        for (method, operation) in with["paths"][path].as_object().unwrap() {
            let method = method.to_uppercase();
            assert!(
                page.contains(&format!("| `{method} {path}")),
                "{method} {path} is not on the page"
            );
            for name in references(operation, &with) {
                assert!(!taken.contains(&name), "{method} {path}: {name} is another thing too");
            }
        }
    }
}

/// The schemas that something refers to, also by way of others.
fn references(value: &Value, description: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => waiting.extend(fields.values()),
            Value::Array(items) => waiting.extend(items),
            Value::String(text) => {
                let name = text.strip_prefix("#/components/schemas/").map(str::to_owned);
                if let Some(name) = name.filter(|name| !found.contains(name)) {
                    waiting.push(&description["components"]["schemas"][&name]);
                    found.push(name);
                }
            }
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_read() {
    let server = server(&["--cors-origins", "https://polls.example"]);
    let ask_first = |origin: &str| {
        Request::new("OPTIONS", &format!("{}/sessions", server.url()))
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type")
    };
    let answer = ask_first("https://polls.example").send().await.unwrap();
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://polls.example"),
        ("access-control-allow-headers", "authorization,content-type"),
        ("access-control-allow-methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let stranger = ask_first("https://evil.example").send().await.unwrap();
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    for (origin, expected) in
        [("https://polls.example", Some("https://polls.example")), ("https://evil.example", None)]
    {
        let answer = Request::new("GET", &format!("{}/sessions/ses_0", server.url()))
            .header("Origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, expected));
    }
    // Without the setting there is no word of it.
    let server = crate::scene::server(&[]);
    let answer = http_get(&format!("{}/sessions/ses_0", server.url())).await.unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_happens_is_counted() {
    let server = server(&["--metrics-enabled=true", "--metrics-listen", "127.0.0.1:0"]);
    let session = Session::started(&server).await;
    let ada = session.join(&server, "Ada").await;
    let draft = json!({ "question": "?", "kind": "rating" });
    let poll = session.poll(&server, draft, &["activate"]).await;
    for value in [5, 6, 1] {
        let (path, vote) = (format!("/polls/{poll}/votes"), json!({ "value": value }));
        ask(&server, ("POST", &path), Some(&ada), Some(&vote)).await;
    }
    let banner = server.banner();
    let line = banner.lines().find(|line| line.trim().starts_with("metrics")).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http")).unwrap();
    let metrics = http_get(url).await.unwrap().text();
    for line in [
        "realtime_livepoll_sessions_total 1",
        "realtime_livepoll_joins_total 1",
        "realtime_livepoll_votes_total 1",
        "realtime_livepoll_refused_total{code=\"INVALID_VOTE\"} 1",
        "realtime_livepoll_refused_total{code=\"ALREADY_VOTED\"} 1",
        "realtime_livepoll_connected 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in {metrics}");
    }
    let page = include_str!("../../../../docs/livepoll.md");
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE realtime_livepoll_")) {
        let name = name.split(' ').next().unwrap();
        assert!(page.contains(&format!("_{name}")), "{name} is not on the page");
    }
}

#[test]
fn settings_that_cannot_hold_are_named() {
    let data = tempfile::tempdir().unwrap();
    for (flags, words) in [
        (
            &["--livepoll-database", "mysql://db"][..],
            "livepoll.database does not begin with `postgres://`",
        ),
        (
            &["--livepoll-database", "postgres://nobody:hush@127.0.0.1:1/none"],
            "live polling cannot begin",
        ),
        (&["--namespaces", "/,/livepoll"], "namespaces, livepoll.namespace"),
        (&["--livepoll-results-per-second", "0"], "livepoll.results_per_second"),
    ] {
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", ON, "--data"]);
        let output = run(command.arg(data.path()).args(flags));
        let errors = stderr(&output);
        assert!(!output.status.success() && errors.contains(words), "{errors}");
        assert!(!errors.contains("hush"), "{errors}");
    }
    let output =
        run(&mut fanfare(&["config", "--livepoll-database", "postgres://me:hush@db/polls"]));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hush"));
}

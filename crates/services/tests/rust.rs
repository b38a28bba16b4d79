#![cfg(test)]
//! The services as an application in Rust uses them: it sends, decides about rooms, hears of signs of
//! life, and ends what is quiet; with real connections at the other end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use fanfare::eventlog::{self, MemoryLog};
use fanfare::{Io, Log, Server};
use serde_json::{Map, Value, json};
use services::{
    AccessSettings, Caller, Code, Decide, IdentitySettings, KeyDigest, Mint, OnSeen, Question,
    Right, SecretText, SendOptions, Services, SessionsSettings, Settings, Verdict, mint,
};
use testkit::{Client, EngineConnection, Options, Transport};

const SECRET: &str = "a-secret-that-only-this-test-knows";

/// A server in this process, until the test is over.
async fn start(settings: Settings) -> (Services, String) {
    let log = MemoryLog::new(eventlog::Settings::default()).unwrap();
    let io = Io::with(|settings| settings.log = Some(Log::new(log))).unwrap();
    let secret = Some(SecretText(SECRET.to_owned()));
    let identity =
        IdentitySettings { jwt_secret: secret, guests: Some(true), ..Default::default() };
    let settings = Settings { identity, ..settings };
    let services = Services::begin(&io, settings, KeyDigest::of("key"), None).unwrap();
    let app = Router::new().merge(services.router()).merge(io.router());
    let bound = Server::new(io, app).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", bound.local_addr());
    tokio::spawn(bound.serve(std::future::pending()));
    (services, url)
}

async fn user(url: &str, id: &str) -> Client {
    let lifetime = Duration::from_secs(60);
    let token = Mint { subject: id.to_owned(), lifetime, claims: Map::new() };
    let auth = json!({ "token": mint(SECRET, token).unwrap() });
    Client::connect(url, Options::default().auth(auth)).await.unwrap()
}

async fn ask(client: &Client, event: &str, argument: Value) -> Value {
    client.emit_with_ack(event, [argument]).await.unwrap().args[0].clone()
}

/// The events that have come by now.
async fn heard(client: &mut Client) -> Vec<(String, Value)> {
    ask(client, "room:leave", json!({ "roomId": "none" })).await;
    client.take_events().into_iter().map(|event| (event.name, event.args[0].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_sends_to_users_rooms_sockets_and_all_but_some() {
    let (services, url) = start(Settings::default()).await;
    let context = services.context();
    let (mut ada, mut bob) = (user(&url, "ada").await, user(&url, "bob").await);
    for client in [&ada, &bob] {
        assert_eq!(ask(client, "room:join", json!({ "roomId": "r" })).await["ok"], true);
    }
    let id = ada.id().parse().unwrap();
    let but = |room: &str| SendOptions { except: vec![room.to_owned()], ..Default::default() };
    let all = SendOptions::default;
    for client in [&mut ada, &mut bob] {
        heard(client).await;
    }
    context.emit_to_users(&["ada", "eve"], "task.created", (1,), all()).await.unwrap();
    context.emit_to_room("r", "task:created", (2,), all()).await.unwrap();
    context.emit_to_room("r", "e", (3,), but("user:ada")).await.unwrap();
    context.emit_to_socket(id, "e", (4,), all()).await.unwrap();
    context.broadcast_to_all("e", (5,), all()).await.unwrap();
    context.broadcast_to_all("e", (6,), but("r")).await.unwrap();
    let once = || SendOptions { idempotency_key: Some("once".to_owned()), ..all() };
    for repeated in [false, true] {
        let sent = context.emit_to_users(&["ada"], "e", (7,), once()).await.unwrap();
        assert_eq!(sent.repeated, repeated);
    }
    let told = |all: Vec<(String, Value)>| -> Vec<String> {
        all.into_iter().map(|(name, first)| format!("{name} {first}")).collect()
    };
    assert_eq!(
        told(heard(&mut ada).await),
        ["task.created 1", "task:created 2", "e 4", "e 5", "e 7"]
    );
    assert_eq!(told(heard(&mut bob).await), ["task:created 2", "e 3", "e 5"]);
    for (room, namespace, expected) in
        [("a b", None, Code::InvalidRequest), ("a", Some("/none"), Code::UnknownNamespace)]
    {
        let options = SendOptions { namespace: namespace.map(str::to_owned), ..all() };
        let refused = context.emit_to_room(room, "e", (1,), options).await.unwrap_err();
        assert_eq!(refused.code, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_of_the_application_decides_before_all_other_rules() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard_of = asked.clone();
    let decide = Decide::new(move |question: Question| {
        let who = match &question.caller {
            Caller::User(user) => user.id.to_string(),
            Caller::Guest(_) | Caller::Backend => "guest".to_owned(),
        };
        let right = question.right.as_str();
        heard_of.lock().unwrap().push(format!("{who} {right} {}", question.room));
        async move {
            match (&*question.room, question.right) {
                ("team", Right::History) => Verdict::Deny,
                ("team", _) if who == "ada" => Verdict::Allow,
                ("team", _) => Verdict::Deny,
                ("hidden", _) => Verdict::NotFound,
                _ => Verdict::Abstain,
            }
        }
    });
    let private = vec!["*".parse().unwrap()];
    let access = AccessSettings { decide: Some(decide), private, ..Default::default() };
    let (_services, url) = start(Settings { access, ..Settings::default() }).await;
    let (ada, guest) = (user(&url, "ada").await, Client::connect(&url, Options::default()).await);
    let guest = guest.unwrap();
    for (client, event, room, expected) in [
        (&ada, "room:join", "team", None),
        (&ada, "room:members", "team", None),
        (&ada, "history", "team", Some("PERMISSION_DENIED")),
        (&ada, "room:join", "hidden", Some("CHANNEL_NOT_FOUND")),
        (&ada, "room:join", "other", Some("PERMISSION_DENIED")),
        (&ada, "room:join", "user:bob", Some("PERMISSION_DENIED")),
        (&guest, "room:join", "team", Some("PERMISSION_DENIED")),
        (&guest, "room:join", "other", Some("AUTH_REQUIRED")),
    ] {
        let answer = ask(client, event, json!({ "roomId": room })).await;
        assert_eq!(answer["error"]["code"].as_str(), expected, "{event} {room}: {answer}");
    }
    let asked = asked.lock().unwrap();
    assert!(asked.contains(&"ada history team".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|it| it.ends_with("user:bob")), "the server's own: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_of_life_are_heard_and_a_session_is_told() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let seeing = seen.clone();
    let on_seen = OnSeen::new(move |session, participant, now_ms| {
        assert!(now_ms > 1_700_000_000_000);
        seeing.lock().unwrap().push((session.to_owned(), participant.to_owned()));
    });
    let sessions = SessionsSettings { on_seen: Some(on_seen), ..Default::default() };
    let (services, url) = start(Settings { sessions, ..Settings::default() }).await;
    let options = Options::default().query("sessionId", "s").query("participantId", "p");
    let mut client = Client::connect(&url, options).await.unwrap();
    let hello = client.next_event().await.unwrap();
    assert_eq!(hello.name, "connection:established");
    assert_eq!(ask(&client, "heartbeat:pong", json!({})).await["ok"], true);
    assert_eq!(*seen.lock().unwrap(), vec![("s".to_owned(), "p".to_owned()); 2]);
    let (envelope, position) =
        services.sessions().publish("/", "s", "poll:opened", json!(1)).await.unwrap();
    let told = client.next_event().await.unwrap();
    assert_eq!((told.name.as_str(), &told.args[0]), ("event", &json!(envelope)));
    assert!(position.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_connections_are_ended_and_no_others() {
    let (services, url) =
        start(Settings { namespaces: vec!["/".into(), "/chat".into()], ..Settings::default() })
            .await;
    let (quiet, busy) = (user(&url, "ada").await, user(&url, "bob").await);
    // Busy in one namespace of its connection, quiet in the other.
    let over = Options::over(Transport::WebSocket);
    let mut elsewhere = EngineConnection::connect(&url, &over).await.unwrap();
    elsewhere.send_raw("40").await.unwrap();
    elsewhere.send_raw("40/chat,").await.unwrap();
    let time = Duration::from_secs(2);
    let until = Instant::now() + time + Duration::from_millis(500);
    while Instant::now() < until {
        ask(&busy, "room:leave", json!({ "roomId": "none" })).await;
        elsewhere.send_raw(r#"42/chat,["room:leave",{"roomId":"none"}]"#).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(services.context().cleanup(time).await, 1);
    quiet.closed().await.unwrap();
    assert_eq!(ask(&busy, "room:leave", json!({ "roomId": "none" })).await["ok"], true);
    for namespace in ["", "/chat,"] {
        let question = format!(r#"42{namespace}7["room:leave",{{"roomId":"none"}}]"#);
        elsewhere.send_raw(&question).await.unwrap();
        let answer = format!("43{namespace}7[");
        while !elsewhere.next_raw().await.unwrap().starts_with(&answer) {}
    }
    assert_eq!(services.context().cleanup(Duration::from_secs(3_600)).await, 0);
}

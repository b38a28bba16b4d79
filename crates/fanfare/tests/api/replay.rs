//! Clients that begin in the past: after a position they name, or with the last events of the rooms
//! they join.

use crate::support::{Site, packet, short, within};
use fanfare::eventlog::{
    self, EventLog, MemoryLog, Position, Retention, SqliteLog, SqliteSettings,
};
use fanfare::{JoinError, Replay, Settings, Socket};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use testkit::{Client, Event, Options, Transport};

fn memory() -> fanfare::Log {
    fanfare::Log::new(MemoryLog::new(eventlog::Settings::default()).unwrap())
}

fn site() -> Site {
    site_with(|settings| settings.log = Some(memory()))
}

/// A server whose clients name in the query what they want: `rooms`, `from`, and of some rooms the
/// last events, as in `last=room*5`.
fn site_with(change: impl FnOnce(&mut Settings)) -> Site {
    let site = Site::with(change);
    site.io.main().middleware(|socket: Socket| async move {
        let asked = |name: &str| socket.handshake().query(name).unwrap_or_default();
        let list = |text: &str| -> Vec<String> {
            text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        for room in list(&asked("rooms")) {
            socket.join(room).unwrap().await.unwrap();
        }
        for item in list(&asked("last")) {
            let (room, count) = item.split_once('*').unwrap();
            let replay = match count {
                "value" => Replay::LastValue,
                count => Replay::Last(count.parse().unwrap()),
            };
            socket.join_with(room, replay).unwrap().await.unwrap();
        }
        if let Ok(position) = asked("from").parse() {
            socket.begin_from(position);
        }
        Ok(())
    });
    site.io.main().on(
        "late",
        |socket: Socket, (room, count): (String, usize), ack: fanfare::Ack| async move {
            let joined =
                socket.join_with_history(room, Replay::Last(count)).unwrap().await.unwrap();
            let events = joined.events.iter().map(|event| event.args.parse::<(u32,)>().unwrap().0);
            ack.send((events.collect::<Vec<_>>(), joined.head.unwrap().to_string()));
        },
    );
    site
}

async fn client(site: &Site, query: &[(&str, &str)]) -> Client {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let options = Options { query: query.iter().map(own).collect(), ..Options::default() };
    within(site.client_with(options)).await
}

async fn publish(site: &Site, room: &str, number: u32) -> Position {
    within(site.io.to(room).publish("event", (number,))).await.unwrap().position.unwrap()
}

/// The events that were sent before now, without the offsets, which rise.
async fn got(client: &mut Client) -> Vec<String> {
    client.emit_with_ack("sync", []).await.unwrap();
    let mut reached = 0;
    client.take_events().into_iter().map(|event| plain(event, &mut reached)).collect()
}

fn plain(mut event: Event, reached: &mut u64) -> String {
    let offset = event.args.pop().unwrap();
    let position: Position = offset.as_str().unwrap().parse().unwrap();
    assert!(position.sequence >= *reached, "offsets rise");
    *reached = position.sequence;
    short(&event)
}

/// What was sent since a position to the rooms it is put in, and to everyone, comes right
/// behind the answer to CONNECT, in order and with its offsets; then what is live. A connection that breaks
/// after that goes on where it was.
#[tokio::test]
async fn everything_since_a_position() {
    let site = site();
    publish(&site, "a", 0).await;
    let from = publish(&site, "b", 1).await.to_string();
    for number in 2..700 {
        site.io.to(["b", "a"]).emit("event", (number,)).unwrap();
        site.io.to("c").emit("not mine", ()).unwrap();
    }
    site.io.to("a").except("b").emit("excepted", ()).unwrap();
    site.io.emit("to all", ()).unwrap();
    let mut client = client(&site, &[("rooms", "a,b"), ("from", &from)]).await;
    assert!(!client.recovered());
    site.io.to("a").emit("live", ()).unwrap();
    let expected = (2..700).map(|number| format!("event({number})"));
    let mut expected: Vec<String> = expected.collect();
    expected.extend(["to all()".to_owned(), "live()".to_owned()]);
    assert_eq!(got(&mut client).await, expected);

    let resume = client.resume();
    drop(client);
    site.io.to("a").emit("missed", ()).unwrap();
    let query = [("rooms".to_owned(), "a,b".to_owned()), ("from".to_owned(), from)];
    let options = Options { resume, query: query.into(), ..Options::default() };
    let mut client = within(site.client_with(options)).await;
    assert!(client.recovered());
    assert_eq!(got(&mut client).await, ["missed()"], "its own offset counts");
    drop(client);
    site.end().await;
}

#[tokio::test]
async fn the_past_comes_right_behind_the_answer() {
    let site = site();
    let from = publish(&site, "a", 0).await;
    publish(&site, "a", 1).await;
    let options = Options::default().query("rooms", "a").query("from", &from.to_string());
    let mut engine = testkit::EngineConnection::connect(&site.url, &options).await.unwrap();
    engine.send_raw("40").await.unwrap();
    let answer = packet(&mut engine).await;
    assert!(answer.starts_with(r#"40{"sid":""#), "{answer}");
    let event = packet(&mut engine).await;
    assert!(event.starts_with(r#"42["event",1,""#), "{event}");
    drop(engine);
    site.end().await;
}

/// A connection that breaks while the past is sent: the client comes back for the rest of it, and
/// for nothing that was not its own.
#[tokio::test]
async fn cut_within_the_past() {
    let site = site();
    site.io.emit("before", ()).unwrap();
    let from = publish(&site, "a", 0).await;
    for number in 1..5 {
        publish(&site, "a", number).await;
        site.io.emit("to all", (number,)).unwrap();
        publish(&site, "b", number).await;
    }
    let from = from.to_string();
    for (query, all) in [
        (vec![("rooms", "a"), ("from", &*from)], ["event", "to all"].repeat(4)),
        (vec![("last", "a*3"), ("rooms", "b")], vec!["event"; 3]),
    ] {
        for seen in 0..=all.len() {
            let mut options = Options::default();
            for (name, value) in &query {
                options = options.query(name, value);
            }
            let mut engine = testkit::EngineConnection::connect(&site.url, &options).await.unwrap();
            engine.send_raw("40").await.unwrap();
            let answer = packet(&mut engine).await;
            let answer: Value = serde_json::from_str(&answer[2..]).unwrap();
            let mut offset = None;
            let mut names = Vec::new();
            for _ in 0..seen {
                let event = packet(&mut engine).await;
                let event: Vec<Value> = serde_json::from_str(&event[2..]).unwrap();
                names.push(event[0].as_str().unwrap().to_owned());
                offset = event.last().unwrap().as_str().map(str::to_owned);
            }
            // An answer shows that the listeners of its connection are done.
            engine.send_raw(r#"420["sync"]"#).await.unwrap();
            while !packet(&mut engine).await.starts_with("430") {}
            engine.abort().unwrap();
            let pid = answer["pid"].as_str().unwrap().to_owned();
            let resume = Some(testkit::Resume { pid, offset });
            let mut client = within(site.client_with(Options { resume, ..options })).await;
            assert!(client.recovered());
            client.emit_with_ack("sync", []).await.unwrap();
            names.extend(client.take_events().into_iter().map(|event| event.name));
            assert_eq!(names, all, "cut after {seen}");
        }
    }
    site.end().await;
}

/// A client that does not get its old socket back, and connects with the query of its first time, is
/// not sent what it has seen.
#[tokio::test]
async fn its_own_offset_counts() {
    let site = site_with(|settings| {
        settings.log = Some(memory());
        settings.recovery.window = Duration::ZERO;
    });
    let from = publish(&site, "a", 0).await.to_string();
    publish(&site, "a", 1).await;
    let mut client = client(&site, &[("rooms", "a"), ("from", &from)]).await;
    assert_eq!(got(&mut client).await, ["event(1)"]);
    let resume = client.resume();
    drop(client);
    site.until("given up", |counts| counts.sessions_expired == 1).await;
    publish(&site, "a", 2).await;
    let options = Options { resume, ..Options::default() };
    let options = options.query("rooms", "a").query("from", &from);
    let mut client = within(site.client_with(options)).await;
    assert!(!client.recovered());
    assert_eq!(got(&mut client).await, ["event(2)"]);
    drop(client);
    site.end().await;
}

/// The last events of some rooms and none of others, each from where it begins, from memory and from
/// the disk.
#[tokio::test]
async fn the_last_events_of_rooms() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk =
        SqliteSettings { recent_entries: 3, ..SqliteSettings::new(directory.path().join("log")) };
    let on_disk = fanfare::Log::new(SqliteLog::open(on_disk).unwrap());
    for log in [memory(), on_disk] {
        let site = site_with(|settings| {
            settings.log = Some(log);
            settings.recovery.max_events = 20;
        });
        publish(&site, "value", 0).await;
        publish(&site, "value", 1).await;
        for number in 10..1_500 {
            site.io.to("busy").emit("event", (number,)).unwrap();
        }
        publish(&site, "few", 2).await;
        publish(&site, "none", 3).await;
        site.io.emit("to all", ()).unwrap();
        publish(&site, "busy", 1_500).await;
        let mut late =
            client(&site, &[("last", "busy*3,value*value,few*10,never*5"), ("rooms", "none")])
                .await;
        let expected = ["event(1)", "event(1498)", "event(1499)", "event(2)", "event(1500)"];
        assert_eq!(got(&mut late).await, expected);
        within(site.io.to(["none", "busy"]).publish("live", ())).await.unwrap();
        assert_eq!(got(&mut late).await, ["live()"]);
        let mut nothing = client(&site, &[("last", "busy*0")]).await;
        assert_eq!(got(&mut nothing).await, Vec::<String>::new());
        // A position says more than a number.
        let from = publish(&site, "busy", 7).await.to_string();
        let mut since = client(&site, &[("last", "busy*3"), ("from", &from)]).await;
        assert_eq!(got(&mut since).await, Vec::<String>::new());
        drop((late, nothing, since));
        site.end().await;
    }
}

/// Without a log there is no past: nothing to be told, unless a position was named.
#[tokio::test]
async fn without_a_log() {
    let site = site_with(|_| ());
    let client = client(&site, &[("last", "a*3")]).await;
    client.emit_with_ack("sync", []).await.unwrap();
    let mut told = Client::connect(&site.url, Options::default().query("from", "AAAAAAAAAAA.B"))
        .await
        .unwrap();
    let event = within(told.next_event()).await.unwrap();
    assert_eq!(short(&event), r#"replay:reset({"head":null,"reason":"not_recorded"})"#);
    drop((client, told));
    site.end().await;
}

/// What cannot be told whole is not told at all, and that is the first the client hears.
#[tokio::test]
async fn resets() {
    let retention = Retention { max_entries: 30, ..Retention::default() };
    let settings = eventlog::Settings { retention, ..eventlog::Settings::default() };
    let log = Arc::new(MemoryLog::new(settings).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = site_with(|settings| {
        settings.log = Some(kept.into());
        settings.recovery.max_events = 20;
    });
    let mut positions = Vec::new();
    for number in 0..50 {
        positions.push(publish(&site, "busy", number).await);
    }
    log.trim(0, Box::new(|trimmed| assert_eq!(trimmed, Ok(20))));
    let head = positions[49].to_string();
    let other_epoch = format!("AAAAAAAAAAA{}", &head[11..]);
    let ahead = format!("{}.zzzz", &head[..11]);
    for (from, rooms, reason) in [
        (positions[5].to_string(), "busy", Some("trimmed")),
        (positions[5].to_string(), "quiet", None),
        (positions[25].to_string(), "busy", Some("too_much")),
        (positions[29].to_string(), "busy", None),
        (other_epoch, "busy", Some("epoch_changed")),
        (ahead, "busy", Some("ahead")),
    ] {
        let mut client = client(&site, &[("rooms", rooms), ("from", &from)]).await;
        client.emit_with_ack("sync", []).await.unwrap();
        let events = client.take_events();
        match reason {
            Some(reason) => {
                assert_eq!(events.len(), 1, "{reason}");
                let told = json!({ "reason": reason, "head": head });
                assert_eq!((&*events[0].name, &events[0].args), ("replay:reset", &vec![told]));
                assert_eq!(site.counts().not_replayed[reason], 1);
            }
            None => assert_eq!(events.len(), if rooms == "busy" { 20 } else { 0 }),
        }
        // It is connected and in its rooms all the same.
        site.io.to(rooms).volatile().emit("live", ()).unwrap();
        let live = within(client.next_event()).await.unwrap();
        assert_eq!(live.name, "live");
    }
    site.end().await;
}

/// Publishes without pause until it is dropped.
struct Busy(tokio::task::JoinHandle<()>);

impl Busy {
    fn new(site: &Site) -> Busy {
        let io = site.io.clone();
        Busy(tokio::spawn(async move {
            for number in 0.. {
                io.to("a").emit("event", (number,)).unwrap();
                if number % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first argument of the next `count` events.
async fn numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let event = within(client.next_event()).await.unwrap();
        numbers.push(event.args[0].as_u64().unwrap());
    }
    numbers
}

/// What is past and what is live meet without a seam, while much is sent.
#[tokio::test]
async fn past_and_live_meet() {
    let site = site();
    let busy = Busy::new(&site);
    let mut first = site.member(Transport::WebSocket, &["a"]).await;
    for _ in 0..20 {
        let event = within(first.next_event()).await.unwrap();
        let (number, offset) = (event.args[0].as_u64().unwrap(), event.args[1].as_str().unwrap());
        let mut since = client(&site, &[("rooms", "a"), ("from", offset)]).await;
        let expected: Vec<u64> = (number + 1..).take(200).collect();
        assert_eq!(numbers(&mut since, 200).await, expected);
        let mut last = client(&site, &[("last", "a*50")]).await;
        let seen = numbers(&mut last, 200).await;
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");

        // After connecting: the list ends where what is live begins.
        let mut late = client(&site, &[]).await;
        let answer = late.emit_with_ack("late", [json!("a"), json!(50)]).await.unwrap();
        let list: Vec<u64> = serde_json::from_value(answer.args[0].clone()).unwrap();
        // The newest of the fifty may only come live.
        let whole = (1..=50).contains(&list.len());
        assert!(whole && list.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{list:?}");
        let live = numbers(&mut late, 20).await;
        let expected: Vec<u64> = (list[list.len() - 1] + 1..).take(20).collect();
        assert_eq!(live, expected);
    }
    drop((busy, first));
    site.end().await;
}

/// The answers to a late join: the events, or why they are not there; the room is joined anyhow.
#[tokio::test]
async fn late_joins() {
    let retention = Retention { max_entries: 10, ..Retention::default() };
    let settings = eventlog::Settings { retention, ..eventlog::Settings::default() };
    let log = Arc::new(MemoryLog::new(settings).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = site_with(|settings| settings.log = Some(kept.into()));
    let mut connected = crate::support::sockets(&site.io.main());
    let begin = log.head();
    let mut client = client(&site, &[]).await;
    let socket = connected.recv().await.unwrap();
    for number in 0..5 {
        publish(&site, "a", number).await;
    }
    let own = site.io.to("a").except(socket.id());
    within(own.publish("event", (5,))).await.unwrap();
    let late = |room: &'static str, replay| {
        let joining = socket.join_with_history(room, replay).unwrap();
        async move {
            let joined = within(joining).await.unwrap();
            let numbers = joined.events.iter().map(|event| event.args.parse::<(u32,)>().unwrap().0);
            (numbers.collect::<Vec<_>>(), joined.gap.map(fanfare::Gap::as_str), joined.head)
        }
    };
    assert_eq!(late("a", Replay::Last(3)).await, (vec![3, 4], None, Some(log.head())));
    assert_eq!(late("b", Replay::LastValue).await, (vec![], None, Some(log.head())));
    publish(&site, "b", 6).await;
    assert_eq!(late("b", Replay::LastValue).await.0, [6]);
    for number in 10..30 {
        publish(&site, "c", number).await;
    }
    log.trim(0, Box::new(|trimmed| assert_eq!(trimmed, Ok(17))));
    let cases = [
        (Replay::After(begin), Some("trimmed")),
        (Replay::After(Position { sequence: 99, ..begin }), Some("ahead")),
        (Replay::After(Position { epoch: eventlog::Epoch(1), ..begin }), Some("epoch_changed")),
    ];
    for (replay, gap) in cases {
        assert_eq!(late("c", replay).await, (vec![], gap, Some(log.head())), "{replay:?}");
    }
    assert_eq!(late("c", Replay::Last(99)).await.0, (20..30).collect::<Vec<_>>());
    site.io.to("c").emit("live", (1,)).unwrap();
    assert_eq!(got(&mut client).await.last().map(String::as_str), Some("live(1)"));
    drop(client);
    site.until("it is gone", |counts| counts.sockets == 0).await;
    let gone = within(socket.join_with_history("d", Replay::LastValue).unwrap()).await;
    assert!(matches!(gone, Err(JoinError::UnknownMember)), "{gone:?}");
    site.end().await;
}

/// Once it is connected, a socket is never sent what is older than what it has: joining is all that
/// is done.
#[tokio::test]
async fn nothing_is_replayed_to_a_connected_socket() {
    let site = site();
    let mut connected = crate::support::sockets(&site.io.main());
    let mut client = client(&site, &[]).await;
    let socket = connected.recv().await.unwrap();
    let first = publish(&site, "a", 1).await;
    within(socket.join_with("a", Replay::Last(5)).unwrap()).await.unwrap();
    socket.begin_from(Position { sequence: 0, ..first });
    publish(&site, "a", 2).await;
    assert_eq!(got(&mut client).await, ["event(2)"]);
    drop(client);
    site.end().await;
}

/// In a namespace without recovery, what is replayed has no offset either.
#[tokio::test]
async fn without_recovery_there_are_no_offsets() {
    let site = site();
    let plain = site.io.of("/plain").unwrap();
    plain.without_recovery().middleware(|socket: Socket| async move {
        socket.join_with("a", Replay::Last(5)).unwrap().await.unwrap();
        Ok(())
    });
    within(plain.to("a").publish("event", (1,))).await.unwrap();
    let mut client = site.client_with(Options::default().namespace("/plain")).await;
    let event = within(client.next_event()).await.unwrap();
    assert_eq!(event.args, [Value::from(1)]);
    drop(client);
    site.end().await;
}

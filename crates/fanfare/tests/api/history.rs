//! What was sent to rooms, read again: page by page, from memory and from the disk; and waiting for
//! what comes.

use crate::support::{PATIENCE, Site, within};
use fanfare::eventlog::{
    self, Epoch, EventLog, MemoryLog, Position, Retention, SqliteLog, SqliteSettings,
};
use fanfare::{
    EventName, Gap, History, HistoryError, HistoryQuery, MAX_HISTORY_EVENTS, RecordedEvent,
    Recording,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn memory() -> fanfare::Log {
    fanfare::Log::new(MemoryLog::new(eventlog::Settings::default()).unwrap())
}

fn site() -> Site {
    Site::with(|settings| settings.log = Some(memory()))
}

async fn publish(site: &Site, rooms: &[&str], number: u32) -> Position {
    let namespace = site.io.main();
    let broadcast = if rooms.is_empty() { namespace.broadcast() } else { namespace.to(rooms) };
    within(broadcast.publish("event", (number,))).await.unwrap().position.unwrap()
}

async fn history(site: &Site, room: &str, query: HistoryQuery) -> History {
    within(site.io.main().history(room, query)).await.unwrap()
}

fn number(event: &RecordedEvent) -> u32 {
    assert_eq!(event.name, EventName::new("event").unwrap());
    let (number,) = event.args.parse().unwrap();
    number
}

fn numbers(page: &History) -> Vec<u32> {
    page.events.iter().map(number).collect()
}

/// Every page of a room, and that each but the last says that there is more.
async fn all_pages(site: &Site, room: &str, mut query: HistoryQuery) -> Vec<u32> {
    let mut all = Vec::new();
    loop {
        let page = history(site, room, query).await;
        all.extend(numbers(&page));
        let Some(last) = page.events.last().filter(|_| page.more) else { return all };
        assert_eq!(page.events.len(), query.limit.min(MAX_HISTORY_EVENTS));
        let at = Some(last.position);
        if query.newest_first { query.before = at } else { query.after = at }
    }
}

/// What names the room is there, each once and in order, whomever it excepts; what is for everyone
/// or for other rooms is not. The same from memory and from the disk.
#[tokio::test]
async fn the_events_of_a_room_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = SqliteSettings {
        recent_entries: 3,
        ..SqliteSettings::new(directory.path().join("events.db"))
    };
    let on_disk = fanfare::Log::new(SqliteLog::open(on_disk).unwrap());
    for log in [memory(), on_disk] {
        let site = Site::with(|settings| settings.log = Some(log));
        for number in 0..40 {
            match number % 4 {
                0 => publish(&site, &["a"], number).await,
                1 => publish(&site, &["b", "a"], number).await,
                2 => publish(&site, &["b"], number).await,
                _ => publish(&site, &[], number).await,
            };
        }
        let excepted = site.io.to("a").except("b").publish("event", (40,)).await.unwrap();
        let expected: Vec<u32> = (0..=40).filter(|number| number % 4 < 2).collect();
        let newest: Vec<u32> = expected.iter().rev().copied().collect();
        for limit in [1, 2, 20, 21, 22, 1_000] {
            let query = HistoryQuery { limit, newest_first: false, ..HistoryQuery::default() };
            assert_eq!(all_pages(&site, "a", query).await, expected, "limit {limit}");
            let query = HistoryQuery { limit, ..HistoryQuery::default() };
            assert_eq!(all_pages(&site, "a", query).await, newest, "limit {limit}");
        }
        let page = history(&site, "a", HistoryQuery::default()).await;
        assert!(page.complete && !page.more);
        assert_eq!(Some(page.head), excepted.position);
        assert_eq!(&*page.events[0].rooms, [Arc::from("a")]);
        assert!(page.events.iter().all(|event| event.time_ms > 1_700_000_000_000));
        let (third, fifth) = (page.events[4].position, page.events[2].position);
        let between = HistoryQuery { before: Some(fifth), ..HistoryQuery::after(third) };
        assert_eq!(numbers(&history(&site, "a", between).await), [newest[3]]);
        let nothing = history(&site, "nobody", HistoryQuery::default()).await;
        assert!(nothing.complete && nothing.events.is_empty());
        let both = within(site.io.main().history(["a", "b"], HistoryQuery::default())).await;
        assert_eq!(both.unwrap().events.len(), 31);
        site.end().await;
    }
}

/// A page is bounded, whatever is asked.
#[tokio::test]
async fn a_page_is_bounded() {
    let site = site();
    let large = "x".repeat(600 * 1024);
    for _ in 0..3 {
        site.io.to("large").publish("event", (&large,)).await.unwrap();
    }
    for number in 0..1_100 {
        site.io.to("many").emit("event", (number,)).unwrap();
    }
    let all = HistoryQuery { limit: usize::MAX, ..HistoryQuery::default() };
    let page = history(&site, "many", all).await;
    assert_eq!((page.events.len(), page.more), (MAX_HISTORY_EVENTS, true));
    let page = history(&site, "large", all).await;
    assert_eq!((page.events.len(), page.more), (1, true));
    site.end().await;
}

/// Whoever asks for what came after a position is told when a part of it is gone.
#[tokio::test]
async fn what_is_gone_is_said() {
    let retention = Retention { max_entries: 10, ..Retention::default() };
    let settings = eventlog::Settings { retention, ..eventlog::Settings::default() };
    let log = Arc::new(MemoryLog::new(settings).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = Site::with(|settings| settings.log = Some(kept.into()));
    let begin = log.head();
    let mut positions = Vec::new();
    for number in 0..50 {
        positions.push(publish(&site, &["busy"], number).await);
    }
    log.trim(0, Box::new(|trimmed| assert_eq!(trimmed, Ok(40))));
    for (after, complete) in [(begin, false), (positions[38], false), (positions[39], true)] {
        let page = history(&site, "busy", HistoryQuery::after(after)).await;
        assert_eq!(page.complete, complete, "after {after}");
        assert_eq!(numbers(&page), (40..50).collect::<Vec<_>>());
    }
    let quiet = history(&site, "quiet", HistoryQuery::after(begin)).await;
    assert!(quiet.complete, "nothing of it was trimmed");

    let head = log.head();
    let asked = |after| within(site.io.main().history("busy", HistoryQuery::after(after)));
    let error = asked(Position { sequence: 51, ..head }).await.unwrap_err();
    let HistoryError::Gone { why: Gap::Ahead, head: told } = error else { panic!("{error}") };
    assert_eq!(told, head);
    let error = asked(Position { epoch: Epoch(7), ..head }).await.unwrap_err();
    assert!(matches!(error, HistoryError::Gone { why: Gap::Epoch, .. }), "{error}");
    site.end().await;
}

/// What cannot be answered is an error, not an empty page.
#[tokio::test]
async fn no_history() {
    let without_log = Site::new();
    let error = without_log.io.main().history("a", HistoryQuery::default()).await.unwrap_err();
    assert!(matches!(error, HistoryError::NotRecorded), "{error}");
    without_log.end().await;
    let site = Site::with(|settings| {
        settings.log = Some(memory());
        settings.recording = Recording::new(&["*"], &["cursor:*"]).unwrap();
    });
    site.io.to("cursor:1").emit("event", (1,)).unwrap();
    site.io.to("a").volatile().emit("event", (2,)).unwrap();
    publish(&site, &["a"], 3).await;
    assert!(history(&site, "cursor:1", HistoryQuery::default()).await.events.is_empty());
    assert_eq!(numbers(&history(&site, "a", HistoryQuery::default()).await), [3]);
    let error = site.io.main().history("", HistoryQuery::default()).await.unwrap_err();
    assert!(matches!(error, HistoryError::Room(_)), "{error}");
    let none: [&str; 0] = [];
    let error = site.io.main().history(none, HistoryQuery::default()).await.unwrap_err();
    assert!(matches!(error, HistoryError::NoRooms), "{error}");
    site.end().await;
}

/// Who waits is woken by an event to one of its rooms, after its position, and by nothing else; at
/// the latest when the deadline has passed or the server closes.
#[tokio::test]
async fn waiting_for_what_comes() {
    let site = site();
    let io = site.io.clone();
    let wait = |rooms: &'static [&'static str], after, patience| {
        tokio::spawn(io.main().wait_beyond(rooms, after, Instant::now() + patience))
    };
    let first = publish(&site, &["a"], 0).await;
    let begin = Position { sequence: 0, ..first };
    assert!(within(wait(&["a"], begin, PATIENCE)).await.unwrap().unwrap(), "it is there already");

    let soon = Duration::from_millis(50);
    let waiting = wait(&["a"], first, soon);
    publish(&site, &["b"], 1).await;
    publish(&site, &[], 2).await;
    site.io.to("a").volatile().emit("event", (3,)).unwrap();
    assert!(!within(waiting).await.unwrap().unwrap(), "nothing came");

    let waiting: Vec<_> = (0..100).map(|_| wait(&["c", "a"], first, PATIENCE)).collect();
    let next = publish(&site, &["a"], 4).await;
    for one in waiting {
        assert!(within(one).await.unwrap().unwrap());
    }
    // Given up: it costs nothing, and the next is told all the same.
    let given_up = wait(&["a"], next, PATIENCE);
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let forever = wait(&["a"], next, Duration::from_secs(3_600));
    site.end().await;
    assert!(!within(forever).await.unwrap().unwrap(), "the server closed");
    let late = wait(&["a"], next, Duration::from_secs(3_600));
    assert!(!within(late).await.unwrap().unwrap(), "it is closed");
}

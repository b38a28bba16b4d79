//! What each form of the log promises.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use eventlog::{
    AppendError, Durability, Epoch, MAX_BATCH_RECORDS, MAX_QUERY_ROOMS, Order, Position, Query,
    ReadError, Record, RecordError, Retention, Scope, SessionError, SessionKey, Settings,
    append_wait, wait,
};

use super::support::*;

pub(crate) fn positions_count_from_one_without_a_hole(form: &dyn Form) {
    let log = form.open(Settings::default());
    let epoch = log.epoch();
    assert_eq!(log.head(), Position { epoch, sequence: 0 });
    assert_eq!(log.first(), 1);
    for batch in [1, 3, 0, 2] {
        let records = (0..batch).map(|_| record(&["a"], "x")).collect();
        let before = log.head().sequence;
        let appended = append(&*log, records).unwrap();
        let want: Vec<u64> = (before + 1..=before + batch).collect();
        let got: Vec<u64> = appended.iter().map(|a| a.position.sequence).collect();
        assert_eq!(got, want);
        assert!(appended.iter().all(|a| !a.known && a.position.epoch == epoch));
        assert_eq!(log.head(), Position { epoch, sequence: before + batch });
    }
    let page = log.read(&Query::new(Scope::All)).unwrap();
    assert_eq!(sequences(&page), [1, 2, 3, 4, 5, 6]);
    assert!(page.complete && !page.more && page.head == log.head());
}

pub(crate) fn a_batch_is_all_or_nothing(form: &dyn Form) {
    let log = form.open(Settings::default());
    let answer = append(&*log, vec![record(&["a"], "x"), record(&[""], "x")]);
    assert_eq!(answer, Err(AppendError::Record { index: 1, fault: RecordError::EmptyName }));
    let many = vec![record(&[], ""); MAX_BATCH_RECORDS + 1];
    assert_eq!(append(&*log, many), Err(AppendError::BatchTooLarge));
    let large = Record { payload: Bytes::from(vec![0; 16 << 20]), ..record(&[], "") };
    assert_eq!(append(&*log, vec![large; 5]), Err(AppendError::BatchTooLarge));
    assert_eq!(log.head().sequence, 0);
}

pub(crate) fn a_record_comes_back_as_it_was(form: &dyn Form) {
    let log = form.open(Settings::default());
    let records = [
        record(&[], ""),
        record(&["a", "b", "a"], "twice in a room is once in its history"),
        Record {
            namespace: "/Raum \u{1f389}".into(),
            except: names(&["muted"]).into(),
            name: "\u{e9}\0".into(),
            payload: Bytes::from_static(&[0, 255, 10]),
            time_ms: 0,
            key: Some("once".into()),
            ..record(&["\u{e9}"], "")
        },
    ];
    append(&*log, records.to_vec()).unwrap();
    for query in [Query::new(Scope::All), Query::last(Scope::All, 9)] {
        let mut entries = log.read(&query).unwrap().entries;
        entries.sort_by_key(|entry| entry.position.sequence);
        let read: Vec<Record> = entries.iter().map(|entry| entry.record.clone()).collect();
        assert_eq!(read, records);
    }
    assert_eq!(sequences(&in_rooms(&*log, &["a", "b"], |_| {})), [2]);
}

pub(crate) fn rooms_of_two_namespaces_are_two_rooms(form: &dyn Form) {
    let log = form.open(Settings::default());
    say(&*log, &["a"], "one");
    append(&*log, vec![Record { namespace: "/admin".into(), ..record(&["a"], "two") }]).unwrap();
    append(&*log, vec![Record { namespace: "/admin".into(), ..record(&[], "three") }]).unwrap();
    say(&*log, &[], "four");
    let rooms = names(&["a"]);
    let cases = [
        ("/", false, vec![1]),
        ("/", true, vec![1, 4]),
        ("/admin", true, vec![2, 3]),
        ("", true, vec![]),
    ];
    for (namespace, everyone, want) in cases {
        let scope = Scope::Rooms { namespace, rooms: &rooms, everyone };
        let after = Position { sequence: 0, ..log.head() };
        for query in [Query::new(scope), Query::after(scope, after)] {
            assert_eq!(sequences(&log.read(&query).unwrap()), want, "{namespace} {everyone}");
        }
    }
}

pub(crate) fn pages_have_limits_and_say_whether_there_is_more(form: &dyn Form) {
    let log = form.open(Settings::default());
    for at in 1..=9_u64 {
        say(&*log, if at % 2 == 1 { &["odd", "a"] } else { &["even", "a"] }, "0123456789");
    }
    let at = |sequence| Some(Position { sequence, ..log.head() });
    type Case<'a> = (&'a [&'a str], Option<u64>, Option<u64>, Order, usize, &'a [u64], bool);
    let cases: [Case<'_>; 9] = [
        (&["odd"], None, None, Order::OldestFirst, 9, &[1, 3, 5, 7, 9], false),
        (&["odd"], None, None, Order::OldestFirst, 5, &[1, 3, 5, 7, 9], false),
        (&["odd"], None, None, Order::OldestFirst, 4, &[1, 3, 5, 7], true),
        (&["odd"], Some(3), None, Order::OldestFirst, 2, &[5, 7], true),
        (&["odd"], Some(3), Some(7), Order::NewestFirst, 9, &[5], false),
        (&["even", "odd"], None, Some(4), Order::NewestFirst, 2, &[3, 2], true),
        (&["a"], Some(8), None, Order::OldestFirst, 9, &[9], false),
        (&["none"], None, None, Order::OldestFirst, 9, &[], false),
        (&["a"], None, None, Order::OldestFirst, 0, &[], true),
    ];
    for (rooms, after, before, order, limit, want, more) in cases {
        let page = in_rooms(&*log, rooms, |query| {
            (query.after, query.before) = (after.and_then(at), before.and_then(at));
            (query.order, query.limit) = (order, limit);
        });
        let case = (rooms, after, before, order, limit);
        assert_eq!((sequences(&page), page.more), (want.to_vec(), more), "{case:?}");
        assert!(page.complete, "{case:?}");
    }
    // Each costs 1 + 4 + (3 or 4) + 1 + 10 bytes: two fit 45, and one is given even if none fits.
    for (max_bytes, want) in [(45, vec![1, 2]), (1, vec![1])] {
        for scope in
            [Scope::All, Scope::Rooms { namespace: "/", rooms: &names(&["a"]), everyone: true }]
        {
            let page = log.read(&Query { max_bytes, ..Query::new(scope) }).unwrap();
            assert_eq!((sequences(&page), page.more), (want.clone(), true), "{max_bytes}");
        }
    }
}

pub(crate) fn the_last_value_of_a_room_is_one_entry(form: &dyn Form) {
    let log = form.open(Settings::default());
    let rooms = names(&["job:7"]);
    let scope = Scope::Rooms { namespace: "/", rooms: &rooms, everyone: false };
    assert!(log.read(&Query::last(scope, 1)).unwrap().entries.is_empty());
    for status in ["queued", "running", "done"] {
        say(&*log, &["job:7"], status);
        say(&*log, &["job:8"], status);
    }
    let page = log.read(&Query::last(scope, 1)).unwrap();
    assert_eq!(page.entries[0].record.payload, "done");
    assert!(page.more);
}

pub(crate) fn positions_of_another_life_are_refused(form: &dyn Form) {
    let log = form.open(Settings::default());
    say(&*log, &["a"], "x");
    let head = log.head();
    let other = Epoch(head.epoch.0 ^ 1);
    let ask = |position| log.read(&Query::after(Scope::All, position));
    let refused = Err(ReadError::Epoch { asked: other, current: head.epoch });
    assert_eq!(ask(Position { epoch: other, ..head }), refused);
    let before =
        Query { before: Some(Position { epoch: other, ..head }), ..Query::new(Scope::All) };
    assert_eq!(log.read(&before), refused);
    assert_eq!(ask(Position { sequence: 2, ..head }), Err(ReadError::Ahead));
    assert!(ask(head).unwrap().entries.is_empty());
    let rooms = vec![Arc::from("a"); MAX_QUERY_ROOMS + 1];
    let scope = Scope::Rooms { namespace: "/", rooms: &rooms, everyone: false };
    assert_eq!(log.read(&Query::new(scope)), Err(ReadError::TooManyRooms(MAX_QUERY_ROOMS + 1)));
}

pub(crate) fn retention_keeps_what_it_says(form: &dyn Form) {
    let retention =
        Retention { max_age: Duration::from_millis(100), max_entries: 5, max_bytes: 60 };
    let log = form.open(Settings { retention, ..Settings::default() });
    for time_ms in [10, 20, 30, 25, 200, 210, 211, 212] {
        append(&*log, vec![Record { time_ms, ..record(&["a"], "1234") }]).unwrap(); // 10 bytes
    }
    assert_eq!(trim(&*log, 0), 3, "five are left by number");
    assert_eq!(log.first(), 4);
    assert_eq!(trim(&*log, 125), 0, "exactly as old as allowed");
    assert_eq!(trim(&*log, 126), 1);
    append(&*log, vec![Record { time_ms: 213, ..record(&["a"], &"x".repeat(30)) }]).unwrap();
    assert_eq!(trim(&*log, 213), 2, "by bytes: 36 and two of 10");
    assert_eq!(sequences(&log.read(&Query::new(Scope::All)).unwrap()), [7, 8, 9]);
    assert_eq!(trim(&*log, 10_000), 3);
    assert_eq!((log.first(), log.head().sequence), (10, 9));
    assert_eq!(say(&*log, &["a"], "x"), 10, "sequences go on");
}

pub(crate) fn a_quiet_room_stays_complete(form: &dyn Form) {
    let retention = Retention { max_entries: 3, ..Retention::default() };
    let log = form.open(Settings { retention, ..Settings::default() });
    say(&*log, &["quiet"], "once");
    let seen = log.head();
    for _ in 0..5 {
        say(&*log, &["loud"], "x");
    }
    trim(&*log, 0);
    let rooms = [names(&["quiet"]), names(&["loud"]), names(&["quiet", "loud"]), names(&["new"])];
    for (rooms, want) in rooms.iter().zip([true, false, false, true]) {
        let scope = Scope::Rooms { namespace: "/", rooms, everyone: true };
        assert_eq!(log.read(&Query::after(scope, seen)).unwrap().complete, want, "{rooms:?}");
    }
    assert!(!log.read(&Query::after(Scope::All, seen)).unwrap().complete);
    let from_start = Position { sequence: 0, ..seen };
    let scope = Scope::Rooms { namespace: "/", rooms: &rooms[0], everyone: true };
    assert!(!log.read(&Query::after(scope, from_start)).unwrap().complete, "its one entry went");
    assert_eq!(log.watermark("/", "quiet"), Ok(1));
    assert_eq!(log.watermark("/", "loud"), Ok(3));
    assert_eq!(log.watermark("/", "new"), Ok(0));
}

pub(crate) fn idle_rooms_share_a_watermark_when_they_are_many(form: &dyn Form) {
    let retention = Retention { max_entries: 0, ..Retention::default() };
    let log = form.open(Settings { retention, max_idle_rooms: 2, ..Settings::default() });
    for room in ["a", "b", "c", "d"] {
        say(&*log, &[room], "x");
    }
    assert_eq!(trim(&*log, 0), 4);
    let watermarks = |log: &dyn eventlog::EventLog| -> Vec<u64> {
        ["a", "b", "c", "d", "never"].map(|room| log.watermark("/", room).unwrap()).to_vec()
    };
    assert_eq!(watermarks(&*log), [2, 2, 3, 4, 2]);
    say(&*log, &["c", "never"], "x");
    assert_eq!(watermarks(&*log), [2, 2, 3, 4, 2]);
    trim(&*log, 0);
    assert_eq!(watermarks(&*log), [4, 4, 5, 4, 5]);
}

pub(crate) fn a_known_key_appends_nothing(form: &dyn Form) {
    let log = form.open(Settings::default());
    let first = append(&*log, vec![keyed("k", 5), keyed("l", 5), keyed("k", 5)]).unwrap();
    let known = |appended: &[eventlog::Appended]| -> Vec<(u64, bool)> {
        appended.iter().map(|a| (a.position.sequence, a.known)).collect()
    };
    assert_eq!(known(&first), [(1, false), (2, false), (1, true)]);
    assert_eq!(known(&append(&*log, vec![keyed("k", 9)]).unwrap()), [(1, true)]);
    let elsewhere = Record { namespace: "/admin".into(), ..keyed("k", 9) };
    assert_eq!(known(&append(&*log, vec![elsewhere]).unwrap()), [(3, false)]);
    assert_eq!(log.head().sequence, 3);
}

pub(crate) fn keys_are_forgotten_by_age_and_number(form: &dyn Form) {
    let settings =
        Settings { key_age: Duration::from_millis(10), max_keys: 2, ..Settings::default() };
    let log = form.open(settings);
    let sequence =
        |key: &str, time_ms| append(&*log, vec![keyed(key, time_ms)]).unwrap()[0].position.sequence;
    assert_eq!((sequence("a", 0), sequence("a", 10)), (1, 1), "as old as allowed");
    assert_eq!((sequence("a", 11), sequence("a", 12)), (2, 2), "too old, then new");
    assert_eq!((sequence("b", 12), sequence("c", 12)), (3, 4));
    assert_eq!(sequence("a", 12), 5, "the third key made it forgotten");
    assert_eq!((sequence("c", 12), sequence("b", 12)), (4, 6));
    trim(&*log, 100);
    assert_eq!(sequence("c", 12), 7, "forgotten by a trim");
}

pub(crate) fn sessions_are_journalled_and_fenced(form: &dyn Form) {
    let log = form.open(Settings::default());
    let (one, two) = (session(&*log, 1, 1), session(&*log, 2, 1));
    assert_eq!(log.session(one.key), Ok(None));
    for session in [&two, &one] {
        assert_eq!(put(&*log, session.clone()), Ok(()));
    }
    assert_eq!(log.session(one.key), Ok(Some(one.clone())));
    assert_eq!(log.sessions(None, 9), Ok(vec![one.clone(), two.clone()]));
    assert_eq!(log.sessions(None, 1), Ok(vec![one.clone()]));
    assert_eq!(log.sessions(Some(one.key), 9), Ok(vec![two.clone()]));
    let taken = eventlog::Session { rooms: Vec::new(), subject: None, ..session(&*log, 1, 2) };
    assert_eq!(put(&*log, taken.clone()), Ok(()));
    assert_eq!(put(&*log, one.clone()), Err(SessionError::Fenced(2)), "a stale holder");
    assert_eq!(remove(&*log, one.key, 1), Err(SessionError::Fenced(2)));
    assert_eq!(log.session(one.key), Ok(Some(taken)));
    assert_eq!(remove(&*log, one.key, 2), Ok(true));
    assert_eq!(remove(&*log, one.key, 2), Ok(false));
    assert_eq!(log.sessions(None, 9), Ok(vec![two]));
}

pub(crate) fn the_journal_is_bounded(form: &dyn Form) {
    let log = form.open(Settings { max_sessions: 1, ..Settings::default() });
    assert_eq!(put(&*log, session(&*log, 1, 1)), Ok(()));
    assert_eq!(put(&*log, session(&*log, 2, 1)), Err(SessionError::Full(1)));
    assert_eq!(put(&*log, session(&*log, 1, 2)), Ok(()), "a known one is changed");
    assert_eq!(remove(&*log, SessionKey([1; 32]), 2), Ok(true));
    assert_eq!(put(&*log, session(&*log, 2, 1)), Ok(()));
    let large = eventlog::Session { state: vec![0; 70_000].into(), ..session(&*log, 2, 1) };
    assert!(matches!(put(&*log, large), Err(SessionError::TooLarge(_))));
}

pub(crate) fn a_reset_is_another_life(form: &dyn Form) {
    let log = form.open(Settings::default());
    append(&*log, vec![keyed("k", 1), record(&["b"], "x")]).unwrap();
    put(&*log, session(&*log, 1, 1)).unwrap();
    let before = log.head();
    let epoch = wait(|done| log.reset(done)).unwrap().unwrap();
    assert_ne!(epoch, before.epoch);
    assert_eq!(log.head(), Position { epoch, sequence: 0 });
    assert!(matches!(log.read(&Query::after(Scope::All, before)), Err(ReadError::Epoch { .. })));
    assert_eq!(log.session(SessionKey([1; 32])), Ok(None));
    assert_eq!(sequences(&log.read(&Query::new(Scope::All)).unwrap()), [0; 0]);
    assert_eq!(append(&*log, vec![keyed("k", 1)]).unwrap()[0].position.sequence, 1);
    assert_eq!(sequences(&in_rooms(&*log, &["a", "b"], |_| {})), [1]);
}

pub(crate) fn watchers_hear_of_each_head(form: &dyn Form) {
    let log = form.open(Settings::default());
    let (heard, hears) = mpsc::channel();
    assert!(log.watch(Arc::new(|_| panic!("a watcher's fault stays its own"))));
    let heard = std::sync::Mutex::new(heard);
    assert!(log.watch(Arc::new(move |head| heard.lock().unwrap().send(head).unwrap())));
    say(&*log, &["a"], "x");
    assert_eq!(hears.recv(), Ok(log.head()), "before the append was answered");
    append(&*log, vec![record(&["a"], "x"); 3]).unwrap();
    assert_eq!(hears.recv(), Ok(log.head()));
    wait(|done| log.reset(done)).unwrap().unwrap();
    assert_eq!(hears.recv(), Ok(log.head()));
}

pub(crate) fn concurrent_appends_keep_batches_together(form: &dyn Form) {
    const THREADS: u64 = 4;
    const BATCHES: u64 = 50;
    let log = form.open(Settings::default());
    let appended = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, appended) = (&log, &appended);
            scope.spawn(move || {
                let room = format!("room-{thread}");
                for batch in 0..BATCHES {
                    let records = vec![record(&[&room], &batch.to_string()); 3];
                    let answer = append(&**log, records).unwrap();
                    let first = answer[0].position.sequence;
                    let got: Vec<u64> = answer.iter().map(|a| a.position.sequence).collect();
                    assert_eq!(got, [first, first + 1, first + 2]);
                    let page = log.read(&Query::after(Scope::All, answer[0].position)).unwrap();
                    assert!(page.entries.len() >= 2, "what was answered can be read");
                    appended.fetch_add(3, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(log.head().sequence, appended.into_inner());
    for thread in 0..THREADS {
        let page = in_rooms(&*log, &[&format!("room-{thread}")], |_| {});
        let said: Vec<u64> = page
            .entries
            .iter()
            .map(|e| std::str::from_utf8(&e.record.payload).unwrap().parse().unwrap())
            .collect();
        let want: Vec<u64> = (0..BATCHES).flat_map(|batch| [batch; 3]).collect();
        assert_eq!(said, want, "a room's order is that of its appends");
    }
}

pub(crate) fn a_stronger_durability_than_offered_is_refused(form: &dyn Form) {
    let log = form.open(Settings::default());
    let offered = log.strongest();
    for asked in [Durability::Memory, Durability::Os, Durability::Disk] {
        let answer = append_wait(&*log, vec![record(&["a"], "x")], asked);
        if asked <= offered {
            assert!(answer.is_ok(), "{asked:?}");
        } else {
            assert_eq!(answer, Err(AppendError::NotOffered { asked, offered }));
        }
    }
}

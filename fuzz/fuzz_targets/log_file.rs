//! The files of the event log, as a broken disk or another program may leave them.
//!
//! Input: one byte that selects what the rest is (see `Kind`), then the rest. Changes are steps of
//! five bytes: what is done to which file, where (three bytes), and with which byte. Rows are a
//! table, a place and a body: see `forge`.
//!
//! Shows that for any bytes: nothing panics or hangs, memory is bounded; a log that was changed is
//! refused with a reason, or opened in the same life with the same content, or in another life with a
//! prefix of it; what was opened or repaired is found whole by `verify`; and another program's file
//! is left as it is.
#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use eventlog::{
    BootId, Durability, EventLog, OnDamage, OpenError, Order, Position, Query, ReadError, Record,
    Scope, Session, SessionKey, SessionRoom, SqliteLog, SqliteSettings, SqliteView, append_wait,
    repair, verify, wait,
};
use libfuzzer_sys::fuzz_target;

const STORE: &str = "log";
const WAL: &str = "log-wal";
const MARK: &str = "log.mark";

/// The entries of the sample.
const ENTRIES: u64 = 40;

enum Kind {
    /// Any bytes as the store, without a mark.
    Bytes,
    /// Any bytes as the store, beside the mark of a log.
    MarkedBytes,
    /// Changes to the files of a log that was closed.
    Closed,
    /// Changes to the files of a log whose process was killed.
    Killed,
    /// Rows with right checksums, which no damage makes but a program could.
    Rows,
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, input)) = data.split_first() else { return };
    let kind = match kind % 5 {
        0 => Kind::Bytes,
        1 => Kind::MarkedBytes,
        2 => Kind::Closed,
        3 => Kind::Killed,
        _ => Kind::Rows,
    };
    let samples = samples();
    let folder = Folder::new();
    match kind {
        Kind::Bytes => {
            folder.write(STORE, input);
            survives(&folder, None);
            if let Err(OpenError::Foreign) = verify(&folder.path()) {
                assert_eq!(folder.read(STORE), input, "another's file is left as it is");
            }
        }
        Kind::MarkedBytes => {
            folder.write(STORE, input);
            folder.write(MARK, &samples.closed.files[MARK]);
            survives(&folder, Some(&samples.closed));
        }
        Kind::Closed => changed(&folder, &samples.closed, input),
        Kind::Killed => changed(&folder, &samples.killed, input),
        Kind::Rows => {
            folder.fill(&samples.closed.files);
            // What SQLite itself refuses to write is no input.
            if forge(&folder.path(), input).is_ok() {
                survives(&folder, None);
            }
        }
    }
});

/// A folder in memory, gone with its input.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("fanfare-fuzz-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join(STORE)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    fn fill(&self, files: &BTreeMap<&'static str, Vec<u8>>) {
        files.iter().for_each(|(name, bytes)| self.write(name, bytes));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The files of a log, and what is in it.
struct Sample {
    files: BTreeMap<&'static str, Vec<u8>>,
    content: Content,
    head: Position,
}

struct Samples {
    closed: Sample,
    killed: Sample,
}

fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let folder = Folder::new();
        let log = SqliteLog::open(settings(&folder.path())).unwrap();
        fill(&log);
        let (content, head) = (content(&log).unwrap(), log.head());
        let killed = Sample { files: files(&folder), content: content.clone(), head };
        drop(log);
        Samples { killed, closed: Sample { files: files(&folder), content, head } }
    })
}

/// One life of the machine, so that the samples are still of it in the next run.
fn settings(path: &Path) -> SqliteSettings {
    SqliteSettings { recent_entries: 4, boot: BootId::new([7; 16]), ..SqliteSettings::new(path) }
}

fn files(folder: &Folder) -> BTreeMap<&'static str, Vec<u8>> {
    let names = [STORE, WAL, MARK].into_iter().filter(|name| folder.0.join(name).exists());
    names.map(|name| (name, folder.read(name))).collect()
}

fn fill(log: &SqliteLog) {
    for at in 0..ENTRIES {
        let record = Record {
            namespace: "/".into(),
            rooms: [Arc::from(if at % 2 == 0 { "even" } else { "odd" })].into(),
            except: Arc::default(),
            name: "said".into(),
            payload: format!("[{at}]").repeat(usize::try_from(at).unwrap_or(0) * 8 + 1).into(),
            time_ms: at,
            key: (at % 7 == 0).then(|| format!("key-{at}").into()),
        };
        append_wait(log, vec![record], Durability::Os).unwrap();
    }
    let session = Session {
        key: SessionKey([1; 32]),
        socket: "socket".into(),
        subject: None,
        namespace: "/".into(),
        rooms: vec![SessionRoom { name: "even".into(), since: 1 }],
        start: log.head(),
        fence: 1,
        time_ms: 1,
        state: bytes::Bytes::from_static(b"{}"),
    };
    wait(|done| log.put_session(session, done)).unwrap().unwrap();
}

/// All that can be read of a log.
#[derive(Debug, Clone, PartialEq)]
struct Content {
    entries: BTreeMap<u64, Record>,
    rooms: Vec<Vec<u64>>,
    sessions: Vec<Session>,
}

fn content(log: &SqliteLog) -> Result<Content, ReadError> {
    let read = |scope: Scope<'_>, order: Order| log.read(&Query { order, ..Query::new(scope) });
    let all = read(Scope::All, Order::OldestFirst)?;
    let mut rooms = Vec::new();
    for room in ["even", "odd", "nobody"] {
        let room: [Arc<str>; 1] = [room.into()];
        let scope = Scope::Rooms { namespace: "/", rooms: &room, everyone: true };
        let page = read(scope, Order::NewestFirst)?;
        rooms.push(page.entries.iter().map(|entry| entry.position.sequence).collect());
    }
    let entries = all.entries.iter().map(|it| (it.position.sequence, it.record.clone())).collect();
    Ok(Content { entries, rooms, sessions: log.sessions(None, 100)? })
}

/// Applies steps to the files of a sample.
fn changed(folder: &Folder, sample: &Sample, input: &[u8]) {
    let mut files = sample.files.clone();
    let names: Vec<&'static str> = files.keys().copied().collect();
    for step in input.as_chunks::<5>().0.iter().take(64) {
        let [what, high, middle, low, byte] = *step;
        let name = names[usize::from(what >> 4) % names.len()];
        let Some(bytes) = files.get_mut(name) else { continue };
        let offset = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let at = if bytes.is_empty() { 0 } else { offset % bytes.len() };
        match what % 8 {
            0 => bytes.truncate(at),
            1 => bytes.resize((bytes.len() + offset % 70_000).min(1 << 20), byte),
            2 => bytes.iter_mut().skip(at).take(usize::from(byte) * 16).for_each(|b| *b = 0),
            3 => drop(files.remove(name)),
            4 => {
                // A page stands where another should.
                let (from, to) = (at / 4096 * 4096, usize::from(byte) * 4096);
                let page = bytes.get(from..from + 4096).map(<[u8]>::to_vec);
                if let (Some(page), Some(place)) = (page, bytes.get_mut(to..to + 4096)) {
                    place.copy_from_slice(&page);
                }
            }
            _ => {
                if let Some(place) = bytes.get_mut(at) {
                    *place ^= byte;
                }
            }
        }
    }
    folder.fill(&files);
    survives(folder, Some(sample));
}

/// Whatever the files are: they are looked at, opened, repaired; and whatever is opened is honest
/// about the sample they were made from, if they were.
fn survives(folder: &Folder, sample: Option<&Sample>) {
    let path = folder.path();
    let found = verify(&path);
    if let Ok(view) = SqliteView::open(&path) {
        let _ = view.overview();
        let _ = view.read(&Query::new(Scope::All));
        let _ = view.read(&Query::last(Scope::All, 3));
    }
    match SqliteLog::open(settings(&path)) {
        Ok(log) => {
            if let Ok(found) = &found {
                assert!(found.problems.is_empty() || log.report().change.is_some(), "{found:?}");
            }
            holds(log, sample, &path);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            refused(&path, sample, &error);
        }
    }
}

/// A log that was refused can be repaired, unless it is none.
fn refused(path: &Path, sample: Option<&Sample>, error: &OpenError) {
    let repairing = SqliteSettings { on_damage: OnDamage::Repair, ..settings(path) };
    let log = match SqliteLog::open(repairing) {
        Ok(log) => log,
        Err(_) if repair(path).is_ok() => SqliteLog::open(settings(path)).unwrap(),
        Err(again) => {
            let named = matches!(again, OpenError::Foreign | OpenError::Version { .. });
            assert!(named, "{error}, then {again}");
            return;
        }
    };
    holds(log, sample, path);
}

/// An open log: the same life with the same content, or another with a prefix. It takes more, and
/// is whole after it was closed.
fn holds(log: SqliteLog, sample: Option<&Sample>, path: &Path) {
    let found = content(&log).unwrap();
    if let Some(sample) = sample {
        if log.epoch() == sample.head.epoch {
            assert_eq!(log.head(), sample.head);
            assert!(found == sample.content, "the same life has the same content");
        } else {
            assert!(found.sessions.is_empty(), "no session of another life");
            assert!(log.head().sequence <= sample.head.sequence);
            for (sequence, record) in &found.entries {
                let original = sample.content.entries.get(sequence);
                assert!(original == Some(record), "entry {sequence} is invented");
            }
        }
    }
    let record = Record {
        namespace: "/".into(),
        rooms: Arc::default(),
        except: Arc::default(),
        name: "more".into(),
        payload: bytes::Bytes::new(),
        time_ms: ENTRIES,
        key: None,
    };
    let appended = append_wait(&log, vec![record], Durability::Os);
    let _ = wait(|done| log.trim(u64::MAX, done));
    let epoch = log.epoch();
    drop(log);
    let report = verify(path).unwrap();
    // Whoever forged the numbers may have left no place for one more.
    if appended.is_ok() {
        assert_eq!((report.problems, report.epoch), (Vec::new(), Some(epoch)));
    }
}

/// Puts rows of a program that knows the checksums into a store: numbers of the state, and bodies
/// of entries and sessions.
fn forge(path: &Path, input: &[u8]) -> rusqlite::Result<()> {
    let store = rusqlite::Connection::open(path)?;
    let mut rows = input;
    for _ in 0..16 {
        let Some((&[table, place, length], rest)) = rows.split_first_chunk::<3>() else { break };
        let (body, rest) = rest.split_at(rest.len().min(usize::from(length)));
        rows = rest;
        match table % 4 {
            0 => {
                let old = "SELECT body FROM state";
                let mut state: Vec<u8> = store.query_row(old, [], |row| row.get(0))?;
                let end = state.len() - 8;
                let at = usize::from(place) % 9 * 8;
                state[at..].iter_mut().zip(body).take(end - at).for_each(|(to, from)| *to = *from);
                // A number so large that it lasts for no more write is none that any log reaches.
                if let Some(high @ 0x3f) = state.get_mut(at + 7) {
                    *high = 0x3e;
                }
                let sum = u64::from(crc32fast::hash(&state[..end]));
                state[end..].copy_from_slice(&sum.to_le_bytes());
                store.execute("UPDATE state SET body = ?1", [state])?;
            }
            1 => {
                let sequence = i64::from(place);
                let body = sealed(&sequence.to_le_bytes(), body);
                let sql = "INSERT OR REPLACE INTO entries (sequence, body) VALUES (?1, ?2)";
                store.execute(sql, (sequence, body))?;
            }
            2 => {
                let key = [place; 32];
                let sql = "INSERT OR REPLACE INTO sessions (key, body) VALUES (?1, ?2)";
                store.execute(sql, (key, sealed(&key, body)))?;
            }
            _ => {
                let sql = "INSERT OR REPLACE INTO room_entries (room, sequence) VALUES (?1, ?2)";
                store.execute(sql, (i64::from(length), i64::from(place)))?;
            }
        }
    }
    Ok(())
}

/// A body behind its checksum and the version.
fn sealed(place: &[u8], body: &[u8]) -> Vec<u8> {
    let rest = [&[1], body].concat();
    let mut sum = crc32fast::Hasher::new();
    sum.update(place);
    sum.update(&rest);
    [&sum.finalize().to_le_bytes()[..], &rest].concat()
}

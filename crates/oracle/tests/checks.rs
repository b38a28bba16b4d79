#![cfg(test)]
//! Small stories, one per rule: what each check calls a fault, and what it must leave alone.

use eventlog::{Epoch, Position};
use fanfare_oracle::{Check, Line, Verdict, What, judge};

/// A story in words: one line per second, `who what …`.
fn story(text: &str) -> Verdict {
    let lines = text.trim().lines().zip(1..).map(|(line, second)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Line { at: second * 1_000_000_000, who: words[0].into(), what: what(&words[1..]) }
    });
    judge(&lines.collect::<Vec<_>>())
}

/// `x:3` is event x at position 3; `x:1/3` at position 3 of epoch 1.
fn event(word: &str) -> (String, Option<String>) {
    let Some((id, place)) = word.split_once(':') else { return (word.to_owned(), None) };
    let (epoch, sequence) = place.split_once('/').unwrap_or(("0", place));
    let (epoch, sequence) = (Epoch(epoch.parse().unwrap()), sequence.parse().unwrap());
    (id.to_owned(), Some(Position { epoch, sequence }.to_string()))
}

fn what(words: &[&str]) -> What {
    let (name, rest) = words.split_first().unwrap();
    let word = |at: usize| rest[at].to_owned();
    let call = |at: usize| rest[at].parse().unwrap();
    let rooms = |sign| rest[1..].iter().filter_map(move |it| it.strip_prefix(sign));
    match *name {
        "asks" | "asks-with-key" => What::Invoke {
            id: word(0),
            rooms: rooms('+').map(str::to_owned).collect(),
            except: rooms('-').map(str::to_owned).collect(),
            key: (*name == "asks-with-key").then(|| word(0)),
        },
        "ok" => {
            let (id, position) = event(rest[0]);
            What::Ok { id, position }
        }
        "failed" => What::Failed { id: word(0) },
        "unknown" => What::Unknown { id: word(0) },
        "is" => What::Connect { id: word(0), recovered: rest.get(1) == Some(&"recovered") },
        "reset" => What::Reset,
        "gone" => What::Disconnect { reason: "gone".into() },
        "gets" => {
            let (id, position) = event(rest[0]);
            What::Receive { id, position }
        }
        "joins" => What::Join { call: call(0), room: word(1) },
        "leaves" => What::Leave { call: call(0), room: word(1) },
        "done" => What::Done { call: call(0) },
        "breach" => What::Breach { detail: word(0) },
        "healed" => What::Healed,
        "entry" => {
            let (id, position) = event(rest[1]);
            What::Entry { room: word(0), id, position: position.unwrap() }
        }
        "read" => What::Read { room: word(0) },
        other => panic!("{other}"),
    }
}

/// Ada is in room a.
const ADA: &str = "ada is s1\nada joins 1 a\nada done 1\n";

fn check(cases: &[(&str, &str, &[Check])]) {
    for (name, text, expected) in cases {
        let verdict = story(&format!("{ADA}{text}"));
        let found: Vec<Check> = verdict.counts.keys().copied().collect();
        assert_eq!(&found, expected, "{name}: {:#?}", verdict.witnesses);
    }
}

#[test]
fn losses_are_silent_told_or_a_lie() {
    check(&[
        ("delivered", "p asks x +a\np ok x:1\nada gets x:1", &[]),
        ("delivered before the answer", "p asks x +a\nada gets x:1\np ok x:1", &[]),
        ("lost", "p asks x +a\np ok x:1", &[Check::SilentLoss]),
        ("of another room", "p asks x +b\np ok x:1", &[]),
        ("excepted", "ada joins 2 b\nada done 2\np asks x +a -b\np ok x:1", &[]),
        ("not acknowledged", "p asks x +a\np unknown x", &[]),
        ("unknown, but recorded", "p asks x +a\np unknown x\nr entry a x:1", &[Check::SilentLoss]),
        (
            "unknown, but somebody else got it",
            "bo is s2\nbo joins 1 a\nbo done 1\np asks x +a\np unknown x\nbo gets x:1",
            &[Check::SilentLoss],
        ),
        ("told", "ada gone\np asks x +a\np ok x:1\nada is s2", &[]),
        ("told by a reset", "ada gone\np asks x +a\np ok x:1\nada is s1 recovered\nada reset", &[]),
        ("recovered", "ada gone\np asks x +a\np ok x:1\nada gets x:1\nada is s1 recovered", &[]),
        ("lied to", "ada gone\np asks x +a\np ok x:1\nada is s1 recovered", &[Check::Honesty]),
        (
            "what was told does not speak of what came before",
            "p asks x +a\np ok x:1\np asks y +a\np ok y:2\nada gets y:2\nada gone\nada is s2",
            &[Check::SilentLoss],
        ),
        (
            "a recovery is not to blame for what was lost live before",
            "p asks x +a\np ok x:1\np asks y +a\np ok y:2\nada gets y:2\nada gone\nada is s1 recovered",
            &[Check::SilentLoss],
        ),
    ]);
}

#[test]
fn borders_are_left_alone() {
    check(&[
        ("asked while joining", "ada joins 2 b\np asks x +b\nada done 2\np ok x:1", &[]),
        ("joined while asking", "p asks x +b\nada joins 2 b\nada done 2\np ok x:1", &[]),
        ("still on its way when it left", "p asks x +a\np ok x:1\nada leaves 2 a\nada done 2", &[]),
        (
            "got something later before it left",
            "p asks x +a\np ok x:1\np asks y +a\np ok y:2\nada gets y:2\nada leaves 2 a\nada done 2",
            &[Check::SilentLoss],
        ),
        (
            "got it while leaving",
            "ada leaves 2 a\np asks x +a\np ok x:1\nada gets x:1\nada done 2",
            &[],
        ),
        ("was not answered when it asked to join", "ada joins 2 b\np asks x +b\np ok x:1", &[]),
    ]);
}

#[test]
fn what_is_received_must_be_due_once_in_order() {
    check(&[
        ("twice", "p asks x +a\np ok x:1\nada gets x:1\nada gets x:1", &[Check::Duplicate]),
        ("never asked", "ada gets x:1", &[Check::Invented]),
        ("before it was asked", "ada gets x:1\np asks x +a\np ok x:1", &[Check::Invented]),
        ("refused", "p asks x +a\np failed x\nada gets x:1", &[Check::Invented]),
        (
            "refused, then tried again",
            "p asks x +a\np failed x\np asks x +a\np ok x:1\nada gets x:1",
            &[],
        ),
        (
            "refused after a try that nobody knows of",
            "p asks x +a\np unknown x\np asks x +a\np failed x\nada gets x:1",
            &[],
        ),
        ("of a room it was not in", "p asks x +b\np ok x:1\nada gets x:1", &[Check::Leak]),
        (
            "of a room it left",
            "ada leaves 2 a\nada done 2\np asks x +a\np ok x:1\nada gets x:1",
            &[Check::Leak],
        ),
        (
            "older than its stay",
            "p asks x +b\np ok x:1\np asks y +b\np ok y:2\nada joins 2 b\nada done 2\nada gets x:1",
            &[Check::Leak],
        ),
        (
            "though excepted",
            "ada joins 2 b\nada done 2\np asks x +a -b\np ok x:1\nada gets x:1",
            &[Check::Leak],
        ),
        (
            "replayed in part, and told that nothing was",
            "p asks x +a\np ok x:1\nada gone\nada gets x:1\nada is s2",
            &[Check::Leak],
        ),
        (
            "not as in the log",
            "p asks x +a\np ok x:1\np asks y +a\np ok y:2\nada gets y:2\nada gets x:1",
            &[Check::Order],
        ),
        (
            "not as somebody else, without positions",
            "bo is s2\nbo joins 1 a\nbo done 1\np asks x +a\nq asks y +a\np ok x\nq ok y\n\
             ada gets y\nada gets x\nbo gets x\nbo gets y",
            &[Check::Order],
        ),
        (
            "across lives of the log",
            "p asks x +a\np ok x:9\nada gets x:9\nada gone\nada is s2\n\
          ada joins 2 a\nada done 2\np asks y +a\np ok y:1/1\nada gets y:1/1",
            &[],
        ),
    ]);
}

#[test]
fn the_log_holds_what_was_acknowledged() {
    let entries = "p asks x +a\np ok x:1\nada gets x:1\np asks y +a\np unknown y\n";
    let with = |rest: &str| format!("{entries}{rest}");
    check(&[
        ("all of it", &with("r entry a x:1\nr read a"), &[]),
        ("and what is unknown", &with("ada gets y:2\nr entry a x:1\nr entry a y:2\nr read a"), &[]),
        ("nothing", &with("r read a"), &[Check::Log]),
        ("not this", &with("ada gets y:2\nr entry a y:2\nr read a"), &[Check::Log]),
        (
            "out of order",
            &with("ada gets y:2\nr entry a y:2\nr entry a x:1\nr read a"),
            &[Check::Log],
        ),
        (
            "what nobody asked for",
            &with("r entry a x:1\nr entry a z:2\nr read a"),
            &[Check::Invented],
        ),
        (
            "what was refused",
            &with("p asks z +a\np failed z\nr entry a x:1\nr entry a z:2\nr read a"),
            &[Check::Invented],
        ),
        ("what belongs elsewhere", &with("r entry b x:1\nr read b"), &[Check::Leak]),
        ("at another place", &with("r entry a x:5\nr read a"), &[Check::Position]),
        (
            "another event's place",
            &with("ada gets y:1\nr entry a x:1\nr read a"),
            &[Check::Position],
        ),
        ("twice", &with("r entry a x:1\nr entry a x:2\nr read a"), &[Check::Position, Check::Log]),
        (
            "a key twice",
            "p asks-with-key x +a\np unknown x\np asks-with-key x +a\np ok x:2\nada gets x:2\n\
             r entry a x:1\nr entry a x:2\nr read a",
            &[Check::Key],
        ),
        (
            "the same events in a new life of it",
            "p asks-with-key x +a\np ok x:1\nada gets x:1\nr entry a x:1/1\nr read a",
            &[],
        ),
        (
            "a new life of it",
            "p asks x +a\np ok x:1\nada gets x:1\np asks y +a\np ok y:7/1\n\
          ada gets y:7/1\nr entry a y:7/1\nr read a",
            &[],
        ),
    ]);
}

#[test]
fn sessions_stay_their_own_and_come_back() {
    check(&[
        ("somebody else's", "ada gone\nada is s9 recovered", &[Check::Identity]),
        ("a new one", "ada gone\nada is s9", &[]),
        ("acknowledged twice", "ada done 1", &[Check::Acks]),
        ("acknowledged unasked", "ada done 7", &[Check::Acks]),
        ("nonsense", "ada breach nonsense", &[Check::Protocol]),
        ("gone, while things are broken", "ada gone", &[]),
        ("gone for good", "ada gone\nrun healed", &[Check::Back]),
        ("back", "ada gone\nrun healed\nada is s1 recovered", &[]),
        ("never let in", "run healed\nada joins 2 b", &[Check::Back]),
        ("service resumed", "run healed\np asks x +b\np ok x:1", &[]),
        (
            "service did not resume",
            "p asks x +b\np ok x:1\nrun healed\np asks y +b\np failed y",
            &[Check::Back],
        ),
    ]);
}

#[test]
fn figures_are_counted() {
    let verdict = story(&format!(
        "{ADA}p asks x +a\np ok x:1\nada gets x:1\nada gone\np asks y +a\np ok y:2\nada is s2\n\
         ada joins 2 a\nada done 2\nada gone\nada is s3\nada gone\nada is s3 recovered"
    ));
    assert!(verdict.is_clean(), "{:#?}", verdict.witnesses);
    let figures = verdict.figures;
    assert_eq!((figures.acked, figures.clients, figures.deliveries, figures.due), (2, 1, 1, 2));
    assert_eq!((figures.lost_told, figures.lost_silently), (1, 0));
    assert_eq!((figures.reconnects, figures.recovered, figures.pessimistic), (3, 1, 1));
    assert!((figures.pessimism_percent() - 33.3).abs() < 0.1);
}

//! What a client may do when, as a table of short conversations.

use proptest::prelude::*;

use super::*;
use crate::settings::{Limits, Parser};

/// What happens, and what must come of it.
enum Step {
    /// The client sends a text; `Ok("")` is nothing to do.
    Text(&'static str, Result<&'static str, &'static str>),
    /// The client sends bytes.
    Binary(&'static [u8], Result<&'static str, &'static str>),
    /// The server answers.
    Accept(&'static str),
    Refuse(&'static str),
    Leave(&'static str),
}

use Step::{Accept, Binary, Leave, Refuse, Text};

fn describe(incoming: Option<Incoming>) -> String {
    match incoming {
        None => String::new(),
        Some(Incoming::Connect { namespace, auth, query }) => {
            let auth = auth.map(|auth| format!(" {}", auth.json())).unwrap_or_default();
            let query = query.map(|query| format!(" ?{query}")).unwrap_or_default();
            format!("connect {namespace}{auth}{query}")
        }
        Some(Incoming::Event { namespace, name, args, ack }) => {
            let ack = ack.map(|id| format!(" #{id}")).unwrap_or_default();
            format!("event {namespace} {name}({}){ack}", args.json())
        }
        Some(Incoming::Ack { namespace, id, args }) => {
            format!("ack {namespace} #{id}({})", args.json())
        }
        Some(Incoming::Disconnect { namespace }) => format!("disconnect {namespace}"),
    }
}

fn connection(limits: Limits, version: Version) -> Connection {
    Connection::new(Arc::new(Settings { parser: Parser::Json, limits }), version)
}

fn play(connection: &mut Connection, steps: &[Step]) {
    for (at, step) in steps.iter().enumerate() {
        let namespace = |name: &str| Namespace::new(name).unwrap();
        let (result, expected) = match step {
            Text(text, expected) => (connection.handle_text(text), expected),
            Binary(bytes, expected) => {
                (connection.handle_binary(Bytes::from_static(bytes)), expected)
            }
            Accept(name) => {
                connection.accepted(&namespace(name));
                continue;
            }
            Refuse(name) => {
                connection.refused(&namespace(name));
                continue;
            }
            Leave(name) => {
                connection.left(&namespace(name));
                continue;
            }
        };
        let result = result.map(describe).map_err(|violation| violation.name());
        assert_eq!(result.as_deref(), expected.as_deref(), "step {at}");
    }
}

fn check(steps: &[Step]) {
    play(&mut connection(Limits::default(), Version::V5), steps);
}

/// In, talk, out, and in again.
#[test]
fn the_ordinary_life() {
    check(&[
        Text(r#"0{"token":"x"}"#, Ok(r#"connect / {"token":"x"}"#)),
        Accept("/"),
        Text(r#"2["hello",1,{"a":null}]"#, Ok(r#"event / hello(1,{"a":null})"#)),
        Text(r#"0/admin,{"t":1}"#, Ok(r#"connect /admin {"t":1}"#)),
        Accept("/admin"),
        Text(r#"2/admin,12["q"]"#, Ok("event /admin q() #12")),
        Text("3/admin,5[true]", Ok("ack /admin #5(true)")),
        Text("312", Ok("ack / #12()")),
        Text("1/admin,", Ok("disconnect /admin")),
        Text(r#"2["e"]"#, Ok("event / e()")),
        Text("0/admin", Ok("connect /admin")),
    ]);
}

/// What is no violation and asks for nothing.
#[test]
fn ignored() {
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text("2", Ok("")),
        Text("27", Ok("")),
        Text("3[1]", Ok("")),
        Text("3999[1]", Ok("ack / #999(1)")),
        Text("51-", Ok("")),
        Binary(b"x", Ok("")),
        Text(r#"2["e"]"#, Ok("event / e()")),
    ]);
}

/// Attachments arrive one by one, and nothing may come between.
#[test]
fn attachments() {
    let placeholders = r#"52-["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text(placeholders, Ok("")),
        Binary(b"a", Ok("")),
        Binary(
            b"b",
            Ok(r#"event / m({"_placeholder":true,"num":0},{"_placeholder":true,"num":1})"#),
        ),
        Binary(b"c", Err("unexpected_binary")),
    ]);
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text(placeholders, Ok("")),
        Binary(b"a", Ok("")),
        Text(r#"2["e"]"#, Err("text_while_attachments_pending")),
    ]);
}

/// A stranger may only ask to come in; who is in may not ask again.
#[test]
fn packets_at_the_wrong_time() {
    for stray in [r#"2["e"]"#, "2", "3[1]", "31[]", "1", r#"2/admin,["e"]"#, "1/admin,"] {
        check(&[Text(stray, Err("not_joined"))]);
        check(&[Text("0", Ok("connect /")), Text(stray, Err("not_joined"))]);
    }
    check(&[Text(r#"51-["e"]"#, Ok("")), Binary(b"x", Err("not_joined"))]);
    check(&[Text("0", Ok("connect /")), Text("0", Err("already_joined"))]);
    check(&[Text("0", Ok("connect /")), Accept("/"), Text("0{}", Err("already_joined"))]);
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text(r#"4{"message":"x"}"#, Err("connect_error_from_client")),
    ]);
    check(&[Text(r#"4"x""#, Err("connect_error_from_client"))]);
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text("1", Ok("disconnect /")),
        Text(r#"2["e"]"#, Err("not_joined")),
    ]);
    check(&[
        Text("0/nope,", Ok("connect /nope")),
        Refuse("/nope"),
        Text(r#"2/nope,["e"]"#, Err("not_joined")),
    ]);
}

/// What crosses the server's DISCONNECT on the way is ignored, attachments too, and the other
/// namespaces live on.
#[test]
fn packets_that_cross_the_servers_disconnect() {
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Text("0/a", Ok("connect /a")),
        Accept("/a"),
        Text(r#"51-/a,["m"]"#, Ok("")),
        Leave("/a"),
        Binary(b"x", Ok("")),
        Text(r#"2/a,["e"]"#, Ok("")),
        Text("1/a,", Ok("")),
        Text(r#"2["e"]"#, Ok("event / e()")),
        Text("0/a,", Ok("connect /a")),
        Text(r#"2/a,["e"]"#, Err("not_joined")),
    ]);
}

/// A server's late answer, or one for a namespace nobody asked for, changes nothing.
#[test]
fn answers_that_nobody_awaits() {
    check(&[Accept("/"), Refuse("/"), Leave("/"), Text(r#"2["e"]"#, Err("not_joined"))]);
    check(&[
        Text("0", Ok("connect /")),
        Accept("/"),
        Refuse("/"),
        Text(r#"2["e"]"#, Ok("event / e()")),
    ]);
}

/// A version 2 client is in `/` from the start, when the server agrees.
#[test]
fn version_2() {
    let mut client = connection(Limits::default(), Version::V2);
    assert_eq!(describe(client.open()), "connect /");
    assert_eq!(client.open(), None);
    play(
        &mut client,
        &[
            Accept("/"),
            Text(r#"2["e"]"#, Ok("event / e()")),
            Text("0/admin?token=x,", Ok("connect /admin ?token=x")),
            Accept("/admin"),
            Text(r#"2/admin?token=x,1["e"]"#, Ok("event /admin e() #1")),
            Text("0", Err("already_joined")),
        ],
    );
    assert_eq!(connection(Limits::default(), Version::V5).open(), None);
}

/// Many namespaces: bounded, and those the client was put out of make room.
#[test]
fn namespaces_are_bounded() {
    let limits = Limits { max_namespaces: 2, ..Limits::default() };
    play(
        &mut connection(limits, Version::V5),
        &[
            Text("0/a", Ok("connect /a")),
            Accept("/a"),
            Leave("/a"),
            Text("0/b", Ok("connect /b")),
            Text("0/c", Ok("connect /c")),
            Accept("/c"),
            Text("0/d", Err("too_many_namespaces")),
            Refuse("/b"),
            Text("0/d", Ok("connect /d")),
        ],
    );
}

/// Trying names: nothing is kept of a refused one, and there is an end to it.
#[test]
fn refusals_are_bounded() {
    let limits = Limits { max_refusals: 3, ..Limits::default() };
    let mut client = connection(limits, Version::V5);
    let try_name =
        |client: &mut Connection, name: &'static str, answer: fn(&'static str) -> Step| {
            let text: &'static str = Box::leak(format!("0{name}").into_boxed_str());
            let asked: &'static str = Box::leak(format!("connect {name}").into_boxed_str());
            play(client, &[Text(text, Ok(asked)), answer(name)]);
        };
    try_name(&mut client, "/a", Refuse);
    try_name(&mut client, "/b", Refuse);
    try_name(&mut client, "/c", Accept);
    for name in ["/d", "/e", "/f"] {
        try_name(&mut client, name, Refuse);
    }
    assert_eq!(client.namespaces.len(), 1);
    play(&mut client, &[Text("0/g", Err("too_many_refusals"))]);
}

/// The packets of one namespace share one name, and a connection in one namespace is one small
/// struct.
#[test]
fn is_small() {
    assert!(size_of::<Connection>() <= 72, "{}", size_of::<Connection>());
    let mut client = connection(Limits::default(), Version::V5);
    play(&mut client, &[Text("0/a", Ok("connect /a")), Accept("/a")]);
    assert!(!client.namespaces.spilled());
    let joined: Vec<_> = client.joined().map(Namespace::as_str).collect();
    assert_eq!(joined, ["/a"]);
    let incoming = client.handle_text(r#"2/a,["e"]"#).unwrap().unwrap();
    let Incoming::Event { namespace, .. } = incoming else { panic!("{incoming:?}") };
    let (ours, theirs) = (client.namespaces[0].namespace.as_str(), namespace.as_str());
    assert_eq!(ours.as_ptr(), theirs.as_ptr());
}

proptest! {
    /// Whatever a client sends and a server answers: no panic, and the limits hold.
    #[test]
    fn any_conversation(
        steps in prop::collection::vec(
            (0_u8..6, prop::sample::select(vec!["/", "/a", "/b", "/c"]), "[0-6]{1}"),
            0..40,
        ),
    ) {
        let limits = Limits { max_namespaces: 2, ..Limits::default() };
        let mut client = connection(limits, Version::V5);
        for (what, name, kind) in steps {
            let namespace = Namespace::new(name).unwrap();
            match what {
                0 => client.accepted(&namespace),
                1 => client.refused(&namespace),
                2 => client.left(&namespace),
                3 => drop(client.handle_binary(Bytes::from_static(b"x"))),
                4 => drop(client.handle_text(&format!("0{name},"))),
                _ => drop(client.handle_text(&format!("{kind}{name},[\"e\"]"))),
            }
            prop_assert!(client.namespaces.len() <= 2);
        }
    }
}

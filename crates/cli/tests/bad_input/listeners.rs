//! What the library must bear that the binary has no listeners for: E23, E30. Played against
//! `examples/listeners.rs`.

use crate::case::{Case, Door, Profile, Step, case};

const GUARDED: &str = "44/guarded,{\"message\":\"forbidden\",\"data\":{\"code\":\"FORBIDDEN\"}}";
const TIMED_OUT: &str = "42[\"outcome\",\"the client did not answer within 300ms\"]";

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    acks(&mut cases);
    doors(&mut cases);
    cases
}

fn listening(row: &'static str, what: impl Into<String>) -> Case {
    case(row, what).on(Profile::Listeners)
}

fn joined(row: &'static str, what: impl Into<String>) -> Case {
    listening(row, what).joined(Door::WebSocket)
}

/// E20, E23: questions of the server's that are not answered, or not so.
fn acks(cases: &mut Vec<Case>) {
    let asked = |what: &str| joined("E23", what).text("42[\"ask\"]").step(Step::Asked);
    cases.push(asked("a question is not answered").hears(TIMED_OUT).asks(1));
    cases.push(
        asked("an answer after the time for it")
            .hears(TIMED_OUT)
            .text("43{ack}[1]")
            .asks(1)
            .rejected("ack_unknown"),
    );
    cases.push(
        asked("an answer is given twice")
            .text("43{ack}[1]")
            .hears("42[\"outcome\",\"[1]\"]")
            .text("43{ack}[2]")
            .asks(1)
            .rejected("ack_unknown"),
    );
    cases.push(
        asked("the answer to another question")
            .text("43{ack}9[1]")
            .hears(TIMED_OUT)
            .asks(1)
            .rejected("ack_unknown"),
    );
    cases.push(
        asked("an answer that is no array")
            .text("43{ack}{\"a\":1}")
            .closes_empty()
            .rejected("invalid_ack_payload")
            .gone(),
    );
    cases.push(
        asked("an answer without arguments is one, as for the reference server")
            .text("43{ack}")
            .hears("42[\"outcome\",\"[]\"]")
            .asks(1),
    );
    for (what, step) in [("is closed", Step::FinishWriting), ("is reset", Step::Abort)] {
        let what = format!("a question is open when the connection {what}");
        cases.push(asked(&what).step(step).gone());
    }
    cases.push(
        joined("E23", "two thousand questions, none answered")
            .text("42[\"ask:many\",2000]")
            .step(Step::HearsUntil("42[\"outcome\",0]".to_owned()))
            .asks(1),
    );
    cases.push(
        joined("E23", "two thousand questions, and the client goes")
            .text("42[\"ask:many\",2000]")
            .step(Step::Asked)
            .step(Step::Abort)
            .gone(),
    );
    cases.push(
        listening("E23", "a question to a client that polls and does not answer")
            .joined(Door::Polling)
            .send(crate::wire::post("42[\"ask\"]"))
            .status(&[200])
            .send(crate::wire::poll())
            .status(&[200])
            .body_has("[\"question\"]")
            .more(crate::wire::poll())
            .status(&[200])
            .body(TIMED_OUT)
            .alive(),
    );
}

/// E30: namespaces whose door is closed.
fn doors(cases: &mut Vec<Case>) {
    for (what, connect) in [
        ("a wrong token", "40/guarded,{\"token\":\"{secret}\"}"),
        ("no token", "40/guarded,"),
        ("another kind of token", "40/guarded,{\"token\":{\"token\":\"open sesame\"}}"),
        ("a token in a list", "40/guarded,{\"token\":[\"open sesame\"]}"),
        ("a token of a prototype", "40/guarded,{\"__proto__\":{\"token\":\"open sesame\"}}"),
    ] {
        cases.push(
            joined("E30", format!("{what}: the other namespace stays"))
                .text(connect)
                .hears(GUARDED)
                .asks(0)
                .rejected("namespace_refused"),
        );
    }
    cases.push(
        joined("E30", "an event behind the refusal closes the connection")
            .text("40/guarded,{\"token\":\"{secret}\"}")
            .hears(GUARDED)
            .text("42/guarded,[\"room:join\",{\"roomId\":\"x\"}]")
            .closes_empty()
            .rejected("namespace_refused")
            .rejected("not_joined")
            .gone(),
    );
    cases.push(
        joined("E30", "a token in the query: such a namespace is not known")
            .text("40/guarded?token=open%20sesame,")
            .hears_has("Invalid namespace")
            .asks(0)
            .rejected("namespace_unknown"),
    );
    let mut patient = joined("E30", "a refusal, and then the right token");
    patient = patient.text("40/guarded,{}").hears(GUARDED);
    patient = patient.text("40/guarded,{\"token\":\"open sesame\"}").hears_begin("40/guarded,{");
    cases.push(
        patient
            .text("42/guarded,1[\"room:join\",{\"roomId\":\"x\"}]")
            .hears("43/guarded,1[{\"ok\":true}]")
            .asks(0)
            .rejected("namespace_refused"),
    );
    cases.push(
        listening("E30", "nothing but a refusal is no connection")
            .open(Door::WebSocket)
            .text("40/guarded,{}")
            .hears(GUARDED)
            .text("42[\"room:join\",{\"roomId\":\"x\"}]")
            .closes_empty()
            .rejected("namespace_refused")
            .rejected("not_joined")
            .gone(),
    );
}

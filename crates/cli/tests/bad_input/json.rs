//! E12, E18: JSON on which parsers differ, and how deep it may be.

use crate::case::{Case, Door, Step, case};
use crate::packets::{breach, harmless};
use crate::wire::request;

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    json(&mut cases);
    depths(&mut cases);
    cases
}

/// E18: JSON on which parsers differ.
fn json(cases: &mut Vec<Case>) {
    for payload in [
        "[\"x\"",
        "[\"x\",]",
        "[,\"x\"]",
        "[\"x\" 1]",
        "[\"x\",1E+]",
        "[\"x\",NaN]",
        "[\"x\",Infinity]",
        "[\"x\",01]",
        "[\"x\",+1]",
        "[\"x\",.5]",
        "[\"x\",1.]",
        "[\"x\",'a']",
        "[\"x\",\"\\x41\"]",
        "[\"x\",\"\\u12\"]",
        "[\"x\",\"\n\"]",
        "[\"x\",\"\t\"]",
        "[\"x\",{a:1}]",
        "[\"x\",{\"a\"}]",
        "[\"x\",{\"a\":1,}]",
        "[\"x\"]]",
        "[\"x\"] 1",
        "[\"x\"]\0",
        "[\"x\",/**/1]",
        "[\"x\",undefined]",
        "[\"x\",\"",
        "[\"x\",tru]",
        "[\"x\",nul",
        "[\"x\",-]",
        "[\"x\",\u{a0}1]",
    ] {
        cases.push(breach("E18", format!("2{payload}"), "malformed_json"));
    }
    let keys: Vec<String> = (0..50_000).map(|key| format!("\"k{key}\":0")).collect();
    for payload in [
        r#"["x",{"a":1,"a":2}]"#.to_owned(),
        r#"["x","\ud800"]"#.to_owned(),
        r#"["x","\u0000"]"#.to_owned(),
        format!("[\"x\",{}]", "9".repeat(300)),
        format!("[\"x\",1e{}]", "9".repeat(300)),
        format!("[\"x\",{{{}}}]", keys.join(",")),
        format!("[\"x\"{}]", ",0".repeat(400_000)),
        " [ \"x\" , 1 ] ".to_owned(),
    ] {
        cases.push(harmless("E18", format!("2{payload}")));
    }
    let odd = r#"{"a":1,"a":2},"\u0041\/",1.0e1,-0,123456789012345678901234567890"#;
    let body = format!(r#"{{"event":"x","args":[{odd}],"rooms":["r"]}}"#);
    let fields = format!(
        "Authorization: Bearer {{key}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    cases.push(
        case("E18", "what is published arrives byte for byte")
            .joined(Door::WebSocket)
            .room("r")
            .send(format!("{}{body}", request("POST", "/v1/publish", &fields)))
            .status(&[200])
            .step(Step::Use(0))
            .hears(&format!("42[\"x\",{odd}]")),
    );
}

/// E12: nesting.
fn depths(cases: &mut Vec<Case>) {
    let arrays = |depth: usize| format!("2[\"x\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    let objects =
        |depth: usize| format!("2[\"x\",{}1{}]", "{\"a\":".repeat(depth), "}".repeat(depth));
    for depth in [128, 1_000, 100_000] {
        cases.push(breach("E12", arrays(depth), "too_deep"));
        cases.push(breach("E12", objects(depth.min(50_000)), "too_deep"));
    }
    cases.push(breach("E12", format!("2[\"x\",{}", "[".repeat(500_000)), "too_deep"));
    cases.push(breach(
        "E12",
        format!("0{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)),
        "too_deep",
    ));
    cases.push(harmless("E12", arrays(127)));
    let nested = format!(
        "51-[\"x\",{}{{\"_placeholder\":true,\"num\":0}}{}]",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    cases.push(breach("E12", nested, "too_deep"));
    cases.push(
        case("E12", "what nests deeply and is asked for by a handler")
            .joined(Door::WebSocket)
            .text(format!(
                "420[\"room:join\",{{\"roomId\":\"r\",\"x\":{}{}}}]",
                "[".repeat(126),
                "]".repeat(126)
            ))
            .hears_begin("430["),
    );
}

//! G: pages of other origins, and names that lead here. (G8, streams, stands with them.)

use crate::case::{Case, Door, Profile, case};
use crate::wire::{POLLING, UPGRADE_FIELDS, WEBSOCKET, post_to, request, upgrade_with};

const EVIL: &str = "Origin: https://evil.example\r\n";
const COOKIE: &str = "Cookie: session=1\r\n";

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    sockets(&mut cases);
    answers(&mut cases);
    preflights(&mut cases);
    hosts(&mut cases);
    cases
}

/// G1, G3, G7: a page of a stranger that brings its visitor's cookies.
fn sockets(cases: &mut Vec<Case>) {
    let upgrade = |origin: &str, cookie: bool| {
        let mut fields = UPGRADE_FIELDS.to_vec();
        fields.push(("Origin", origin));
        if cookie {
            fields.push(("Cookie", "session=1"));
        }
        upgrade_with(WEBSOCKET, &fields)
    };
    for profile in [Profile::Standard, Profile::Cors, Profile::Guarded] {
        for origin in [
            "https://evil.example",
            "https://one.example.evil.example",
            "https://evil.example/one.example",
            "http://one.example",
            "https://one.example:8443",
            "null",
            "file://",
        ] {
            let refused = case("G1", format!("a WebSocket of {origin:?}")).on(profile);
            let refused = refused.send(upgrade(origin, true)).status(&[403]).rejected("origin");
            cases.push(refused.body_has("INVALID_ORIGIN").head_lacks("access-control-allow"));
        }
    }
    let harmless = case("G1", "without cookies it acts for nobody");
    let harmless = harmless.send(upgrade("https://evil.example", false)).status(&[101]);
    cases.push(harmless.hears_begin("0{").text("40").hears_begin("40{"));
    let strict = case("G1", "without cookies, where all origins are checked").on(Profile::Guarded);
    let strict = strict.send(upgrade("https://evil.example", false)).status(&[403]);
    cases.push(strict.rejected("origin"));
    let named = case("G1", "a page that is named").on(Profile::Guarded);
    cases.push(named.send(upgrade("https://app.example", true)).status(&[101]).hears_begin("0{"));
    for (what, origin) in [
        ("a control character", "https://app.example\u{1}"),
        ("a zero", "https://app.example\u{0}"),
        ("64 KiB", &format!("https://{}.example", "a".repeat(65_536))),
        ("a line break", "https://app.example\r\n x"),
    ] {
        let fields = format!("Origin: {origin}\r\n{COOKIE}");
        let odd = case("G3", what).on(Profile::Guarded).send(request("GET", POLLING, &fields));
        let odd = odd.status(&[400, 403, 431]).ended();
        cases.push(match what {
            "64 KiB" => odd.rejected("http_head_too_large"),
            _ => odd.rejected("http_malformed"),
        });
    }
    let length = "Content-Length: 0\r\n";
    for (method, target) in [("GET", POLLING), ("POST", POLLING), ("GET", "/v1/rooms/a/history")] {
        let sent = request(method, target, &format!("{EVIL}{COOKIE}{length}"));
        let refused = case("G7", format!("{method} {target}")).send(sent).status(&[403]);
        cases.push(refused.rejected("origin").body_has("cors.origins"));
    }
    // A simple request as a form sends it: the page need not be able to read the answer.
    let mine = case("G7", "a post to a live session by a stranger's page").joined(Door::Polling);
    let post = String::from_utf8(post_to(&format!("{POLLING}&sid={{sid}}"), "42[\"x\"]")).unwrap();
    let post = post.replacen("\r\n", &format!("\r\n{EVIL}{COOKIE}"), 1);
    cases.push(mine.send(post).status(&[403]).rejected("origin").alive());
}

/// G5, G9: what browsers may read.
fn answers(cases: &mut Vec<Case>) {
    for target in [POLLING, "/v1/rooms/a/history", "/health"] {
        let closed = case("G9", format!("no page may read {target} by default"));
        let closed = closed.send(request("GET", target, EVIL)).status(&[200]);
        cases.push(closed.head_lacks("access-control-"));
    }
    for origin in ["https://evil.example", "https://one.example"] {
        let fields = format!("Origin: {origin}\r\n");
        let varies = case("G5", format!("the answer for {origin}")).on(Profile::Cors);
        let varies = varies.send(request("GET", POLLING, &fields)).status(&[200]);
        let varies = varies.head_has("vary: origin");
        cases.push(match origin {
            "https://one.example" => varies
                .head_has("access-control-allow-origin: https://one.example\r\n")
                .head_has("access-control-allow-credentials: true"),
            _ => varies.head_lacks("access-control-allow-origin"),
        });
    }
}

/// G6: what browsers ask before a request that no form could send.
fn preflights(cases: &mut Vec<Case>) {
    let asks = |origin: &str, more: &str| {
        format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: authorization\r\n{more}"
        )
    };
    let private = "Access-Control-Request-Private-Network: true\r\n";
    for target in ["/v1/sse?rooms=a", "/v1/rooms/a/history"] {
        let sent = request("OPTIONS", target, &asks("https://one.example", private));
        let named = case("G6", format!("a page that is named asks for {target}")).on(Profile::Cors);
        cases.push(
            named
                .send(sent)
                .status(&[204])
                .head_has("access-control-allow-origin: https://one.example\r\n")
                .head_has("access-control-allow-methods: get\r\n")
                .head_has("access-control-allow-headers: authorization\r\n")
                .head_lacks("private-network"),
        );
        let sent = request("OPTIONS", target, &asks("https://evil.example", ""));
        let evil = case("G6", format!("a stranger asks for {target}")).on(Profile::Cors);
        let evil = evil.send(sent.clone()).status(&[204]);
        cases.push(evil.head_lacks("access-control-allow-origin").head_has("vary: origin"));
        let off = case("G6", format!("pages of others are not served: {target}"));
        cases.push(off.send(sent).status(&[405]).head_lacks("access-control-"));
    }
    for target in ["/v1/publish", "/v1/rooms", "/v1/jobs/7", "/v1/users/7", "/v1/stats"] {
        let sent = request("OPTIONS", target, &asks("https://one.example", private));
        let closed = case("G6", format!("{target} is for backends")).on(Profile::Cors);
        cases.push(closed.send(sent).status(&[405]).head_lacks("access-control-allow-origin"));
    }
}

/// G10: a page whose own name leads to this machine is of the same origin as this server.
fn hosts(cases: &mut Vec<Case>) {
    for (host, served) in [
        ("localhost:3000", true),
        ("app.example", true),
        ("127.0.0.1:3000", true),
        ("[::1]:3000", true),
        ("evil.example", false),
        ("evil.example:3000", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("app.example@evil.example", false),
        ("", false),
    ] {
        for target in [POLLING, "/v1/rooms/a/history", "/health", "/v1/docs/"] {
            let sent = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let asked =
                case("G10", format!("{target} of {host:?}")).on(Profile::Guarded).send(sent);
            cases.push(match served {
                true => asked.status(&[200]),
                false => asked
                    .status(&[400, 403])
                    .perhaps_rejected("host")
                    .perhaps_rejected("http_invalid_host"),
            });
        }
    }
}

//! What each request asks for, or why it is refused.

use super::*;
use crate::{Cors, Transports};
use proptest::prelude::*;

fn get(query: &str) -> Request<'_> {
    Request { method: "GET", query, ..Request::default() }
}

fn refusal(request: &Request<'_>, settings: &Settings) -> Option<Refusal> {
    match route(request, settings) {
        Err(refusal) => Some(refusal),
        Ok(Action::Open(opening)) => opening.accept(settings).err(),
        Ok(_) => None,
    }
}

const SID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Shows the checks and, where two fail, which comes first.
#[test]
fn refuses_in_the_reference_order() {
    let settings = Settings::default();
    let known = format!("EIO=4&transport=polling&sid={SID}");
    let unknown = "EIO=4&transport=polling&sid=__proto__";
    let (no, ok) = (|refusal| Some(refusal), None);
    for (method, upgrade, query, expected) in [
        ("GET", false, "EIO=4&transport=polling", ok.clone()),
        ("GET", true, "EIO=4&transport=websocket", ok.clone()),
        ("GET", false, "EIO=4&transport=polling&sid=", ok.clone()),
        ("GET", false, "EIO=3&EIO=4&transport=x&transport=polling&sid=a&sid=", ok.clone()),
        ("GET", false, "EIO=%34&transport=%70olling", ok.clone()),
        ("GET", false, "EIO=4&transport=polling&j=<script>", ok.clone()),
        ("GET", false, "", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=Polling", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=flashsocket", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=constructor", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=__proto__", no(Refusal::UnknownTransport)),
        ("GET", false, "EIO=4&transport=toString", no(Refusal::UnknownTransport)),
        ("GET", true, "EIO=4&transport=webtransport", no(Refusal::UnknownTransport)),
        ("POST", false, "transport=x&sid=x", no(Refusal::UnknownTransport)),
        ("GET", false, unknown, no(Refusal::UnknownSession)),
        ("PUT", false, unknown, no(Refusal::UnknownSession)),
        ("GET", true, "EIO=3&transport=polling&sid=x", no(Refusal::UnknownSession)),
        ("POST", false, "EIO=4&transport=polling", no(Refusal::BadHandshakeMethod)),
        ("PUT", false, "EIO=3&transport=polling", no(Refusal::BadHandshakeMethod)),
        ("DELETE", false, "EIO=4&transport=websocket", no(Refusal::BadHandshakeMethod)),
        ("OPTIONS", false, "EIO=4&transport=polling", no(Refusal::BadHandshakeMethod)),
        ("HEAD", false, "EIO=4&transport=polling", no(Refusal::BadHandshakeMethod)),
        ("get", false, "EIO=4&transport=polling", no(Refusal::BadHandshakeMethod)),
        ("GET", false, "EIO=3&transport=websocket", no(Refusal::PlainWebsocket)),
        ("GET", true, "EIO=4&transport=polling", no(Refusal::UpgradeToPolling)),
        ("GET", false, "transport=polling", no(Refusal::UnsupportedRevision)),
        ("GET", false, "EIO=3&transport=polling", no(Refusal::UnsupportedRevision)),
        ("GET", false, "EIO=5&transport=polling", no(Refusal::UnsupportedRevision)),
        ("GET", false, "EIO=4x&transport=polling", no(Refusal::UnsupportedRevision)),
        ("GET", false, "EIO=&transport=polling", no(Refusal::UnsupportedRevision)),
        ("GET", true, "EIO=abc&transport=websocket", no(Refusal::UnsupportedRevision)),
        ("PUT", false, known.as_str(), ok),
    ] {
        let request = Request { method, upgrade, ..get(query) };
        assert_eq!(refusal(&request, &settings), expected, "{method} {query}");
    }
}

/// Shows that an origin a header may not hold is refused, after the transport and before the id.
#[test]
fn refuses_origins_with_control_characters() {
    let settings = Settings::default();
    for (origin, valid) in [
        (&b"http://a"[..], true),
        (b"null", true),
        (b"\xc3\xa9\t", true),
        (b"a\x01", false),
        (b"a\r\nb", false),
        (b"\x7f", false),
    ] {
        let request = Request { origin: Some(origin), ..get("EIO=4&transport=polling&sid=x") };
        let expected = if valid { Refusal::UnknownSession } else { Refusal::InvalidOrigin };
        assert_eq!(refusal(&request, &settings), Some(expected), "{origin:?}");
    }
}

/// Shows what each setting switches off or on.
#[test]
fn settings_decide() {
    let all = Settings::default();
    let v3 = Settings { allow_v3: true, ..all.clone() };
    assert_eq!(refusal(&get("transport=polling"), &v3), None);
    let polling = Transports { polling: true, websocket: false };
    let no_ws = Settings { transports: polling, ..all.clone() };
    let upgrade = Request { upgrade: true, ..get("EIO=4&transport=websocket") };
    assert_eq!(refusal(&upgrade, &no_ws), Some(Refusal::UnknownTransport));
    let no_jsonp = Settings { allow_jsonp: false, ..all.clone() };
    let script = get("EIO=4&transport=polling&j=0");
    assert_eq!(refusal(&script, &no_jsonp), Some(Refusal::JsonpDisabled));
    let cors = Settings { cors: Some(Cors::default()), ..all };
    for query in ["", "EIO=4&transport=polling&sid=x"] {
        let options = Request { method: "OPTIONS", ..get(query) };
        assert_eq!(route(&options, &cors), Ok(Action::Preflight));
    }
}

/// Shows what a request that names a session carries along.
#[test]
fn addresses_a_session() {
    let settings = Settings::default();
    let query = format!("EIO=3&transport=polling&sid={SID}&b64=1&j=12x");
    let Ok(Action::Poll(address)) = route(&get(&query), &settings) else { panic!() };
    assert_eq!(address.sid.as_str(), SID);
    assert_eq!((address.revision, address.transport), (Revision::V3, Transport::Polling));
    assert!(!address.accepts_binary);
    assert_eq!(address.jsonp.unwrap().wrap(""), "___eio[12](\"\");");

    let query = format!("EIO=4&transport=polling&sid={SID}");
    for (content_type, jsonp, expected) in [
        (None, false, PostForm::Text),
        (Some(&b"text/plain;charset=UTF-8"[..]), false, PostForm::Text),
        (Some(b"application/octet-stream"), false, PostForm::Binary),
        (Some(b"application/octet-stream"), true, PostForm::Binary),
        (Some(b"application/x-www-form-urlencoded"), true, PostForm::Jsonp),
        (Some(b"application/x-www-form-urlencoded"), false, PostForm::Text),
    ] {
        let query = if jsonp { format!("{query}&j=0") } else { query.clone() };
        let request = Request { method: "POST", content_type, ..get(&query) };
        let Ok(Action::Post(_, form)) = route(&request, &settings) else { panic!() };
        assert_eq!(form, expected, "{content_type:?}");
    }
    let upgrade = Request { upgrade: true, ..get(&query) };
    assert!(matches!(route(&upgrade, &settings), Ok(Action::Upgrade(_))));
    let patch = Request { method: "PATCH", ..get(&query) };
    assert!(matches!(route(&patch, &settings), Ok(Action::Unsupported(_))));
}

proptest! {
    #[test]
    fn any_query_is_answered(query in any::<String>(), method in "[A-Z]{0,7}", upgrade: bool) {
        let request = Request { method: &method, upgrade, ..get(&query) };
        let _ = route(&request, &Settings::default());
    }
}

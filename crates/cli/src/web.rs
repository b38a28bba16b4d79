//! The pages, embedded at the build: the audience's, the presenter's and the operator's.
//!
//! They are one document that finds out from its address what to show, and files whose names say
//! their content. They have no inline script or style, and the policy says so.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use services::{Code, Refusal};

use crate::embedded::File;
use crate::settings::{ConsoleFor, Settings};

include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// The document.
const INDEX: &str = "/index.html";

/// Where live polling has its pages.
const LIVEPOLL_PATHS: [&str; 7] =
    ["/", "/join", "/join/", "/join/{code}", "/host", "/host/{session}", "/host/{session}/present"];

/// Where the operator's page is.
const CONSOLE_PATH: &str = "/console";

/// What the pages may do: run and show what this server gives them, and talk to it. Nothing inline,
/// nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; font-src 'self'; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What the pages need of the machine they are shown on.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";

/// A file whose name says its content never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A document is asked for each time; mostly the answer is that it is the same.
const ASK_AGAIN: &str = "no-cache";

/// The pages that the settings want, by what one does there; `None` if they are not embedded.
pub(crate) fn links(settings: &Settings) -> Option<Vec<(&'static str, &'static str)>> {
    if FILES.is_empty() {
        // The console alone is not missed by who never asked for pages.
        return (!settings.livepoll.enabled).then(Vec::new);
    }
    let livepoll = settings.livepoll.enabled.then_some([("present", "/host"), ("join", "/")]);
    let console =
        (settings.console.serve != ConsoleFor::Nobody).then_some(("console", CONSOLE_PATH));
    Some(livepoll.into_iter().flatten().chain(console).collect())
}

/// The routes of the pages that the settings want.
pub(crate) fn router(settings: &Settings) -> Router {
    let mut router = Router::new();
    let (livepoll, console) = (settings.livepoll.enabled, settings.console.serve);
    if !livepoll && console == ConsoleFor::Nobody {
        return router;
    }
    let document = document(settings).map(Arc::new);
    if livepoll {
        for path in LIVEPOLL_PATHS {
            router = router.route(path, show(document.clone(), ConsoleFor::Everybody));
        }
    }
    if console != ConsoleFor::Nobody {
        router = router.route(CONSOLE_PATH, show(document, console));
    }
    for (name, content) in FILES.iter().filter(|(name, _)| *name != INDEX) {
        let file = Arc::new(File::new(*content, kind(name), FOR_EVER, &version(content)));
        let answer = async move |request: Request<Body>| {
            file.answer(request.method(), request.headers()).await
        };
        router = router.route(name, any(answer));
    }
    router.layer(map_response(protect))
}

/// Answers with the document, or says what is missing.
fn show(document: Option<Arc<File>>, whom: ConsoleFor) -> MethodRouter {
    any(async move |request: Request<Body>| {
        if whom == ConsoleFor::ThisMachine && !is_from_here(&request) {
            let message = "There is nothing at this path.";
            return Refusal::new(Code::NotFound, message).into_response();
        }
        match &document {
            Some(file) => file.answer(request.method(), request.headers()).await,
            None => not_embedded(),
        }
    })
}

/// The document, with what its scripts must know of the settings.
fn document(settings: &Settings) -> Option<File> {
    let (_, content) = FILES.iter().find(|(name, _)| *name == INDEX)?;
    let mut text = String::from_utf8_lossy(content).into_owned();
    let namespace = settings.livepoll.namespace.as_str();
    for (name, value) in
        [("fanfare-path", settings.path.as_str()), ("fanfare-namespace", namespace)]
    {
        let place = format!("name=\"{name}\" content=\"");
        if let Some((before, after)) = text.split_once(&place)
            && let Some((_, after)) = after.split_once('"')
        {
            text = format!("{before}{place}{}\"{after}", escaped(value));
        }
    }
    let version = version(text.as_bytes());
    Some(File::new(text, kind(INDEX), ASK_AGAIN, &version))
}

/// A text as the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// A name for a content: another content has another one, whoever wrote it.
fn version(content: &[u8]) -> String {
    // FNV-1a. Nobody gains by making two versions of our own files look the same.
    let hash = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}-{}", content.len())
}

/// The media type of a file, by the end of its name.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "png" => "image/png",
        "json" | "map" => "application/json; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a request was made on this machine, to this machine, and by nobody else's order: no proxy
/// passed it on, and no page of a stranger has its own name lead here.
fn is_from_here(request: &Request<Body>) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|ConnectInfo(address)| address.ip().to_canonical().is_loopback());
    near && !is_passed_on(request.headers()) && is_to_here(request.headers())
}

fn is_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|it| headers.contains_key(*it))
}

fn is_to_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let port = |it: &(&str, &str)| it.1.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(port).map_or(host, |(name, _)| name);
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

async fn protect(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn not_embedded() -> Response {
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No pages</title>\
                <h1>This server was built without its pages</h1><p>They are made with Node.js: run \
                <code>cargo xtask web</code>, then build the server again; <code>cargo xtask \
                serve</code> does both. Everything else of the server works.</p></html>";
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::NOT_FOUND, kind, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(peer: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    #[test]
    fn only_who_sits_at_this_machine_is_from_here() {
        for (peer, headers, expected) in [
            ("127.0.0.1:5", vec![("host", "127.0.0.1:3000")], true),
            ("127.0.0.1:5", vec![("host", "localhost:3000")], true),
            ("127.0.0.1:5", vec![("host", "LOCALHOST")], true),
            ("[::1]:5", vec![("host", "[::1]:3000")], true),
            ("[::1]:5", vec![("host", "[::1]")], true),
            ("[::ffff:127.0.0.1]:5", vec![("host", "localhost")], true),
            ("127.0.0.1:5", vec![], false),
            ("127.0.0.1:5", vec![("host", "evil.example:3000")], false),
            ("127.0.0.1:5", vec![("host", "localhost.evil.example")], false),
            ("192.0.2.1:5", vec![("host", "localhost")], false),
            ("127.0.0.1:5", vec![("host", "localhost"), ("x-forwarded-for", "192.0.2.1")], false),
            ("127.0.0.1:5", vec![("host", "localhost"), ("forwarded", "for=192.0.2.1")], false),
        ] {
            assert_eq!(is_from_here(&request(peer, &headers)), expected, "{peer} {headers:?}");
        }
        let mut unknown = request("127.0.0.1:5", &[("host", "localhost")]);
        unknown.extensions_mut().clear();
        assert!(!is_from_here(&unknown));
    }

    #[test]
    fn every_file_has_a_media_type_and_a_version_of_its_own() {
        for (name, content) in FILES {
            assert_ne!(kind(name), "application/octet-stream", "{name}");
            assert!(!version(content).is_empty());
        }
        assert_ne!(version(b"a"), version(b"b"));
        assert_eq!(escaped("a\"<b>&"), "a&quot;&lt;b>&amp;");
    }
}

//! Pages of strangers: refused before they have a session, a stream or an answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use fanfare::Io;
use fanfare::engineio::cors::Cors;
use serde_json::json;

use crate::code::Code;
use crate::refusal::Refusal;

/// Which pages of origins that are not named are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OriginCheck {
    /// Those that send cookies: a stranger's page cannot act as its visitor. Tokens are not sent by
    /// themselves.
    #[default]
    Cookies,
    /// All.
    Always,
    /// None; whoever reads the answers is the browser's business.
    Never,
}

/// Puts the check before all routes of a server.
pub(crate) fn guard(router: Router, io: &Io, check: OriginCheck) -> Router {
    if check == OriginCheck::Never {
        return router;
    }
    let cors = Arc::new(io.settings().engine.cors.clone());
    let io = io.clone();
    router.layer(from_fn(move |request: Request<Body>, next: Next| {
        let allowed = is_allowed(check, cors.as_ref().as_ref(), request.headers());
        let io = io.clone();
        async move {
            if allowed {
                return next.run(request).await;
            }
            io.counters().rejected("origin");
            refused()
        }
    }))
}

/// Puts the check of the header `Host` before all routes of a server: a page that has a name of its own
/// lead to this address is not answered.
pub(crate) fn guard_hosts(router: Router, io: &Io, hosts: &[String]) -> Router {
    if hosts.is_empty() {
        return router;
    }
    let hosts: Arc<[String]> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let io = io.clone();
    router.layer(from_fn(move |request: Request<Body>, next: Next| {
        let allowed = is_served(&hosts, request.headers());
        let io = io.clone();
        async move {
            if allowed {
                return next.run(request).await;
            }
            io.counters().rejected("host");
            let message = "The header Host is none that is served here; the setting is http.hosts.";
            Refusal::new(Code::PermissionDenied, message)
                .with(json!({ "reason": "INVALID_HOST" }))
                .into_response()
        }
    }))
}

/// Whether the one header `Host` is an address or one of the names.
fn is_served(hosts: &[String], headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (given.next(), given.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let name = port.map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || hosts.contains(&name)
}

fn refused() -> Response {
    let message = "Pages of this origin are not allowed; the setting is cors.origins.";
    let refusal =
        Refusal::new(Code::PermissionDenied, message).with(json!({ "reason": "INVALID_ORIGIN" }));
    ([(header::VARY, "origin")], refusal).into_response()
}

/// Whether a page of this origin may talk to the server. What is not from a page has no origin.
fn is_allowed(check: OriginCheck, cors: Option<&Cors>, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let strict = match check {
        OriginCheck::Always => true,
        OriginCheck::Cookies => headers.contains_key(header::COOKIE),
        OriginCheck::Never => false,
    };
    if !strict {
        return true;
    }
    // What is no text is nobody's origin.
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, of)| of);
    let named = cors.is_some_and(|cors| {
        cors.headers(Some(origin)).iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("access-control-allow-origin")
                && (value == origin || value == "*")
        })
    });
    named || own.is_some() && own == host
}

#[cfg(test)]
mod tests {
    use fanfare::engineio::cors::Origins;

    use super::*;

    #[test]
    fn only_named_pages_and_ones_own() {
        let list = Origins::List(vec!["https://app.example".to_owned()]);
        let cors = Cors { origins: list, ..Cors::default() };
        for (origin, expected) in [
            (None, true),
            (Some("http://host:3000"), true),
            (Some("https://host:3000"), true), // the same behind what decrypts
            (Some("http://host"), false),
            (Some("https://app.example"), true),
            (Some("http://app.example"), false),
            (Some("https://app.example:8443"), false),
            (Some("https://app.example.evil.example"), false),
            (Some("https://evil.example/app.example"), false),
            (Some("https://HOST:3000"), false),
            (Some("null"), false),
            (Some(""), false),
            (Some("host:3000"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "host:3000".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(
                is_allowed(OriginCheck::Always, Some(&cors), &headers),
                expected,
                "{origin:?}"
            );
            assert!(is_allowed(OriginCheck::Cookies, Some(&cors), &headers));
            headers.insert(header::COOKIE, "a=b".parse().unwrap());
            assert_eq!(
                is_allowed(OriginCheck::Cookies, Some(&cors), &headers),
                expected,
                "{origin:?}"
            );
            assert!(is_allowed(OriginCheck::Never, Some(&cors), &headers));
        }
    }

    #[test]
    fn only_named_hosts_and_addresses() {
        let hosts = ["app.example".to_owned(), "localhost".to_owned()];
        for (given, expected) in [
            (&["app.example"][..], true),
            (&["app.example:3000"], true),
            (&["APP.Example."], true),
            (&["localhost"], true),
            (&["127.0.0.1:3000"], true),
            (&["[::1]:3000"], true),
            (&["[::1]"], true),
            (&["evil.example"], false),
            (&["app.example.evil.example"], false),
            (&["127.0.0.1.evil.example"], false),
            (&["app.example:port"], false),
            (&["app.example:99999"], false),
            (&[""], false),
            (&[], false),
            (&["app.example", "app.example"], false),
            (&["app.example", "evil.example"], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in given {
                headers.append(header::HOST, host.parse().unwrap());
            }
            assert_eq!(is_served(&hosts, &headers), expected, "{given:?}");
        }
    }
}

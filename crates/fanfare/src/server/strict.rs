//! Requests that HTTP/1.1 does not allow, or that no client of ours sends.
//!
//! hyper refuses what cannot be parsed; this is what it lets pass.

use super::head::Framing;
use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Response, StatusCode, Version};

/// What is wrong with a request. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("the body has two lengths")]
    AmbiguousLength,
    #[error("Content-Length must be digits after at most one space")]
    OddLength,
    #[error("lines end with CR LF")]
    BareLineFeed,
    #[error("the only Transfer-Encoding is chunked")]
    TransferEncoding,
    #[error("there is no Host header")]
    NoHost,
    #[error("there is more than one Host header")]
    RepeatedHost,
    #[error("the Host header is no host")]
    InvalidHost,
    #[error("the request is for another host than its Host header says")]
    OtherHost,
    #[error("the request target must be a path")]
    Target,
    #[error("the method is not allowed")]
    Method,
    #[error("the only expectation that can be met is 100-continue")]
    Expectation,
}

impl Violation {
    /// The name in the counters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Violation::AmbiguousLength => "http_ambiguous_length",
            Violation::OddLength => "http_odd_length",
            Violation::BareLineFeed => "http_bare_line_feed",
            Violation::TransferEncoding => "http_transfer_encoding",
            Violation::NoHost => "http_no_host",
            Violation::RepeatedHost => "http_repeated_host",
            Violation::InvalidHost => "http_invalid_host",
            Violation::OtherHost => "http_other_host",
            Violation::Target => "http_target",
            Violation::Method => "http_method",
            Violation::Expectation => "http_expectation",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Violation::Method => StatusCode::METHOD_NOT_ALLOWED,
            Violation::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn answer(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self == Violation::Method {
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            headers.insert(http::header::ALLOW, allowed);
        }
        response
    }
}

/// Judges the head of a request.
///
/// Spec: RFC 9112 § 3.2 (target and Host), § 6 (body length); RFC 9110 § 9.3 (methods), § 10.1.1
/// (Expect).
pub(super) fn check(head: &Parts, framing: Framing) -> Result<(), Violation> {
    match framing {
        Framing::Clear => {}
        Framing::Ambiguous => return Err(Violation::AmbiguousLength),
        Framing::OddLength => return Err(Violation::OddLength),
        Framing::BareLineFeed => return Err(Violation::BareLineFeed),
    }
    // CONNECT asks for a tunnel, TRACE for an echo of headers that scripts may not read.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Violation::Method);
    }
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || encodings.next().is_some() {
            return Err(Violation::TransferEncoding);
        }
    }
    let mut expectations = head.headers.get_all(EXPECT).iter();
    if !expectations.all(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Violation::Expectation);
    }
    check_host(head)
}

fn check_host(head: &Parts) -> Result<(), Violation> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Violation::RepeatedHost);
    }
    let host = match host {
        Some(host) => Some(parse_host(host).ok_or(Violation::InvalidHost)?),
        None if head.version < Version::HTTP_11 => None,
        None => return Err(Violation::NoHost),
    };
    match (head.uri.scheme_str(), head.uri.authority()) {
        (None, None) => {
            let path = head.uri.path();
            let asterisk = path == "*" && head.method == Method::OPTIONS;
            if path.starts_with('/') || asterisk { Ok(()) } else { Err(Violation::Target) }
        }
        // For a proxy; but we are the origin of what we answer. One name or none.
        (Some(scheme @ ("http" | "https")), Some(target)) => {
            let usual_port = if scheme == "https" { 443 } else { 80 };
            let name = |host: &Authority| {
                (host.host().to_ascii_lowercase(), host.port_u16().unwrap_or(usual_port))
            };
            let same = host.is_none_or(|host| name(&host) == name(target));
            if same { Ok(()) } else { Err(Violation::OtherHost) }
        }
        _ => Err(Violation::Target),
    }
}

fn parse_host(host: &HeaderValue) -> Option<Authority> {
    let host = Authority::try_from(host.as_bytes()).ok()?;
    let plain = !host.host().is_empty() && !host.as_str().contains('@');
    plain.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// What is answered to heads that hyper accepts.
    #[test]
    fn heads() {
        #[track_caller]
        fn check_head(method: &str, target: &str, headers: &[(&str, &str)], expected: &str) {
            let mut request = Request::builder().method(method).uri(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let result = check(&head, Framing::Clear);
            let name = result.map_or_else(Violation::name, |()| "");
            assert_eq!(name, expected, "{method} {target} {headers:?}");
        }
        const HOST: (&str, &str) = ("host", "example.org:3000");
        check_head("GET", "/a?b", &[HOST], "");
        check_head("GET", "/", &[("host", "[::1]:3000")], "");
        check_head("GET", "/", &[], "http_no_host");
        check_head("GET", "/", &[HOST, HOST], "http_repeated_host");
        check_head("GET", "/", &[("host", "")], "http_invalid_host");
        check_head("GET", "/", &[("host", "a b")], "http_invalid_host");
        check_head("GET", "/", &[("host", "user@example.org")], "http_invalid_host");
        check_head("GET", "/", &[("host", "a/b")], "http_invalid_host");
        check_head("GET", "http://example.org:3000/a", &[HOST], "");
        check_head("GET", "http://EXAMPLE.org:3000/a", &[HOST], "");
        check_head("GET", "http://example.org:80/a", &[("host", "example.org")], "");
        check_head("GET", "http://example.org/a", &[HOST], "http_other_host");
        check_head("GET", "http://other.org:3000/a", &[HOST], "http_other_host");
        check_head("GET", "ftp://example.org:3000/a", &[HOST], "http_target");
        check_head("GET", "example.org:3000", &[HOST], "http_target");
        check_head("OPTIONS", "*", &[HOST], "");
        check_head("GET", "*", &[HOST], "http_target");
        check_head("TRACE", "/", &[HOST], "http_method");
        check_head("CONNECT", "example.org:22", &[HOST], "http_method");
        check_head("POST", "/", &[HOST, ("transfer-encoding", "Chunked")], "");
        let gzip = ("transfer-encoding", "gzip, chunked");
        check_head("POST", "/", &[HOST, gzip], "http_transfer_encoding");
        let chunked = ("transfer-encoding", "chunked");
        check_head("POST", "/", &[HOST, chunked, chunked], "http_transfer_encoding");
        check_head("POST", "/", &[HOST, ("expect", "100-Continue")], "");
        check_head("POST", "/", &[HOST, ("expect", "coffee")], "http_expectation");
    }

    /// HTTP/1.0 knows no Host header.
    #[test]
    fn old_requests_need_no_host() {
        let (mut head, ()) = Request::new(()).into_parts();
        assert_eq!(check(&head, Framing::Clear), Err(Violation::NoHost));
        head.version = Version::HTTP_10;
        assert_eq!(check(&head, Framing::Clear), Ok(()));
    }
}

//! Whether clients get through to the server by its public address: by polling, by WebSocket, and always to
//! the same server.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, SERVER, VIA};
use reqwest::{StatusCode, Upgraded, Url};
use tokio::io::AsyncReadExt;

use super::clock::Clock;
use super::report::Report;
use crate::probe::{Answer, Probe, ProbeError};
use crate::settings::{Settings, Transport};

const POLLING: &str = "polling";
const WEBSOCKET: &str = "websocket";

/// How long the first frame of a WebSocket may take.
const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// The longest first frame that is read, in bytes: the handshake has about a hundred.
const MAX_FRAME_BYTES: usize = 4_096;

/// Goes through the public address as a client does.
pub(super) async fn check(
    settings: &Settings,
    probe: &Probe,
    public: &Url,
    clock: &mut Clock,
    report: &mut Report,
) {
    encryption(public, report);
    if settings.transports.contains(&Transport::Polling) {
        polling(settings, probe, public, clock, report).await;
    }
    if settings.transports.contains(&Transport::Websocket) {
        websocket(settings, probe, public, report).await;
    }
}

/// The endpoint at the public address.
pub(super) fn endpoint(settings: &Settings, public: &Url, transport: &str) -> String {
    let base = public.as_str().trim_end_matches('/');
    let path = settings.path.trim_end_matches('/');
    format!("{base}{path}/?EIO=4&transport={transport}")
}

fn encryption(public: &Url, report: &mut Report) {
    let host = public.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if public.scheme() == "https" {
        report.ok("encryption", "https");
    } else if is_here {
        report.ok("encryption", "none, on this machine only");
    } else {
        report.warn(
            "encryption",
            "http: tokens travel openly, and pages of https:// origins cannot connect",
            "end TLS at the proxy, or set tls.cert and tls.key",
        );
    }
}

/// Opens a session, sends a packet, fetches the answer: three requests to one server.
async fn polling(
    settings: &Settings,
    probe: &Probe,
    public: &Url,
    clock: &mut Clock,
    report: &mut Report,
) {
    let url = endpoint(settings, public, "polling");
    let opened = match probe.get(&url, &[]).await {
        Ok(opened) => opened,
        Err(error) => return unreached(POLLING, &error, report),
    };
    if let Some(date) = opened.headers.get(DATE).and_then(|date| date.to_str().ok()) {
        clock.compare(date);
    }
    let Some(sid) = sid_of(&opened.body).filter(|_| opened.status.is_success()) else {
        return refused(POLLING, settings, &opened, report);
    };
    let session = format!("{url}&sid={sid}");
    let joined = match probe.post(&session, "40").await {
        Ok(answer) if answer.status.is_success() => probe.get(&session, &[]).await,
        other => other,
    };
    match joined {
        // Let in, or turned away by name: either way the same server answered.
        Ok(answer) if answer.status.is_success() && answer.body.starts_with('4') => {
            report.ok(POLLING, "requests of a session reach the same server");
            behind_proxy(settings, &opened.headers, report);
        }
        Ok(answer) if answer.body.contains("Session ID unknown") => report.fail(
            POLLING,
            "requests of one session reach different servers",
            "make the load balancer sticky (a hash of the address, or the cookie of the setting \
             `cookie`), or set transports to websocket here and in the clients",
        ),
        Ok(answer) => refused(POLLING, settings, &answer, report),
        Err(ProbeError::Deadline) => report.fail(
            POLLING,
            "an answer that the server gives at once does not arrive",
            "switch buffering of answers off at the proxy (nginx: proxy_buffering off)",
        ),
        Err(error) => unreached(POLLING, &error, report),
    }
    // The session goes now and not in a minute; if that fails, in a minute.
    let _ = probe.post(&session, "1").await;
}

fn behind_proxy(settings: &Settings, headers: &HeaderMap, report: &mut Report) {
    const CHECK: &str = "client address";
    // The server itself says neither.
    let proxy = headers.get(VIA).or_else(|| headers.get(SERVER));
    let Some(proxy) = proxy.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
    else {
        return;
    };
    if settings.limits.trusted_proxies.is_empty() {
        report.warn(
            CHECK,
            format!(
                "a proxy stands before it ({proxy}), and limits.trusted_proxies is empty: all \
                     clients have one address"
            ),
            "name the proxy's network in limits.trusted_proxies, and have it set X-Forwarded-For",
        );
    } else {
        report.ok(CHECK, format!("as the proxy tells ({proxy})"));
    }
}

async fn websocket(settings: &Settings, probe: &Probe, public: &Url, report: &mut Report) {
    let url = endpoint(settings, public, "websocket");
    let refusal = match probe.upgrade(&url).await {
        Err(error) => return unreached(WEBSOCKET, &error, report),
        Ok(Err(answer)) => answer,
        Ok(Ok(stream)) => {
            return match tokio::time::timeout(FRAME_DEADLINE, first_frame(stream)).await {
                Ok(Ok(frame)) if frame.contains("\"sid\"") => {
                    report.ok(WEBSOCKET, "upgrades pass, and bytes behind them");
                }
                _ => report.fail(
                    WEBSOCKET,
                    "the upgrade passes, but what the server sends behind it does not",
                    "the proxy must tunnel WebSocket connections without buffering",
                ),
            };
        }
    };
    // The server takes a request without its Upgrade header for a bad one.
    let is_stripped =
        matches!(refusal.status, StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED)
            && !refusal.body.contains("origin");
    if is_stripped {
        report.fail(
            WEBSOCKET,
            format!(
                "the upgrade does not arrive (answered {}): clients stay with polling",
                refusal.status
            ),
            "let the proxy pass Upgrade and Connection (nginx: proxy_http_version 1.1; \
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\")",
        );
    } else {
        refused(WEBSOCKET, settings, &refusal, report);
    }
}

async fn first_frame(mut stream: Upgraded) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    // Until the brace that ends the handshake.
    while !bytes.ends_with(b"}") && bytes.len() < MAX_FRAME_BYTES {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The session id of an open packet: `0{"sid":"…",…}`.
fn sid_of(body: &str) -> Option<String> {
    let handshake: serde_json::Value = serde_json::from_str(body.strip_prefix('0')?).ok()?;
    let sid = handshake.get("sid")?.as_str()?;
    let is_plain = sid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    is_plain.then(|| sid.to_owned())
}

fn unreached(check: &'static str, error: &ProbeError, report: &mut Report) {
    report.fail(
        check,
        error.to_string(),
        "see that the server runs, that the name leads to the proxy, and that its certificate holds",
    );
}

fn refused(check: &'static str, settings: &Settings, answer: &Answer, report: &mut Report) {
    let status = answer.status;
    let remedy = match status {
        StatusCode::NOT_FOUND => {
            format!("forward {} to the server, with all below it", settings.path)
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            "start the server, and see that the proxy leads to its address".to_owned()
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            "let the proxy ask nothing of clients; the server looks at their tokens".to_owned()
        }
        _ if status.is_redirection() => "give --url the address that it leads to".to_owned(),
        _ => {
            "see that the address leads to this server, and that its settings are these".to_owned()
        }
    };
    report.fail(check, format!("answered {status}"), remedy);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_taken_from_an_open_packet_only() {
        for (body, expected) in [
            ("0{\"sid\":\"aB-_9\"}", Some("aB-_9")),
            ("0{\"sid\":\"a&b\"}", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(sid_of(body).as_deref(), expected, "{body}");
        }
    }
}

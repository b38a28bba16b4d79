//! Whether the pages that are to use the server may.

use reqwest::Url;
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};

use super::proxy::endpoint;
use super::report::Report;
use crate::probe::Probe;
use crate::settings::{Settings, Transport};

const CHECK: &str = "origins";

/// Looks at the list, and asks as a browser with such a page does.
pub(super) async fn check(
    settings: &Settings,
    through: Option<(&Probe, &Url)>,
    page: Option<&str>,
    report: &mut Report,
) {
    let allowed = &settings.cors.origins;
    let public = through.map(|(_, public)| public);
    list(allowed, public, report);
    let page = page.map(|page| page.trim_end_matches('/'));
    if let Some(page) = page {
        asked_for(page, allowed, public, report);
    }
    let origin = page.or_else(|| allowed.iter().find(|it| *it != "*").map(String::as_str));
    let is_allowed = |origin: &str| allowed.iter().any(|it| it == "*" || it == origin);
    if let (Some((probe, public)), Some(origin)) = (through, origin)
        && settings.transports.contains(&Transport::Polling)
        && is_allowed(origin)
    {
        answered(settings, probe, (public, origin), report).await;
    }
}

/// What no browser ever sends, or should not be there.
fn list(allowed: &[String], public: Option<&Url>, report: &mut Report) {
    if allowed.iter().any(|it| it == "*") {
        return report.warn(
            CHECK,
            "pages of all origins may connect",
            "name the origins of your pages in cors.origins",
        );
    }
    let mut is_fine = true;
    for origin in allowed {
        let Ok(url) = Url::parse(origin) else { continue };
        let as_sent = url.origin().ascii_serialization();
        if as_sent != *origin && url.origin().is_tuple() {
            is_fine = false;
            report.fail(
                CHECK,
                format!("{origin} is never sent by a browser: it sends {as_sent}"),
                format!("write {as_sent} in cors.origins"),
            );
        } else if url.scheme() == "http"
            && public.is_some_and(|it| it.scheme() == "https")
            && !is_local(&url)
        {
            is_fine = false;
            report.warn(
                CHECK,
                format!("{origin} is not encrypted: whoever is on the way changes its pages"),
                "serve these pages by https",
            );
        }
    }
    match (is_fine, allowed) {
        (true, []) => report.ok(CHECK, "only pages of the server's own origin"),
        (true, _) => report.ok(CHECK, allowed.join(", ")),
        (false, _) => {}
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Whether the page that was named may connect.
fn asked_for(page: &str, allowed: &[String], public: Option<&Url>, report: &mut Report) {
    let is_own = public.is_some_and(|it| it.origin().ascii_serialization() == page);
    if is_own {
        report.ok(CHECK, format!("{page} is the server's own origin"));
    } else if allowed.iter().any(|it| it == "*" || it == page) {
        report.ok(CHECK, format!("{page} may connect"));
    } else {
        report.fail(
            CHECK,
            format!("pages of {page} cannot connect by polling"),
            format!("add {page} to cors.origins"),
        );
    }
}

/// A proxy that adds headers of its own makes two of one, which browsers refuse.
async fn answered(
    settings: &Settings,
    probe: &Probe,
    (public, origin): (&Url, &str),
    report: &mut Report,
) {
    let url = endpoint(settings, public, "polling");
    // That it cannot be reached is told by another check.
    let Ok(answer) = probe.get(&url, &[(ORIGIN.as_str(), origin)]).await else { return };
    if !answer.status.is_success() {
        return;
    }
    let told: Vec<_> = answer.headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
    match told.as_slice() {
        [one] if *one == origin || *one == "*" => {
            report.ok(CHECK, format!("browsers with pages of {origin} are let in"));
        }
        [] => report.fail(
            CHECK,
            "the answer lacks Access-Control-Allow-Origin",
            "the proxy takes it away, or the server runs with other settings: restart it",
        ),
        [_] => report.fail(
            CHECK,
            format!("the answer allows another origin than {origin}"),
            "the proxy changes Access-Control-Allow-Origin, or caches answers: let it do neither",
        ),
        _ => report.fail(
            CHECK,
            "the answer has Access-Control-Allow-Origin twice: browsers refuse it",
            "let the proxy add no CORS headers: the server does",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn found(allowed: &[&str], page: Option<&str>) -> Vec<(Verdict, String)> {
        let allowed: Vec<String> = allowed.iter().map(|it| (*it).to_owned()).collect();
        let public = Url::parse("https://live.example").unwrap();
        let mut report = Report::default();
        list(&allowed, Some(&public), &mut report);
        if let Some(page) = page {
            asked_for(page, &allowed, Some(&public), &mut report);
        }
        report.0.into_iter().map(|it| (it.verdict, it.found)).collect()
    }

    #[test]
    fn lists_and_pages_are_judged() {
        for (allowed, page, verdicts, part) in [
            (vec![], None, vec![Verdict::Ok], "own origin"),
            (vec!["https://app.example"], None, vec![Verdict::Ok], "https://app.example"),
            (vec!["*"], None, vec![Verdict::Warn], "all origins"),
            (
                vec!["https://app.example:443"],
                None,
                vec![Verdict::Fail],
                "it sends https://app.example",
            ),
            (
                vec!["https://App.example"],
                None,
                vec![Verdict::Fail],
                "it sends https://app.example",
            ),
            (vec!["http://app.example"], None, vec![Verdict::Warn], "not encrypted"),
            (vec!["http://localhost:5173"], None, vec![Verdict::Ok], "localhost"),
            (vec!["capacitor://localhost"], None, vec![Verdict::Ok], "capacitor"),
            (vec![], Some("https://live.example"), vec![Verdict::Ok; 2], "own origin"),
            (
                vec![],
                Some("https://app.example"),
                vec![Verdict::Ok, Verdict::Fail],
                "cannot connect",
            ),
            (vec!["https://app.example"], Some("https://app.example"), vec![Verdict::Ok; 2], "may"),
        ] {
            let found = found(&allowed, page);
            let told: Vec<Verdict> = found.iter().map(|(verdict, _)| *verdict).collect();
            assert_eq!(told, verdicts, "{allowed:?} {page:?} {found:?}");
            assert!(found.last().unwrap().1.contains(part), "{part} in {found:?}");
        }
    }
}

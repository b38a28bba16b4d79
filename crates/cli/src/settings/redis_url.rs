//! The address of Redis from the parts in which existing deployments give it.

use std::ffi::OsString;
use std::fmt::Write as _;

/// What the parts may be.
pub(crate) const ACCEPTED_PARTS: &str = "REDIS_URL as redis://[[user]:password@]host[:port][/db], \
     rediss://… or unix:///path; or a host name, a port and a password in REDIS_HOST, REDIS_PORT, \
     REDIS_PASSWORD";

/// The host when only a port or a password is given, as clients of Redis have it.
const HOST: &str = "localhost";

/// Joins `REDIS_URL`, `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD`: the address, and the variables
/// that it was made of. The password completes an URL that has none.
///
/// # Errors
///
/// What is wrong with a part, as the second half of a sentence. Never the part itself.
pub(crate) fn from_parts(
    said: impl Fn(&str) -> Option<OsString>,
) -> Result<(String, Vec<&'static str>), String> {
    let part = |name: &'static str| match said(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim().to_owned())),
        Some(Err(_)) => Err(format!("of {name} is not UTF-8")),
    };
    let password = part("REDIS_PASSWORD")?;
    let mut names = Vec::new();
    let url = if let Some(url) = part("REDIS_URL")? {
        names.push("REDIS_URL");
        url
    } else {
        let host = part("REDIS_HOST")?;
        names.extend(host.is_some().then_some("REDIS_HOST"));
        let port = part("REDIS_PORT")?;
        names.extend(port.is_some().then_some("REDIS_PORT"));
        joined(host.as_deref().unwrap_or(HOST), port.as_deref())?
    };
    let Some(password) = password else {
        return Ok((url, names));
    };
    match with_password(&url, &password) {
        Some(url) => {
            names.push("REDIS_PASSWORD");
            Ok((url, names))
        }
        None => Ok((url, names)),
    }
}

fn joined(host: &str, port: Option<&str>) -> Result<String, String> {
    let named = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(named) {
        return Err("of REDIS_HOST is not a host name".to_owned());
    }
    let is_bare_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    let host = if is_bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
    match port.map(str::parse::<u16>) {
        None => Ok(format!("redis://{host}")),
        Some(Ok(port)) => Ok(format!("redis://{host}:{port}")),
        Some(Err(_)) => Err("of REDIS_PORT is not a port".to_owned()),
    }
}

/// The address with a password, unless it has one.
fn with_password(url: &str, password: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let password = escaped(password);
    if scheme.ends_with("unix") {
        let joint = if rest.contains('?') { '&' } else { '?' };
        return (!rest.contains("pass=")).then(|| format!("{url}{joint}pass={password}"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    match authority.rsplit_once('@') {
        None => Some(format!("{scheme}://:{password}@{authority}{behind}")),
        Some((user, _)) if user.contains(':') => None,
        Some((user, host)) => Some(format!("{scheme}://{user}:{password}@{host}{behind}")),
    }
}

/// A text as a part of an URL. Spec: RFC 3986 § 2.1.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_address() {
        let all = ["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"];
        for (values, expected, names) in [
            (["redis://a:1/2", "b", "3", ""], "redis://a:1/2", vec!["REDIS_URL"]),
            (["redis://a/2", "", "", "p@s s"], "redis://:p%40s%20s@a/2", vec![all[0], all[3]]),
            (["redis://u@a", "", "", "p"], "redis://u:p@a", vec![all[0], all[3]]),
            (["redis://:x@a", "", "", "p"], "redis://:x@a", vec![all[0]]),
            (["unix:///r.sock", "", "", "p"], "unix:///r.sock?pass=p", vec![all[0], all[3]]),
            (["", "cache", "6380", "p"], "redis://:p@cache:6380", vec![all[1], all[2], all[3]]),
            (["", "::1", "", ""], "redis://[::1]", vec![all[1]]),
            (["", "", "6380", ""], "redis://localhost:6380", vec![all[2]]),
            (["", "", "", "p"], "redis://:p@localhost", vec![all[3]]),
        ] {
            let said = |name: &str| {
                let value = all.iter().zip(values).find(|(it, _)| **it == name)?.1;
                (!value.is_empty()).then(|| value.into())
            };
            assert_eq!(from_parts(said), Ok((expected.to_owned(), names)));
        }
    }

    #[test]
    fn parts_that_are_none_are_named() {
        for (name, value, expected) in [
            ("REDIS_HOST", "redis://a", "of REDIS_HOST is not a host name"),
            ("REDIS_HOST", "a b", "of REDIS_HOST is not a host name"),
            ("REDIS_PORT", "many", "of REDIS_PORT is not a port"),
        ] {
            let said = |it: &str| (it == name).then(|| value.into());
            assert_eq!(from_parts(said), Err(expected.to_owned()));
        }
    }
}

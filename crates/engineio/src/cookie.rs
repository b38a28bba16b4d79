//! The cookie some load balancers route by.

use crate::Sid;
use std::fmt::Write as _;

/// When a browser sends the cookie to another site's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Only within the site.
    Strict,
    /// Within the site and on navigation to it.
    Lax,
    /// Always; browsers then require `Secure`.
    None,
}

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The cookie that carries the session id, set on the first polling response only.
///
/// The default is `io=<sid>; Path=/; HttpOnly; SameSite=Lax`. The id is the session's secret:
/// leave `HttpOnly` on, and set `Secure` behind TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    max_age_secs: Option<u32>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: Some("/".to_owned()),
            domain: None,
            max_age_secs: None,
            http_only: true,
            secure: false,
            same_site: Some(SameSite::Lax),
        }
    }
}

/// A part of the cookie would break the header. The caller's fault, reported at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cookie's {part} {value:?} is empty or holds a character that may not stand there")]
pub struct CookieError {
    part: &'static str,
    value: String,
}

impl Cookie {
    /// The default cookie under another name.
    ///
    /// # Errors
    ///
    /// The name is empty or no token of RFC 6265.
    pub fn named(name: &str) -> Result<Self, CookieError> {
        let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
        Ok(Self { name: checked("name", name, token)?, ..Self::default() })
    }

    /// Limits the cookie to paths below this one; `None` leaves it to the browser. Default `/`.
    ///
    /// # Errors
    ///
    /// The path is empty or holds a control character or `;`.
    pub fn path(mut self, path: Option<&str>) -> Result<Self, CookieError> {
        self.path = path.map(|path| checked("path", path, is_attribute)).transpose()?;
        Ok(self)
    }

    /// Sends the cookie to this domain and those below it. Default none: this host only.
    ///
    /// # Errors
    ///
    /// The domain is empty or holds a control character or `;`.
    pub fn domain(mut self, domain: &str) -> Result<Self, CookieError> {
        self.domain = Some(checked("domain", domain, is_attribute)?);
        Ok(self)
    }

    /// How many seconds the browser keeps the cookie. Default none: until it closes.
    pub fn max_age_secs(mut self, seconds: u32) -> Self {
        self.max_age_secs = Some(seconds);
        self
    }

    /// Whether scripts are kept from reading it. Default true.
    pub fn http_only(mut self, on: bool) -> Self {
        self.http_only = on;
        self
    }

    /// Whether it is sent over TLS only. Default false, because the server may speak plain HTTP.
    pub fn secure(mut self, on: bool) -> Self {
        self.secure = on;
        self
    }

    /// The cross-site rule. Default [`SameSite::Lax`].
    pub fn same_site(mut self, rule: Option<SameSite>) -> Self {
        self.same_site = rule;
        self
    }

    /// The value of the `Set-Cookie` header for a session.
    pub fn header_value(&self, sid: &Sid) -> String {
        let mut value = format!("{}={}", self.name, sid.as_str());
        // Writing to a String cannot fail.
        if let Some(seconds) = self.max_age_secs {
            let _ = write!(value, "; Max-Age={seconds}");
        }
        if let Some(domain) = &self.domain {
            let _ = write!(value, "; Domain={domain}");
        }
        if let Some(path) = &self.path {
            let _ = write!(value, "; Path={path}");
        }
        if self.http_only {
            value.push_str("; HttpOnly");
        }
        if self.secure {
            value.push_str("; Secure");
        }
        if let Some(rule) = self.same_site {
            let _ = write!(value, "; SameSite={}", rule.as_str());
        }
        value
    }
}

fn is_attribute(character: char) -> bool {
    (character.is_ascii_graphic() || character == ' ') && character != ';'
}

fn checked(
    part: &'static str,
    value: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<String, CookieError> {
    if value.is_empty() || !value.chars().all(allowed) {
        return Err(CookieError { part, value: value.to_owned() });
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the header in the reference server's spelling and order of attributes.
    #[test]
    fn writes_the_header() {
        let sid = Sid::new([0; 15], 0);
        assert_eq!(
            Cookie::default().header_value(&sid),
            "io=AAAAAAAAAAAAAAAAAAAAAA; Path=/; HttpOnly; SameSite=Lax"
        );
        let full = Cookie::named("n")
            .and_then(|cookie| cookie.path(Some("/x")))
            .and_then(|cookie| cookie.domain("example.org"))
            .unwrap()
            .max_age_secs(60)
            .http_only(false)
            .secure(true)
            .same_site(Some(SameSite::None));
        assert_eq!(
            full.header_value(&sid),
            "n=AAAAAAAAAAAAAAAAAAAAAA; Max-Age=60; Domain=example.org; Path=/x; Secure; \
             SameSite=None"
        );
    }

    /// Shows that nothing can be smuggled into the header.
    #[test]
    fn refuses_parts_that_break_the_header() {
        for name in ["", "a b", "a;b", "a=b", "a\r\nSet-Cookie: x", "ä"] {
            assert!(Cookie::named(name).is_err(), "{name:?}");
        }
        for path in ["", "/;x", "/\n", "/ä"] {
            assert!(Cookie::default().path(Some(path)).is_err(), "{path:?}");
        }
    }
}

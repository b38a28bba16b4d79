//! Cross-origin rules for polling requests.
//!
//! They say which pages' scripts a browser lets read our answers. They keep nobody out: whoever
//! may connect is the request hook's decision, and a WebSocket is not subject to them.
//!
//! Spec: the headers are those of the npm package `cors` 2.8, which the reference server uses.

use std::borrow::Cow;

/// The most characters of requested header names that a preflight answer repeats.
pub const MAX_REFLECTED_HEADERS_BYTES: usize = 1_024;

/// Whose pages may read the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Everyone's: `*`. Browsers refuse this together with credentials.
    Any,
    /// Everyone's, by repeating the request's origin, so that credentials work. Any page in the
    /// world can then act with the visitor's cookies: only for servers without cookies.
    Mirror,
    /// These origins, spelled as browsers send them (`https://app.example.org`).
    List(Vec<String>),
}

/// Cross-origin rules; see [`crate::Settings::cors`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may read the answers. Default [`Origins::Any`].
    pub origins: Origins,
    /// Whether cookies and credentials are sent along. Default false.
    pub credentials: bool,
    /// The methods a preflight names. Default `GET,HEAD,PUT,PATCH,POST,DELETE`, as the reference.
    pub methods: String,
    /// The request headers a preflight allows. Default none: those the request asks for.
    pub allowed_headers: Option<String>,
    /// The response headers scripts may read. Default none.
    pub exposed_headers: Option<String>,
    /// How long a browser may remember a preflight, in seconds. Default none: its own choice.
    pub max_age_secs: Option<u32>,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: Origins::Any,
            credentials: false,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".to_owned(),
            allowed_headers: None,
            exposed_headers: None,
            max_age_secs: None,
        }
    }
}

/// A response header: name and value.
pub type Header<'a> = (&'static str, Cow<'a, str>);

impl Cors {
    /// The headers of every answer that is not a preflight's.
    pub fn headers<'a>(&'a self, origin: Option<&'a str>) -> Vec<Header<'a>> {
        let mut headers = Vec::with_capacity(4);
        self.push_origin(&mut headers, origin);
        if !matches!(self.origins, Origins::Any) {
            headers.push(("vary", Cow::Borrowed("Origin")));
        }
        self.push_exposed(&mut headers);
        headers
    }

    /// The headers of the answer to an `OPTIONS` request, which is 204 with an empty body.
    pub fn preflight_headers<'a>(
        &'a self,
        origin: Option<&'a str>,
        requested_headers: Option<&'a str>,
    ) -> Vec<Header<'a>> {
        let mut headers = Vec::with_capacity(8);
        self.push_origin(&mut headers, origin);
        headers.push(("access-control-allow-methods", Cow::Borrowed(&self.methods)));
        let reflects = self.allowed_headers.is_none();
        let allowed = self.allowed_headers.as_deref().or_else(|| {
            requested_headers.filter(|names| names.len() <= MAX_REFLECTED_HEADERS_BYTES)
        });
        if let Some(names) = allowed.filter(|names| !names.is_empty()) {
            headers.push(("access-control-allow-headers", Cow::Borrowed(names)));
        }
        let vary = match (matches!(self.origins, Origins::Any), reflects) {
            (true, true) => Some("Access-Control-Request-Headers"),
            (false, true) => Some("Origin, Access-Control-Request-Headers"),
            (false, false) => Some("Origin"),
            (true, false) => None,
        };
        if let Some(vary) = vary {
            headers.push(("vary", Cow::Borrowed(vary)));
        }
        if let Some(seconds) = self.max_age_secs {
            headers.push(("access-control-max-age", Cow::Owned(seconds.to_string())));
        }
        self.push_exposed(&mut headers);
        headers
    }

    fn push_origin<'a>(&'a self, headers: &mut Vec<Header<'a>>, origin: Option<&'a str>) {
        let allowed = match &self.origins {
            Origins::Any => Some("*"),
            Origins::Mirror => origin,
            Origins::List(list) => {
                origin.filter(|origin| list.iter().any(|allowed| allowed == origin))
            }
        };
        if let Some(allowed) = allowed {
            headers.push(("access-control-allow-origin", Cow::Borrowed(allowed)));
        }
        if self.credentials {
            headers.push(("access-control-allow-credentials", Cow::Borrowed("true")));
        }
    }

    fn push_exposed<'a>(&'a self, headers: &mut Vec<Header<'a>>) {
        if let Some(names) = self.exposed_headers.as_deref().filter(|names| !names.is_empty()) {
            headers.push(("access-control-expose-headers", Cow::Borrowed(names)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(headers: &[Header<'_>]) -> String {
        headers.iter().map(|(name, value)| format!("{name}={value};")).collect()
    }

    /// Shows the headers for each kind of origin rule.
    #[test]
    fn answers_by_origin() {
        let any = Cors::default();
        assert_eq!(text(&any.headers(Some("http://a"))), "access-control-allow-origin=*;");
        let list = Cors {
            origins: Origins::List(vec!["http://a".into()]),
            credentials: true,
            exposed_headers: Some("x".into()),
            ..Cors::default()
        };
        assert_eq!(
            text(&list.headers(Some("http://a"))),
            "access-control-allow-origin=http://a;access-control-allow-credentials=true;\
             vary=Origin;access-control-expose-headers=x;"
        );
        assert_eq!(
            text(&list.headers(Some("http://a.evil"))),
            "access-control-allow-credentials=true;vary=Origin;access-control-expose-headers=x;"
        );
    }

    /// Shows the preflight answer, and that an endless list of headers is not repeated.
    #[test]
    fn answers_a_preflight() {
        let any = Cors::default();
        assert_eq!(
            text(&any.preflight_headers(Some("http://a"), None)),
            "access-control-allow-origin=*;\
             access-control-allow-methods=GET,HEAD,PUT,PATCH,POST,DELETE;\
             vary=Access-Control-Request-Headers;"
        );
        let mirror = Cors { origins: Origins::Mirror, max_age_secs: Some(60), ..Cors::default() };
        assert_eq!(
            text(&mirror.preflight_headers(Some("http://a"), Some("x-a"))),
            "access-control-allow-origin=http://a;\
             access-control-allow-methods=GET,HEAD,PUT,PATCH,POST,DELETE;\
             access-control-allow-headers=x-a;\
             vary=Origin, Access-Control-Request-Headers;access-control-max-age=60;"
        );
        let long = "x".repeat(MAX_REFLECTED_HEADERS_BYTES + 1);
        assert!(!text(&any.preflight_headers(None, Some(&long))).contains("allow-headers"));
    }
}

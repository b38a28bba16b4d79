//! What a person reads when the server has started.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::api_key::{ApiKey, Origin};

/// The facts of a start.
#[derive(Debug)]
pub(crate) struct Started<'a> {
    /// The address that is listened on, with the port that was really taken.
    pub(crate) address: SocketAddr,
    /// Whether it is served with TLS.
    pub(crate) encrypted: bool,
    /// The path of the Socket.IO endpoint.
    pub(crate) path: &'a str,
    /// The version of the client bundle; `None` when it is not embedded or not served.
    pub(crate) bundle: Option<&'a str>,
    /// Where the metrics are, if they are served.
    pub(crate) metrics: Option<SocketAddr>,
    /// The pages, each with its path; `None` when there should be some and none are embedded.
    pub(crate) pages: Option<Vec<(&'static str, &'static str)>>,
    /// The data directory, absolute.
    pub(crate) data: &'a Path,
    /// The key of the HTTP API.
    pub(crate) key: &'a ApiKey,
}

impl Started<'_> {
    /// The text, with an empty line before and after.
    pub(crate) fn text(&self) -> String {
        let listening = self.url(self.address);
        let near = self.url(reachable(self.address));
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(text, "\n  Fanfare {version} is listening on {listening}\n");
        let options = if self.path == "/socket.io" {
            String::new()
        } else {
            format!(", {{ path: \"{}\" }}", self.path)
        };
        let _ = writeln!(text, "  connect    io(\"{near}\"{options})");
        let _ = match self.bundle {
            Some(version) => {
                writeln!(text, "  client     {near}{}/socket.io.js (version {version})", self.path)
            }
            None => writeln!(text, "  client     not served here: take it from npm or a CDN"),
        };
        match &self.pages {
            Some(pages) => pages.iter().for_each(|(name, path)| {
                let _ = writeln!(text, "  {name:<10} {near}{path}");
            }),
            None => {
                let missing = "not built in: `cargo xtask web`, then build again";
                let _ = writeln!(text, "  pages      {missing}");
            }
        }
        let _ = writeln!(text, "  health     {near}/health");
        if let Some(metrics) = self.metrics {
            let _ = writeln!(text, "  metrics    http://{}/metrics", reachable(metrics));
        }
        let _ = writeln!(text, "  data       {}", self.data.display());
        self.write_key(&mut text);
        let _ = writeln!(text, "\n  Send an event to everyone who is connected:\n");
        self.write_example(&mut text, &near);
        text
    }

    fn write_key(&self, text: &mut String) {
        let _ = match &self.key.origin {
            Origin::Settings => writeln!(text, "  API key    as set"),
            Origin::File(path) => writeln!(text, "  API key    in {}", path.display()),
            Origin::New(path) => writeln!(
                text,
                "  API key    {} (new; kept in {})",
                self.key.expose(),
                path.display()
            ),
        };
    }

    fn write_example(&self, text: &mut String, url: &str) {
        let key = match &self.key.origin {
            Origin::Settings => "$FANFARE_API_KEY".to_owned(),
            Origin::File(path) | Origin::New(path) => format!("$(cat {})", quoted(path)),
        };
        let insecure = if self.encrypted { " --insecure" } else { "" };
        let _ = writeln!(text, "    curl{insecure} {url}{} \\", services::PUBLISH_PATH);
        let _ = writeln!(text, "      -H \"Authorization: Bearer {key}\" \\");
        let _ = writeln!(text, "      -H 'Content-Type: application/json' \\");
        let _ = writeln!(
            text,
            "      -d '{{\"event\":\"hello\",\"args\":[\"world\"],\"all\":true}}'\n"
        );
    }

    fn url(&self, address: SocketAddr) -> String {
        format!("{}://{address}", if self.encrypted { "https" } else { "http" })
    }
}

/// An address one can connect to from this machine: `0.0.0.0` is none.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A path as one word of a shell command inside double quotes and `$(…)`.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    #[test]
    fn a_first_start_shows_the_key_and_the_next_step() {
        let data = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:3000".parse().unwrap();
        let key = ApiKey::find(None, address, data.path()).unwrap();
        let started = Started {
            address,
            encrypted: false,
            path: "/socket.io",
            bundle: Some("4.8.4"),
            pages: Some(vec![("present", "/host")]),
            metrics: Some("0.0.0.0:9464".parse().unwrap()),
            data: data.path(),
            key: &key,
        };
        let directory = data.path().display().to_string();
        let text = started.text().replace(&directory, "DATA").replace(key.expose(), "KEY");
        let expected = r#"
  Fanfare 0.1.0 is listening on http://127.0.0.1:3000

  connect    io("http://127.0.0.1:3000")
  client     http://127.0.0.1:3000/socket.io/socket.io.js (version 4.8.4)
  present    http://127.0.0.1:3000/host
  health     http://127.0.0.1:3000/health
  metrics    http://127.0.0.1:9464/metrics
  data       DATA
  API key    KEY (new; kept in DATA/api_key)

  Send an event to everyone who is connected:

    curl http://127.0.0.1:3000/v1/publish \
      -H "Authorization: Bearer $(cat DATA/api_key)" \
      -H 'Content-Type: application/json' \
      -d '{"event":"hello","args":["world"],"all":true}'

"#
        .replace("0.1.0", env!("CARGO_PKG_VERSION"));
        assert_eq!(text, expected);
    }

    #[test]
    fn a_key_that_was_set_is_not_shown() {
        let secret = Secret::new("very-secret-indeed".to_owned());
        let address = "0.0.0.0:443".parse().unwrap();
        let key = ApiKey::find(Some(&secret), address, Path::new("/nowhere")).unwrap();
        let path = "/live";
        let data = Path::new("/var/lib/fanfare");
        let (encrypted, bundle, pages, metrics) = (true, None, None, None);
        let text =
            Started { address, encrypted, path, bundle, pages, metrics, data, key: &key }.text();
        assert!(!text.contains("very-secret"), "{text}");
        for part in [
            "listening on https://0.0.0.0:443",
            "io(\"https://127.0.0.1:443\", { path: \"/live\" })",
            "not served here",
            "not built in",
            "Bearer $FANFARE_API_KEY",
            "curl --insecure https://127.0.0.1:443/v1/publish",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

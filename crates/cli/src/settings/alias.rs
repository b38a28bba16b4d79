//! The names that existing deployments use for the same things: they work where no variable of ours
//! and no flag says otherwise.
//!
//! They are not ours alone: a `PORT` or `LOG_LEVEL` may be meant for another program of the same
//! machine. So they count only when nothing of ours speaks about the setting, and what of them
//! counts is shown by `fanfare config`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::settings::all;
use crate::settings::kind::{Kind, Raw};
use crate::settings::load::{Given, Source};
use crate::settings::problem::Problem;
use crate::settings::redis_url;
use crate::settings::table::{ENV_PREFIX, Setting};

/// A variable that existing deployments set, and the setting that it means.
struct Alias {
    name: &'static str,
    key: &'static str,
    form: Form,
}

/// How the value of a foreign variable becomes one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It is written the same.
    Same,
    /// A secret: exactly as it is, with the spaces around it.
    Exact,
    /// The port of an address.
    Port,
    /// A list of origins: by commas, or as JSON; a slash at their ends is left out.
    Origins,
    /// A list of words: by commas, or as JSON.
    Words,
    /// Milliseconds, or a duration with its unit.
    Milliseconds,
    /// A path, with or without a slash before it.
    Path,
    /// A level, by any of its common names.
    Level,
    /// A number for one connection; of the setting for users the fourfold.
    Fourfold,
    /// A part of the address of Redis.
    Redis,
}

/// All of them. Of several for one setting the first that says something counts: the more particular
/// names stand first.
const ALIASES: [Alias; 20] = [
    Alias { name: "REALTIME_PORT", key: "listen", form: Form::Port },
    Alias { name: "PORT", key: "listen", form: Form::Port },
    Alias { name: "WEBSOCKET_PATH", key: "path", form: Form::Path },
    Alias { name: "SOCKET_IO_TRANSPORTS", key: "transports", form: Form::Words },
    Alias { name: "SOCKET_IO_PING_INTERVAL", key: "ping_interval", form: Form::Milliseconds },
    Alias { name: "WEBSOCKET_PING_INTERVAL", key: "ping_interval", form: Form::Milliseconds },
    Alias { name: "SOCKET_IO_PING_TIMEOUT", key: "ping_timeout", form: Form::Milliseconds },
    Alias { name: "WEBSOCKET_PING_TIMEOUT", key: "ping_timeout", form: Form::Milliseconds },
    Alias { name: "CORS_ORIGINS", key: "cors.origins", form: Form::Origins },
    Alias { name: "FRONTEND_ORIGIN", key: "cors.origins", form: Form::Origins },
    Alias {
        name: "RATE_LIMIT_CONNECTIONS_PER_IP",
        key: "limits.connections_per_ip",
        form: Form::Same,
    },
    Alias {
        name: "RATE_LIMIT_MESSAGES_PER_SECOND",
        key: "limits.events_per_second",
        form: Form::Same,
    },
    // Else a user's limit would stand before that of a connection.
    Alias {
        name: "RATE_LIMIT_MESSAGES_PER_SECOND",
        key: "limits.user_events_per_second",
        form: Form::Fourfold,
    },
    Alias { name: "LOG_LEVEL", key: "log.level", form: Form::Level },
    Alias { name: "METRICS_PORT", key: "metrics.listen", form: Form::Port },
    Alias { name: "JWT_SECRET", key: "auth.jwt_secret", form: Form::Exact },
    Alias { name: "REDIS_URL", key: "redis.url", form: Form::Redis },
    Alias { name: "REDIS_HOST", key: "redis.url", form: Form::Redis },
    Alias { name: "REDIS_PORT", key: "redis.url", form: Form::Redis },
    Alias { name: "REDIS_PASSWORD", key: "redis.url", form: Form::Redis },
];

/// Below this a number without a unit is more likely meant in seconds than in milliseconds.
const LEAST_MILLISECONDS: u64 = 1_000;

/// The names of levels that other programs have, and ours.
const LEVELS: [(&str, &str); 7] = [
    ("warning", "warn"),
    ("critical", "error"),
    ("fatal", "error"),
    ("verbose", "debug"),
    ("silly", "trace"),
    ("notset", "trace"),
    ("information", "info"),
];

/// What the foreign variables say.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// What counts.
    pub(crate) given: Vec<Given>,
    /// What is set and does not count, because something else does: the key and the variable.
    pub(crate) unused: Vec<(&'static str, &'static str)>,
}

/// The foreign variables that mean a setting, in the order in which they count.
pub(crate) fn names_for(setting: &Setting) -> impl Iterator<Item = &'static str> {
    let key = setting.key;
    ALIASES.iter().filter(move |alias| alias.key == key).map(|alias| alias.name)
}

/// All foreign variables, each once.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = ALIASES.iter().map(|alias| alias.name).collect();
    names.dedup();
    names
}

/// Reads the foreign variables. `ours` is what variables of ours and flags say, which comes first;
/// `beneath` is what defaults and the file say, which a port keeps the address of.
pub(crate) fn from_environment(
    environment: &[(String, OsString)],
    ours: &[&'static str],
    beneath: &[Given],
    problems: &mut Vec<Problem>,
) -> Foreign {
    let around = Around { environment, beneath };
    let mut foreign = Foreign::default();
    for setting in all() {
        let mut decided = ours.contains(&setting.key);
        for alias in ALIASES.iter().filter(|alias| alias.key == setting.key) {
            let Some(value) = around.said(alias.name) else {
                continue;
            };
            if decided {
                foreign.unused.push((alias.key, alias.name));
                continue;
            }
            decided = true;
            match around.given(alias, setting, &value) {
                Ok(given) => foreign.given.push(given),
                Err(problem) => problems.push(problem),
            }
            if alias.form == Form::Redis {
                break; // the others are its parts
            }
        }
    }
    foreign
}

/// Whether a variable with our prefix was set by Kubernetes or Docker, which tell every container the
/// addresses of services: of one that is named `fanfare` in variables that begin like ours.
pub(crate) fn is_service_link(name: &str, value: &str) -> bool {
    let Some(name) = name.strip_prefix(ENV_PREFIX) else {
        return false;
    };
    let ends = |end: &str| name.ends_with(&format!("_{end}")) || name == end;
    let is_port_of_link = || {
        let (_, port) = name.rsplit_once("PORT_").unwrap_or_default();
        let (number, rest) = port.split_once('_').unwrap_or_default();
        number.parse::<u16>().is_ok() && (rest.starts_with("TCP") || rest.starts_with("UDP"))
    };
    ends("SERVICE_HOST")
        || ends("SERVICE_PORT")
        || name.contains("SERVICE_PORT_")
        || (ends("PORT") && is_link(value))
        || is_port_of_link()
}

/// `tcp://10.0.0.1:6379`: what Kubernetes says in `<SERVICE>_PORT`.
fn is_link(value: &str) -> bool {
    value.starts_with("tcp://") || value.starts_with("udp://")
}

/// What a foreign variable is read beside.
struct Around<'a> {
    environment: &'a [(String, OsString)],
    beneath: &'a [Given],
}

impl Around<'_> {
    /// The value of a variable that says something: what is empty, or set by Kubernetes for a service
    /// that happens to have such a name, does not.
    fn said(&self, name: &str) -> Option<OsString> {
        let (_, value) = self.environment.iter().find(|(found, _)| found == name)?;
        let text = value.to_str().map(str::trim);
        let silent =
            text.is_some_and(|text| text.is_empty() || (name.ends_with("PORT") && is_link(text)));
        (!silent).then(|| value.clone())
    }

    fn given(
        &self,
        alias: &Alias,
        setting: &'static Setting,
        value: &OsString,
    ) -> Result<Given, Problem> {
        let mut names = vec![alias.name];
        let text = match alias.form {
            Form::Exact => value.to_str(),
            _ => value.to_str().map(str::trim),
        };
        let word = match text {
            None => Err("is not UTF-8".to_owned()),
            Some(_) if alias.form == Form::Redis => redis_url::from_parts(|name| self.said(name))
                .map(|(url, parts)| {
                    names = parts;
                    url
                }),
            Some(text) => self.translated(alias, text),
        };
        let checked = word.and_then(|word| {
            setting.kind.check(&Raw::Word(word.clone()))?;
            Ok(word)
        });
        let source = Source::Alias(names);
        match checked {
            Ok(word) => Ok(Given { setting, value: Raw::Word(word), source }),
            Err(why) => Err(Problem::BadValue {
                key: setting.key,
                value: if setting.is_secret() {
                    "the value".into()
                } else {
                    format!("`{}`", value.to_string_lossy().escape_debug())
                },
                why,
                given_in: source,
                accepted: alias.form.accepted(&setting.kind),
            }),
        }
    }

    fn translated(&self, alias: &Alias, text: &str) -> Result<String, String> {
        match alias.form {
            Form::Same | Form::Exact | Form::Redis => Ok(text.to_owned()),
            Form::Port => {
                let port = text.parse().map_err(|_| "is not a port".to_owned())?;
                Ok(SocketAddr::new(self.address(alias.key), port).to_string())
            }
            Form::Origins => {
                let items = items(text)?;
                let plain = items.iter().map(|item| item.strip_suffix('/').unwrap_or(item));
                Ok(plain.collect::<Vec<_>>().join(","))
            }
            Form::Words => Ok(items(text)?.join(",")),
            Form::Milliseconds => milliseconds(text),
            Form::Path => {
                Ok(if text.starts_with('/') { text.to_owned() } else { format!("/{text}") })
            }
            Form::Level => {
                let level = text.to_lowercase();
                let known = LEVELS.iter().find(|(other, _)| *other == level);
                Ok(known.map_or(level, |(_, ours)| (*ours).to_owned()))
            }
            Form::Fourfold => {
                let number: u64 = text.parse().map_err(|_| "is not a whole number".to_owned())?;
                Ok(number.saturating_mul(4).min(1_000_000).to_string())
            }
        }
    }

    /// The address that a port belongs to: that of the file. Else, for clients, all of the machine: who
    /// says `PORT` runs in a container, and an API key must be set then.
    fn address(&self, key: &str) -> IpAddr {
        let said = self.beneath.iter().rev().find(|given| given.setting.key == key);
        let address = said.and_then(|given| match &given.value {
            Raw::Text(text) | Raw::Word(text) => Some((text.parse().ok()?, &given.source)),
            _ => None,
        });
        match address {
            Some((address, Source::File(..))) => SocketAddr::ip(&address),
            Some((address, _)) if key != "listen" => SocketAddr::ip(&address),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

impl Form {
    fn accepted(self, kind: &Kind) -> String {
        match self {
            Self::Port => "a port from 0 to 65535; 0 takes a free one".to_owned(),
            Self::Milliseconds => format!(
                "a number of milliseconds from {LEAST_MILLISECONDS}, or {}",
                kind.accepted()
            ),
            Self::Redis => redis_url::ACCEPTED_PARTS.to_owned(),
            _ => kind.accepted(),
        }
    }
}

/// The items of a list, which may be one of JSON.
fn items(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|_| "is not a list of texts".to_owned());
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

/// A bare number is in milliseconds, as the Node server has it. A small one is refused: who means
/// seconds would have all clients cut within a moment.
fn milliseconds(text: &str) -> Result<String, String> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    match text.parse::<u64>() {
        Ok(number) if number < LEAST_MILLISECONDS => Err(format!(
            "is less than a second in milliseconds; if that is meant, write `{number}ms`, else \
             `{number}s`"
        )),
        _ => Ok(format!("{text}ms")),
    }
}

#[cfg(test)]
mod tests {
    //! What each foreign variable becomes, what comes before what, and what is refused.

    use super::*;
    use crate::settings::{Effective, Inputs};

    fn inputs(file: &str, pairs: &[(&str, &str)]) -> (tempfile::TempDir, Inputs) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fanfare.toml");
        std::fs::write(&path, file).unwrap();
        let environment =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        (directory, Inputs { file: Some(path), environment, ..Inputs::default() })
    }

    fn load(file: &str, pairs: &[(&str, &str)]) -> Effective {
        inputs(file, pairs).1.load().unwrap_or_else(|why| panic!("{pairs:?}: {why}"))
    }

    fn entry(effective: &Effective, key: &str) -> (String, String, Vec<&'static str>) {
        let setting = all().find(|setting| setting.key == key).unwrap();
        let (value, source) = effective.entry(setting);
        let value = value.map_or_else(String::new, |value| match value.into_array() {
            Some(items) => items.iter().filter_map(|it| it.as_str()).collect::<Vec<_>>().join(","),
            None => String::new(),
        });
        let value = if value.is_empty() { plain(effective, setting) } else { value };
        (value, source, effective.unused(setting))
    }

    fn plain(effective: &Effective, setting: &Setting) -> String {
        let (value, _) = effective.entry(setting);
        value.map_or_else(String::new, |value| match value.to_u128() {
            Some(number) => number.to_string(),
            None => value.as_str().unwrap_or_default().to_owned(),
        })
    }

    #[test]
    fn every_name_means_a_setting() {
        let expected = "REALTIME_PORT PORT WEBSOCKET_PATH SOCKET_IO_TRANSPORTS \
             SOCKET_IO_PING_INTERVAL WEBSOCKET_PING_INTERVAL SOCKET_IO_PING_TIMEOUT \
             WEBSOCKET_PING_TIMEOUT CORS_ORIGINS FRONTEND_ORIGIN RATE_LIMIT_CONNECTIONS_PER_IP \
             RATE_LIMIT_MESSAGES_PER_SECOND LOG_LEVEL METRICS_PORT JWT_SECRET REDIS_URL \
             REDIS_HOST REDIS_PORT REDIS_PASSWORD";
        assert_eq!(names().join(" "), expected);
        for alias in &ALIASES {
            assert!(all().any(|setting| setting.key == alias.key), "{}", alias.key);
        }
    }

    #[test]
    fn every_name_is_explained_to_those_who_run_a_server() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
        let page = std::fs::read_to_string(path).unwrap();
        for alias in &ALIASES {
            let row = page.lines().find(|line| {
                line.starts_with("| `") && line.contains(&format!("`{}`", alias.name))
            });
            assert!(
                row.is_some_and(|row| row.contains(&format!("[`{}`]", alias.key))),
                "{}",
                alias.name
            );
        }
    }

    #[test]
    fn foreign_values_are_translated() {
        for (name, value, key, expected) in [
            ("PORT", "8080", "listen", "0.0.0.0:8080"),
            ("REALTIME_PORT", " 3001 ", "listen", "0.0.0.0:3001"),
            ("METRICS_PORT", "9090", "metrics.listen", "127.0.0.1:9090"),
            ("WEBSOCKET_PATH", "ws/socket.io", "path", "/ws/socket.io"),
            ("SOCKET_IO_TRANSPORTS", "websocket, polling", "transports", "websocket,polling"),
            ("SOCKET_IO_TRANSPORTS", "[\"websocket\"]", "transports", "websocket"),
            ("SOCKET_IO_PING_INTERVAL", "25000", "ping_interval", "25000ms"),
            ("WEBSOCKET_PING_INTERVAL", "30s", "ping_interval", "30s"),
            ("SOCKET_IO_PING_TIMEOUT", "60000", "ping_timeout", "60000ms"),
            ("WEBSOCKET_PING_TIMEOUT", "1000", "ping_timeout", "1000ms"),
            (
                "CORS_ORIGINS",
                "https://a.example/,http://b:1",
                "cors.origins",
                "https://a.example,http://b:1",
            ),
            ("CORS_ORIGINS", "[\"https://a.example\"]", "cors.origins", "https://a.example"),
            ("FRONTEND_ORIGIN", "https://a.example", "cors.origins", "https://a.example"),
            ("RATE_LIMIT_CONNECTIONS_PER_IP", "7", "limits.connections_per_ip", "7"),
            ("RATE_LIMIT_MESSAGES_PER_SECOND", "50", "limits.events_per_second", "50"),
            ("RATE_LIMIT_MESSAGES_PER_SECOND", "50", "limits.user_events_per_second", "200"),
            ("LOG_LEVEL", "WARNING", "log.level", "warn"),
            ("LOG_LEVEL", "debug", "log.level", "debug"),
            ("JWT_SECRET", "s3cret-s3cret", "auth.jwt_secret", "s3cret-s3cret"),
            ("JWT_SECRET", " my gr\u{fc}n s3cret\n", "auth.jwt_secret", " my gr\u{fc}n s3cret\n"),
            ("REDIS_URL", "redis://cache:6379/1", "redis.url", "redis://cache:6379/1"),
            ("REDIS_HOST", "cache", "redis.url", "redis://cache"),
            ("REDIS_PORT", "6380", "redis.url", "redis://localhost:6380"),
            ("REDIS_PASSWORD", "a:b", "redis.url", "redis://:a%3Ab@localhost"),
        ] {
            let effective = load("", &[(name, value)]);
            let source = format!("environment variable {name}");
            assert_eq!(entry(&effective, key), (expected.to_owned(), source, vec![]), "{name}");
        }
    }

    #[test]
    fn our_names_come_first_and_the_others_are_told() {
        let file = "listen = \"192.0.2.7:1\"\n";
        let ours = load(file, &[("FANFARE_LISTEN", "127.0.0.1:5"), ("PORT", "not looked at")]);
        let (value, source, unused) = entry(&ours, "listen");
        assert_eq!((value.as_str(), unused), ("127.0.0.1:5", vec!["PORT"]));
        assert_eq!(source, "environment variable FANFARE_LISTEN");
        let toml = crate::settings::as_toml(&ours);
        assert!(toml.contains("FANFARE_LISTEN; PORT is set and does not count\n"), "{toml}");
        let both = load(file, &[("PORT", "8080"), ("REALTIME_PORT", "3001")]);
        let expected = "environment variable REALTIME_PORT".to_owned();
        assert_eq!(
            entry(&both, "listen"),
            ("192.0.2.7:3001".to_owned(), expected, vec!["PORT"]),
            "the address of the file, the port of the environment"
        );
    }

    #[test]
    fn an_address_of_redis_in_parts_names_them_and_keeps_its_password() {
        let parts = [
            ("REDIS_HOST", "cache"),
            ("REDIS_PORT", "tcp://10.0.0.1:6379"),
            ("REDIS_PASSWORD", "canary"),
        ];
        let effective = load("", &parts);
        let (value, source, _) = entry(&effective, "redis.url");
        assert_eq!(value, "redis://:canary@cache");
        assert_eq!(source, "environment variables REDIS_HOST, REDIS_PASSWORD");
        let shown = crate::settings::as_toml(&effective)
            + &crate::settings::as_json(&effective).to_string()
            + &format!("{effective:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn what_cannot_be_translated_is_refused_by_name() {
        for (name, value, parts) in [
            (
                "PORT",
                "http",
                vec!["listen: `http` is not a port", "variable PORT\n", "from 0 to 65535"],
            ),
            ("PORT", "70000", vec!["listen: `70000` is not a port"]),
            (
                "SOCKET_IO_PING_TIMEOUT",
                "60",
                vec!["ping_timeout: `60` is less than a second", "write `60ms`, else `60s`"],
            ),
            ("SOCKET_IO_TRANSPORTS", "webtransport", vec!["`webtransport` that is not one of"]),
            ("CORS_ORIGINS", "[1]", vec!["cors.origins: `[1]` is not a list of texts"]),
            (
                "FRONTEND_ORIGIN",
                "app.example",
                vec!["variable FRONTEND_ORIGIN", "is not an origin"],
            ),
            ("RATE_LIMIT_CONNECTIONS_PER_IP", "few", vec!["limits.connections_per_ip: `few`"]),
            ("LOG_LEVEL", "loud", vec!["log.level: `loud` is not one of", "variable LOG_LEVEL"]),
            ("REDIS_URL", "http://canary", vec!["redis.url: the value is no address of a Redis"]),
            ("REDIS_URL", "redis://:canary@host:many", vec!["redis.url: the value is no address"]),
            ("REDIS_HOST", "canary host", vec!["the value of REDIS_HOST is not a host name"]),
        ] {
            let message = inputs("", &[(name, value)]).1.load().unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{name}: {part} in {message}");
            }
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn what_kubernetes_says_of_services_is_not_taken_for_settings() {
        let links = [
            ("FANFARE_SERVICE_HOST", "10.0.0.1"),
            ("FANFARE_SERVICE_PORT", "3000"),
            ("FANFARE_SERVICE_PORT_HTTP", "3000"),
            ("FANFARE_PORT", "tcp://10.0.0.1:3000"),
            ("FANFARE_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
            ("FANFARE_PORT_3000_TCP_ADDR", "10.0.0.1"),
            ("FANFARE_API_SERVICE_HOST", "10.0.0.2"),
            ("FANFARE_API_PORT_80_TCP_PROTO", "tcp"),
            ("REALTIME_PORT", "tcp://10.0.0.1:3000"),
            ("PORT", ""),
        ];
        let effective = load("", &links);
        assert_eq!(entry(&effective, "listen").1, "default");
        let wrong = inputs("", &[("FANFARE_PORT", "3000")]).1.load().unwrap_err().to_string();
        assert!(wrong.contains("FANFARE_PORT: there is no such setting"), "{wrong}");
    }
}

//! From file, environment and flags to the typed settings, each value with the place it came from.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::settings::alias::{self, Foreign, is_service_link};
use crate::settings::file::{from_file, read_bounded};
use crate::settings::kind::Raw;
use crate::settings::problem::{Problem, Problems, nearest};
use crate::settings::table::{ENV_PREFIX, Setting};
use crate::settings::{LogDurability, LogKind, Settings, all};

/// The file that is read when no other is named, if it exists.
pub(crate) const DEFAULT_FILE: &str = "fanfare.toml";

/// Names the settings file in the environment; not itself a setting, a file cannot name itself.
pub(crate) const FILE_ENV: &str = "FANFARE_CONFIG";

/// Read by the build, not by the server; it may still be there when the server starts.
const BUILD_ENV: [&str; 2] = ["FANFARE_CLIENT_BUNDLE", "FANFARE_WEB"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// A line of a file, counted from one.
    File(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// Environment variables with names that existing deployments use.
    Alias(Vec<&'static str>),
    /// A flag, without its dashes.
    Flag(String),
}

impl Source {
    /// The layer and, in a file, the line: the order in which problems are told.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Default => (0, 0),
            Self::File(_, line) => (1, *line),
            Self::Env(_) | Self::Alias(_) => (2, 0),
            Self::Flag(_) => (3, 0),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Alias(names) => {
                let plural = if names.len() == 1 { "" } else { "s" };
                write!(f, "environment variable{plural} {}", names.join(", "))
            }
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// One value for one setting, from one place.
#[derive(Debug)]
pub(crate) struct Given {
    /// The setting.
    pub(crate) setting: &'static Setting,
    /// Its value, unchecked.
    pub(crate) value: Raw,
    /// Where it was found.
    pub(crate) source: Source,
}

impl Given {
    /// What a flag says.
    pub(crate) fn by_flag(setting: &'static Setting, word: String) -> Self {
        let source = Source::Flag(setting.flag_name());
        Self { setting, value: Raw::Word(word), source }
    }

    fn checked(self) -> Result<Checked, Problem> {
        let Self { setting, value, source } = self;
        match setting.kind.check(&value) {
            Ok(value) => Ok(Checked { setting, value, source }),
            Err(why) => Err(Problem::BadValue {
                key: setting.key,
                value: if setting.is_secret() { "the value".into() } else { value.to_string() },
                why,
                given_in: source,
                accepted: setting.kind.accepted(),
            }),
        }
    }
}

/// A value that its setting accepts.
struct Checked {
    setting: &'static Setting,
    value: Value,
    source: Source,
}

impl Provider for Checked {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(self.setting.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// Everything that is asked for settings.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The file named by the flag `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The environment; of names that do not begin with `FANFARE_` those that existing deployments use
    /// are looked at.
    pub(crate) environment: Vec<(String, OsString)>,
    /// The flags that were given.
    pub(crate) flags: Vec<Given>,
}

/// The settings that hold, and where each came from.
pub(crate) struct Effective {
    /// The typed settings.
    pub(crate) settings: Settings,
    figment: Figment,
    unused: Vec<(&'static str, &'static str)>,
}

/// Without the layers, which hold secrets as plain text.
impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Effective {
    /// The value of a setting in its written form and the place it came from.
    pub(crate) fn entry(&self, setting: &Setting) -> (Option<Value>, String) {
        let value = self.figment.find_value(setting.key).ok();
        (value, self.source(setting.key))
    }

    /// The place a setting came from.
    pub(crate) fn source(&self, key: &str) -> String {
        let source = self.figment.find_metadata(key).map(|found| found.name.to_string());
        source.unwrap_or_else(|| Source::Default.to_string())
    }

    /// Variables of existing deployments that are set for a setting and do not count, because
    /// something else does.
    pub(crate) fn unused(&self, setting: &Setting) -> Vec<&'static str> {
        let unused = self.unused.iter().filter(|(key, _)| *key == setting.key);
        unused.map(|(_, name)| *name).collect()
    }
}

impl Inputs {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// All problems that were found, in the order of the layers.
    pub(crate) fn load(self) -> Result<Effective, Problems> {
        let mut problems = Vec::new();
        let mut given: Vec<Given> = all().filter_map(default_of).collect();
        match self.read_file() {
            Ok(Some((path, text))) => given.extend(from_file(&path, &text, &mut problems)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        let ours = from_environment(&self.environment, &mut problems);
        let said: Vec<&'static str> =
            ours.iter().chain(&self.flags).map(|given| given.setting.key).collect();
        let Foreign { given: foreign, unused } =
            alias::from_environment(&self.environment, &said, &given, &mut problems);
        given.extend(foreign);
        given.extend(ours);
        given.extend(self.flags);

        let mut figment = Figment::from(Sections);
        for value in given {
            match value.checked() {
                Ok(checked) => figment = figment.merge(checked),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            problems.sort_by_key(Problem::rank);
            return Err(Problems(problems));
        }
        finish(figment, unused)
    }

    /// The text of the settings file: the named one, or the usual one if it exists.
    fn read_file(&self) -> Result<Option<(PathBuf, String)>, Problem> {
        let by_env =
            self.environment.iter().find(|(name, value)| name == FILE_ENV && !value.is_empty());
        let (path, given_in) = match (&self.file, by_env) {
            (Some(path), _) => (path.clone(), Source::Flag("config".to_owned())),
            (None, Some((name, value))) => (PathBuf::from(value), Source::Env(name.clone())),
            (None, None) if Path::new(DEFAULT_FILE).exists() => {
                (PathBuf::from(DEFAULT_FILE), Source::Default)
            }
            (None, None) => return Ok(None),
        };
        match read_bounded(&path) {
            Ok(text) => Ok(Some((path, text))),
            Err(error) => Err(Problem::Unreadable { path, why: error.to_string(), given_in }),
        }
    }
}

/// The tables of the file as empty ones, so that a section whose settings are all unset exists.
struct Sections;

impl Provider for Sections {
    fn metadata(&self) -> Metadata {
        Metadata::named(Source::Default.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let names = all().filter_map(|setting| setting.key.split_once('.')).map(|(name, _)| name);
        let dict = names.map(|name| (name.to_owned(), Value::from(Dict::new()))).collect();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

fn default_of(setting: &'static Setting) -> Option<Given> {
    let value = Raw::Word(setting.default?.to_owned());
    Some(Given { setting, value, source: Source::Default })
}

/// What the environment says. An empty variable says nothing: that is how container files leave
/// one out. An unknown name with our prefix is a problem: it was meant for us.
fn from_environment(environment: &[(String, OsString)], problems: &mut Vec<Problem>) -> Vec<Given> {
    let known: Vec<(String, &'static Setting)> =
        all().map(|setting| (setting.env_name(), setting)).collect();
    let mut given = Vec::new();
    for (name, value) in environment {
        let ours = name.starts_with(ENV_PREFIX) && name != FILE_ENV;
        let link = || is_service_link(name, value.to_str().unwrap_or_default());
        if !ours || BUILD_ENV.contains(&name.as_str()) || link() {
            continue;
        }
        let source = Source::Env(name.clone());
        match known.iter().find(|(env, _)| env == name) {
            Some(_) if value.is_empty() => {}
            Some((_, setting)) => {
                let word = value.to_str().map(|text| Raw::Word(text.to_owned()));
                let value = word.unwrap_or(Raw::Other("a value that is not UTF-8"));
                given.push(Given { setting, value, source });
            }
            None => {
                let near = nearest(name, known.iter().map(|(env, _)| env.as_str()));
                let nearest = near.into_iter().map(str::to_owned).collect();
                let known = known.iter().map(|(env, _)| env.clone()).collect();
                let name = name.clone();
                problems.push(Problem::UnknownName { name, given_in: source, nearest, known });
            }
        }
    }
    given
}

/// The typed settings, and the rules between settings.
fn finish(
    figment: Figment,
    unused: Vec<(&'static str, &'static str)>,
) -> Result<Effective, Problems> {
    let settings: Settings = figment
        .extract()
        .map_err(|error| Problems(vec![Problem::Inconsistent(error.to_string())]))?;
    let conflicts = conflicts(&settings);
    if conflicts.is_empty() {
        Ok(Effective { settings, figment, unused })
    } else {
        Err(Problems(conflicts))
    }
}

fn conflicts(settings: &Settings) -> Vec<Problem> {
    let mut found = Vec::new();
    if settings.tls.cert.is_some() != settings.tls.key.is_some() {
        found.push(Problem::Conflict {
            keys: "tls.cert, tls.key",
            why: "one is set and the other is not",
            remedy: "set both to serve https, or none",
        });
    }
    if settings.cors.credentials && settings.cors.origins.iter().any(|origin| origin == "*") {
        found.push(Problem::Conflict {
            keys: "cors.origins, cors.credentials",
            why: "any page of the web could act with its visitor's cookies",
            remedy: "name the origins, or leave credentials off",
        });
    }
    let log = &settings.event_log;
    if log.kind == LogKind::Memory && log.durability == LogDurability::Disk {
        found.push(Problem::Conflict {
            keys: "event_log.kind, event_log.durability",
            why: "what is in memory does not survive the process",
            remedy: "set event_log.kind to disk, or leave the durability as it is",
        });
    }
    let livepoll = &settings.livepoll;
    if livepoll.enabled && settings.namespaces.contains(&livepoll.namespace) {
        found.push(Problem::Conflict {
            keys: "namespaces, livepoll.namespace",
            why: "both name the same one, whose clients would need a token of live polling",
            remedy: "leave it out of `namespaces`, or give live polling another one",
        });
    }
    found
}

#[cfg(test)]
mod tests {
    //! The order of the layers, and the exact words for what is wrong.

    use super::*;
    use crate::settings::{Span, Transport};

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, OsString)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect()
    }

    fn flag(key: &str, word: &str) -> Given {
        Given::by_flag(all().find(|setting| setting.key == key).unwrap(), word.to_owned())
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fanfare.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn defaults_yield_to_the_file_the_file_to_the_environment_the_environment_to_flags() {
        let (_kept, path) = file(
            "ping_interval = \"1s\"\nping_timeout = \"1s\"\nupgrade_timeout = \"1s\"\n\
             [limits]\nconnections = 7\n",
        );
        let inputs = Inputs {
            file: Some(path.clone()),
            environment: environment(&[
                ("FANFARE_PING_TIMEOUT", "2s"),
                ("FANFARE_UPGRADE_TIMEOUT", "2s"),
                ("FANFARE_TRANSPORTS", "websocket"),
                ("FANFARE_COOKIE", ""),
                ("FANFARE_CLIENT_BUNDLE", "read by the build"),
                ("FANFARE_WEB", "read by the build too"),
                ("FANFARES", "not ours"),
            ]),
            flags: vec![flag("upgrade_timeout", "3s"), flag("allow_v3", "true")],
        };
        let effective = inputs.load().unwrap();
        let Settings { ping_interval, ping_timeout, upgrade_timeout, .. } = effective.settings;
        let seconds = |count| Span(std::time::Duration::from_secs(count));
        assert_eq!(
            [ping_interval, ping_timeout, upgrade_timeout],
            [seconds(1), seconds(2), seconds(3)]
        );
        assert_eq!(effective.settings.transports, [Transport::Websocket]);
        assert!(effective.settings.allow_v3 && effective.settings.cookie.is_none());
        for (key, source) in [
            ("listen", "default".to_owned()),
            ("ping_interval", format!("{}, line 1", path.display())),
            ("ping_timeout", "environment variable FANFARE_PING_TIMEOUT".to_owned()),
            ("upgrade_timeout", "flag --upgrade-timeout".to_owned()),
            ("limits.connections", format!("{}, line 5", path.display())),
            ("cookie", "default".to_owned()),
        ] {
            let setting = all().find(|setting| setting.key == key).unwrap();
            assert_eq!(effective.entry(setting).1, source, "{key}");
        }
    }

    /// Checks the whole message; `FILE` stands for the path of the file.
    fn check(file_text: &str, env: &[(&str, &str)], flags: Vec<Given>, expected: &str) {
        let (_kept, path) = file(file_text);
        let inputs = Inputs { file: Some(path.clone()), environment: environment(env), flags };
        let message = inputs.load().unwrap_err().to_string();
        assert_eq!(message.replace(&path.display().to_string(), "FILE"), expected);
    }

    #[test]
    fn a_bare_number_names_key_line_and_units() {
        check(
            "\n# heartbeats\nping_interval = 25\n",
            &[],
            vec![],
            "a setting is not right\n\n  ping_interval: `25` has no unit\n    \
             given in  FILE, line 3\n    \
             accepted  a whole number with a unit: ms, s, m, h or d; from 10ms to 1d\n",
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once_in_the_order_of_the_places() {
        check(
            "max_payload = \"1mb\"\nmaxHttpBufferSize = 1\n[limits]\nconections = 1\n",
            &[("FANFARE_PARSER", "xml"), ("FANFARE_LISTENN", "x")],
            vec![flag("limits.connections", "many")],
            "6 settings are not right\n\n  \
             max_payload: `1mb` has the unknown unit `mb`\n    given in  FILE, line 1\n    \
             accepted  a whole number with a unit: B, kB, MB, GB, KiB, MiB or GiB; from 1B to 1GB\n\n  \
             maxHttpBufferSize: there is no such setting\n    \
             given in  FILE, line 2\n    perhaps   max_payload\n\n  \
             limits.conections: there is no such setting\n    \
             given in  FILE, line 4\n    perhaps   limits.connections\n\n  \
             FANFARE_LISTENN: there is no such setting\n    \
             given in  environment variable FANFARE_LISTENN\n    perhaps   FANFARE_LISTEN\n\n  \
             parser: `xml` is not one of the choices\n    \
             given in  environment variable FANFARE_PARSER\n    accepted  json, msgpack\n\n  \
             limits.connections: `many` is not a whole number\n    \
             given in  flag --limits-connections\n    accepted  a whole number from 1 to 10000000\n",
        );
    }

    #[test]
    fn a_secret_that_is_refused_is_not_repeated() {
        check(
            "",
            &[("FANFARE_API_KEY", "hunter2 hunter2")],
            vec![],
            "a setting is not right\n\n  \
             api_key: the value contains a space or a character outside ASCII\n    \
             given in  environment variable FANFARE_API_KEY\n    accepted  visible ASCII characters \
             without spaces; at least 32 random characters are good\n",
        );
    }

    #[test]
    fn contradictions_and_broken_files_are_explained() {
        check(
            "[tls]\ncert = \"cert.pem\"\n",
            &[],
            vec![],
            "a setting is not right\n\n  tls.cert, tls.key: one is set and the other is not\n    \
             do this   set both to serve https, or none\n",
        );
        check(
            "[event_log]\nkind = \"memory\"\ndurability = \"disk\"\n",
            &[],
            vec![],
            "a setting is not right\n\n  event_log.kind, event_log.durability: \
             what is in memory does not survive the process\n    \
             do this   set event_log.kind to disk, or leave the durability as it is\n",
        );
        check(
            "[outbox]\nzzz = 1\n",
            &[],
            vec![],
            "a setting is not right\n\n  outbox.zzz: there is no such setting\n    \
             given in  FILE, line 2\n    accepted  outbox.events, outbox.bytes\n",
        );
        check(
            "listen = = 1\n",
            &[],
            vec![],
            "a setting is not right\n\n  FILE, line 1: this is not TOML: extra `=`, expected nothing\n",
        );
    }
}

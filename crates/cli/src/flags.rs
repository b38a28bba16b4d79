//! The command line: subcommands, and a flag for every setting, made from the settings table.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::doctor::Asked;
use crate::health_command::Question;
use crate::log_command::{Action, Selection};
use crate::settings::{self, Given, Inputs, Setting, Span};
use crate::token_command::{self, Wanted};

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Run the server.
    Serve(Inputs),
    /// Print the settings that hold.
    Config {
        /// The settings to print.
        inputs: Inputs,
        /// As JSON.
        json: bool,
    },
    /// Print the reference page of the settings.
    ConfigDocs,
    /// Look after the event log.
    Log {
        /// The settings that say where it is.
        inputs: Inputs,
        /// What to do with it.
        action: Action,
    },
    /// Ask a server how it is.
    Health {
        /// The settings that say where it is.
        inputs: Inputs,
        /// What to ask.
        question: Question,
    },
    /// Look at everything a server needs.
    Doctor {
        /// The settings of the server.
        inputs: Inputs,
        /// What to look at beside them.
        asked: Asked,
    },
    /// Make or explain a token.
    Token {
        /// The settings with the keys.
        inputs: Inputs,
        /// What to do.
        action: token_command::Action,
    },
}

/// Reads the command line and the environment.
///
/// # Errors
///
/// The answer of clap: a usage error, or the text of `--help` and `--version`.
pub(crate) fn job() -> Result<Job, clap::Error> {
    let matches = command().try_get_matches()?;
    Ok(match matches.subcommand() {
        Some(("config", matches)) if matches.get_flag("docs") => Job::ConfigDocs,
        Some(("config", matches)) => {
            Job::Config { inputs: inputs(matches), json: matches.get_flag("json") }
        }
        Some(("log", matches)) => log_job(matches),
        Some(("token", matches)) => token_job(matches),
        Some(("doctor", matches)) => Job::Doctor {
            inputs: inputs(matches),
            asked: Asked {
                url: matches.get_one("url").cloned(),
                origin: matches.get_one("origin").cloned(),
                json: matches.get_flag("json"),
            },
        },
        Some(("health", matches)) => Job::Health {
            inputs: inputs(matches),
            question: Question {
                url: matches.get_one("url").cloned(),
                live: matches.get_flag("live"),
            },
        },
        Some((_, matches)) => Job::Serve(inputs(matches)),
        None => Job::Serve(inputs(&matches)),
    })
}

fn command() -> Command {
    let serve = Command::new("serve")
        .about("Run the server")
        .after_help(
            "Every setting can also stand in the file or in the environment: `fanfare config`.",
        )
        .arg(config_file())
        .args(settings::all().map(flag));
    let config = Command::new("config")
        .about("Print the settings that hold and where each came from; secrets are not printed")
        .arg(config_file())
        .arg(switch("json", "Print JSON"))
        .arg(switch("docs", "Print the reference of all settings as Markdown"))
        .args(settings::all().map(flag));
    Command::new("fanfare")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A real-time server for unmodified socket.io clients")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([serve, config, log(), token(), health(), doctor()])
}

/// The settings that say where the log is; the others need not be given to look at it.
const LOG_SETTINGS: [&str; 2] = ["data", "event_log.file"];

fn log() -> Command {
    let action = |name: &'static str, about: &'static str| {
        let settings = settings::all().filter(|setting| LOG_SETTINGS.contains(&setting.key));
        Command::new(name).about(about).arg(config_file()).args(settings.map(flag))
    };
    let json = || switch("json", "Print JSON");
    let export = action("export", "Write its entries as lines of JSON, oldest first")
        .arg(
            value("room", "NAME", "Only entries for this room; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(value(
            "namespace",
            "NAME",
            "Only entries of this namespace; with --room: / if not given",
        ))
        .arg(value("after", "POSITION", "Only entries after this position or sequence"))
        .arg(
            value("limit", "COUNT", "So many entries at most")
                .value_parser(clap::value_parser!(u64)),
        );
    Command::new("log")
        .about("Look after the event log: what clients that come back are sent")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            action("info", "Say how it stands; a server may have it open").arg(json()),
            action(
                "verify",
                "Read all of it and list what is wrong (exit code 1); a server may have it open",
            )
            .arg(json()),
            action(
                "repair",
                "Cut it before the first thing that is wrong; what was there is kept beside it",
            )
            .arg(json()),
            export,
        ])
}

fn token() -> Command {
    let action = |name: &'static str, about: &'static str| {
        let settings = settings::all().filter(|setting| setting.key.starts_with("auth."));
        Command::new(name).about(about).arg(config_file()).args(settings.map(flag))
    };
    let mint = action("mint", "Print a token that holds here, for trying things out")
        .arg(value("subject", "ID", "Whose it is").required(true))
        .arg(
            value("lifetime", "DURATION", "How long it holds")
                .default_value("1h")
                .value_parser(|text: &str| text.parse::<Span>().map_err(|why| why.to_string())),
        )
        .arg(value("name", "NAME", "The name to show"))
        .arg(
            value("room", "PATTERN[=RIGHT,…]", "Rooms and what is allowed there: join, publish, history, presence; all if not said. May be given several times")
                .action(ArgAction::Append),
        )
        .arg(switch("moderator", "May edit and delete what others wrote"))
        .arg(
            value("claim", "NAME=VALUE", "A further claim; the value is JSON or a text. May be given several times")
                .action(ArgAction::Append),
        );
    let explain =
        action("explain", "Say what a token says and whether it holds here (exit code 1 if not)")
            .arg(
                Arg::new("token")
                    .value_name("TOKEN")
                    .help("The token; read from the standard input if not given"),
            )
            .arg(switch("json", "Print JSON"));
    Command::new("token")
        .about("Make tokens for trying things out, and explain given ones")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([mint, explain])
}

/// The settings that say where the server listens.
const HEALTH_SETTINGS: [&str; 3] = ["listen", "tls.cert", "tls.key"];

fn health() -> Command {
    let settings = settings::all().filter(|setting| HEALTH_SETTINGS.contains(&setting.key));
    Command::new("health")
        .about(
            "Ask the server on this machine whether it should be sent clients (exit code 1 if not)",
        )
        .arg(config_file())
        .args(settings.map(flag))
        .arg(value("url", "URL", "Ask there, and not the server of the settings"))
        .arg(switch("live", "Ask only whether it lives"))
}

fn doctor() -> Command {
    Command::new("doctor")
        .about(
            "Look at open files, ports, proxy, clock, Redis, origins, disk and key, and say what to \
             do (exit code 1 if something is wrong)",
        )
        .arg(config_file())
        .arg(value("url", "URL", "The public address: goes through it as a client does"))
        .arg(value("origin", "ORIGIN", "The origin of the pages, if it is not that of the URL"))
        .arg(switch("json", "Print JSON"))
        .args(settings::all().map(flag))
}

fn token_job(matches: &ArgMatches) -> Job {
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    let texts = |matches: &ArgMatches, name: &str| {
        matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
    };
    match matches.subcommand() {
        Some(("mint", matches)) => {
            let lifetime = matches.get_one::<Span>("lifetime");
            let wanted = Wanted {
                subject: text(matches, "subject").unwrap_or_default(),
                lifetime: lifetime.map_or(Duration::ZERO, |span| span.0),
                name: text(matches, "name"),
                rooms: texts(matches, "room"),
                moderator: matches.get_flag("moderator"),
                claims: texts(matches, "claim"),
            };
            Job::Token { inputs: inputs(matches), action: token_command::Action::Mint(wanted) }
        }
        other => {
            let matches = other.map_or(matches, |(_, matches)| matches);
            let json = matches.try_get_one("json").ok().flatten().copied().unwrap_or(false);
            let token = matches.try_get_one::<String>("token").ok().flatten().cloned();
            let action = token_command::Action::Explain { token, json };
            Job::Token { inputs: inputs(matches), action }
        }
    }
}

fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).help(help)
}

fn log_job(matches: &ArgMatches) -> Job {
    let Some((name, matches)) = matches.subcommand() else {
        // Clap requires one.
        return Job::Log { inputs: inputs(matches), action: Action::Info { json: false } };
    };
    let json = matches.try_get_one("json").ok().flatten().copied().unwrap_or(false);
    let action = match name {
        "verify" => Action::Verify { json },
        "repair" => Action::Repair { json },
        "export" => Action::Export(selection(matches)),
        _ => Action::Info { json },
    };
    Job::Log { inputs: inputs(matches), action }
}

fn selection(matches: &ArgMatches) -> Selection {
    let rooms = matches.get_many::<String>("room").into_iter().flatten();
    Selection {
        rooms: rooms.map(|room| Arc::from(room.as_str())).collect(),
        namespace: matches.get_one("namespace").cloned(),
        after: matches.get_one("after").cloned(),
        limit: matches.get_one("limit").copied(),
    }
}

fn config_file() -> Arg {
    Arg::new("config").long("config").value_name("PATH").value_parser(ValueParser::path_buf()).help(
        "The settings file (TOML) [env: FANFARE_CONFIG] [default: fanfare.toml, if it exists]",
    )
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// The flag of one setting. Values are checked later, together with those of the other layers, so
/// that all errors look the same.
fn flag(setting: &'static Setting) -> Arg {
    let section = setting.key.split_once('.').map_or("Settings", |(section, _)| section);
    let help = format!(
        "{} [env: {}]{}",
        setting.summary(),
        setting.env_name(),
        match setting.default {
            Some(default) if !default.is_empty() => format!(" [default: {default}]"),
            _ => String::new(),
        }
    );
    let arg = Arg::new(setting.key)
        .long(setting.flag_name())
        .value_name(setting.kind.placeholder())
        .help_heading(section)
        .help(help);
    if setting.is_switch() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg
    }
}

fn inputs(matches: &ArgMatches) -> Inputs {
    let given = |setting: &'static Setting| {
        let word = matches.try_get_one::<String>(setting.key).ok().flatten()?;
        Some(Given::by_flag(setting, word.clone()))
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)))
        .collect();
    Inputs {
        file: matches.try_get_one::<PathBuf>("config").ok().flatten().cloned(),
        environment,
        flags: settings::all().filter_map(given).collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}

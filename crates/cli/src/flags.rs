//! The command line: subcommands, and a flag for every setting, made from the settings table.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::settings::{self, Given, Inputs, Setting};

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
        .subcommands([serve, config])
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

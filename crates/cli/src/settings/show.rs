//! The settings as text: `fanfare config`, `--json`, and the reference page of the documentation.

use std::fmt::Write as _;

use figment::value::{Dict, Value};
use serde_json::json;

use crate::settings::alias;
use crate::settings::all;
use crate::settings::load::{DEFAULT_FILE, Effective, FILE_ENV};
use crate::settings::secret::Secret;
use crate::settings::table::Setting;

/// The column in which the sources stand.
const SOURCE_COLUMN: usize = 46;

/// The settings that hold, as a TOML file with the source of each value as a comment. Secrets are
/// replaced by their length.
pub(crate) fn as_toml(effective: &Effective) -> String {
    let mut text =
        String::from("# default < file < environment < flag; each value with its source\n");
    let mut section = "";
    for setting in all() {
        let (table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if table != section {
            let _ = writeln!(text, "\n[{table}]");
            section = table;
        }
        let (value, source) = effective.entry(setting);
        let line = match &value {
            Some(value) => format!("{name} = {}", shown(setting, value)),
            None => format!("# {name} is not set"),
        };
        let _ = write!(text, "{line:<SOURCE_COLUMN$} # {source}");
        for name in effective.unused(setting) {
            let _ = write!(text, "; {name} is set and does not count");
        }
        text.push('\n');
    }
    text
}

/// The settings that hold, for machines: an array of objects.
pub(crate) fn as_json(effective: &Effective) -> serde_json::Value {
    let rows = all().map(|setting| {
        let (value, source) = effective.entry(setting);
        json!({
            "key": setting.key,
            "value": value.map(|value| match secret_of(setting, &value) {
                Some(secret) => json!(secret.to_string()),
                None => json!(value),
            }),
            "source": source,
            "unused": effective.unused(setting),
            "env": setting.env_name(),
            "aliases": alias::names_for(setting).collect::<Vec<_>>(),
            "flag": format!("--{}", setting.flag_name()),
        })
    });
    rows.collect()
}

/// The reference of all settings as a page of the documentation.
pub(crate) fn as_markdown() -> String {
    let mut page = format!(
        "# Configuration\n\n\
         <!-- Written by `fanfare config --docs`; a test compares. -->\n\n\
         Every setting has a key in the TOML file, an environment variable and a flag. Rising\n\
         order: default, file, environment, flag. The file is the one named by `--config` or\n\
         `{FILE_ENV}`, else `{DEFAULT_FILE}` in the working directory if it exists. An empty\n\
         environment variable counts as not set. In the environment and in flags, items of a list\n\
         are separated by commas.\n\n\
         A value that is not accepted, an unknown key in the file, an unknown flag and an unknown\n\
         `FANFARE_…` variable stop the start with the name, the place and the accepted values.\n\
         `fanfare config` prints what holds and where each value came from; secrets are never\n\
         printed.\n\n\
         The variables that existing deployments use for the same things work too, without our\n\
         prefix: {}. They count where\n\
         neither a `FANFARE_…` variable nor a flag names the setting, and before the file\n\
         ([what they mean](operations.md#names-that-existing-deployments-use)).\n",
        alias::names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    );
    let mut section = None;
    for setting in all() {
        let table = setting.key.split_once('.').map_or("", |(table, _)| table);
        if section != Some(table) {
            section = Some(table);
            let title =
                if table.is_empty() { "General".to_owned() } else { format!("`[{table}]`") };
            let _ = writeln!(page, "\n## {title}");
        }
        page.push_str(&entry_as_markdown(setting));
    }
    page
}

fn entry_as_markdown(setting: &Setting) -> String {
    let default = match setting.default {
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
        None => "not set".to_owned(),
    };
    let also: String = alias::names_for(setting).map(|name| format!(", also `{name}`")).collect();
    format!(
        "\n### `{}`\n\n{}\n\n\
         - Environment variable `{}`{also}, flag `--{}`\n\
         - Default {default}: {}\n\
         - Accepted: {}\n",
        setting.key,
        setting.summary(),
        setting.env_name(),
        setting.flag_name(),
        setting.reason,
        setting.kind.accepted(),
    )
}

/// A value as one would write it in the file.
fn shown(setting: &Setting, value: &Value) -> String {
    match secret_of(setting, value) {
        Some(secret) => format!("\"{secret}\""),
        None => literal(value),
    }
}

fn secret_of(setting: &Setting, value: &Value) -> Option<Secret> {
    let text = value.as_str().filter(|_| setting.is_secret())?;
    Some(Secret::new(text.to_owned()))
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(_, text) => toml::Value::from(text.as_str()).to_string(),
        Value::Bool(_, switch) => switch.to_string(),
        Value::Num(_, number) => number.to_u128().map_or_else(String::new, |n| n.to_string()),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Char(..) | Value::Dict(..) | Value::Empty(..) => dict_literal(value.as_dict()),
    }
}

/// No setting is a table; the arm exists because the type has it.
fn dict_literal(dict: Option<&Dict>) -> String {
    dict.map_or_else(String::new, |dict| format!("{{ {} keys }}", dict.len()))
}

#[cfg(test)]
mod tests {
    //! The committed documentation is what the table says, and what is shown keeps secrets.

    use super::*;
    use crate::settings::Inputs;

    #[test]
    fn the_committed_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == as_markdown(),
            "docs/configuration.md is not what the settings say. Write it anew:\n    \
             cargo run -p fanfare-cli -- config --docs > docs/configuration.md"
        );
    }

    #[test]
    fn a_secret_is_shown_by_its_length() {
        let key = "0123456789abcdef0123456789abcdef";
        let environment = vec![("FANFARE_API_KEY".to_owned(), key.into())];
        let effective = Inputs { environment, ..Inputs::default() }.load().unwrap();
        let (toml, json) = (as_toml(&effective), as_json(&effective).to_string());
        assert!(toml.contains(r#"api_key = "(set, 32 characters)""#), "{toml}");
        assert!(toml.contains("# environment variable FANFARE_API_KEY"), "{toml}");
        assert!(json.contains("(set, 32 characters)"), "{json}");
        assert!(
            !toml.contains(key) && !json.contains(key) && !format!("{effective:?}").contains(key)
        );
    }

    #[test]
    fn what_is_printed_can_be_read_as_a_file() {
        let effective = Inputs::default().load().unwrap();
        let printed: toml::Table = as_toml(&effective).parse().unwrap();
        assert_eq!(printed["ping_interval"].as_str(), Some("25s"));
        assert_eq!(printed["limits"]["connections"].as_integer(), Some(100_000));
    }
}

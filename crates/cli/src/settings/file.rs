//! The settings file: TOML, read with the line of every value.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings::all;
use crate::settings::kind::Raw;
use crate::settings::load::{Given, Source};
use crate::settings::problem::{Problem, from_node, nearest};

/// The largest settings file that is read: hand-written ones have a few kilobytes.
const MAX_FILE_BYTES: u64 = 1_000_000;

/// Reads a file that is not larger than any settings file.
///
/// # Errors
///
/// Those of the system, and a file that is too large or not UTF-8.
pub(crate) fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// What a TOML text says; unknown keys become problems.
pub(crate) fn from_file(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Given> {
    let mut reader = FileReader { path, text, given: Vec::new(), problems };
    match DeTable::parse(text) {
        Ok(table) => {
            reader.table("", table.get_ref());
        }
        Err(error) => {
            let start = error.span().map_or(0, |span| span.start);
            let given_in = Source::File(path.to_owned(), line_of(text, start));
            let why = error.message().to_owned();
            reader.problems.push(Problem::NotToml { given_in, why });
        }
    }
    reader.given
}

struct FileReader<'a> {
    path: &'a Path,
    text: &'a str,
    given: Vec<Given>,
    problems: &'a mut Vec<Problem>,
}

impl FileReader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let line = line_of(self.text, name.span().start);
            let source = Source::File(self.path.to_owned(), line);
            if let Some(setting) = all().find(|setting| setting.key == key) {
                self.given.push(Given { setting, value: raw_of(value), source });
            } else if let (DeValue::Table(inner), true) = (value.get_ref(), is_section(&key)) {
                self.table(&format!("{key}."), inner);
            } else {
                self.problems.push(unknown_key(key, source));
            }
        }
    }
}

fn is_section(key: &str) -> bool {
    all().any(|setting| setting.key.split_once('.').is_some_and(|(section, _)| section == key))
}

fn unknown_key(name: String, given_in: Source) -> Problem {
    let sections: BTreeSet<&str> = all()
        .filter_map(|setting| setting.key.split_once('.'))
        .map(|(section, _)| section)
        .collect();
    let keys = all()
        .map(|setting| setting.key)
        .chain(sections.into_iter().filter(|_| !name.contains('.')));
    let mut near: Vec<String> = from_node(&name).into_iter().map(str::to_owned).collect();
    let last = name.rsplit('.').next().unwrap_or(&name);
    let elsewhere =
        all().map(|setting| setting.key).filter(|key| key.rsplit('.').next() == Some(last));
    for candidate in elsewhere.chain(nearest(&name, keys)) {
        if !near.iter().any(|already| already == candidate) {
            near.push(candidate.to_owned());
        }
    }
    let known = known_beside(&name);
    Problem::UnknownName { name, given_in, nearest: near, known }
}

/// The keys of the table that a name stands in.
fn known_beside(name: &str) -> Vec<String> {
    let table = |key: &str| key.rsplit_once('.').map(|(table, _)| table.to_owned());
    let beside = all().map(|setting| setting.key).filter(|key| table(key) == table(name));
    beside.map(str::to_owned).collect()
}

fn raw_of(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_or(Raw::Other("a number out of bounds"), Raw::Integer)
        }
        DeValue::Float(_) => Raw::Other("a fractional number"),
        DeValue::Boolean(switch) => Raw::Bool(*switch),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => Raw::List(items.iter().map(raw_of).collect()),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// The number of the line, counted from one, that a byte of the text stands on.
fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

#![cfg(test)]
//! The map agrees with the tree: `ARCHITECTURE.md` names the crates there are, their arrows, their
//! files and their limits; every link of the pages leads somewhere; the README's test command is the
//! one that is run; figures that stand in two places are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The map is to be read at once.
const MAX_MAP_LINES: usize = 250;

/// Folders that hold what others wrote, or what was built.
const FOREIGN: [&str; 5] = ["target", "node_modules", ".git", "corpus", "artifacts"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All files below a folder whose name ends like this.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                found.extend(files(&path, extension));
            }
        } else if name.ends_with(extension) {
            found.push(path);
        }
    }
    found
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of a table under a heading, as cells.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2); // head and rule
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The crates below `crates/`, and which of them each one depends on.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let manifests: BTreeMap<String, String> = folders
        .filter_map(|folder| {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
            Some((folder.file_name()?.to_string_lossy().into_owned(), manifest))
        })
        .collect();
    // How manifests name a crate: by the entry of the workspace that has its path.
    let workspace = text("Cargo.toml");
    let names: BTreeMap<&str, &str> = workspace
        .lines()
        .filter_map(|line| {
            let (_, path) = line.split_once("path = \"crates/")?;
            Some((line.split_whitespace().next()?, path.split('"').next()?))
        })
        .collect();
    let uses = |manifest: &str| {
        let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
        let own = lines.take_while(|line| !line.starts_with('['));
        let own = own.filter_map(|line| names.get(line.split(['.', ' ', '=']).next()?));
        own.map(|folder| (*folder).to_owned()).collect()
    };
    manifests.iter().map(|(name, manifest)| (name.clone(), uses(manifest))).collect()
}

#[test]
fn the_map_names_the_crates_and_their_arrows() {
    let map = text("ARCHITECTURE.md");
    let told: BTreeMap<String, BTreeSet<String>> = table(&map, "Crates")
        .iter()
        .map(|row| {
            let uses = quoted(row[1]).map(str::to_owned).collect();
            (quoted(row[0]).next().unwrap().to_owned(), uses)
        })
        .collect();
    assert_eq!(told, crates(), "left: ARCHITECTURE.md, right: the tree");
    let lines = map.lines().count();
    assert!(lines <= MAX_MAP_LINES, "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn the_map_names_files_and_limits_that_exist() {
    let map = text("ARCHITECTURE.md");
    let sources = files(&root().join("crates"), ".rs");
    for file in quoted(&map).filter(|word| word.ends_with(".rs")) {
        assert!(sources.iter().any(|path| path.ends_with(file)), "no file {file}");
    }
    for folder in quoted(&map).filter(|word| word.ends_with('/') || word.starts_with("crates/")) {
        let plain = !folder.contains('*');
        assert!(!plain || root().join(folder).exists(), "no folder {folder}");
    }
    let sources: Vec<String> =
        sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for row in table(&map, "What bounds what") {
        for limit in quoted(row[1]).filter(|word| !word.ends_with(".rs")) {
            let name = limit.rsplit("::").next().unwrap();
            assert!(sources.iter().any(|source| source.contains(name)), "no limit {limit}");
        }
    }
}

/// The anchor of a heading, as it is made for pages of Markdown.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_leads_somewhere() {
    let pages = files(root(), ".md");
    assert!(pages.len() > 10, "{pages:?}");
    for page in pages {
        let shown = page.display();
        let content = prose(&fs::read_to_string(&page).unwrap());
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{shown}: {link} leads nowhere");
            if !place.is_empty() {
                let target = prose(&fs::read_to_string(target).unwrap());
                let headings = target.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(anchor).any(|anchor| anchor == place);
                assert!(found, "{shown}: {link} names no heading");
            }
        }
    }
}

/// The names of events that the services are given as literals behind one of these words.
fn events(words: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files(&root().join("crates/services/src"), ".rs") {
        let source = fs::read_to_string(path).unwrap();
        // Whatever stands between the word and the name is no other literal, and no other statement.
        let source = source.split("mod tests {").next().unwrap();
        for word in words {
            for rest in source.split(word).skip(1) {
                let Some((before, rest)) = rest.split_once('"') else { continue };
                let name = rest.split('"').next().unwrap();
                let is_event = name.bytes().all(|b| b.is_ascii_lowercase() || b":-".contains(&b));
                if is_event && !before.contains([';', '|', '{']) {
                    found.insert(name.to_owned());
                }
            }
        }
    }
    // What is named by a constant.
    found.insert("presence:update".to_owned());
    found
}

/// The names in the first cells of the table under a heading of the third level.
fn told(heading: &str) -> BTreeSet<String> {
    let page = text("docs/client-protocol.md");
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap())).map(str::to_owned).collect()
}

#[test]
fn every_event_of_the_services_stands_in_the_client_protocol() {
    let listened = events(&["listen(", " on(", ".on("]);
    assert!(listened.len() > 20, "{listened:?}");
    assert_eq!(told("What clients may send"), listened, "left: the page, right: the services");
    let sent = events(&[".emit(", "tell(", "emit(", "Told::new(", "let event ="]);
    let heard = told("What clients hear");
    let missing: Vec<_> = sent.difference(&heard).collect();
    assert!(sent.len() > 20 && missing.is_empty(), "not in the page: {missing:?} of {sent:?}");
}

#[test]
fn the_readme_names_the_command_that_is_run() {
    let readme = text("README.md");
    for command in ["cargo xtask serve", "cargo xtask test"] {
        let is_there = readme.lines().any(|line| line.split('#').next().unwrap().trim() == command);
        assert!(is_there, "the README has no line `{command}`");
    }
    let run = text(".ci/run");
    assert!(run.lines().any(|line| line == "cargo xtask test"), "{run}");
}

#[test]
fn the_page_on_performance_shows_the_accepted_instruction_counts() {
    let accepted: serde_json::Value =
        serde_json::from_str(&text("bench/instructions.json")).unwrap();
    let accepted = accepted["instructions"].as_object().unwrap();
    let page = text("docs/performance.md");
    let shown: BTreeMap<String, u64> = table(&page, "Instructions")
        .iter()
        .map(|row| (row[0].to_owned(), row[1].replace(' ', "").parse().unwrap()))
        .collect();
    let accepted: BTreeMap<String, u64> =
        accepted.iter().map(|(unit, count)| (unit.clone(), count.as_u64().unwrap())).collect();
    assert_eq!(shown, accepted, "left: docs/performance.md, right: bench/instructions.json");
}

#[test]
fn anchors_are_made_as_pages_show_them() {
    for (heading, expected) in [
        ("## What bounds what", "what-bounds-what"),
        ("### `cors.origins`", "corsorigins"),
        ("### `POST /v1/publish`", "post-v1publish"),
        ("# Rust API", "rust-api"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}

//! Cargo, asked from inside cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The folder that holds the whole project.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn project_root() -> Result<&'static Path> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).context("the automation does not lie in crates/xtask")
}

/// Where builds go.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let default = || Ok(project_root()?.join("target"));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, |path| Ok(PathBuf::from(path)))
}

/// `cargo <arguments>` in the project's root.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(project_root()?);
    // What the outer cargo says of this program would make the inner one build dependencies anew
    // whose build scripts look at it.
    for (name, _) in std::env::vars_os() {
        let leaks = ["CARGO_MANIFEST_", "CARGO_PKG_"];
        if name.to_str().is_some_and(|name| leaks.iter().any(|leak| name.starts_with(leak))) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Builds (`what` as for `cargo build`) and returns the program called `name`.
///
/// # Errors
/// When it does not build, or the build gives no such program.
pub(crate) fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    let output = cargo(&["build", "--message-format=json-render-diagnostics"])?
        .args(what)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo could not build {name}");
    executable(&String::from_utf8_lossy(&output.stdout), name)
        .with_context(|| format!("cargo built no program called {name}"))
}

/// The path of a program in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| text_at(message, "/target/name") == Some(name))
        .find_map(|message| text_at(&message, "/executable").map(PathBuf::from))
}

fn text_at<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(project_root().unwrap().join("Cargo.lock").exists());
    }

    #[test]
    fn the_program_is_found_among_the_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":"/t/fanfare"}
            {"reason":"build-finished","success":true}
        "#;
        assert_eq!(executable(messages, "fanfare"), Some(PathBuf::from("/t/fanfare")));
        assert_eq!(executable(messages, "other"), None);
    }
}

//! Embeds what is made with npm, if it is there: the client bundle (`socket.io.js` and its relatives
//! from the npm package) and the pages (`web/`). They are looked for in the directories that
//! `FANFARE_CLIENT_BUNDLE` and `FANFARE_WEB` name, else in `client-bundle` and `web` of the target
//! directory, where `cargo xtask bundle` and `cargo xtask web` put them. Without them the server is
//! built all the same and says so at the start.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What the Node server serves. The program has the same list, as `NAMES`.
const FILES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// The file without which there is no bundle, and which says the version.
const MAIN: &str = "socket.io.js";

/// Stands before the version in the first lines of the bundle.
const BANNER: &str = "Socket.IO v";

/// The page without which there are no pages.
const INDEX: &str = "index.html";

/// How deep the folders of the pages are looked into.
const MAX_DEPTH: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let source = match found("FANFARE_CLIENT_BUNDLE", "client-bundle", MAIN, &out)? {
        Some(directory) => bundle(&directory)?,
        None => "const VERSION: &str = \"\";\nconst FILES: &[(&str, &[u8])] = &[];\n".to_owned(),
    };
    let names = format!("const NAMES: [&str; {}] = {FILES:?};\n", FILES.len());
    fs::write(out.join("client_bundle.rs"), names + &source)?;
    let mut files = Vec::new();
    if let Some(directory) = found("FANFARE_WEB", "web", INDEX, &out)? {
        collect(&directory.canonicalize()?, "", 0, &mut files)?;
    }
    files.sort();
    let mut source = "const FILES: &[(&str, &[u8])] = &[\n".to_owned();
    for (name, path) in files {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(source, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
    }
    source.push_str("];\n");
    fs::write(out.join("web.rs"), source)?;
    Ok(())
}

/// The directory that a variable names, else the one of this name in the target directory; none if
/// its main file is not there.
fn found(
    variable: &str,
    name: &str,
    main: &str,
    out: &Path,
) -> Result<Option<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={variable}");
    let named = env::var_os(variable).map(PathBuf::from);
    let directory = match &named {
        Some(directory) => directory.clone(),
        None => {
            let directory = target_directory(out).join(name);
            // Cargo takes a path that does not exist for changed, and would build anew each time.
            fs::create_dir_all(&directory)?;
            directory
        }
    };
    println!("cargo::rerun-if-changed={}", directory.display());
    if directory.join(main).exists() {
        return Ok(Some(directory));
    }
    match named {
        Some(_) => Err(format!("{variable}: no {main} in {}", directory.display()).into()),
        None => Ok(None),
    }
}

/// All files of a folder, by the names under which they are served.
fn collect(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("a file of the pages has a name that is no text")?;
        if entry.file_type()?.is_file() {
            files.push((format!("{prefix}/{name}"), entry.path()));
        } else if depth < MAX_DEPTH {
            collect(&entry.path(), &format!("{prefix}/{name}"), depth + 1, files)?;
        }
    }
    Ok(())
}

/// `target` of `target/debug/build/<package>/out`, also where it was moved or has a triple in it.
fn target_directory(out: &Path) -> PathBuf {
    let up = out.ancestors().find(|path| path.file_name().is_some_and(|name| name == "build"));
    let profile = up.and_then(Path::parent);
    let mut candidates = profile.into_iter().flat_map(Path::ancestors).skip(1).take(2);
    let found = candidates.find(|path| path.join("CACHEDIR.TAG").exists());
    found.map_or_else(|| out.to_owned(), Path::to_owned)
}

/// The Rust source of the constants `VERSION` and `FILES`.
fn bundle(directory: &Path) -> Result<String, Box<dyn Error>> {
    let main = directory.join(MAIN);
    let version = version(&fs::read_to_string(&main)?)
        .ok_or_else(|| format!("{} does not say its version: no `{BANNER}`", main.display()))?;
    let mut source = format!("const VERSION: &str = {version:?};\n");
    source.push_str("const FILES: &[(&str, &[u8])] = &[\n");
    for name in FILES {
        let path = directory.join(name);
        if path.exists() {
            let path = path.canonicalize()?;
            println!("cargo::rerun-if-changed={}", path.display());
            writeln!(source, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
        }
    }
    source.push_str("];\n");
    Ok(source)
}

/// The version in the first comment: ` * Socket.IO v4.8.4`.
fn version(script: &str) -> Option<String> {
    let (_, after) = script.lines().take(5).find_map(|line| line.split_once(BANNER))?;
    let digits = after.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    (!digits.is_empty() && digits.chars().all(plain)).then(|| digits.to_owned())
}

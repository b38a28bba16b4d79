//! Damage to the files of a log, as a bad disk or a torn write leaves it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::random::Random;

/// The most bytes that are torn off an end.
const MAX_TORN: u64 = 20_000;

/// What is in the names of files that are not the log's, or not any more: a repair keeps what it
/// found.
const FOREIGN: [&str; 2] = ["api_key", ".damaged-"];

/// Damages one file below a folder: flips a bit, or tears its end off. Answers what it did.
///
/// # Errors
/// When there is no file, or it cannot be written.
pub(crate) fn anything(folder: &Path, random: &mut Random) -> Result<String> {
    let files = files(folder)?;
    let (path, length) = random.pick(&files).context("there is no log to damage")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file = File::options().read(true).write(true).open(path)?;
    if random.happens(2) {
        let torn = 1 + random.below(MAX_TORN.min(*length));
        file.set_len(length - torn)?;
        return Ok(format!("{torn} of {length} bytes torn off {name}"));
    }
    let (at, bit) = (random.below(*length), random.below(8));
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte.map(|byte| byte ^ 1 << bit))?;
    Ok(format!("bit {bit} of byte {at} of {length} flipped in {name}"))
}

/// The files that are not empty, with their lengths, in the order of their names.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, about) = (entry.path(), entry.metadata()?);
        let name = entry.file_name();
        let is_foreign = FOREIGN.iter().any(|part| name.to_string_lossy().contains(part));
        if about.is_dir() {
            found.extend(files(&path)?);
        } else if about.len() > 0 && !is_foreign {
            found.push((path, about.len()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_of_the_log_is_damaged_and_nothing_else() {
        for seed in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("log")).unwrap();
            let (log, key) = (folder.path().join("log/events"), folder.path().join("api_key"));
            let old = folder.path().join("log/events.damaged-1");
            fs::write(&log, [7; 100]).unwrap();
            fs::write(&key, "key").unwrap();
            fs::write(&old, "old").unwrap();
            let what = anything(folder.path(), &mut Random::new(seed)).unwrap();
            assert_eq!(fs::read(&key).unwrap(), b"key");
            assert_eq!(fs::read(&old).unwrap(), b"old");
            let left = fs::read(&log).unwrap();
            let flipped: u32 = left.iter().map(|byte| (byte ^ 7).count_ones()).sum();
            assert_eq!(flipped + u32::from(left.len() < 100), 1, "{what}");
        }
    }
}

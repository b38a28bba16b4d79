//! A small disk that can be filled: a file system in memory, mounted for the run.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// How large it is: the log of a run fits several times.
const SIZE: &std::ffi::CStr = c"size=32m";

/// A disk. Dropping it takes it away.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts a disk.
    ///
    /// # Errors
    /// When that is not permitted: it takes root.
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), SIZE)
            .context("cannot mount a small disk")?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn filling(&self) -> PathBuf {
        self.folder().join("filling")
    }

    /// Takes all space that is left.
    ///
    /// # Errors
    /// When something else goes wrong than that the disk is full.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filling())?;
        // The last bytes too: a page at a time.
        loop {
            match file.write(&[0; 4_096]) {
                Ok(1..) => {}
                Ok(0) => bail!("the disk takes nothing and says nothing"),
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(crate) fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filling())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached: whoever still has a file open keeps it, and it is gone with them.
        let _ = unmount(self.folder.path(), UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_and_has_space_again() {
        let Ok(disk) = Disk::new() else { return }; // not permitted here
        let file = disk.folder().join("file");
        std::fs::write(&file, "fits").unwrap();
        disk.fill().unwrap();
        let error = std::fs::write(&file, vec![0; 100_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        disk.free().unwrap();
        std::fs::write(&file, vec![0; 100_000]).unwrap();
        let folder = disk.folder().to_owned();
        drop(disk);
        assert!(!folder.exists());
    }
}

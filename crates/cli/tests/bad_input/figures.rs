//! What the process uses, as the kernel counts it.

use std::fmt;

/// Figures of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Memory of its own that is in use, in bytes: without the pages of the program's file, which
    /// grow when code runs for the first time.
    pub(crate) memory_bytes: u64,
    /// Open files, sockets among them.
    pub(crate) files: usize,
    /// Threads.
    pub(crate) threads: u64,
}

impl Figures {
    /// Reads them; `None` where there is no `/proc`, or no such process.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        Some(Self {
            memory_bytes: field("RssAnon:")? * 1024,
            files: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: field("Threads:")?,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.memory_bytes as f64 / f64::from(1 << 20);
        write!(out, "{mebibytes:.1} MiB, {} files, {} threads", self.files, self.threads)
    }
}

//! What a process has used, as the kernel counts it (Linux: `/proc`).

use std::fs;
use std::time::{Duration, Instant};

use super::{LoadError, Report};

/// The unit of CPU times in `/proc/<pid>/stat`: `USER_HZ`, 100 on every Linux architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of a page in `/proc/net/sockstat`.
const PAGE_BYTES: f64 = 4096.0;

/// CPU times of the server and of this process, and the clock, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    server_cpu: f64,
    own_cpu: f64,
    at: Instant,
}

/// What was used between two moments, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Spent {
    server_cpu: f64,
    own_cpu: f64,
    elapsed: Duration,
}

impl Cost {
    /// Reads the clocks.
    ///
    /// # Errors
    /// When `/proc` cannot be read: not Linux, or the server has ended.
    pub(super) fn now(pid: u32) -> Result<Self, LoadError> {
        Ok(Self {
            server_cpu: cpu_seconds(&pid.to_string())?,
            own_cpu: cpu_seconds("self")?,
            at: Instant::now(),
        })
    }

    pub(super) fn since(&self, earlier: &Self) -> Spent {
        Spent {
            server_cpu: self.server_cpu - earlier.server_cpu,
            own_cpu: self.own_cpu - earlier.own_cpu,
            elapsed: self.at - earlier.at,
        }
    }
}

impl Spent {
    /// Writes cost per unit, rate and the share of a core the server used.
    pub(super) fn report(&self, report: &mut Report, units: u64, unit: &str) {
        let count = units.max(1) as f64;
        let seconds = self.elapsed.as_secs_f64();
        report.metric(&format!("server_us_per_{unit}"), self.server_cpu * 1e6 / count);
        report.metric(&format!("generator_us_per_{unit}"), self.own_cpu * 1e6 / count);
        report.metric("server_cores", self.server_cpu / seconds);
        report.metric("generator_cores", self.own_cpu / seconds);
        report.metric("per_second", count / seconds);
        report.metric("server_cpu_seconds", self.server_cpu);
    }
}

/// User and system time of a process, all threads, in seconds.
fn cpu_seconds(process: &str) -> Result<f64, LoadError> {
    let path = format!("/proc/{process}/stat");
    let stat = read(&path)?;
    parse_cpu_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).ok_or(LoadError::Proc { path })
}

/// Fields 14 and 15. The name before them may hold spaces and brackets.
fn parse_cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory of a process in bytes, shared pages divided among their users (PSS).
///
/// # Errors
/// When `/proc` cannot be read: not Linux, or the process has ended.
pub(super) fn proportional_bytes(pid: u32) -> Result<f64, LoadError> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = read(&path)?;
    kilobytes(&text, "Pss:").map(|kb| kb * 1024.0).ok_or(LoadError::Proc { path })
}

/// Kernel memory that connections take: slabs (sockets, descriptors, epoll entries) and TCP buffers
/// of the whole machine. On loopback that is both ends.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn kernel_bytes() -> Result<f64, LoadError> {
    let path = "/proc/meminfo";
    let slab = kilobytes(&read(path)?, "Slab:").ok_or(LoadError::Proc { path: path.into() })?;
    let path = "/proc/net/sockstat";
    let pages = tcp_pages(&read(path)?).ok_or(LoadError::Proc { path: path.into() })?;
    Ok(slab * 1024.0 + pages * PAGE_BYTES)
}

fn kilobytes(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn tcp_pages(sockstat: &str) -> Option<f64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

fn read(path: &str) -> Result<String, LoadError> {
    fs::read_to_string(path).map_err(|_| LoadError::Proc { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_read_behind_any_process_name() {
        let stat = "12 (a (b) c) S 1 1 1 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_cpu_ticks(stat), Some(175.0));
        assert_eq!(parse_cpu_ticks("12 (cut"), None);
    }

    #[test]
    fn memory_fields_are_found() {
        assert_eq!(kilobytes("Rss:  12 kB\nPss:   9 kB\n", "Pss:"), Some(9.0));
        let sockstat = "sockets: used 9\nTCP: inuse 2 orphan 0 tw 1 alloc 3 mem 17\nUDP: inuse 0\n";
        assert_eq!(tcp_pages(sockstat), Some(17.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_something() {
        assert!(Cost::now(std::process::id()).is_ok());
        assert!(proportional_bytes(std::process::id()).unwrap() > 0.0);
        assert!(kernel_bytes().unwrap() > 0.0);
    }
}

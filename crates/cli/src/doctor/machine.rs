//! What the machine gives: open files, ports, a place for files, a key.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::api_key::{ApiKey, KeyError, Origin, SHORT_KEY};
use crate::app::{HEALTH_PATH, READY_PATH};
use crate::banner::reachable;
use crate::event_log;
use crate::probe::Probe;
use crate::settings::{LogKind, Settings, Size};

/// Open files that a server needs beside its connections: the log, timers, listeners.
#[cfg(unix)]
const OTHER_FILES: u64 = 256;

/// With less free space than this a server soon refuses what is to be recorded.
const LITTLE_SPACE: u64 = 64 << 20;

/// Whether there may be as many open files as connections.
pub(super) fn open_files(settings: &Settings, report: &mut Report) {
    const CHECK: &str = "open files";
    #[cfg(unix)]
    {
        let wanted = settings.limits.connections.saturating_add(OTHER_FILES);
        match rlimit::Resource::NOFILE.get() {
            // The soft limit is raised at the start.
            Ok((_, hard)) if hard >= wanted => {
                report.ok(CHECK, format!("{hard} allowed, {wanted} needed at most"));
            }
            Ok((_, hard)) => report.warn(
                CHECK,
                format!(
                    "{hard} allowed: {} connections, and not {}",
                    hard.saturating_sub(OTHER_FILES),
                    settings.limits.connections
                ),
                "raise the hard limit where the server is started (LimitNOFILE, `ulimit -Hn`, \
                 the container's ulimits), or lower limits.connections",
            ),
            Err(error) => report.warn(CHECK, error.to_string(), "look with `ulimit -Hn`"),
        }
    }
    #[cfg(not(unix))]
    report.ok(CHECK, format!("{} connections", settings.limits.connections));
}

/// Whether the server can listen where it should, or listens there already.
pub(super) async fn ports(settings: &Settings, probe: &Probe, report: &mut Report) {
    let scheme = if settings.tls.cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}{HEALTH_PATH}", reachable(settings.listen));
    port("port", "listen", settings.listen, (probe, &url), report).await;
    if settings.metrics.enabled {
        let url = format!("http://{}{READY_PATH}", reachable(settings.metrics.listen));
        let listen = settings.metrics.listen;
        port("metrics port", "metrics.listen", listen, (probe, &url), report).await;
    }
}

async fn port(
    check: &'static str,
    setting: &str,
    address: SocketAddr,
    (probe, url): (&Probe, &str),
    report: &mut Report,
) {
    let Err(error) = TcpListener::bind(address) else {
        return report.ok(check, format!("{address} is free"));
    };
    let found = format!("{address}: {error}");
    match error.kind() {
        ErrorKind::AddrInUse if is_ours(probe, url).await => {
            report.ok(check, format!("a server of ours listens on {address}"));
        }
        ErrorKind::AddrInUse => report.fail(
            check,
            format!("{address} is taken by another program"),
            format!(
                "stop it (`ss -ltnp 'sport = :{}'` names it), or set {setting}",
                address.port()
            ),
        ),
        ErrorKind::PermissionDenied => report.fail(
            check,
            found,
            format!(
                "ports below 1024 need CAP_NET_BIND_SERVICE; or set {setting} to a port from 1024 on"
            ),
        ),
        ErrorKind::AddrNotAvailable => report.fail(
            check,
            found,
            format!("it is no address of this machine; set {setting} to 0.0.0.0 or [::] for all"),
        ),
        _ => report.fail(check, found, format!("set {setting} to another address")),
    }
}

/// Whether what listens there answers as a server of ours does.
async fn is_ours(probe: &Probe, url: &str) -> bool {
    let answer = probe.get(url, &[]).await.ok();
    let body = answer.and_then(|it| serde_json::from_str::<serde_json::Value>(&it.body).ok());
    body.is_some_and(|body| body.get("status").is_some_and(serde_json::Value::is_string))
}

/// Whether the server can keep its files, and nobody else reads them.
pub(super) fn data_directory(settings: &Settings, report: &mut Report) {
    const CHECK: &str = "data directory";
    let data = match std::path::absolute(&settings.data) {
        Ok(data) => data,
        Err(error) => return report.fail(CHECK, error.to_string(), "set data"),
    };
    let shown = data.display();
    let Some(existing) = nearest_existing(&data) else {
        return report.fail(CHECK, format!("{shown}: no directory above it"), "set data");
    };
    if existing != data {
        // It is made at the first start; that is tried when it is there.
        let parent = existing.display();
        match fs::metadata(&existing) {
            Ok(it) if it.is_dir() && !it.permissions().readonly() => {
                report.ok(CHECK, format!("{shown} will be made in {parent}"));
            }
            _ => report.fail(
                CHECK,
                format!("{shown} cannot be made: {parent} is no directory that can be written"),
                "set data to another directory, or make this one for the server's user",
            ),
        }
    } else if let Err(error) = try_to_write(&data) {
        report.fail(
            CHECK,
            format!("{shown} cannot be written: {error}"),
            format!("chown it to the server's user: `chown -R … {shown}`; or set data"),
        );
    } else if is_open_to_others(&data) {
        report.warn(
            CHECK,
            format!("other users can look into {shown}"),
            format!("chmod 700 {shown}"),
        );
    } else {
        report.ok(CHECK, format!("{shown} can be written"));
    }
    space(settings, &data, &existing, report);
}

fn nearest_existing(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|it| it.exists()).map(Path::to_owned)
}

/// Writes and removes a small file.
fn try_to_write(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(b"a test").and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether what the log may keep fits, on a disk that takes syncs honestly.
#[cfg(unix)]
fn space(settings: &Settings, data: &Path, existing: &Path, report: &mut Report) {
    const CHECK: &str = "disk";
    let stat = match rustix::fs::statvfs(existing) {
        Ok(stat) => stat,
        Err(error) => return report.warn(CHECK, error.to_string(), "look with `df`"),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let shown = Size(free / 1_000_000 * 1_000_000);
    let used = fs::metadata(event_log::path(settings, data)).map_or(0, |it| it.len());
    let (kept, is_kept) = (settings.event_log.max_size.0, settings.event_log.kind == LogKind::Disk);
    if free < LITTLE_SPACE {
        report.fail(CHECK, format!("only {shown} are free"), "make room, or set data");
    } else if is_kept && free.saturating_add(used) < kept {
        report.warn(
            CHECK,
            format!("{shown} are free; the event log may grow to {}", Size(kept)),
            "make room, or lower event_log.max_size",
        );
    } else {
        report.ok(CHECK, format!("{shown} are free"));
    }
    #[cfg(target_os = "linux")]
    if is_kept && is_on_network(existing) {
        report.warn(
            CHECK,
            "a network file system, which may lose what it said it has",
            "keep the event log on a local disk: set data",
        );
    }
}

#[cfg(not(unix))]
fn space(_: &Settings, _: &Path, _: &Path, report: &mut Report) {
    report.skipped("disk", "not looked at on this system", "see that there is space");
}

/// Spec: `statfs(2)`, the types of file systems.
#[cfg(target_os = "linux")]
fn is_on_network(path: &Path) -> bool {
    const NETWORK: [u32; 5] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997];
    let kind = rustix::fs::statfs(path).map(|stat| stat.f_type).unwrap_or_default();
    // The type is signed on some systems.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "32 bits of magic")]
    NETWORK.contains(&(kind as u32))
}

/// Whether there is a key for backends, and it is secret.
pub(super) fn api_key(settings: &Settings, report: &mut Report) {
    const CHECK: &str = "API key";
    let Settings { api_key, listen, data, .. } = settings;
    match ApiKey::find(api_key.as_ref(), *listen, data) {
        Ok(key) if key.expose().len() < SHORT_KEY => report.warn(
            CHECK,
            format!("it has fewer than {SHORT_KEY} characters: it can be guessed"),
            "set api_key to the output of `openssl rand -hex 24`",
        ),
        Ok(ApiKey { origin: Origin::File(path), .. }) if is_open_to_others(&path) => report.warn(
            CHECK,
            format!("other users can read {}", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(ApiKey { origin: Origin::New(_), .. }) => {
            report.ok(CHECK, "one will be made at the first start");
        }
        Ok(ApiKey { origin: Origin::File(path), .. }) => {
            report.ok(CHECK, format!("in {}", path.display()));
        }
        Ok(ApiKey { origin: Origin::Settings, .. }) => report.ok(CHECK, "set"),
        Err(KeyError::Required { listen }) => report.fail(
            CHECK,
            format!("none is set, and {listen} can be reached from other machines"),
            "set FANFARE_API_KEY to the output of `openssl rand -hex 24`",
        ),
        Err(error) => report.fail(CHECK, error.to_string(), "set api_key, or mend the file"),
    }
}

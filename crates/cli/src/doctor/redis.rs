//! Whether the Redis of the settings is there, and keeps what it is given.

use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::report::Report;
use crate::settings::Settings;

const CHECK: &str = "Redis";

/// How long each question may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// Connects, and asks how it is set up. Its address is never shown.
pub(super) async fn check(settings: &Settings, report: &mut Report) {
    let Some(url) = &settings.redis.url else { return };
    // For rediss://; fails only if there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut connection = match connect(url.expose()).await {
        Ok(connection) => connection,
        Err(why) => {
            return report.fail(
                CHECK,
                format!("no connection: {why}"),
                "see that it runs, and that redis.url has its host, port and password",
            );
        }
    };
    let asked = tokio::time::timeout(DEADLINE, info(&mut connection)).await;
    let Ok(Ok(info)) = asked else {
        return report.warn(
            CHECK,
            "it answers, but does not tell how it is set up (INFO)",
            "look by hand: maxmemory-policy must be noeviction, and appendonly yes",
        );
    };
    let version = field(&info, "redis_version").unwrap_or("unknown");
    report.ok(CHECK, format!("version {version} answers"));
    policy(&info, report);
    persistence(&info, report);
}

async fn connect(url: &str) -> Result<MultiplexedConnection, String> {
    let connecting = async {
        let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        RedisResult::Ok(connection)
    };
    match tokio::time::timeout(DEADLINE, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        // The text may hold parts of the address: only the kind of error is told.
        Ok(Err(error)) => Err(error.category().to_owned()),
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn info(connection: &mut MultiplexedConnection) -> RedisResult<String> {
    redis::cmd("INFO").query_async(connection).await
}

/// A field of `INFO`: `name:value` on a line.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn policy(info: &str, report: &mut Report) {
    const CHECK: &str = "Redis memory";
    match (field(info, "maxmemory_policy"), field(info, "maxmemory_human")) {
        (Some("noeviction"), Some(limit)) => {
            let limit = if limit == "0B" { "without a limit" } else { limit };
            report.ok(CHECK, format!("noeviction, {limit}"));
        }
        (Some(policy), _) => report.fail(
            CHECK,
            format!("maxmemory-policy is {policy}: what is needed may be thrown away when memory is short"),
            "set maxmemory-policy noeviction, and keep caches in another Redis",
        ),
        (None, _) => {
            report.warn(CHECK, "it does not tell its policy", "see that it is noeviction");
        }
    }
}

fn persistence(info: &str, report: &mut Report) {
    const CHECK: &str = "Redis persistence";
    let is_on = |name: &str| field(info, name) == Some("1");
    let failed = |name: &str| field(info, name).is_some_and(|it| it != "ok");
    if failed("aof_last_write_status") || failed("rdb_last_bgsave_status") {
        report.fail(
            CHECK,
            "its last write to the disk failed",
            "see its log: most often the disk is full or belongs to somebody else",
        );
    } else if is_on("aof_enabled") {
        report.ok(CHECK, "append-only file");
    } else {
        report.warn(
            CHECK,
            "no append-only file: what came since its last snapshot is lost when it ends",
            "set appendonly yes (and appendfsync everysec, or always)",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn what_redis_tells_is_judged() {
        for (info, verdicts) in [
            (
                "maxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n",
                [Verdict::Ok, Verdict::Ok],
            ),
            (
                "maxmemory_human:1G\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n",
                [Verdict::Fail, Verdict::Warn],
            ),
            ("aof_enabled:1\r\naof_last_write_status:err\r\n", [Verdict::Warn, Verdict::Fail]),
        ] {
            let mut report = Report::default();
            policy(info, &mut report);
            persistence(info, &mut report);
            let found: Vec<Verdict> = report.0.iter().map(|it| it.verdict).collect();
            assert_eq!(found, verdicts, "{info}");
        }
    }
}

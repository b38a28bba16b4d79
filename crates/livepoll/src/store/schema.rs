//! The tables, and how they come to the form this version needs.

use std::path::Path;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};

use super::{Dialect, StoreError, Target};

/// Each step was released as it is: a new form is a new step.
const STEPS: &[(i64, &str, &str)] =
    &[(1, "begin", include_str!("../../migrations/0001_begin.sql"))];

/// The table with the steps that were run. Its own: the database may be shared with an application.
const TABLE: &str = "livepoll_migrations";

/// Runs the steps that have not been run. Several nodes that start at once take turns.
pub(super) async fn migrate(target: &Target) -> Result<(), StoreError> {
    if *target == Target::Memory {
        return Ok(()); // done by the only connection there is
    }
    if let Target::File(path) = target {
        make_private(path)?;
    }
    let mut connection = target.options()?.connect().await?;
    let ran = run(&mut connection, target.dialect()).await;
    // It was for this alone.
    let _ = connection.close().await;
    ran
}

/// Makes the file readable by its user only: it holds the secret of the tokens, and votes. What SQLite
/// puts beside it gets the same rights.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let unavailable = |error: std::io::Error| {
        StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))
    };
    let file = options.open(path).map_err(unavailable)?;
    #[cfg(unix)]
    if let Err(error) = file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)) {
        // A file system without permissions is let be.
        tracing::warn!(%error, path = %path.display(), "other users may read the server's data");
    }
    drop(file);
    Ok(())
}

pub(super) fn run(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> BoxFuture<'_, Result<(), StoreError>> {
    // What `run` calls; that one's bounds make a future that cannot be sent to another thread.
    async move { steps(dialect).run_direct(None, connection, false).await }
        .map_err(|error| StoreError::Unavailable(error.to_string()))
        .boxed()
}

fn steps(dialect: Dialect) -> Migrator {
    let serial = match dialect {
        Dialect::Sqlite => "INTEGER",
        Dialect::Postgres => "BIGSERIAL",
    };
    let steps = STEPS.iter().map(|(version, name, sql)| {
        let sql = AssertSqlSafe(sql.replace("{serial}", serial)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

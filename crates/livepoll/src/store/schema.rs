//! The tables, and how they come to the form this version needs.

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
    let mut connection = target.options()?.connect().await?;
    let ran = run(&mut connection, target.dialect()).await;
    // It was for this alone.
    let _ = connection.close().await;
    ran
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

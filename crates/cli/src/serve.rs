//! `fanfare serve`: from the settings to a running server, and to its end.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use fanfare::server::{BindError, Bound};
use fanfare::{Io, Server};
use livepoll::Livepoll;
use services::Services;

use crate::api_key::{self, ApiKey, KeyError};
use crate::banner::Started;
use crate::health::Readiness;
use crate::metrics::{self, Figures};
use crate::settings::{Effective, LogKind, Settings};
use crate::stop::StopSignals;
use crate::watch::{Watch, memory_limit};
use crate::{app, bundle, event_log, library, web};

/// Runs the server until it is asked to stop.
///
/// # Errors
///
/// Whatever keeps it from starting, in words for the person who started it.
pub(crate) fn run(effective: &Effective) -> anyhow::Result<()> {
    let settings = &effective.settings;
    let data = std::path::absolute(&settings.data)
        .with_context(|| format!("the data directory {}", settings.data.display()))?;
    api_key::prepare_directory(&data)?;
    // Connections live on the library's threads: this one accepts them and waits for signals.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    runtime.block_on(serve(effective, &data))
}

async fn serve(effective: &Effective, data: &Path) -> anyhow::Result<()> {
    let settings = &effective.settings;
    let mut signals = StopSignals::listen().context("signals cannot be listened for")?;
    let key = find_key(effective, data)?;
    let log = event_log::open(settings, data)?;
    let io = Io::new(library::settings(settings, log.clone())?)?;
    let kept = (settings.event_log.kind == LogKind::Disk).then_some(data);
    let services = Services::begin(&io, library::service_settings(settings)?, key.digest(), kept)?;
    let livepoll = livepoll(settings, &services, kept).await?;
    let memory = memory_limit(settings.limits.memory.0);
    let readiness = Arc::new(Readiness {
        services: services.clone(),
        livepoll: livepoll.clone(),
        log: log.clone(),
        max_connections: settings.limits.connections,
        redis: settings.redis.url.is_some(),
        memory,
    });
    let watch = Watch::default();
    tokio::spawn(watch.clone().run(io.clone(), memory));
    let metrics = match settings.metrics.enabled {
        true => metrics::bind(settings.metrics.listen).await?,
        false => None,
    };
    let figures = Figures {
        services: services.clone(),
        livepoll: livepoll.clone(),
        log,
        readiness: readiness.clone(),
        watch,
    };
    let router = app::router((&services, livepoll.as_ref()), settings, readiness);
    let server = Server::new(io, router).settings(library::server_settings(settings));
    let bound = bind(&server, settings)?;
    key.keep()?;
    let bundle = bundle::version().filter(|_| settings.serve_client);
    announce(
        settings,
        &Started {
            address: bound.local_addr(),
            encrypted: settings.tls.cert.is_some(),
            path: &settings.path,
            metrics: metrics.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?,
            bundle,
            pages: web::links(settings),
            data,
            key: &key,
        },
    )?;
    if let Some(metrics) = metrics {
        tokio::spawn(async move {
            if let Err(error) = metrics::serve(metrics, figures).await {
                tracing::error!(%error, "the metrics are no longer served");
            }
        });
    }
    until_stopped(bound, settings, &mut signals).await
}

/// Live polling, if it is wanted.
async fn livepoll(
    settings: &Settings,
    services: &Services,
    data: Option<&Path>,
) -> anyhow::Result<Option<Livepoll>> {
    if !settings.livepoll.enabled {
        return Ok(None);
    }
    let begun = Livepoll::begin(services.context(), library::livepoll_settings(settings)?, data);
    Ok(Some(begun.await.context("live polling cannot begin; its settings are livepoll.*")?))
}

/// The key. Who did not choose the address, but some `PORT` of the environment, learns where it is from.
fn find_key(effective: &Effective, data: &Path) -> anyhow::Result<ApiKey> {
    let Settings { api_key, listen, .. } = &effective.settings;
    ApiKey::find(api_key.as_ref(), *listen, data).map_err(|error| match error {
        KeyError::Required { listen } => {
            let source = effective.source("listen");
            anyhow::anyhow!("{error}\n  {listen} is from: {source}")
        }
        error => error.into(),
    })
}

/// Serves until a signal comes, and then until all is delivered, the grace is over, or another
/// signal says that nobody wants to wait.
async fn until_stopped(
    bound: Bound,
    settings: &Settings,
    signals: &mut StopSignals,
) -> anyhow::Result<()> {
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let serving = bound.serve(async move {
        // Also when the sender is dropped, which it is not before it was used.
        let _ = stopping.await;
    });
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.context("connections cannot be accepted"),
        signal = signals.next() => {
            let notice = settings.drain.notice;
            tracing::info!(signal, %notice, grace = %settings.shutdown_grace, "stopping");
        }
    }
    // The receiver lives as long as `serving`.
    let _ = stop.send(());
    tokio::select! {
        ended = &mut serving => ended.context("the server did not end in order")?,
        signal = signals.next() => {
            tracing::warn!(signal, "stopped at once: asked a second time");
            return Ok(());
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes the address, and says which setting is to blame if that fails.
fn bind(server: &Server, settings: &Settings) -> anyhow::Result<Bound> {
    server.bind(settings.listen).map_err(|error| {
        let hint = match &error {
            BindError::Tls(_) => "the settings are tls.cert and tls.key",
            BindError::InUse(_) => "the setting is listen (--listen 127.0.0.1:0 takes a free port)",
            _ => "the setting is listen",
        };
        anyhow::anyhow!("{error}\n  {hint}")
    })
}

/// Says that the server runs: to people on the standard output, to machines in the log.
fn announce(settings: &Settings, started: &Started<'_>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(started.text().as_bytes())?;
    output.flush()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %started.address,
        encrypted = started.encrypted,
        data = %started.data.display(),
        "listening"
    );
    if settings.serve_client && started.bundle.is_none() {
        tracing::warn!(
            "built without the client bundle: {}/socket.io.js is answered 404; \
             `cargo xtask bundle` before the build embeds it",
            settings.path
        );
    }
    Ok(())
}

//! `fanfare health`: asks the server of these settings whether it should be sent clients. For containers,
//! which have no `curl`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::app::{HEALTH_PATH, READY_PATH};
use crate::banner::reachable;
use crate::print;
use crate::probe::{Probe, Trust};
use crate::settings::{Inputs, Settings};

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// Where; the server of the settings if not given.
    pub(crate) url: Option<String>,
    /// Only whether it lives.
    pub(crate) live: bool,
}

/// Asks, and prints the answer. Not ready, not alive and not there are exit code 1.
///
/// # Errors
///
/// Settings that cannot be used.
pub(crate) fn run(inputs: Inputs, question: &Question) -> anyhow::Result<ExitCode> {
    let settings = inputs.load()?.settings;
    let base = match &question.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => own_url(&settings)?,
    };
    let path = if question.live { HEALTH_PATH } else { READY_PATH };
    let trust = if question.url.is_some() { Trust::Authorities } else { Trust::Anybody };
    let probe = Probe::new(trust).context("requests cannot be made")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("{base}{path}");
    let asked = runtime.block_on(probe.get(&url, &[]));
    let (healthy, told) = match asked {
        Ok(answer) => {
            let body: Option<Value> = serde_json::from_str(&answer.body).ok();
            let status =
                body.as_ref().and_then(|it| it.get("status")?.as_str()).unwrap_or("no status");
            let told = format!("{status} ({})", answer.status.as_u16());
            (answer.status.is_success() && body.is_some(), told)
        }
        Err(error) => (false, error.to_string()),
    };
    print(&format!("{url}: {told}\n"))?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Where the server of these settings is reached from this machine.
fn own_url(settings: &Settings) -> anyhow::Result<String> {
    if settings.listen.port() == 0 {
        bail!("the server takes a free port (listen has port 0)\n  say which with --url");
    }
    let scheme = if settings.tls.cert.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", reachable(settings.listen)))
}

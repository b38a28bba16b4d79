//! `fanfare doctor`: looks at everything a server needs from its surroundings, before clients do, and says
//! what to do about what is not right.

mod clock;
mod machine;
mod origins;
mod proxy;
mod redis;
mod report;

use std::process::ExitCode;

use anyhow::{Context, bail};

use self::clock::Clock;
use self::report::Report;
use crate::print;
use crate::probe::{Probe, Trust};
use crate::settings::Inputs;

/// What is to be looked at, beyond what the settings say.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The address under which clients reach the server, through whatever stands before it.
    pub(crate) url: Option<String>,
    /// The origin of the pages that use it, if it is another one.
    pub(crate) origin: Option<String>,
    /// For machines.
    pub(crate) json: bool,
}

/// Looks, and prints what was found. Something that is wrong is exit code 1; what should only be looked
/// at is not.
///
/// # Errors
///
/// Settings that cannot be used, an address that is none.
pub(crate) fn run(inputs: Inputs, asked: &Asked) -> anyhow::Result<ExitCode> {
    let effective = inputs.load()?;
    let settings = &effective.settings;
    let public = asked.url.as_deref().map(public_url).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    let mut clock = Clock::start();
    runtime.block_on(async {
        let here = Probe::new(Trust::Anybody).context("requests cannot be made")?;
        machine::open_files(settings, &mut report);
        machine::ports(settings, &here, &mut report).await;
        machine::data_directory(settings, &mut report);
        machine::api_key(settings, &mut report);
        redis::check(settings, &mut report).await;
        if let Some(public) = &public {
            let outside = Probe::new(Trust::Authorities).context("requests cannot be made")?;
            proxy::check(settings, &outside, public, &mut clock, &mut report).await;
            let page = asked.origin.as_deref();
            origins::check(settings, Some((&outside, public)), page, &mut report).await;
        } else {
            origins::check(settings, None, asked.origin.as_deref(), &mut report).await;
            report.skipped("proxy", "not looked at", "give the public address with --url");
        }
        anyhow::Ok(())
    })?;
    clock.finish(&mut report);
    print(&if asked.json { format!("{:#}\n", report.as_json()) } else { report.as_text() })?;
    Ok(if report.is_wrong() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The address without a path: that of the endpoint is in the settings.
fn public_url(text: &str) -> anyhow::Result<reqwest::Url> {
    let url = reqwest::Url::parse(text).with_context(|| format!("--url {text} is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        bail!("--url {text} is not an http:// or https:// URL");
    }
    if url.path() != "/" || url.query().is_some() {
        bail!("--url {text} has a path\n  give the address alone; the path is the setting `path`");
    }
    Ok(url)
}

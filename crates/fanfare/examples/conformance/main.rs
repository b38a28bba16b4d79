//! The server that the conformance suites are run against: `conformance/README.md` says what it
//! does, event by event. Its twin for the reference is `conformance/reference-server.mjs`.

#![allow(clippy::print_stdout, reason = "its address is its output")]

mod behaviours;
mod client_suite;

use anyhow::Result;
use clap::Parser as _;
use fanfare::engineio::{self, cors::Origins};
use fanfare::engineio::{Cookie, Cors, Transports};
use fanfare::{Handshake, Io, Parser, Refused, Server, Settings, Socket};
use regex::Regex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Parser)]
struct Flags {
    /// An address, or `localhost`.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value = "/socket.io")]
    path: String,
    #[arg(long, value_delimiter = ',', default_value = "polling,websocket")]
    transports: Vec<String>,
    #[arg(long, default_value_t = 25_000)]
    ping_interval: u64,
    #[arg(long, default_value_t = 20_000)]
    ping_timeout: u64,
    #[arg(long, default_value_t = 10_000)]
    upgrade_timeout: u64,
    #[arg(long, default_value_t = 45_000)]
    connect_timeout: u64,
    #[arg(long, default_value_t = 1_000_000)]
    max_payload: usize,
    #[arg(long)]
    allow_v3: bool,
    #[arg(long, default_value = "json")]
    parser: String,
    #[arg(long, value_delimiter = ',')]
    cors: Vec<String>,
    #[arg(long)]
    cookie: Option<String>,
    #[arg(long)]
    initial_packet: Option<String>,
    #[arg(long)]
    http_compression: bool,
    #[arg(long)]
    per_message_deflate: bool,
    #[arg(long)]
    client_suite: bool,
}

impl Flags {
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings {
            path: self.path.clone(),
            connect_timeout: Duration::from_millis(self.connect_timeout),
            parser: if self.parser == "msgpack" { Parser::MsgPack } else { Parser::Json },
            message_compression: self.per_message_deflate.then_some(1024),
            shards: 2,
            ..Settings::default()
        };
        let has = |name: &str| self.transports.iter().any(|it| it == name);
        settings.engine = engineio::Settings {
            ping_interval: Duration::from_millis(self.ping_interval),
            ping_timeout: Duration::from_millis(self.ping_timeout),
            upgrade_timeout: Duration::from_millis(self.upgrade_timeout),
            max_payload_bytes: self.max_payload,
            allow_v3: self.allow_v3,
            transports: Transports { polling: has("polling"), websocket: has("websocket") },
            cookie: self.cookie.as_deref().map(Cookie::named).transpose()?,
            cors: (!self.cors.is_empty()).then(|| cors(&self.cors)),
            initial_packet: self.initial_packet.clone(),
            compression_threshold_bytes: self.http_compression.then_some(1024),
            ..settings.engine
        };
        Ok(settings)
    }
}

fn cors(origins: &[String]) -> Cors {
    if origins == ["*"] {
        return Cors { origins: Origins::Any, ..Cors::default() };
    }
    Cors { origins: Origins::List(origins.to_vec()), credentials: true, ..Cors::default() }
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let io = Io::new(flags.settings()?)?;
    let wait = if flags.client_suite { client_suite::HANDSHAKE_DELAY } else { Duration::ZERO };
    io.allow_request(move |handshake: Arc<Handshake>| async move {
        tokio::time::sleep(wait).await;
        handshake.query("refuse").map_or(Ok(()), Err)
    });
    if flags.client_suite {
        client_suite::add(&io)?;
    } else {
        namespaces(&io)?;
    }

    let router = io.router().route("/health", axum::routing::get(|| async { "ok" }));
    let host = if flags.host == "localhost" { "127.0.0.1" } else { &flags.host };
    let address = SocketAddr::new(host.parse()?, flags.port);
    let bound = Server::new(io.clone(), router).bind(address)?;
    let path = format!("{}/", io.settings().path);
    println!("{}", json!({ "url": format!("http://{}", bound.local_addr()), "path": path }));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    bound.serve(stop).await?;
    io.close(Duration::from_secs(2)).await;
    Ok(())
}

fn namespaces(io: &Io) -> Result<()> {
    for name in ["/", "/custom", "/refused", "/guarded", "/slow"] {
        behaviours::add(&io.of(name)?);
    }
    io.of("/refused")?.middleware(|_: Socket| async {
        let data = json!({ "code": 4001, "content": "retry later" });
        Err(Refused::new("not authorized").with_data(data))
    });
    io.of("/guarded")?.middleware(|socket: Socket| async move {
        let auth: Value = socket.auth().unwrap_or_default();
        if auth.get("token").and_then(Value::as_str) == Some("secret") {
            return Ok(());
        }
        Err(Refused::new("bad token").with_data(json!({ "code": "E_TOKEN" })))
    });
    io.of("/slow")?.middleware(|_: Socket| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    });
    behaviours::add(io.of_matching(Regex::new(r"/dynamic-\d+")?).each());
    let tenants = io.of_dynamic(|name, auth| async move {
        let tenant = auth.get("tenant").and_then(Value::as_str);
        tenant.is_some_and(|tenant| name == format!("/tenant-{tenant}"))
    });
    behaviours::add(tenants.each());
    Ok(())
}

//! The clients that live in a Node.js process: `socket.io-client` and `EventSource`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use fanfare_oracle::What;
use fanfare_oracle::trace::parse_line;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::clients::Want;
use crate::recorder::Recorder;
use crate::shapes::API_KEY;

/// How long the process may take to end when told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct NodeClients {
    child: Child,
    orders: Mutex<ChildStdin>,
    reading: JoinHandle<()>,
}

impl NodeClients {
    /// Starts the process and its clients.
    ///
    /// # Errors
    /// When there is no Node.js, or it does not take orders.
    pub(crate) async fn start(
        folder: &Path,
        recorder: Recorder,
        url: &str,
        plans: &[Value],
    ) -> Result<Self> {
        let mut child = Command::new("node")
            .arg(folder.join("clients.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start Node.js")?;
        let orders = Mutex::new(child.stdin.take().context("no input")?);
        let output = child.stdout.take().context("no output")?;
        let reading = tokio::spawn(read(output, recorder));
        let clients = Self { child, orders, reading };
        clients
            .order(&json!({ "do": "start", "url": url, "key": API_KEY, "clients": plans }))
            .await
            .context("the clients do not take orders")?;
        Ok(clients)
    }

    async fn order(&self, order: &Value) -> std::io::Result<()> {
        let mut orders = self.orders.lock().await;
        orders.write_all(format!("{order}\n").as_bytes()).await?;
        orders.flush().await
    }

    /// Tells a client what to want. Should the process be gone, the missing clients will tell.
    pub(crate) async fn want(&self, client: &str, want: &Want) {
        let order = json!({ "do": "want", "client": client, "room": want.room, "in": want.is_in });
        let _ = self.order(&order).await;
    }

    /// Ends the process, and reads what it wrote to the end.
    pub(crate) async fn stop(mut self) {
        let _ = self.order(&json!({ "do": "stop" })).await;
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        let _ = self.reading.await;
    }
}

async fn read(output: ChildStdout, recorder: Recorder) {
    let mut lines = BufReader::new(output).lines();
    let mut number = 0;
    while let Ok(Some(text)) = lines.next_line().await {
        number += 1;
        match parse_line(text.as_bytes(), number) {
            Ok(line) => recorder.push(line),
            Err(error) => {
                let detail = format!("not a line of the trace: {error}");
                recorder.write("node clients", What::Breach { detail });
            }
        }
    }
}

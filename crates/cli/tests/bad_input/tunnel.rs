//! Plain connections on one side, encrypted ones on the other: for those who need not know that the
//! server encrypts.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::tls::NAME;

/// Carries the bytes of whoever connects to a server, encrypted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Tunnel {
    host: String,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Opens one to the server at `to`.
    pub(crate) async fn open(to: &str, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let (to, connector) = (to.to_owned(), TlsConnector::from(config));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // That one of the two ends is for the other to see.
                let (to, connector) = (to.clone(), connector.clone());
                tokio::spawn(async move { drop(carry(stream, &to, connector).await) });
            }
        });
        Ok(Self { host, task })
    }

    /// Where to connect to.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut plain: TcpStream, to: &str, connector: TlsConnector) -> std::io::Result<()> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    plain.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).map_err(std::io::Error::other)?;
    let mut encrypted = connector.connect(name, stream).await?;
    copy_bidirectional(&mut plain, &mut encrypted).await?;
    Ok(())
}

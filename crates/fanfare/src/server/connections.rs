//! The HTTP connections of an [`Io`](crate::Io), so that its end can wait for theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// Counts connections that are served over HTTP, and tells them when to finish.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpConnections {
    open: Arc<AtomicUsize>,
    closing: CancellationToken,
}

/// One connection, from its acceptance until it is closed or upgraded.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    open: Arc<AtomicUsize>,
}

impl HttpConnections {
    pub(crate) fn enter(&self) -> HttpConnection {
        self.open.fetch_add(1, Ordering::AcqRel);
        HttpConnection { open: self.open.clone() }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Listeners stop accepting, connections finish the request they are at.
    pub(crate) fn begin_closing(&self) {
        self.closing.cancel();
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

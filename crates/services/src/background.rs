//! What services do beside answering: deadlines, expiry, requests to the application.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A thread for what nobody waits for. Clients' listeners run on the shards' threads, which must not
/// be kept busy; and what ends with a shard's task would end with its socket.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system does not give one.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fanfare-services")
            .enable_all()
            .build()?;
        Ok(Background(Some(runtime)))
    }

    /// Runs something on it.
    pub(crate) fn spawn<F>(&self, future: F) -> Option<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.as_ref().map(|runtime| runtime.spawn(future))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Not waited for: it may be dropped on a thread that must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

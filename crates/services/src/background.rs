//! What services do beside answering: deadlines, expiry, requests to the application.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A thread for what nobody waits for. Clients' listeners run on the shards' threads, which must not
/// be kept busy; and what ends with a shard's task would end with its socket.
///
/// Cheap to clone; the thread ends when the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    handle: Handle,
    /// Only held.
    _thread: Arc<Thread>,
}

#[derive(Debug)]
struct Thread(Option<Runtime>);

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
        let handle = runtime.handle().clone();
        Ok(Background { handle, _thread: Arc::new(Thread(Some(runtime))) })
    }

    /// Runs something on it.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Not waited for: it may be dropped on a thread that must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

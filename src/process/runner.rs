//! The thread on which external programs are started, fed and waited for, with
//! a runtime of its own: starting a program takes a while, in which neither a
//! worker nor the main thread should stand still.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Descriptors of the thread itself: epoll set and its copy, eventfd, and the
/// two ends of the signal socket.
pub const DESCRIPTORS: usize = 5;

/// The thread. Dropping it ends everything that runs there; programs live on.
#[derive(Debug)]
pub struct Runner {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no runtime.
    pub fn start() -> io::Result<Self> {
        let (ready, runtime) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("programs".to_owned())
            .spawn(
                move || match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => serve(runtime, &ready, ended),
                    Err(error) => {
                        // The receiver waits for exactly this message.
                        let _ = ready.send(Err(error));
                    }
                },
            )?;
        let handle = runtime
            .recv()
            .map_err(|_| io::Error::other("the thread of programs ended at once"))??;
        Ok(Self {
            handle,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// The way to have something run there.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

fn serve(
    runtime: Runtime,
    ready: &mpsc::SyncSender<io::Result<Handle>>,
    ended: oneshot::Receiver<()>,
) {
    let _ = ready.send(Ok(runtime.handle().clone()));
    // A sender that is gone means the same as one that said so.
    let _ = runtime.block_on(ended);
    runtime.shutdown_background();
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

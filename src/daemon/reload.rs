//! Access lists read again, beside everything else that the daemon does.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{spawn_blocking, spawn_local};

use crate::base::event::{Event, EventSink};
use crate::service::running::RunningService;

/// Takes requests to read the files of all services again. One reading runs at
/// a time; what is asked for meanwhile is done once, after it.
pub(super) struct Reload(Rc<Notify>);

impl Reload {
    /// Begins to wait for requests; needs the local tasks of the main runtime.
    pub(super) fn begin(services: &[Arc<RunningService>], sink: &Arc<dyn EventSink>) -> Self {
        let asked = Rc::new(Notify::new());
        let services = services.iter().filter(|one| one.access().has_files());
        let services = services.cloned().collect();
        spawn_local(reread(services, Arc::clone(sink), Rc::clone(&asked)));
        Self(asked)
    }

    /// Asks for a reading; does not wait for it.
    pub(super) fn ask(&self) {
        self.0.notify_one();
    }
}

/// Reads on a thread that may block: a slow file system holds up the next
/// reading, and nothing else.
async fn reread(services: Vec<Arc<RunningService>>, sink: Arc<dyn EventSink>, asked: Rc<Notify>) {
    loop {
        asked.notified().await;
        for service in &services {
            let (service, heard) = (Arc::clone(service), Arc::clone(&sink));
            let reading = spawn_blocking(move || {
                service.access().reread(service.named(), &*heard);
                service.mark();
            });
            if reading.await.is_err() {
                let what = "access lists were not read again";
                sink.emit(&Event::Fault { what });
            }
        }
    }
}

//! `demo`: a running balancer without any preparation.
//!
//! The daemon runs in this process, on its main thread, as with `start -f`: it
//! gets SIGINT and SIGTERM itself, and if the demo is killed, no child is left
//! behind. Back ends and view have a thread each, and go when it has ended.
//!
//! ```text
//! curl ─► daemon (main thread and workers) ─► back ends (one thread)
//!            │ log
//!            └──► view (one thread) ─► stdout
//! ```

mod backends;
mod scene;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::moment::Moment;
use crate::cli::console::Stream;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::find::Place;
use crate::cli::render::StatusReport;
use crate::cli::session::Session;
use crate::cli::{start, status};
use crate::config::diagnostic::Which;
use crate::config::model::{Config, Service};
use crate::config::{Purpose, load};
use crate::control::rundir::RunDir;
use crate::daemon::{Listeners, Options, Places};
use crate::status::owner::{Found, examine};
use crate::status::read::StatusReader;

use backends::Backends;
use scene::Scene;
use view::{Manner, View};

/// How often another port is tried when somebody else took the free one.
const TRIES: usize = 5;

/// Shows a balancer until SIGINT or SIGTERM.
///
/// Source: decided (2.3).
pub(super) fn run(session: &Session) -> Outcome {
    let cannot = |error| Failure::message(format!("cannot set up the demo: {error}"));
    let no_place = |error| {
        let place = std::env::temp_dir();
        let place = place.display();
        Failure::message(format!(
            "cannot set up the demo in {place}: {error} (TMPDIR can name another directory)"
        ))
    };
    let scene = Scene::set().map_err(no_place)?;
    let backends = Backends::start().map_err(cannot)?;
    let session = &in_scene(session, &scene);
    let mut options = start::daemon_options(session);
    options.syslog = Some(scene.log_socket());
    let front = front(session, &scene, &backends, &options)?;

    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("crossroads"));
    let manner = manner(session, &front.config);
    session
        .console
        .print(scene::introduction(&scene, &program, front.address))?;
    let view = View::open(&scene.log_socket(), session.console, manner).map_err(no_place)?;

    let served = start::serve(&front.config, &options, front.listeners, || ());
    drop(view);
    served.map_err(Failure::Message)
}

/// The session as it is in the demo: with a RUNDIR of its own, and with no
/// configuration but the demo's.
fn in_scene(session: &Session, scene: &Scene) -> Session {
    let named = scene.run_dir().into_os_string();
    let only = |name: &str| (name == "CROSSROADS_RUN_DIR").then(|| named.clone());
    let mut options = session.options.clone();
    options.config = Some(scene.configuration());
    // The view shows the log; a second copy on stderr would tear it apart.
    options.foreground = false;
    Session {
        options,
        console: session.console,
        run_dir: RunDir::locate(only, crate::process::identity::effective_uid()),
    }
}

/// The balancer's side of the demo.
struct Front {
    address: SocketAddr,
    config: Config,
    listeners: Listeners,
}

/// Listens on a free port; if it is taken just then, or its key is that of
/// another demo, on another one.
fn front(
    session: &Session,
    scene: &Scene,
    backends: &Backends,
    options: &Options,
) -> Result<Front, Failure> {
    let mut tries = 1..TRIES;
    loop {
        let (address, config) = configured(session, scene, backends)?;
        let listeners = match tries.next() {
            Some(_) if !keys_are_free(&config) => continue,
            Some(_) => match crate::daemon::listen(&config, options, Places::default()) {
                Ok(listeners) => listeners,
                Err(_) => continue,
            },
            // The last try says what is wrong.
            None => start::listen(session, &config, options, Places::default())?,
        };
        return Ok(Front {
            address,
            config,
            listeners,
        });
    }
}

fn keys_are_free(config: &Config) -> bool {
    let mut services = config.services.iter();
    services.all(|one| matches!(examine(one.shm_key()), Ok(Found::None)))
}

/// Writes the configuration for a port that is free, and reads it as any other.
fn configured(
    session: &Session,
    scene: &Scene,
    backends: &Backends,
) -> Result<(SocketAddr, Config), Failure> {
    let address = scene::free_address()
        .and_then(|front| scene.write(front, backends.addresses()).map(|()| front))
        .map_err(|error| Failure::message(format!("cannot set up the demo: {error}")))?;
    let loaded = load(
        &scene.configuration(),
        &session.load_options(Purpose::Other),
    );
    session.print(&loaded.report, Which::ErrorsOnly);
    let config = loaded.config.ok_or(Failure::Told)?;
    Ok((address, config))
}

/// A table for terminals, lines for everything else.
fn manner(session: &Session, config: &Config) -> Manner {
    if Stream::of_stdout() == Stream::Other {
        return Manner::Lines;
    }
    let form = status::form(&session.options, &session.console);
    let keys: Vec<u32> = config.services.iter().map(Service::shm_key).collect();
    let limits = *session.limits();
    Manner::Table(Box::new(move || {
        let running = keys.iter().filter_map(|&key| {
            let snapshot = StatusReader::open(key)
                .ok()??
                .snapshot(limits.record)
                .ok()?;
            Some(status::running_service(snapshot, Place::InFile, &limits))
        });
        let report = StatusReport {
            services: running.collect(),
            now: Moment::now().unix,
        };
        report.render(form)
    }))
}

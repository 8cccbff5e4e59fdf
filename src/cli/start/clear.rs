//! What stands where the daemon's shared memory belongs: a daemon that runs,
//! what a dead one left, or something of another account (2.6, 14.4).

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::clock::Clock;
use crate::cli::exit::{Failure, Outcome, causes};
use crate::cli::find::Expected;
use crate::cli::session::Session;
use crate::config::Privilege;
use crate::control::client::ask;
use crate::control::request::Request;
use crate::status::owner::{Found, examine, is_dying, remove};

/// How long a killed daemon may take to be gone as a whole.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// What has to go before a daemon can begin.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Remains(Vec<Remain>);

/// One object that has to go.
#[derive(Debug, Eq, PartialEq)]
struct Remain {
    service: String,
    key: u32,
    whose: Whose,
}

/// Whose object it is.
#[derive(Debug, Eq, PartialEq)]
enum Whose {
    /// A dead daemon's.
    LeftOver { pid: u32, socket: PathBuf },
    /// Another account's; only root may remove it.
    OtherAccount { uid: u32 },
}

/// Looks at the objects of all services.
///
/// # Errors
///
/// [`Failure::Told`] after everything in the way was named: a daemon that
/// runs, an object of another account (but for root), something that is no
/// segment.
pub(super) fn look(session: &Session, services: &[Expected]) -> Result<Remains, Failure> {
    let clock = Clock::local();
    let mut remains = Vec::new();
    let mut outcome = Ok(());
    for service in services {
        let found = examine(service.key).map_err(|error| {
            format!(
                "{}; it is not ours: choose another shmkey, or remove /dev/shm{} if nothing uses it",
                causes(&error),
                crate::status::object_name(service.key)
            )
        });
        match found.and_then(|found| judge(service, found, session.privilege(), &clock)) {
            Ok(Some(remain)) => remains.push(remain),
            Ok(None) => {}
            Err(why) => {
                session
                    .console
                    .error(format_args!("service {}: {why}", service.name));
                outcome = Err(Failure::Told);
            }
        }
    }
    outcome.map(|()| Remains(remains))
}

/// What to do with what was found, or why the daemon cannot begin.
fn judge(
    service: &Expected,
    found: Found,
    privilege: Privilege,
    clock: &Clock,
) -> Result<Option<Remain>, String> {
    let remain = |whose| {
        Ok(Some(Remain {
            service: service.name.clone(),
            key: service.key,
            whose,
        }))
    };
    match found {
        Found::None => Ok(None),
        Found::Live { pid, started } => Err(format!(
            "already running (pid {pid}), since {}",
            clock.date(started)
        )),
        Found::LeftOver { pid, socket } => remain(Whose::LeftOver { pid, socket }),
        Found::OtherAccount { uid } if privilege == Privilege::Root => {
            remain(Whose::OtherAccount { uid })
        }
        Found::OtherAccount { uid } => Err(format!(
            "shared memory object {} belongs to another account (uid {uid}); \
             choose another shmkey, or let its owner or root remove it",
            crate::status::object_name(service.key)
        )),
    }
}

impl Remains {
    /// Waits until the dead daemons have let go of their ports: one that was
    /// killed a moment ago may not be gone as a whole.
    pub(super) fn outlast(&self) {
        let until = Instant::now() + LAST_BREATH;
        for remain in &self.0 {
            if let Whose::LeftOver { pid, .. } = remain.whose {
                while is_dying(pid) && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }

    /// Removes them, with a warning each.
    ///
    /// # Errors
    ///
    /// A message when the system refuses, or a daemon came up meanwhile.
    pub(super) fn remove(self, session: &Session) -> Outcome {
        for Remain {
            service,
            key,
            whose,
        } in self.0
        {
            remove(key).map_err(|error| {
                Failure::message(format!("service {service}: {}", causes(&error)))
            })?;
            match whose {
                Whose::LeftOver { pid, socket } => {
                    session.console.error(format_args!(
                        "service {service}: removed what pid {pid} left over"
                    ));
                    remove_socket(session, &socket);
                }
                Whose::OtherAccount { uid } => session.console.error(format_args!(
                    "service {service}: removed the shared memory object of uid {uid}"
                )),
            }
        }
        Ok(())
    }
}

/// Removes what the daemon `pid`, which was to be started and is dead now, left.
pub(super) fn undo(session: &Session, services: &[Expected], pid: u32) {
    for service in services {
        match examine(service.key) {
            Ok(Found::LeftOver { pid: whose, socket }) if whose == pid => {
                if let Err(error) = remove(service.key) {
                    session.console.error(causes(&error));
                }
                remove_socket(session, &socket);
            }
            _ => {}
        }
    }
}

/// Removes a socket that lies in RUNDIR, unless somebody answers there: the
/// process id in its name may belong to another daemon by now.
fn remove_socket(session: &Session, socket: &Path) {
    if is_left_over(socket, session.run_dir.path()) {
        let answer = ask(socket, &Request::Ping, session.limits().control);
        if answer.is_err_and(|error| error.is_nobody_there()) {
            // It is gone, or the next start tries again.
            let _ = fs::remove_file(socket);
        }
    }
}

fn is_left_over(socket: &Path, run_dir: &Path) -> bool {
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    socket.parent() == Some(run_dir) && fs::symlink_metadata(socket).is_ok_and(is_socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: Found, privilege: Privilege) -> Result<Option<Remain>, String> {
        let service = Expected {
            name: "shop".to_owned(),
            key: 0x2a,
        };
        judge(&service, found, privilege, &Clock::gmt())
    }

    #[test]
    fn running_daemon_is_named_with_its_start() {
        let found = Found::Live {
            pid: 2_817,
            started: 1_772_528_702,
        };

        assert_eq!(
            judged(found, Privilege::Root),
            Err("already running (pid 2817), since 2026-03-03/09:05:02".to_owned())
        );
    }

    #[test]
    fn left_over_object_has_to_go_whoever_starts() {
        for privilege in [Privilege::Root, Privilege::User] {
            let found = Found::LeftOver {
                pid: 7,
                socket: PathBuf::from("/run/x/7.sock"),
            };

            let remain = judged(found, privilege).unwrap().unwrap();

            assert_eq!(remain.key, 0x2a);
            assert!(matches!(remain.whose, Whose::LeftOver { pid: 7, .. }));
        }
    }

    #[test]
    fn object_of_another_account_gives_way_to_root_only() {
        let found = Found::OtherAccount { uid: 33 };

        let for_root = judged(found.clone(), Privilege::Root).unwrap().unwrap();
        let for_others = judged(found, Privilege::User).unwrap_err();

        assert_eq!(for_root.whose, Whose::OtherAccount { uid: 33 });
        assert!(
            for_others.starts_with(
                "shared memory object /crossroads.0000002a belongs to another account (uid 33)"
            ),
            "{for_others}"
        );
    }

    #[test]
    fn only_sockets_in_the_run_directory_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, file) = (directory.path().join("7.sock"), directory.path().join("f"));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        fs::write(&file, "").unwrap();

        assert!(is_left_over(&socket, directory.path()));
        assert!(!is_left_over(&socket, Path::new("/run/other")));
        assert!(!is_left_over(&file, directory.path()));
        assert!(!is_left_over(
            &directory.path().join("8.sock"),
            directory.path()
        ));
    }
}

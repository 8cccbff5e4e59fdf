//! The directory of the control sockets: where it is, and whether it is safe.
//!
//! What protects a socket is the directory around it: it belongs to the
//! caller and nobody else can enter it. A link in its place is refused, since
//! in a place like `/tmp` somebody else may have put it there.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The greatest length in bytes of a socket's path; the kernel's limit.
pub const MAX_SOCKET_PATH: usize = 107;

/// Where the control sockets of one account are.
///
/// Source: decided (2.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunDir {
    path: PathBuf,
    uid: u32,
}

/// Why a directory cannot hold control sockets.
#[derive(Debug, Error)]
pub enum RunDirError {
    /// It could not be made or looked at.
    #[error("cannot use directory {path}", path = path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something else, perhaps a link, has its name.
    #[error("{path} is not a directory", path = path.display())]
    NotADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to another account.
    #[error("directory {path} belongs to uid {owner}, not to uid {uid}", path = path.display())]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        uid: u32,
    },
    /// Others may enter it.
    #[error("directory {path} is open to others (mode {mode:04o}, should be 0700)", path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A socket in it would have too long a path.
    #[error("{path}: a socket path has at most {MAX_SOCKET_PATH} bytes", path = path.display())]
    PathTooLong {
        /// The path of the socket.
        path: PathBuf,
    },
}

impl RunDir {
    /// The directory for `uid`: `CROSSROADS_RUN_DIR`, else `/run/crossroads`
    /// for root, else `XDG_RUNTIME_DIR/crossroads`, else `/tmp/crossroads-UID`.
    /// A variable that is set to nothing counts as not set. A relative path
    /// counts from the working directory, and is made absolute: others find the
    /// socket by it from wherever they are.
    ///
    /// Source: decided (2.8).
    pub fn locate(env: impl Fn(&str) -> Option<OsString>, uid: u32) -> Self {
        let set = |name: &str| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let path = if let Some(named) = set("CROSSROADS_RUN_DIR") {
            named
        } else if uid == 0 {
            PathBuf::from("/run/crossroads")
        } else if let Some(session) = set("XDG_RUNTIME_DIR") {
            session.join("crossroads")
        } else {
            PathBuf::from(format!("/tmp/crossroads-{uid}"))
        };
        // Without a working directory the path is as good as it was.
        let path = std::path::absolute(&path).unwrap_or(path);
        Self { path, uid }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory if it is missing, closed to others, and checks it.
    /// Directories above it must be there.
    ///
    /// # Errors
    ///
    /// [`RunDirError`] if it cannot be made, or is not safe.
    pub fn ensure(&self) -> Result<(), RunDirError> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(RunDirError::Unusable {
                    path: self.path.clone(),
                    source,
                })
            }
            _ => self.check(),
        }
    }

    /// Checks that the directory is there, is the account's and is closed.
    ///
    /// # Errors
    ///
    /// [`RunDirError`] says what is wrong with it.
    pub fn check(&self) -> Result<(), RunDirError> {
        let path = || self.path.clone();
        let found: Metadata =
            fs::symlink_metadata(&self.path).map_err(|source| RunDirError::Unusable {
                path: path(),
                source,
            })?;
        if !found.is_dir() {
            return Err(RunDirError::NotADirectory { path: path() });
        }
        if found.uid() != self.uid {
            return Err(RunDirError::OtherOwner {
                path: path(),
                owner: found.uid(),
                uid: self.uid,
            });
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(RunDirError::Open { path: path(), mode });
        }
        Ok(())
    }

    /// The path of the control socket of process `pid`.
    ///
    /// # Errors
    ///
    /// [`RunDirError::PathTooLong`] above [`MAX_SOCKET_PATH`] bytes.
    pub fn socket_path(&self, pid: u32) -> Result<PathBuf, RunDirError> {
        let path = self.path.join(format!("{pid}.sock"));
        if path.as_os_str().as_bytes().len() > MAX_SOCKET_PATH {
            return Err(RunDirError::PathTooLong { path });
        }
        Ok(path)
    }

    /// The sockets that lie in the directory, with the process each is named
    /// after; none if the directory is missing or not safe.
    pub fn sockets(&self) -> Vec<(u32, PathBuf)> {
        if self.check().is_err() {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(&self.path) else {
            return Vec::new();
        };
        let mut sockets: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let pid = name.to_str()?.strip_suffix(".sock")?.parse().ok()?;
                Some((pid, entry.path()))
            })
            .collect();
        sockets.sort_unstable();
        sockets
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn located(variables: &[(&str, &str)], uid: u32) -> String {
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        RunDir::locate(find, uid).path().display().to_string()
    }

    fn at(path: PathBuf) -> RunDir {
        RunDir {
            path,
            uid: own_uid(),
        }
    }

    #[test]
    fn directory_is_found_in_the_order_of_the_table() {
        let both = [
            ("CROSSROADS_RUN_DIR", "/a/b"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
        ];

        assert_eq!(located(&both, 0), "/a/b");
        assert_eq!(located(&both, 7), "/a/b");
        assert_eq!(located(&both[1..], 0), "/run/crossroads");
        assert_eq!(located(&both[1..], 7), "/run/user/7/crossroads");
        assert_eq!(located(&[], 7), "/tmp/crossroads-7");
        assert_eq!(
            located(&[("CROSSROADS_RUN_DIR", "")], 7),
            "/tmp/crossroads-7"
        );
    }

    #[test]
    fn relative_directory_counts_from_where_the_program_was_called() {
        let here = std::env::current_dir().unwrap();

        let path = located(&[("CROSSROADS_RUN_DIR", "run")], 7);

        assert_eq!(path, here.join("run").display().to_string());
    }

    #[test]
    fn missing_directory_is_made_closed_to_others() {
        let around = tempfile::tempdir().unwrap();
        let dir = at(around.path().join("run"));
        assert!(matches!(dir.check(), Err(RunDirError::Unusable { .. })));

        dir.ensure().unwrap();
        dir.ensure().unwrap();

        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn directory_that_others_may_enter_is_refused() {
        let around = tempfile::tempdir().unwrap();
        let dir = at(around.path().to_owned());
        fs::set_permissions(dir.path(), Permissions::from_mode(0o710)).unwrap();

        let text = dir.ensure().unwrap_err().to_string();

        assert!(text.contains("is open to others (mode 0710"), "{text}");
    }

    #[test]
    fn directory_of_another_account_is_refused() {
        let around = tempfile::tempdir().unwrap();
        let dir = RunDir {
            path: around.path().to_owned(),
            uid: own_uid() + 1,
        };

        assert!(matches!(dir.ensure(), Err(RunDirError::OtherOwner { .. })));
    }

    #[test]
    fn link_and_file_are_no_directory() {
        let around = tempfile::tempdir().unwrap();
        symlink(around.path(), around.path().join("link")).unwrap();
        fs::write(around.path().join("file"), "").unwrap();

        for name in ["link", "file"] {
            let dir = at(around.path().join(name));
            assert!(
                matches!(dir.ensure(), Err(RunDirError::NotADirectory { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn socket_path_ends_at_the_limit_of_the_kernel() {
        let fits = at(PathBuf::from(format!(
            "/{}",
            "d".repeat(MAX_SOCKET_PATH - 8)
        )));

        assert_eq!(
            fits.socket_path(7).unwrap().as_os_str().len(),
            MAX_SOCKET_PATH
        );
        assert!(matches!(
            fits.socket_path(77),
            Err(RunDirError::PathTooLong { .. })
        ));
    }

    #[test]
    fn only_files_named_after_a_process_are_sockets() {
        let around = tempfile::tempdir().unwrap();
        let dir = at(around.path().join("run"));
        dir.ensure().unwrap();
        for name in ["20.sock", "3.sock", "mgr.pid", "x.sock", "4.sock.old"] {
            fs::write(dir.path().join(name), "").unwrap();
        }

        let pids: Vec<u32> = dir.sockets().into_iter().map(|(pid, _)| pid).collect();

        assert_eq!(pids, [3, 20]);
    }
}

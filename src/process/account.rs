//! The account that external programs run as (`useraccount`).

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use thiserror::Error;

/// Why no program can run as an account.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The system does not know it.
    #[error("the account '{name}' is not known to the system")]
    Unknown {
        /// The name as it was given.
        name: String,
    },
    /// Only root can become somebody else.
    #[error("cannot run programs as '{name}' without the rights of root")]
    NotPermitted {
        /// The name as it was given.
        name: String,
    },
    /// The system cannot look it up.
    #[error("cannot look up the account '{name}': {source}")]
    System {
        /// The name as it was given.
        name: String,
        /// What it says.
        source: io::Error,
    },
}

/// An account of the system, looked up once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    name: String,
    home: PathBuf,
    identity: Identity,
}

/// What a process has to become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Identity {
    /// The daemon runs as this account already.
    Own,
    /// Another one: user, group, supplementary groups.
    Other(Uid, Gid, Vec<Gid>),
}

impl Account {
    /// Looks up the account called `name`.
    ///
    /// # Errors
    ///
    /// [`AccountError`] when it does not exist or this process may not become
    /// it: whoever asked must not go on with the rights of the daemon.
    ///
    /// Source: decided (4.15, 11.4).
    pub fn look_up(name: &[u8]) -> Result<Self, AccountError> {
        let shown = || String::from_utf8_lossy(name).into_owned();
        let unknown = || AccountError::Unknown { name: shown() };
        let text = std::str::from_utf8(name).map_err(|_| unknown())?;
        let system = |errno: nix::Error| AccountError::System {
            name: shown(),
            source: errno.into(),
        };
        let user = User::from_name(text).map_err(system)?.ok_or_else(unknown)?;
        let identity = if user.uid == geteuid() {
            Identity::Own
        } else if geteuid().is_root() {
            let c_name = CString::new(name).map_err(|_| unknown())?;
            let groups = getgrouplist(&c_name, user.gid).map_err(system)?;
            Identity::Other(user.uid, user.gid, groups)
        } else {
            return Err(AccountError::NotPermitted { name: shown() });
        };
        Ok(Self {
            name: user.name,
            home: user.dir,
            identity,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_account_is_an_error() {
        let error = Account::look_up(b"no_such_account_here").unwrap_err();

        assert!(matches!(error, AccountError::Unknown { .. }), "{error}");
        assert!(Account::look_up(b"caf\xe9").is_err());
        assert!(Account::look_up(b"a\0b").is_err());
    }

    #[test]
    fn own_account_needs_no_rights() {
        let own = User::from_uid(geteuid()).unwrap().unwrap();

        let account = Account::look_up(own.name.as_bytes()).unwrap();

        assert_eq!(account.identity(), &Identity::Own);
        assert_eq!(account.home(), own.dir);
    }

    #[test]
    fn another_account_is_only_for_root() {
        if geteuid().is_root() {
            let account = Account::look_up(b"nobody").unwrap();
            assert!(matches!(account.identity(), Identity::Other(..)));
        } else {
            let error = Account::look_up(b"root").unwrap_err();
            assert!(matches!(error, AccountError::NotPermitted { .. }));
        }
    }
}

//! Where the configuration file is (2.7).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// The file that is read when no other one is found or named.
pub(super) const DEFAULT: &str = "/etc/crossroads.conf";

/// No file was named, and none of those looked for is there.
#[derive(Debug, Eq, Error, PartialEq)]
#[error("no configuration file; looked for {}", names(.looked_for))]
pub(super) struct Missing {
    /// The files looked for, in this order.
    pub(super) looked_for: Vec<PathBuf>,
}

fn names(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(" and ")
}

/// The configuration file: the one of `-c`, else the one of the place where
/// the program is installed, else the one in /etc.
///
/// A file named by `-c` is not looked at here; reading it says more.
///
/// # Errors
///
/// [`Missing`] names every file looked for.
///
/// Source: documented (manual page); resolved path of the program decided.
pub(super) fn configuration(named: Option<&Path>) -> Result<PathBuf, Missing> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let program = env::current_exe().ok();
    first_of(candidates(program.as_deref()), Path::exists)
}

/// The files looked for without `-c`, in this order.
pub(super) fn candidates(program: Option<&Path>) -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(prefix) = program.and_then(prefix) {
        candidates.push(prefix.join("etc/crossroads.conf"));
    }
    let default = PathBuf::from(DEFAULT);
    if !candidates.contains(&default) {
        candidates.push(default);
    }
    candidates
}

/// PREFIX of a program in `PREFIX/bin` or `PREFIX/sbin`.
fn prefix(program: &Path) -> Option<&Path> {
    let directory = program.parent()?;
    let name = directory.file_name()?;
    (name == OsStr::new("bin") || name == OsStr::new("sbin"))
        .then(|| directory.parent())
        .flatten()
}

fn first_of(
    candidates: Vec<PathBuf>,
    is_there: impl Fn(&Path) -> bool,
) -> Result<PathBuf, Missing> {
    match candidates.iter().find(|path| is_there(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(Missing {
            looked_for: candidates,
        }),
    }
}

/// The path as daemons are asked for it: absolute, without `.`, `..` and
/// double slashes, links not resolved.
///
/// # Errors
///
/// The system's, when the working directory is gone.
///
/// Source: decided (2.3).
pub(super) fn as_daemons_know(path: &Path) -> io::Result<String> {
    let absolute = if path.is_absolute() {
        path.to_owned()
    } else {
        env::current_dir()?.join(path)
    };
    Ok(tidied(&absolute).to_string_lossy().into_owned())
}

fn tidied(absolute: &Path) -> PathBuf {
    let mut tidy = PathBuf::from("/");
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::Normal(name) => tidy.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_for(program: &str) -> Vec<PathBuf> {
        candidates(Some(Path::new(program)))
    }

    #[test]
    fn prefix_comes_before_etc_for_bin_and_sbin_alike() {
        let expected = ["/opt/x/etc/crossroads.conf", DEFAULT].map(PathBuf::from);

        assert_eq!(looked_for("/opt/x/bin/crossroads"), expected);
        assert_eq!(looked_for("/opt/x/sbin/crossroads"), expected);
    }

    #[test]
    fn program_elsewhere_has_no_prefix() {
        assert_eq!(
            looked_for("/build/debug/crossroads"),
            [PathBuf::from(DEFAULT)]
        );
        assert_eq!(candidates(None), [PathBuf::from(DEFAULT)]);
        assert_eq!(looked_for("/bin/crossroads"), [PathBuf::from(DEFAULT)]);
    }

    #[test]
    fn named_file_is_taken_even_if_it_is_not_there() {
        let named = Path::new("/no/such/file");

        assert_eq!(configuration(Some(named)), Ok(named.to_owned()));
    }

    #[test]
    fn first_file_that_is_there_is_taken() {
        let files = looked_for("/opt/x/bin/crossroads");

        let both = first_of(files.clone(), |_| true);
        let only_etc = first_of(files, |path| path == Path::new(DEFAULT));

        assert_eq!(both, Ok(PathBuf::from("/opt/x/etc/crossroads.conf")));
        assert_eq!(only_etc, Ok(PathBuf::from(DEFAULT)));
    }

    #[test]
    fn missing_file_is_reported_with_every_place_looked_at() {
        let missing = first_of(looked_for("/opt/x/bin/crossroads"), |_| false).unwrap_err();

        assert_eq!(
            missing.to_string(),
            "no configuration file; looked for /opt/x/etc/crossroads.conf and /etc/crossroads.conf"
        );
    }

    #[test]
    fn paths_are_compared_without_dots_and_double_slashes() {
        for (path, tidy) in [
            ("/a/./b//c.conf", "/a/b/c.conf"),
            ("/a/b/../c.conf", "/a/c.conf"),
            ("/../c.conf", "/c.conf"),
            ("/", "/"),
        ] {
            assert_eq!(as_daemons_know(Path::new(path)).unwrap(), tidy);
        }
        let here = env::current_dir().unwrap().join("c.conf");
        assert_eq!(
            as_daemons_know(Path::new("./x/../c.conf")).unwrap(),
            here.to_string_lossy()
        );
    }
}

//! Puts a new text in the place of a file in one step, and keeps the old one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file was left as it was.
#[derive(Debug, Error)]
#[error("cannot {attempt} {}: {source}", .path.display())]
pub(super) struct ReplaceError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A file beside the old one; removed unless it took its place.
struct Beside {
    path: PathBuf,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After a rename nothing has this name any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Replaces the text of `path`: a new file beside it, with the same owner and
/// mode, is renamed over it. The old file stays as `FILE.bak`. Gives the path
/// of that backup.
///
/// A link is followed, so that the file it leads to is replaced, not the link.
///
/// # Errors
///
/// [`ReplaceError`]; the file then still has its old text.
///
/// Source: decided (2.3); the backup is an addition of ours.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<PathBuf, ReplaceError> {
    let failed = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| ReplaceError {
            attempt,
            path,
            source,
        }
    };
    let target = fs::canonicalize(path).map_err(failed("find", path))?;
    let fresh = Beside {
        path: with_suffix(&target, &format!(".new-{}", std::process::id())),
    };
    write_like(&target, &fresh.path, text).map_err(failed("write", &fresh.path))?;

    let backup = with_suffix(&target, ".bak");
    keep(&target, &backup).map_err(failed("keep a backup as", &backup))?;
    fs::rename(&fresh.path, &target).map_err(failed("replace", &target))?;
    Ok(backup)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes `text` to a new file that has owner and mode of `model`.
fn write_like(model: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let old = fs::metadata(model)?;
    // Closed to others until it has the right owner.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())?;
    file.write_all(text)?;
    file.sync_all()
}

/// Gives the old file a second name, so that the backup is the file itself with
/// owner, mode and times; copies it where the file system knows no links.
fn keep(target: &Path, backup: &Path) -> io::Result<()> {
    match fs::remove_file(backup) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if fs::hard_link(target, backup).is_ok() {
        return Ok(());
    }
    fs::copy(target, backup)?;
    File::open(backup)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names_in(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn file_gets_the_new_text_and_keeps_its_mode_and_a_backup() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.conf");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();

        let backup = replace(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&backup).unwrap(), b"old");
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&backup)), (0o640, 0o640));
        assert_eq!(names_in(directory.path()), ["c.conf", "c.conf.bak"]);
    }

    #[test]
    fn older_backup_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.conf");
        fs::write(&path, "second").unwrap();
        fs::write(directory.path().join("c.conf.bak"), "first").unwrap();

        let backup = replace(&path, b"third").unwrap();

        assert_eq!(fs::read(backup).unwrap(), b"second");
    }

    #[test]
    fn link_stays_a_link_and_its_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();

        replace(&link, b"new").unwrap();

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn failure_leaves_the_old_text_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.conf");
        fs::write(&path, "old").unwrap();
        // A directory in the place of the backup cannot be removed as a file.
        fs::create_dir(directory.path().join("c.conf.bak")).unwrap();

        let error = replace(&path, b"new").unwrap_err();

        assert!(error.to_string().starts_with("cannot keep a backup as "));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(directory.path()), ["c.conf", "c.conf.bak"]);
    }
}

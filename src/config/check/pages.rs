//! Pages of error replies: the files are read, and refused where they cannot
//! be the body of a reply.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::Subject;
use crate::config::Purpose;
use crate::config::diagnostic::Code;
use crate::config::draft::{ErrorFileDraft, ServiceDraft};
use crate::config::findings::{Finding, Findings};
use crate::config::listfile;
use crate::config::model::ErrorPage;
use crate::config::source::{self, quoted};

/// The greatest page, in bytes.
const MAX_PAGE: usize = 65_536;

/// What is accepted as a page.
const FORM: &str = "a regular file of 1 to 65536 bytes that holds the page and nothing else";

/// E44; gives the pages of the service. Where files are not looked at, and in a
/// `type any` service, which makes no replies, they are empty.
pub(super) fn check(
    service: &ServiceDraft,
    subject: &Subject<'_>,
    findings: &mut Findings,
) -> Vec<ErrorPage> {
    let look = subject.options.purpose != Purpose::Other && service.is_http();
    let files = service.error_files.iter();
    files
        .map(|file| ErrorPage {
            code: file.code,
            file: file.file.clone(),
            content_type: ErrorPage::content_type_of(&file.file),
            page: if look {
                looked_at(file, findings)
            } else {
                Arc::default()
            },
        })
        .collect()
}

/// The page, empty if it was refused.
fn looked_at(draft: &ErrorFileDraft, findings: &mut Findings) -> Arc<[u8]> {
    let path = listfile::path(&draft.file);
    match read(path) {
        Ok(page) => page,
        Err(error) => {
            let message = format!(
                "cannot take {} as the page for {}: {error}",
                quoted(&path.to_string_lossy()),
                draft.code
            );
            let finding = Finding::new(Code::E44, draft.argument, message);
            findings.push(finding.accepted(FORM.to_owned()));
            Arc::default()
        }
    }
}

/// Why a file gives no page, and what to do about it.
#[derive(Debug, Error)]
enum PageError {
    #[error("it does not exist; make it, or mend the name")]
    Missing,
    #[error(
        "it does not exist; make it, or mend the name, which counts from the working directory"
    )]
    MissingHere,
    #[error("{}; the account that starts the daemon must be able to read it", source::reason(.0))]
    Unreadable(#[source] io::Error),
    #[error("it is a directory; name a file in it")]
    Directory,
    #[error("it is not a regular file; copy the page into one")]
    NotRegular,
    #[error("it is empty; leave `errorfile` out for the built-in text")]
    Empty,
    #[error("it is larger than 65536 bytes; let the page refer to its pictures and styles")]
    TooLarge,
    #[error(
        "it begins with `HTTP/`; give the page only, the daemon makes the status line and the \
         headers"
    )]
    HasHead,
}

/// Reads a page; nothing is waited for.
fn read(path: &Path) -> Result<Arc<[u8]>, PageError> {
    let file = source::open_named(path).map_err(|error| refused(error, path))?;
    let kind = file.metadata().map_err(PageError::Unreadable)?.file_type();
    if kind.is_dir() {
        return Err(PageError::Directory);
    }
    if !kind.is_file() {
        return Err(PageError::NotRegular);
    }
    let mut page = Vec::new();
    let mut file = file.take(MAX_PAGE as u64 + 1);
    file.read_to_end(&mut page).map_err(PageError::Unreadable)?;
    match page.as_slice() {
        [] => Err(PageError::Empty),
        long if long.len() > MAX_PAGE => Err(PageError::TooLarge),
        reply if reply.starts_with(b"HTTP/") => Err(PageError::HasHead),
        _ => Ok(page.into()),
    }
}

fn refused(error: io::Error, path: &Path) -> PageError {
    match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => PageError::MissingHere,
        io::ErrorKind::NotFound => PageError::Missing,
        _ => PageError::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a file of these bytes gives: its page, or what is said of it.
    fn read_bytes(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("page");
        fs::write(&path, bytes).unwrap();
        let page = read(&path).map_err(|error| error.to_string())?;
        Ok(page.to_vec())
    }

    #[test]
    fn page_is_taken_as_it_is_up_to_64_kib() {
        for bytes in [&b"x"[..], b"\xE9\0\r\n", b"http/1.1", &[b'x'; 65_536]] {
            assert_eq!(read_bytes(bytes).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_no_page_is_refused_with_a_remedy() {
        for (bytes, told) in [
            (&b""[..], "it is empty; leave"),
            (&[b'x'; 65_537], "it is larger than 65536 bytes; let"),
            (
                b"HTTP/1.1 503 Sorry\r\n\r\nsorry",
                "it begins with `HTTP/`; give",
            ),
        ] {
            let error = read_bytes(bytes).unwrap_err();

            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let gone = directory.path().join("gone");
        let below = gone.join("page");
        fs::write(&gone, "a file").unwrap();
        for (path, told) in [
            (fifo.as_path(), "it is not a regular file;"),
            (Path::new("/dev/zero"), "it is not a regular file;"),
            (directory.path(), "it is a directory;"),
            (Path::new("/no/such/page"), "it does not exist"),
            (
                Path::new("no such page"),
                "it does not exist; make it, or mend the name, which",
            ),
            (&below, "not a directory; the account"),
        ] {
            let error = read(path).unwrap_err().to_string();

            assert!(error.starts_with(told), "{error}");
        }
    }
}

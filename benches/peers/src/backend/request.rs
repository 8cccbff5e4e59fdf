//! What is asked of the back end.

use std::io;

/// The longest head that is accepted.
const HEAD_LIMIT: usize = 32 * 1024;
const HEADERS: usize = 64;

/// Whether the connection lives on after the exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Kept,
    Closed,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// A small reply, after the request's body.
    Small,
    /// That many bytes of body, at once.
    Bulk(u64),
    /// Something that is not here.
    Unknown,
}

/// The head of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Request {
    /// Bytes of the head.
    pub(super) head: usize,
    /// Bytes of the body that follows.
    pub(super) body: u64,
    pub(super) wish: Wish,
    pub(super) ending: Ending,
}

/// The request at the head of `bytes`, or none if its head is not complete.
///
/// # Errors
///
/// `InvalidData` for what is no HTTP, for a head of more than 32 KiB and for a
/// chunked body.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_LIMIT => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(invalid("the head is too long")),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let mut body = 0;
    let mut ending = match request.version {
        Some(0) => Ending::Closed,
        _ => Ending::Kept,
    };
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = number(header.value).ok_or_else(|| invalid("no number in content-length"))?;
        } else if header.name.eq_ignore_ascii_case("connection") {
            ending = ending_of(header.value).unwrap_or(ending);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(invalid("chunked bodies are not known here"));
        }
    }
    Ok(Some(Request {
        head,
        body,
        wish: wish(request.path.unwrap_or_default()),
        ending,
    }))
}

fn wish(path: &str) -> Wish {
    if path == "/small" || path == "/upload" {
        return Wish::Small;
    }
    ["/bulk/", "/both/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .and_then(|bytes| bytes.parse().ok())
        .map_or(Wish::Unknown, Wish::Bulk)
}

fn ending_of(value: &[u8]) -> Option<Ending> {
    if value.eq_ignore_ascii_case(b"close") {
        Some(Ending::Closed)
    } else if value.eq_ignore_ascii_case(b"keep-alive") {
        Some(Ending::Kept)
    } else {
        None
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Request {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn small_request_keeps_the_connection() {
        let request = parsed("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");

        assert_eq!(request.wish, Wish::Small);
        assert_eq!(request.ending, Ending::Kept);
        assert_eq!(request.body, 0);
        assert_eq!(request.head, 32);
    }

    #[test]
    fn wish_to_close_is_heard() {
        let request = parsed("GET /small HTTP/1.1\r\nconnection: Close\r\n\r\n");

        assert_eq!(request.ending, Ending::Closed);
    }

    #[test]
    fn old_version_closes_unless_it_says_otherwise() {
        let plain = parsed("GET /small HTTP/1.0\r\n\r\n");
        let kept = parsed("GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

        assert_eq!(plain.ending, Ending::Closed);
        assert_eq!(kept.ending, Ending::Kept);
    }

    #[test]
    fn sizes_are_taken_from_path_and_header() {
        let text = "PUT /both/70000 HTTP/1.1\r\nContent-Length: 12\r\n\r\nabc";

        let request = parsed(text);

        assert_eq!(request.wish, Wish::Bulk(70_000));
        assert_eq!(request.body, 12);
        assert_eq!(request.head, text.len() - "abc".len());
    }

    #[test]
    fn path_without_number_is_unknown() {
        assert_eq!(wish("/bulk/many"), Wish::Unknown);
        assert_eq!(wish("/"), Wish::Unknown);
    }

    #[test]
    fn half_a_head_is_waited_for() {
        assert_eq!(parse(b"GET /small HTTP/1.1\r\nHo").unwrap(), None);
    }

    #[test]
    fn endless_head_is_refused() {
        let mut head = b"GET /small HTTP/1.1\r\nCookie: ".to_vec();
        head.resize(HEAD_LIMIT + 1, b'a');

        let error = parse(&head).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn chunked_body_is_refused() {
        let error = parse(b"PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");

        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

//! Replies of the daemon's own (section 9.10).

use std::io::Write;
use std::sync::Arc;

/// A page of the operator's own for one code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The status that it goes with.
    pub code: u16,
    /// What its `Content-Type` says.
    pub content_type: &'static str,
    /// The page.
    pub body: Arc<[u8]>,
}

/// An answer to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer<'a> {
    /// Its status, one of those in [`reason`].
    pub code: u16,
    /// What is sent instead of the short text.
    pub page: Option<&'a Page>,
    /// What `Retry-After` says with 503, in seconds.
    pub retry_after: u64,
    /// Whether the body is left out (HEAD).
    pub head_only: bool,
}

impl Answer<'_> {
    /// Writes the answer to the end of `out`.
    ///
    /// Source: decided (9.10).
    pub fn write(&self, out: &mut Vec<u8>) {
        let (code, reason) = (self.code, reason(self.code));
        let text = format!("{code} {reason}\n");
        let (content_type, body) = match self.page {
            Some(page) => (page.content_type, &page.body[..]),
            None => ("text/plain", text.as_bytes()),
        };
        let length = body.len();
        // Writing to a vector does not fail.
        let _ = write!(
            out,
            "HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\nCache-Control: no-store\r\n"
        );
        if code == 503 {
            let _ = write!(out, "Retry-After: {}\r\n", self.retry_after);
        }
        out.extend_from_slice(b"Connection: close\r\n\r\n");
        if !self.head_only {
            out.extend_from_slice(body);
        }
    }
}

/// The reason phrase of a code that the daemon answers with.
pub fn reason(code: u16) -> &'static str {
    match code {
        400 => "Bad Request",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: Answer<'_>) -> String {
        let mut out = Vec::new();
        answer.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn service_unavailable_says_when_to_come_again() {
        let answer = Answer {
            code: 503,
            page: None,
            retry_after: 30,
            head_only: false,
        };
        assert_eq!(
            text(answer),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
             Content-Length: 24\r\nCache-Control: no-store\r\nRetry-After: 30\r\n\
             Connection: close\r\n\r\n503 Service Unavailable\n"
        );
    }

    #[test]
    fn head_gets_the_length_of_a_page_without_the_page() {
        let page = Page {
            code: 400,
            content_type: "text/html",
            body: Arc::from(&b"<p>no</p>"[..]),
        };
        let answer = Answer {
            code: 400,
            page: Some(&page),
            retry_after: 30,
            head_only: true,
        };
        assert_eq!(
            text(answer),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
    }
}

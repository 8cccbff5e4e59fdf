//! What the fields of a head say together.

use crate::relay::http1::head::{Fault, Framing, Known, Method, Reply, Request, Version, host};

/// What was found in the fields of one head.
#[derive(Debug, Default)]
pub(super) struct Facts {
    length: Option<u64>,
    has_host: bool,
    /// Only a request is at fault because of its `Host`.
    host_fault: Option<Fault>,
    is_chunked: bool,
    has_upgrade: bool,
    has_private_credentials: bool,
    has_private_challenge: bool,
    connection: Option<Options>,
    proxy_connection: Option<Options>,
}

/// `Connection` options that matter.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Known {
    /// Which field has that name.
    pub(in crate::relay::http1) fn of(name: &[u8]) -> Self {
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let (full, known): (&[u8], Self) = match (name.len(), first) {
            (2, b't') => (b"te", Self::Te),
            (4, b'h') => (b"host", Self::Host),
            (6, b'c') => (b"cookie", Self::Cookie),
            (7, b'u') => (b"upgrade", Self::Upgrade),
            (10, b'c') => (b"connection", Self::Connection),
            (10, b'k') => (b"keep-alive", Self::KeepAlive),
            (13, b'a') => (b"authorization", Self::Credentials),
            (14, b'c') => (b"content-length", Self::ContentLength),
            (16, b'p') => (b"proxy-connection", Self::ProxyConnection),
            (16, b'w') => (b"www-authenticate", Self::Challenge),
            (17, b't') => (b"transfer-encoding", Self::TransferEncoding),
            (18, b'p') => (b"proxy-authenticate", Self::Challenge),
            (19, b'p') => (b"proxy-authorization", Self::Credentials),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(full) {
            known
        } else {
            Self::Other
        }
    }
}

impl Facts {
    /// Notes one more field.
    pub(super) fn note(&mut self, known: Known, value: &[u8]) -> Result<(), Fault> {
        match known {
            Known::Host => self.note_host(value),
            Known::ContentLength => self.note_length(value)?,
            Known::TransferEncoding => self.note_coding(value)?,
            Known::Connection => self.connection.get_or_insert_default().note(value),
            Known::ProxyConnection => self.proxy_connection.get_or_insert_default().note(value),
            Known::Upgrade => self.has_upgrade = true,
            Known::Credentials => {
                self.has_private_credentials |= begins_with_private_scheme(value);
            }
            Known::Challenge => self.has_private_challenge |= has_private_challenge(value),
            Known::Other | Known::Cookie | Known::KeepAlive | Known::Te => {}
        }
        Ok(())
    }

    fn note_host(&mut self, value: &[u8]) {
        if self.has_host {
            self.host_fault = Some(Fault::bad("two Host fields"));
        } else if !host::is_host(value) {
            self.host_fault = Some(Fault::bad("invalid Host"));
        }
        self.has_host = true;
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() {
            return Err(Fault::bad("two Content-Length fields"));
        }
        let length = plain_number(value).ok_or(Fault::bad("invalid Content-Length"))?;
        self.length = Some(length);
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.is_chunked {
            return Err(Fault::bad("two Transfer-Encoding fields"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::bad("Transfer-Encoding other than chunked"));
        }
        self.is_chunked = true;
        Ok(())
    }

    /// What they say in a request.
    pub(super) fn request(&self, method: Method, version: Version) -> Result<Request, Fault> {
        let framing = self.framing(version)?;
        if let Some(fault) = self.host_fault {
            return Err(fault);
        }
        if version == Version::Http11 && !self.has_host {
            return Err(Fault::bad("no Host"));
        }
        if method == Method::Connect && framing.is_some() {
            return Err(Fault::bad("CONNECT with a body"));
        }
        let options = self.connection.unwrap_or_default();
        Ok(Request {
            method,
            version,
            body: framing.unwrap_or(Framing::Empty),
            persistent: self.is_persistent(version),
            upgrade: version == Version::Http11 && self.has_upgrade && options.upgrade,
            private: self.has_private_credentials,
        })
    }

    /// What they say in a reply to a request of that method.
    pub(super) fn reply(
        &self,
        code: u16,
        version: Version,
        method: Method,
    ) -> Result<Reply, Fault> {
        let framing = self.framing(version)?;
        if self.is_chunked && matches!(code, 100..=199 | 204) {
            return Err(Fault::bad("Transfer-Encoding in a reply without a body"));
        }
        let is_bodiless = match code {
            100..=199 | 204 | 304 => true,
            200..=299 if method == Method::Connect => true,
            _ => method == Method::Head,
        };
        let body = match framing {
            _ if is_bodiless => Framing::Empty,
            Some(framing) => framing,
            None => Framing::UntilClose,
        };
        Ok(Reply {
            code,
            version,
            body,
            persistent: self.is_persistent(version) && body != Framing::UntilClose,
            private: self.has_private_challenge,
        })
    }

    /// The body that the fields announce, if they do.
    fn framing(&self, version: Version) -> Result<Option<Framing>, Fault> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Fault::bad("Transfer-Encoding and Content-Length")),
            (true, None) if version == Version::Http10 => {
                Err(Fault::bad("Transfer-Encoding in HTTP/1.0"))
            }
            (true, None) => Ok(Some(Framing::Chunked)),
            (false, Some(0)) => Ok(Some(Framing::Empty)),
            (false, Some(length)) => Ok(Some(Framing::Length(length))),
            (false, None) => Ok(None),
        }
    }

    fn is_persistent(&self, version: Version) -> bool {
        let options = self.connection.or(self.proxy_connection);
        let options = options.unwrap_or_default();
        !options.close && (version == Version::Http11 || options.keep_alive)
    }
}

impl Options {
    fn note(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// Digits and nothing else, at most 2^63 - 1.
fn plain_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        let next = number.checked_mul(10)?.checked_add(digit)?;
        (next <= i64::MAX as u64).then_some(next)
    })
}

/// Whether credentials or a challenge are of a scheme that vouches for a
/// connection instead of a request.
fn begins_with_private_scheme(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let scheme = &text[..end.unwrap_or(text.len())];
    scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
}

/// Whether one challenge of a list has such a scheme. A comma within quotes
/// parts nothing.
fn has_private_challenge(value: &[u8]) -> bool {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let parts = value.split(|byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        *byte == b',' && !is_quoted
    });
    let found = parts
        .map(<[u8]>::trim_ascii)
        .any(begins_with_private_scheme);
    // Quotes that do not end may hide a challenge.
    found || is_quoted
}

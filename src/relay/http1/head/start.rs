//! Start lines: what the parser of heads leaves open.

use crate::relay::http1::head::host;
use crate::relay::http1::head::{Fault, FaultKind, Method};

/// Empty lines that may come before a request line.
const MOST_EMPTY_LINES: usize = 4;

/// Where a request line begins; `None` if `input` has nothing but empty lines.
pub(super) fn behind_empty_lines(input: &[u8]) -> Result<Option<usize>, Fault> {
    let mut start = 0;
    let mut lines = 0;
    loop {
        start += match &input[start..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(Fault::bad("bare CR")),
            _ => return Ok(Some(start)),
        };
        lines += 1;
        if lines > MOST_EMPTY_LINES {
            return Err(Fault::bad("too many empty lines before a request line"));
        }
    }
}

/// What of a method matters.
pub(super) fn method(name: &str) -> Method {
    match name {
        "GET" | "OPTIONS" | "TRACE" => Method::Safe,
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        _ => Method::Other,
    }
}

/// Refuses a target that has none of the four forms (RFC 9112 section 3.2), or
/// not the one that its method needs.
pub(super) fn check_target(method: &str, target: &str) -> Result<(), Fault> {
    let bytes = target.as_bytes();
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(Fault::bad("target is not printable ASCII"));
    }
    if memchr::memchr(b'#', bytes).is_some() {
        return Err(Fault::bad("fragment in a target"));
    }
    let is_good = match method {
        "CONNECT" => host::is_host_with_port(bytes),
        "OPTIONS" if target == "*" => true,
        _ => bytes.starts_with(b"/") || is_absolute(target),
    };
    if is_good {
        return Ok(());
    }
    Err(Fault::bad("target of no known form"))
}

/// `scheme://...`; where the scheme is one of HTTP, a host follows, and nobody's
/// name before it (RFC 9110 section 4.2.4).
fn is_absolute(target: &str) -> bool {
    let Some((scheme, rest)) = target.split_once("://") else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return false;
    }
    if is_web(scheme) {
        let authority = authority_in(rest);
        return !authority.is_empty() && host::is_host(authority);
    }
    !rest.is_empty()
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// What stands between `//` and the path.
fn authority_in(rest: &str) -> &[u8] {
    rest.split(['/', '?']).next().unwrap_or("").as_bytes()
}

/// Refuses a `Host` that names another one than the target does, where that
/// names one: servers differ in which they believe (RFC 9112 sections 3.2.2 and
/// 3.2.3). `target` is of a good form.
pub(super) fn check_host(method: &str, target: &str, value: &[u8]) -> Result<(), Fault> {
    let agrees = if method == "CONNECT" {
        let port = target.rsplit(':').next().unwrap_or("");
        host::are_same(target.as_bytes(), value, port.as_bytes())
    } else if target.starts_with('/') {
        true
    } else {
        match target.split_once("://") {
            Some((scheme, rest)) if is_web(scheme) => {
                let default: &[u8] = match scheme.len() {
                    4 => b"80",
                    _ => b"443",
                };
                host::are_same(authority_in(rest), value, default)
            }
            _ => true,
        }
    };
    if agrees {
        return Ok(());
    }
    Err(Fault::bad("Host other than that of the target"))
}

/// What follows the blank behind `target`, which is a part of `bytes`.
pub(super) fn behind<'a>(bytes: &'a [u8], target: &str) -> &'a [u8] {
    let end = target.as_bytes().as_ptr_range().end.addr() - bytes.as_ptr().addr();
    &bytes[end + 1..]
}

/// Refuses a version that is neither HTTP/1.0 nor HTTP/1.1, as soon as `text`
/// says which fault it is; `ends`: the bytes that may follow a version, where CR
/// must be followed by LF.
pub(super) fn check_version(text: &[u8], ends: &[u8]) -> Result<(), Fault> {
    const FORM: &[u8] = b"HTTP/0.0";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    let malformed = Err(Fault::bad("malformed version"));
    if !text.iter().zip(FORM).all(fits) {
        return malformed;
    }
    match text.get(FORM.len()..) {
        None | Some([] | [b'\r']) => Ok(()),
        Some([b'\r', next, ..]) if ends.contains(&b'\r') && *next != b'\n' => malformed,
        Some([end, ..]) if !ends.contains(end) => malformed,
        Some(_) => Err(Fault {
            kind: FaultKind::Version,
            what: "version is neither HTTP/1.0 nor HTTP/1.1",
        }),
    }
}

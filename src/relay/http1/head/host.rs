//! Hosts, as `Host` fields and targets name them.

use std::net::Ipv6Addr;

/// A host name, an IPv4 address or an IPv6 address in brackets, each with or
/// without `:PORT`; or nothing.
///
/// Source: decided (9.3).
pub(super) fn is_host(value: &[u8]) -> bool {
    if value.is_empty() {
        return true;
    }
    match split(value) {
        Some((_, [])) => true,
        Some((_, port)) => is_port(port),
        None => false,
    }
}

/// The same, but `:PORT` must be there.
pub(super) fn is_host_with_port(value: &[u8]) -> bool {
    split(value).is_some_and(|(_, port)| is_port(port))
}

/// Whether two valid hosts are the same; one without a port has `default`.
pub(super) fn are_same(one: &[u8], other: &[u8], default: &[u8]) -> bool {
    let (Some((name, port)), Some((other_name, other_port))) = (split(one), split(other)) else {
        return false;
    };
    name.eq_ignore_ascii_case(other_name) && number(port, default) == number(other_port, default)
}

/// The digits of `:PORT` without zeros before them.
fn number<'a>(port: &'a [u8], default: &'a [u8]) -> &'a [u8] {
    let digits = port.strip_prefix(b":").unwrap_or(default);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// A valid host, and what follows it.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    if value.first() == Some(&b'[') {
        let end = memchr::memchr(b']', value)?;
        let address = std::str::from_utf8(&value[1..end]).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        return Some(value.split_at(end + 1));
    }
    let end = memchr::memchr(b':', value).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    is_name(name).then_some((name, rest))
}

/// Labels of letters, digits, `-` and `_`, a dot between them; one at the end is
/// that of the root.
fn is_name(name: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in name {
        let is_good = match byte {
            b'.' => before != b'.',
            _ => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
        };
        if !is_good {
            return false;
        }
        before = byte;
    }
    !name.is_empty()
}

/// `:` and a number from 0 to 65535.
fn is_port(text: &[u8]) -> bool {
    let [b':', digits @ ..] = text else {
        return false;
    };
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let next = number * 10 + u32::from(digit.wrapping_sub(b'0'));
        (digit.is_ascii_digit() && next <= 65_535).then_some(next)
    });
    number.is_some() && !digits.is_empty()
}

//! Fields that belong to one connection.

use crate::relay::http1::head::Known;
use crate::relay::http1::rewrite::Edit;
use crate::relay::http1::rewrite::lines::{Lines, usize_range};
use crate::relay::http1::syntax::is_token;

/// Beginnings and names of fields that no option takes out, besides those that
/// are [`Known`].
const KEPT_BEGINNING: &[u8] = b"content-";
const KEPT: [&[u8]; 6] = [
    b"cache-control",
    b"close",
    b"date",
    b"expires",
    b"set-cookie",
    b"trailer",
];

/// Takes out what belongs to the connection that the head came over.
pub(super) fn take_out(lines: &mut Lines<'_>, upgrade: bool) {
    lines.retain(|known| match known {
        Known::Connection | Known::ProxyConnection | Known::KeepAlive | Known::Te => false,
        Known::Upgrade => upgrade,
        _ => true,
    });
    let lists = lines
        .received()
        .filter(|(known, _)| *known == Known::Connection);
    let named = lists
        .flat_map(|(_, value)| options(value))
        .filter(|option| !is_kept(option));
    lines.take_out(named);
}

/// Takes out of `Connection` and `Proxy-Connection` what names a field that an
/// edit touches. Must come before the edits: an option of theirs is their own.
pub(super) fn guard(lines: &mut Lines<'_>, edits: &[Edit]) {
    let mut index = 0;
    while index < lines.len() {
        let value = lines.options(index).unwrap_or_default();
        let all = options(value).count();
        let kept = options(value)
            .filter(|option| !is_touched(lines.text(), edits, option))
            .count();
        if kept == 0 && all > 0 {
            lines.remove(index);
            continue;
        }
        if kept < all {
            let keeps = |text: &[u8], option: &[u8]| !is_touched(text, edits, option);
            lines.replace(index, options(value), keeps);
        }
        index += 1;
    }
}

/// The options of a list; empty ones mean nothing.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

/// Whether an option names a field that an edit touches. What may follow the
/// token is ignored, as a careless reader would.
fn is_touched(text: &[u8], edits: &[Edit], option: &[u8]) -> bool {
    let end = option.iter().position(|byte| !is_token(*byte));
    let token = &option[..end.unwrap_or(option.len())];
    edits
        .iter()
        .any(|edit| text[usize_range(&edit.name)].eq_ignore_ascii_case(token))
}

/// Whether fields of that name stay although an option names them, or have gone
/// or stayed without one.
fn is_kept(name: &[u8]) -> bool {
    let begins_like_kept = name
        .get(..KEPT_BEGINNING.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(KEPT_BEGINNING));
    Known::of(name) != Known::Other
        || begins_like_kept
        || KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

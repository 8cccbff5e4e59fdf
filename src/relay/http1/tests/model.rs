//! The same things done slowly and plainly, to compare with.

use crate::relay::http1::rewrite::{Hops, Persistence};

/// A directive: action, name, value.
pub(super) type Directive = (&'static str, &'static str, &'static str);

/// Name, value, and how the line is written.
type Line = (String, String, String);

/// Rewrites a request head of plain ASCII.
pub(super) fn rewritten(head: &str, edits: &[Directive], hops: Hops, guard: bool) -> String {
    let text = head.trim_start_matches(['\r', '\n']).replace('\r', "");
    let mut all = text.split('\n');
    let start = all.next().unwrap();
    let mut lines: Vec<Line> = all.filter(|line| !line.is_empty()).map(line).collect();
    if let Hops::Managed { upgrade, .. } = hops {
        lines = end_to_end(lines, upgrade);
    } else if guard {
        lines = lines
            .into_iter()
            .filter_map(|line| guarded(line, edits))
            .collect();
    }
    for edit in edits {
        apply(&mut lines, edit);
    }
    let mut out = format!("{start}\r\n");
    for (_, _, line) in lines {
        out.push_str(&format!("{line}\r\n"));
    }
    out + &own(hops) + "\r\n"
}

fn line(text: &str) -> Line {
    let (name, value) = text.split_once(':').unwrap();
    (
        name.to_lowercase(),
        value.trim_matches([' ', '\t']).to_owned(),
        text.to_owned(),
    )
}

fn options(value: &str) -> Vec<String> {
    let parts = value.split(',').map(|part| part.trim_matches([' ', '\t']));
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn end_to_end(lines: Vec<Line>, upgrade: bool) -> Vec<Line> {
    let of_connection = [
        "connection",
        "proxy-connection",
        "keep-alive",
        "te",
        "upgrade",
    ];
    let protected = [
        "authorization",
        "cache-control",
        "cookie",
        "date",
        "expires",
        "host",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "trailer",
        "transfer-encoding",
        "www-authenticate",
    ];
    let named: Vec<String> = lines
        .iter()
        .filter(|line| line.0 == "connection")
        .flat_map(|line| options(&line.1.to_lowercase()))
        .collect();
    let goes = |name: &String| {
        let is_protected = protected.contains(&name.as_str()) || name.starts_with("content-");
        let stays = name == "upgrade" && upgrade;
        !stays && (of_connection.contains(&name.as_str()) || named.contains(name) && !is_protected)
    };
    lines.into_iter().filter(|line| !goes(&line.0)).collect()
}

fn guarded(line: Line, edits: &[Directive]) -> Option<Line> {
    if line.0 != "connection" && line.0 != "proxy-connection" {
        return Some(line);
    }
    let all = options(&line.1);
    let is_touched = |option: &str| edits.iter().any(|edit| edit.1.eq_ignore_ascii_case(option));
    let kept: Vec<String> = all
        .iter()
        .filter(|option| !is_touched(option))
        .cloned()
        .collect();
    if kept.len() == all.len() {
        return Some(line);
    }
    if kept.is_empty() {
        return None;
    }
    let (name, _) = line.2.split_once(':')?;
    let value = kept.join(", ");
    Some((line.0, value.clone(), format!("{name}: {value}")))
}

fn apply(lines: &mut Vec<Line>, (action, name, value): &Directive) {
    let value = value.trim();
    let new = line(&format!("{name}: {value}"));
    let places: Vec<usize> = (0..lines.len())
        .filter(|place| lines[*place].0 == new.0)
        .collect();
    match (*action, places.as_slice()) {
        ("append", [.., last]) => {
            let (_, old, text) = lines[*last].clone();
            let blank = if text.ends_with(':') { " " } else { "" };
            let kept = if old.is_empty() {
                text.as_str()
            } else {
                text.trim_end_matches([' ', '\t'])
            };
            let joint = if old.is_empty() { blank } else { "; " };
            lines[*last] = line(&format!("{kept}{joint}{value}"));
        }
        ("set", [first, others @ ..]) => {
            lines[*first] = new;
            for place in others.iter().rev() {
                lines.remove(*place);
            }
        }
        _ => lines.push(new),
    }
}

fn own(hops: Hops) -> String {
    let Hops::Managed {
        connection,
        upgrade,
    } = hops
    else {
        return String::new();
    };
    let mut options = Vec::new();
    match connection {
        Some(Persistence::Close) => options.push("close"),
        Some(Persistence::KeepAlive) => options.push("keep-alive"),
        None => {}
    }
    if upgrade {
        options.push("upgrade");
    }
    if options.is_empty() {
        return String::new();
    }
    format!("Connection: {}\r\n", options.join(", "))
}

/// Where a chunked body ends: the length of the body, or whether it goes on. Of
/// limits, it knows none but those of a size.
pub(super) fn chunked_end(input: &[u8]) -> Result<Option<usize>, ()> {
    let mut place = 0;
    loop {
        let Some((size_line, next)) = line_at(input, place)? else {
            let (line, goes_on) = unended(&input[place..]);
            return size(line, goes_on).map(|_| None);
        };
        let size = size(size_line, false)?;
        if size == 0 {
            return trailers_end(input, next);
        }
        let rest = (input.len() - next) as u64;
        if rest < size {
            return Ok(None);
        }
        let end = next + usize::try_from(size).unwrap();
        match &input[end..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => place = end + 2,
            _ => return Err(()),
        }
    }
}

fn trailers_end(input: &[u8], mut place: usize) -> Result<Option<usize>, ()> {
    loop {
        let Some((line, next)) = line_at(input, place)? else {
            return match unended(&input[place..]) {
                ([], _) => Ok(None),
                (line, goes_on) => trailer(line, goes_on).map(|()| None),
            };
        };
        if line.is_empty() {
            return Ok(Some(next));
        }
        trailer(line, false)?;
        place = next;
    }
}

/// The line at `place`, without its end, and where the next one begins.
fn line_at(input: &[u8], place: usize) -> Result<Option<(&[u8], usize)>, ()> {
    let rest = &input[place..];
    let Some(length) = rest.iter().position(|byte| b"\r\n".contains(byte)) else {
        return Ok(None);
    };
    match &rest[length..] {
        [b'\r', b'\n', ..] => Ok(Some((&rest[..length], place + length + 2))),
        [b'\r'] => Ok(None),
        _ => Err(()),
    }
}

/// A line without LF, and whether more of it may come.
fn unended(rest: &[u8]) -> (&[u8], bool) {
    rest.strip_suffix(b"\r")
        .map_or((rest, true), |line| (line, false))
}

fn size(line: &[u8], goes_on: bool) -> Result<u64, ()> {
    let text = std::str::from_utf8(line).map_err(drop)?;
    let (digits, extension) = text.split_once(';').unwrap_or((text, ""));
    if goes_on && text.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || !is_value(extension) {
        return Err(());
    }
    i64::from_str_radix(digits, 16)
        .map(|size| size as u64)
        .map_err(drop)
}

fn trailer(line: &[u8], goes_on: bool) -> Result<(), ()> {
    let text = std::str::from_utf8(line).map_err(drop)?;
    let (name, value) = match text.split_once(':') {
        Some(parts) => parts,
        None if goes_on => (text, ""),
        None => return Err(()),
    };
    let is_token = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let is_framing = ["content-length", "transfer-encoding"]
        .contains(&name.to_lowercase().as_str())
        && text.contains(':');
    if !is_token || is_framing || !is_value(value) || (name.is_empty() && !text.is_empty()) {
        return Err(());
    }
    Ok(())
}

fn is_value(text: &str) -> bool {
    text.chars()
        .all(|letter| letter == '\t' || !letter.is_ascii_control())
}

//! Damage that is done to messages, most of it where framing is decided.

use super::generate::Dice;

/// Bytes that mean something somewhere.
const BYTES: &[u8] = b"\r\n\0 \t:;,0\x0b\x7f\xffaF/\"\\=+-";

/// Lines that contradict others, or that careless readers understand.
const LINES: &[&str] = &[
    "Content-Length: 5",
    "Content-Length: 0",
    "content-length:5 ",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Content-Length: 05",
    "Content-Length: 0x5",
    "Content-Length: 18446744073709551621",
    "Content-Length : 5",
    "Content-Length\t: 5",
    "Content-Length:\x0b5",
    "Content-Length:",
    " Content-Length: 5",
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\0: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\n\nGET /smuggled HTTP/1.1",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding;: chunked",
    "Transfer-Encoding",
    ": chunked",
    "",
    "\r",
    "Host: b.test",
    "Host: a b",
    "Connection: close",
    "Connection: transfer-encoding, content-length, host",
    "0",
    "5",
    "GET /smuggled HTTP/1.1\r\nHost: a\r\n",
    "GET /smuggled HTTP/1.0\r\n",
    "HTTP/1.1 200 OK",
];

/// Damages `bytes` in one to three places.
pub(super) fn damage(mut bytes: Vec<u8>, dice: &mut Dice<'_>) -> Vec<u8> {
    for _ in 0..=dice.below(3) {
        match dice.below(9) {
            0 | 1 => put_line(&mut bytes, dice),
            2 => change_line_end(&mut bytes, dice),
            3 => change_bytes(&mut bytes, dice),
            4 => change_size(&mut bytes, dice),
            5 => repeat_line(&mut bytes, dice),
            6 => change_case(&mut bytes, dice),
            7 => change_version(&mut bytes, dice),
            _ => bytes.truncate(dice.below(bytes.len() + 1)),
        }
    }
    bytes
}

/// Where lines begin, near the beginning of a message rather than in a body.
fn line(bytes: &[u8], dice: &mut Dice<'_>) -> usize {
    let ends = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
    let starts: Vec<usize> = ends.map(|at| at + 1).collect();
    match starts.is_empty() {
        true => 0,
        false => *dice.pick(&starts),
    }
}

fn put_line(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let at = line(bytes, dice);
    let text = [dice.pick(LINES), "\r\n"].concat();
    bytes.splice(at..at, text.bytes());
}

fn change_line_end(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let at = line(bytes, dice);
    let start = at - if bytes[..at].ends_with(b"\r\n") { 2 } else { 0 };
    let end = *dice.pick(&[
        "\n", "\r", "", "\n\r", "\r\r\n", " \r\n", "\r\n ", "\r\n\r\n", ";\n",
    ]);
    bytes.splice(start..at, end.bytes());
}

fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.below(3)).min(bytes.len());
    let new = &[*dice.pick(BYTES), *dice.pick(BYTES)][..dice.below(3)];
    bytes.splice(at..end, new.iter().copied());
}

/// Changes a number: a length, or the size of a chunk.
fn change_size(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let is_start = |at: &usize| {
        bytes[*at].is_ascii_hexdigit() && (*at == 0 || b"\n ".contains(&bytes[at - 1]))
    };
    let starts: Vec<usize> = (0..bytes.len()).filter(is_start).collect();
    if starts.is_empty() {
        return;
    }
    let at = *dice.pick(&starts);
    let digits = bytes[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit());
    let end = at + digits.count();
    let text = String::from_utf8_lossy(&bytes[at..end]).into_owned();
    let new = match dice.below(10) {
        0 => format!("0x{text}"),
        1 => format!("+{text}"),
        2 => format!("{}{text}", "0".repeat(17)),
        3 => format!("{text} "),
        4 => format!("{text};\n"),
        5 => "ffffffffffffffff".to_owned(),
        6 => "8000000000000000".to_owned(),
        7 => format!("-{text}"),
        8 => format!("1{text}"),
        _ => "1".to_owned(),
    };
    bytes.splice(at..end, new.bytes());
}

fn repeat_line(bytes: &mut Vec<u8>, dice: &mut Dice<'_>) {
    let at = line(bytes, dice);
    let length = bytes[at..].iter().position(|byte| *byte == b'\n');
    let end = length.map_or(bytes.len(), |length| at + length + 1);
    let copy = bytes[at..end].to_vec();
    let to = match dice.once_in(2) {
        true => line(bytes, dice),
        false => at,
    };
    bytes.splice(to..to, copy);
}

fn change_case(bytes: &mut [u8], dice: &mut Dice<'_>) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.below(20)).min(bytes.len());
    for byte in &mut bytes[at..end] {
        if byte.is_ascii_alphabetic() {
            *byte ^= 0x20;
        }
    }
}

fn change_version(bytes: &mut [u8], dice: &mut Dice<'_>) {
    let places: Vec<usize> = (8..=bytes.len())
        .filter(|at| bytes[..*at].ends_with(b"HTTP/1.1"))
        .collect();
    if !places.is_empty() {
        let at = *dice.pick(&places);
        bytes[at - 1] = *dice.pick(b"029");
    }
}

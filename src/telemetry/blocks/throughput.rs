//! The layout of `throughputlog`.

use std::io::Write;
use std::time::Duration;

use crate::base::id::ConnectionId;
use crate::base::tap::Origin;
use crate::telemetry::layout::{SHOWN, START, letter, printable};

/// Appends the line of one block, read `after` the first one of its
/// connection: `NNNNNNN S.UUUUUU D TEXT`.
///
/// Source: documented, number and times decided (13.2).
pub(super) fn format(
    block: &[u8],
    from: Origin,
    (connection, after): (ConnectionId, Duration),
    line: &mut Vec<u8>,
) {
    let after = after.max(Duration::from_micros(START));
    let (seconds, micros) = (after.as_secs(), after.subsec_micros());
    let side = letter(from);
    // Writing to memory does not fail.
    let _ = write!(line, "{connection} {seconds}.{micros:06} {side} ");
    line.extend(block.iter().take(SHOWN).map(|&byte| printable(byte)));
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ConnectionCounter;

    fn line(block: &[u8], after: Duration) -> String {
        let connection = ConnectionCounter::default().next();
        let mut line = Vec::new();
        format(block, Origin::Backend, (connection, after), &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn line_has_the_shape_of_the_specification() {
        let answer = b"HTTP/1.1 204 No Content\r\nServer: maple\r\n\r\n";
        assert_eq!(
            line(answer, Duration::from_nanos(41_877_999)),
            "0000001 0.041877 B HTTP/1.1 204 No Content..Server: maple....\n"
        );
    }

    #[test]
    fn time_is_a_microsecond_at_least() {
        assert!(line(b"x", Duration::ZERO).starts_with("0000001 0.000001 B x"));
    }

    #[test]
    fn first_hundred_bytes_are_shown_on_one_line() {
        let shown = line(&[b'\n'; 101], Duration::from_secs(3_600));
        assert_eq!(
            shown,
            format!("0000001 3600.000000 B {}\n", ".".repeat(100))
        );
    }
}

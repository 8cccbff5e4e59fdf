//! A log or a capture, in pieces of a size that its first byte tells: whatever
//! it holds, it is read to its end, and it says the same as when it comes whole.

#![no_main]

use crossroads::telemetry::read::Item;
use crossroads::telemetry::read::exchanges::Exchanges;
use crossroads::telemetry::read::lines::{Line, Lines};
use crossroads::telemetry::read::reader::Reader;
use crossroads::telemetry::read::streams::Streams;
use crossroads::telemetry::read::throughput::{ThroughputLine, first_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let size = usize::from(*size) + 1;
    assert_eq!(items(bytes.chunks(size)), items([bytes].into_iter()));
    exchanges(bytes);
});

/// What a traffic log or a capture holds; `None` for a format that is not read.
fn items<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut reader = Reader::new(Streams::default());
    let mut each = |item: Item<'_>| all.push(format!("{item:?}"));
    for piece in pieces {
        reader.push(piece, &mut each).ok()?;
    }
    reader.end(&mut each);
    Some(all)
}

/// Reads the same bytes as a throughput log.
fn exchanges(bytes: &[u8]) {
    let mut exchanges = Exchanges::default();
    let mut lines = Lines::default();
    let mut each = |number, line: Line<'_>| {
        let Line::Whole(line) = line else {
            return;
        };
        if let Ok(line) = ThroughputLine::parse(line) {
            assert!(first_line(line.text).len() <= line.text.len());
            exchanges.block(number, &line, |exchange| {
                let answer = exchange.answer;
                assert!(answer.is_none_or(|answer| answer.first_byte <= answer.whole));
            });
        }
    };
    lines.push(bytes, &mut each);
    lines.end(&mut each);
    exchanges.end(drop);
}

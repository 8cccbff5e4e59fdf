//! JSON: one line, numbers as plain decimals.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The document and a line end.
pub(in crate::cli) fn write(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let written = document.serialize(&mut Serializer::with_formatter(&mut bytes, SixDecimals));
    // Every name is a text and memory takes every byte.
    debug_assert!(written.is_ok());
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Compact, and never an exponent.
struct SixDecimals;

impl Formatter for SixDecimals {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write!(writer, "{value:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Object, Value};
    use super::*;

    #[test]
    fn values_are_written_in_order_and_plainly() {
        let document = Object(vec![
            ("z", Value::Decimal(1e21)),
            ("a", Value::decimal(f64::NAN)),
            ("text", "say \"hi\"\n".into()),
            ("list", vec!["a".to_owned(), "b".to_owned()].into()),
            ("none", Vec::new().into()),
            ("on", true.into()),
            (
                "objects",
                Value::Objects("o", vec![Object(vec![("n", 7u64.into())])]),
            ),
        ]);

        assert_eq!(
            write(&document),
            "{\"z\":1000000000000000000000.000000,\"a\":null,\"text\":\"say \\\"hi\\\"\\n\",\
             \"list\":[\"a\",\"b\"],\"none\":null,\"on\":true,\"objects\":[{\"n\":7}]}\n"
        );
    }
}

//! `services` and `-b`: what is configured, without states.

use crate::cli::exit::{Failure, Outcome};
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::status;
use crate::config::Purpose;

/// What the output of `-b` begins with.
const MAGIC: &[u8; 8] = b"XRCONF01";

/// Lists services and back ends.
///
/// Source: documented (manual page); form decided (2.5, 14.2).
pub(super) fn run(session: &Session) -> Outcome {
    let config = session.load(Purpose::Other)?;
    let form = status::form(&session.options, &session.console);
    session.console.print(render::services(&config, form))
}

/// Prints the parsed configuration in binary form.
///
/// Source: documented (manual page); form decided (2.2).
pub(super) fn binary(session: &Session) -> Outcome {
    let config = session.load(Purpose::Other)?;
    let frame = frame(&render::services(&config, render::Form::Json));
    let frame = frame.ok_or_else(|| Failure::message("the configuration is above 4 GiB"))?;
    session.console.print(frame)
}

/// Eight bytes of magic, the length in little-endian order, the text; `None`
/// if the length does not fit.
fn frame(text: &str) -> Option<Vec<u8>> {
    let length = u32::try_from(text.len()).ok()?;
    Some([MAGIC.as_slice(), &length.to_le_bytes(), text.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_form_is_magic_length_and_text() {
        let frame = frame("{\"a\":1}\n").unwrap();

        assert_eq!(frame, b"XRCONF01\x08\0\0\0{\"a\":1}\n");
    }
}

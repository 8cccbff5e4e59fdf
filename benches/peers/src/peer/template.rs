//! Configurations with holes.

use anyhow::{Result, bail};

/// `template` with each `@NAME@` replaced by the value of that name.
///
/// # Errors
///
/// If a hole has no value, or a value no hole: both are slips of the program.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = template.to_owned();
    for (name, value) in values {
        let hole = format!("@{name}@");
        if !template.contains(&hole) {
            bail!("no hole {hole} in the template");
        }
        filled = filled.replace(&hole, value);
    }
    match hole(&filled) {
        Some(name) => bail!("no value for @{name}@"),
        None => Ok(filled),
    }
}

/// The first hole: capitals between two signs.
fn hole(text: &str) -> Option<&str> {
    let mut parts = text.split('@').skip(1);
    parts.find(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_wherever_they_are() {
        let filled = fill("a @PORT@ b@PORT@ @HOST@", &[("PORT", "80"), ("HOST", "h")]);

        assert_eq!(filled.unwrap(), "a 80 b80 h");
    }

    #[test]
    fn forgotten_hole_is_named() {
        let error = fill("listen @PORT@ on @HOST@", &[("PORT", "80")]).unwrap_err();

        assert_eq!(error.to_string(), "no value for @HOST@");
    }

    #[test]
    fn value_without_hole_is_named() {
        let error = fill("listen", &[("PORT", "80")]).unwrap_err();

        assert_eq!(error.to_string(), "no hole @PORT@ in the template");
    }
}

//! Names of services and back ends, and how an operator's spelling finds one.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The greatest length of a name in bytes.
pub const MAX_NAME_LENGTH: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name may not be empty")]
    Empty,
    /// More than [`MAX_NAME_LENGTH`] bytes.
    #[error("a name has at most {MAX_NAME_LENGTH} characters")]
    TooLong,
    /// Begins with something else than a letter or `_`, or holds something
    /// else than letters, digits and `_`.
    #[error("a name is a letter or `_`, then letters, digits or `_`")]
    BadCharacter,
}

/// Checks that `text` is a letter or `_`, then letters, digits or `_` (ASCII).
///
/// # Errors
///
/// [`NameError`] says which rule was broken. Reserved words are the language's
/// business and not looked at here.
///
/// Source: documented (configuration chapter); ASCII and length decided (3.3).
pub fn check_name(text: &str) -> Result<(), NameError> {
    let mut bytes = text.bytes();
    let first = bytes.next().ok_or(NameError::Empty)?;
    if text.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong);
    }
    let fits = (first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits {
        Ok(())
    } else {
        Err(NameError::BadCharacter)
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes `text` as a name.
            ///
            /// # Errors
            ///
            /// [`NameError`] when [`check_name`] refuses it.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type! {
    /// The name of a service, kept as written; equal letter by letter.
    ServiceName
}
name_type! {
    /// The name of a back end within its service, kept as written; equal
    /// letter by letter.
    BackendName
}

/// What a look-up of an operator's spelling among names gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// The position of the one that is meant.
    Found(usize),
    /// Nothing fits, not even without regard to case.
    Unknown,
    /// Not found as written, and these positions fit without regard to case.
    Ambiguous(Vec<usize>),
}

/// Finds `asked` among `names`: exactly first, then without regard to case if
/// only one fits.
///
/// Source: exact first decided (14.5); regard to case inferred (a published
/// `tell` uses another case than its file).
pub fn look_up<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>) -> Lookup {
    let mut alike = Vec::new();
    for (position, name) in names.into_iter().enumerate() {
        if name == asked {
            return Lookup::Found(position);
        }
        if name.eq_ignore_ascii_case(asked) {
            alike.push(position);
        }
    }
    match alike.as_slice() {
        [] => Lookup::Unknown,
        [only] => Lookup::Found(*only),
        _ => Lookup::Ambiguous(alike),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_a_letter_or_underscore_then_letters_digits_underscores() {
        for good in ["a", "_", "Web_1", "x9", &"n".repeat(63)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        assert_eq!(check_name(""), Err(NameError::Empty));
        assert_eq!(check_name(&"n".repeat(64)), Err(NameError::TooLong));
        for bad in ["9a", "a-b", "a b", "é", "a.b"] {
            assert_eq!(check_name(bad), Err(NameError::BadCharacter), "{bad}");
        }
    }

    #[test]
    fn exact_spelling_wins_over_one_that_differs_in_case() {
        assert_eq!(look_up("www", ["WWW", "www"]), Lookup::Found(1));
    }

    #[test]
    fn other_case_finds_a_name_only_if_one_fits() {
        assert_eq!(look_up("Www", ["mail", "www"]), Lookup::Found(1));
        assert_eq!(
            look_up("Www", ["WWW", "www"]),
            Lookup::Ambiguous(vec![0, 1])
        );
        assert_eq!(look_up("x", ["WWW", "www"]), Lookup::Unknown);
    }
}

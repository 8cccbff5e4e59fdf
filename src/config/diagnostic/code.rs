//! The stable codes of findings, and how much each weighs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// The command stops.
    Error,
    /// The command goes on; can be silenced.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($($code:ident $text:literal)*) => {
        /// The stable code of a finding (3.7).
        ///
        /// Source: decided (3.7).
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $(#[doc = $text] $code,)*
        }

        impl Code {
            /// Every code, errors first.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The code as it is printed, such as `W17`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// What the code stands for, in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }
        }
    };
}

codes! {
    E01 "`;`, `{` or `}` missing, unexpected token"
    E02 "unknown word"
    E03 "block not closed"
    E04 "quote not closed"
    E05 "comment not closed"
    E06 "argument missing"
    E07 "argument of the wrong kind"
    E08 "number out of range"
    E09 "text after the argument"
    E10 "bad or reserved name"
    E11 "invalid character"
    E12 "directive at the wrong level"
    E20 "`#include` without a file name in double quotes"
    E21 "included file unreadable"
    E22 "includes in a loop or nested too deep"
    E23 "bad `#define`"
    E24 "symbol grows too much"
    E30 "required item missing"
    E31 "name used twice"
    E32 "port already taken"
    E33 "shared memory key already taken"
    E34 "bad server"
    E35 "bad filter"
    E36 "bad sticky cookie"
    E37 "bad header text, or header that may not be changed"
    E38 "`%N` specifier without such a back end"
    E39 "unknown account"
    E40 "bad bind address"
    E41 "allow or deny file unreadable or malformed"
    E42 "too many or too much"
    E43 "configuration file unreadable"
    E44 "page of an error reply unreadable or malformed"
    W01 "retired spelling"
    W02 "set twice with different values"
    W03 "no effect in a `type any` service"
    W04 "no effect beside what else is set"
    W05 "allow or deny file missing or empty"
    W06 "list overruled by the file of the same side"
    W07 "nothing sets the sticky cookie"
    W08 "sticky cookie used twice"
    W09 "names that differ only in case"
    W10 "comment that looks like a preprocessor directive"
    W11 "string that begins like a comment"
    W12 "specifier without meaning here"
    W13 "`useraccount` needs root"
    W14 "configuration file can be written by others"
    W15 "header that the daemon manages"
    W16 "line in a string begins with a directive word"
    W17 "one refused connection takes a back end out for good"
    W18 "allowed clients that are all denied"
    W19 "weights that look inverted"
    W20 "usage that is never forgotten"
    W21 "connections in a loop"
    W22 "logs of different kinds in one file"
    W23 "second `Host` in a request"
}

impl Code {
    /// The severity that belongs to the code.
    pub fn severity(self) -> Severity {
        match self.as_str().as_bytes()[0] {
            b'E' => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// Whether it is a warning, and so can be silenced.
    pub fn is_warning(self) -> bool {
        self.severity() == Severity::Warning
    }

    /// The warning that the argument of `-W`, such as `no-W17`, silences.
    ///
    /// # Errors
    ///
    /// [`CodeError::NotSilenced`] without `no-`, [`CodeError::Unknown`] for a
    /// code that does not exist, [`CodeError::NotAWarning`] for the others.
    pub fn silenced_by(argument: &str) -> Result<Self, CodeError> {
        let code = argument
            .strip_prefix("no-")
            .ok_or_else(|| CodeError::NotSilenced(argument.to_owned()))?;
        let code = code.parse::<Self>()?;
        if code.is_warning() {
            Ok(code)
        } else {
            Err(CodeError::NotAWarning(code))
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is not the code of a warning to be silenced.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CodeError {
    /// No such code.
    #[error("`{0}` is not a code of a diagnostic")]
    Unknown(String),
    /// Something else than `no-CODE`.
    #[error("`{0}` is not of the form no-CODE")]
    NotSilenced(String),
    /// Errors cannot be silenced.
    #[error("{0} is not a warning and cannot be silenced")]
    NotAWarning(Code),
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found
            .copied()
            .ok_or_else(|| CodeError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_are_silenced() {
        assert_eq!(Code::silenced_by("no-W17"), Ok(Code::W17));
        assert_eq!(
            Code::silenced_by("no-E08"),
            Err(CodeError::NotAWarning(Code::E08))
        );
        assert_eq!(
            Code::silenced_by("W17"),
            Err(CodeError::NotSilenced("W17".into()))
        );
        assert_eq!(
            Code::silenced_by("no-W99"),
            Err(CodeError::Unknown("W99".into()))
        );
    }
}

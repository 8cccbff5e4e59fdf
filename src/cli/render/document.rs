//! What the machine forms have in common: named values in a fixed order.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Named values in the order of the output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object(pub(super) Vec<(&'static str, Value)>);

/// A value of a machine form.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing given.
    Null,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// A number with 6 decimals; always finite.
    Decimal(f64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// Objects; each is an element of that name in XML.
    Objects(&'static str, Vec<Object>),
}

impl Value {
    /// `number` with 6 decimals, nothing if it is none.
    pub(super) fn decimal(number: f64) -> Self {
        if number.is_finite() {
            Self::Decimal(number)
        } else {
            Self::Null
        }
    }

    /// The value in a single line; objects have none.
    pub(super) fn to_line(&self) -> Option<String> {
        match self {
            Self::Null | Self::Objects(..) => None,
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Count(number) => Some(number.to_string()),
            Self::Decimal(number) => Some(format!("{number:.6}")),
            Self::Text(text) => Some(text.clone()),
            Self::List(texts) => Some(texts.join("\n")),
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Count(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Count(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Count(number.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// An empty list is nothing given.
impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        if texts.is_empty() {
            Self::Null
        } else {
            Self::List(texts)
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Count(number) => serializer.serialize_u64(*number),
            Self::Decimal(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(texts) => texts.serialize(serializer),
            Self::Objects(_, objects) => objects.serialize(serializer),
        }
    }
}

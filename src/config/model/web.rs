//! What only services of `type http` have.

use crate::base::template::{Template, TemplateKind};
use crate::base::text::Text;

/// How far a service of `type http` looks into messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HeaderInspection {
    /// Every request and reply.
    #[default]
    Deep,
    /// The first request of a client connection and its reply.
    Shallow,
}

/// One `{add|append|set}{server|client}header` directive, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderDirective {
    /// Which messages it changes.
    pub side: HeaderSide,
    /// What it does to a header that is there already.
    pub action: HeaderAction,
    /// The name as it was written: a token, which is no name of those headers
    /// that say where a message ends.
    pub name: Text,
    /// The value, without the blanks around it; may be empty. What it expands
    /// to holds no control characters.
    pub value: Template,
    /// `Name: value` as it was written.
    pub text: Text,
}

impl HeaderDirective {
    /// Takes `text` apart at its first colon; `None` if it has none. Name and
    /// value are not checked here.
    pub fn new(side: HeaderSide, action: HeaderAction, text: Text) -> Option<Self> {
        let mut parts = text.as_bytes().splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next()?, parts.next()?);
        let (value, _) = Template::parse(value.trim_ascii(), TemplateKind::Header);
        Some(Self {
            side,
            action,
            name: Text::from(name.to_vec()),
            value,
            text,
        })
    }

    /// Whether it is about the header `name`; case is ignored.
    pub fn is_about(&self, name: &str) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Which messages a header directive changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderSide {
    /// Messages to the back end.
    Server,
    /// Messages to the client.
    Client,
}

/// What a header directive does to a header that is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderAction {
    /// One more header of that name.
    Add,
    /// The value is joined to the last one of that name with `; `.
    Append,
    /// All of that name are replaced.
    Set,
}

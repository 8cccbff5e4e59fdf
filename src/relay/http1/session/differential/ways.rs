//! How a connection is treated in tests.

use super::http1::rewrite::Editor;
use super::http1::session::Manner;

/// How a connection is treated.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    pub(super) manner: Manner,
    /// Directives for requests.
    pub(super) server: Vec<Directive>,
    /// Directives for replies.
    pub(super) client: Vec<Directive>,
    /// Whether bodies pass unread where they may, as spliced ones do.
    pub(super) unread: bool,
    /// Whether a back end connection that did not come from this client serves.
    pub(super) leases: bool,
    /// Whether back ends now and then answer what they have not seen the end of.
    pub(super) hurries: bool,
}

/// One header directive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Directive {
    pub(super) action: Action,
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// What a directive does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Add,
    Append,
    Set,
}

/// Tells an editor what directives want.
pub(super) fn apply(directives: &[Directive], editor: &mut Editor<'_>) {
    for Directive {
        action,
        name,
        value,
    } in directives
    {
        match action {
            Action::Add => editor.add(name, value),
            Action::Append => editor.append(name, value),
            Action::Set => editor.set(name, value),
        };
    }
}

//! What only services of `type http` have.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::base::quantity::Seconds;
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

/// What a service of `type http` has beside its header inspection. Limits of
/// size and number are those of heads from both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebSettings {
    /// How long the head of a request may take, from its first byte, 1 to a
    /// year; `None` = the limit `head`.
    pub head_timeout: Option<Seconds>,
    /// How long the next request of a client may be waited for; 0 = the idle
    /// limit.
    pub keepalive_timeout: Seconds,
    /// How long a back end may take from the end of a request to the first byte
    /// of its reply; 0 = no limit.
    pub response_timeout: Seconds,
    /// Bytes of a head, 1024 to 1048576.
    pub max_header_size: usize,
    /// Fields of a head, 8 to 1000.
    pub max_headers: usize,
    /// Whether clients share connections to back ends.
    pub reuse: Reuse,
    /// Idle connections that a worker keeps for a back end, 1 to 65535.
    pub reuse_max: usize,
    /// How long one is kept, 1 to a year.
    pub reuse_age: Seconds,
    /// The pages of `errorfile`, at most one for each code.
    pub error_pages: Vec<ErrorPage>,
}

impl Default for WebSettings {
    fn default() -> Self {
        const HALF_A_MINUTE: Seconds = Seconds::new(30).unwrap();
        Self {
            head_timeout: None,
            keepalive_timeout: Seconds::default(),
            response_timeout: Seconds::default(),
            max_header_size: 65_536,
            max_headers: 200,
            reuse: Reuse::Never,
            reuse_max: 64,
            reuse_age: HALF_A_MINUTE,
            error_pages: Vec::new(),
        }
    }
}

impl WebSettings {
    /// The page for replies with this code, if there is one.
    pub fn error_page(&self, code: u16) -> Option<&ErrorPage> {
        self.error_pages.iter().find(|page| page.code == code)
    }
}

/// The body of a reply that the daemon makes itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorPage {
    /// The code of the reply, one of [`ErrorPage::CODES`].
    pub code: u16,
    /// The file, as it was written.
    pub file: Text,
    /// The value for `Content-Type`, by the end of the file's name.
    pub content_type: &'static str,
    /// The body, 1 to 65536 bytes; empty where the file was not looked at,
    /// since the configuration was read for another purpose than a start, or
    /// the service is of `type any`.
    pub page: Arc<[u8]>,
}

impl ErrorPage {
    /// The codes of the replies that the daemon makes itself (9.10).
    pub const CODES: [u16; 7] = [400, 408, 431, 502, 503, 504, 505];

    /// What a page in `file` is, by the end of its name; case is ignored.
    pub fn content_type_of(file: &Text) -> &'static str {
        let name = Path::new(OsStr::from_bytes(file.as_bytes()));
        let end = name.extension().map(OsStr::to_ascii_lowercase);
        match end.as_deref().map(OsStr::as_bytes) {
            Some(b"html" | b"htm") => "text/html",
            Some(b"json") => "application/json",
            Some(b"xml") => "application/xml",
            _ => "text/plain",
        }
    }
}

/// Whether a connection to a back end may serve several clients, one after
/// another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reuse {
    /// A connection belongs to one client.
    #[default]
    Never,
    /// It may, where no client can tell.
    Safe,
}

impl std::fmt::Display for Reuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Safe => "safe",
        })
    }
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

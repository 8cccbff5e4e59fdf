//! **The table** of directives: one row for each word and level.
//!
//! Everything that knows a directive word takes it from here: the lowering of
//! statements, did-you-mean, `accepted:` texts, the test of the grammar, the
//! manual page and the samples.

use super::suggest::nearest;

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Level {
    /// Outside every block.
    File,
    /// Inside `service`.
    Service,
    /// Inside `backend`.
    Backend,
}

impl Level {
    /// The level in words, as part of a sentence.
    pub fn place(self) -> &'static str {
        match self {
            Self::File => "outside every block",
            Self::Service => "inside `service`",
            Self::Backend => "inside `backend`",
        }
    }
}

/// What follows a directive word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Argument {
    /// A name and a block.
    Block,
    /// A number in this range, both ends included.
    Number(u32, u32),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of [`BOOLEANS`].
    Boolean,
    /// One of [`BOOLEANS`], or nothing.
    OptionalBoolean,
    /// `any` or an address.
    Address,
    /// A dispatch mode, one of [`MODES`].
    Mode,
    /// One or more filters.
    Filters,
    /// A generic string (3.5).
    Text,
}

/// How well the original is known to have had a directive (1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// Read in a published text of the original.
    Documented,
    /// No published text settles it.
    Decided,
    /// The original is not known to have had anything like it.
    Ours,
}

/// Which setting of a block a directive changes. Retired words change that of
/// their new word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(missing_docs, reason = "each is called like its directive")]
pub enum Slot {
    Block,
    Port,
    Type,
    HeaderInspection,
    BindTo,
    Verbosity,
    DispatchMode,
    RevivingInterval,
    MaxConnections,
    Backlog,
    ShmKey,
    ConnectionTimeout,
    AllowFrom,
    DenyFrom,
    AllowFile,
    DenyFile,
    UserAccount,
    TrafficLog,
    ThroughputLog,
    Server,
    Weight,
    Decay,
    Retries,
    OnStart,
    OnEnd,
    OnFail,
    OnEvents,
    HandlerTimeout,
    Capture,
    CaptureSize,
    CaptureFiles,
    Reuse,
    ReuseMax,
    ReuseAge,
    HeadTimeout,
    KeepaliveTimeout,
    ResponseTimeout,
    MaxHeaderSize,
    MaxHeaders,
    ErrorFile,
    StickyCookie,
    Header,
}

impl Slot {
    /// The number of slots.
    pub const COUNT: usize = Self::Header as usize + 1;
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Directive {
    /// The word, in lower case.
    pub word: &'static str,
    /// Where it may stand. A word with several levels has one row for each
    /// argument that differs.
    pub levels: &'static [Level],
    /// What follows it.
    pub argument: Argument,
    /// How the argument is called in a synopsis.
    pub placeholder: &'static str,
    /// Unit of a number, empty if it has none.
    pub unit: &'static str,
    /// What holds without it, as shown to operators.
    pub default: &'static str,
    /// How well it is known.
    pub mark: Mark,
    /// The new form of a retired spelling.
    pub replaced_by: Option<&'static str>,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Which setting it changes.
    pub slot: Slot,
}

/// The words for on and off.
pub const BOOLEANS: &[&str] = &["on", "yes", "true", "off", "no", "false"];

/// The dispatch modes, in the order of 4.7.
pub const MODES: &[&str] = &[
    "roundrobin",
    "random",
    "bysize",
    "byduration",
    "byconnections",
    "byorder",
    "byclientip",
    "byclientiplax",
    "externalhandler",
];

/// Retired arguments: directive, argument, new argument.
pub const RETIRED_ARGUMENTS: &[(&str, &str, &str)] = &[
    ("dispatchmode", "bysessions", "byconnections"),
    ("type", "stickyhttp", "http"),
];

const YEAR: u32 = 31_536_000;
const S: &[Level] = &[Level::Service];
const B: &[Level] = &[Level::Backend];
const SB: &[Level] = &[Level::Service, Level::Backend];
const BS: &[Level] = &[Level::Backend, Level::Service];

const fn row(
    word: &'static str,
    levels: &'static [Level],
    slot: Slot,
    argument: Argument,
    placeholder: &'static str,
    summary: &'static str,
) -> Directive {
    Directive {
        word,
        levels,
        argument,
        placeholder,
        unit: "",
        default: "none",
        mark: Mark::Documented,
        replaced_by: None,
        summary,
        slot,
    }
}

impl Directive {
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn decided(mut self) -> Self {
        self.mark = Mark::Decided;
        self
    }

    const fn ours(mut self) -> Self {
        self.mark = Mark::Ours;
        self
    }

    const fn retired(mut self, replaced_by: &'static str) -> Self {
        self.replaced_by = Some(replaced_by);
        self
    }

    /// Whether it may stand at `level`.
    pub fn fits(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }

    /// What is accepted as its argument, for operators; `None` where it is no
    /// known set or range.
    pub fn accepted(&self) -> Option<String> {
        match self.argument {
            Argument::Number(least, most) => Some(format!("{least} to {most}")),
            Argument::Word(words) => Some(words.join(", ")),
            Argument::Boolean | Argument::OptionalBoolean => Some(BOOLEANS.join(", ")),
            Argument::Address => {
                Some("any, an IPv4 address of four bytes, an IPv6 address without brackets".into())
            }
            Argument::Mode => Some(MODES.join(", ")),
            Argument::Filters => Some("addresses and networks, such as 172.16.4/24".into()),
            Argument::Block | Argument::Text => None,
        }
    }

    /// What a retired spelling is now: the new word, with its argument where
    /// that changes too.
    pub fn new_form(&self) -> Option<&'static str> {
        self.summary.strip_prefix("retired spelling of ")
    }

    /// The statement as a synopsis: `port NUMBER;`, `server HOST[:PORT];`.
    pub fn synopsis(&self) -> String {
        match self.argument {
            Argument::Block => format!("{} {} {{ ... }}", self.word, self.placeholder),
            _ => format!("{} {};", self.word, self.placeholder),
        }
    }
}

/// All directives: first those of table 4.0 in its order, then the retired
/// spellings of 16.1.
///
/// Source: 4.0 and 16.1; each row carries its mark.
#[rustfmt::skip] // a table: a row has two lines
pub static DIRECTIVES: &[Directive] = &[
    row("service", &[Level::File], Slot::Block, Argument::Block, "NAME",
        "one listening address with its back ends"),
    row("backend", S, Slot::Block, Argument::Block, "NAME",
        "one server that a service may pass connections to"),
    row("port", S, Slot::Port, Argument::Number(1, 65_535), "NUMBER",
        "TCP port to listen on; required").unit("TCP port"),
    row("type", S, Slot::Type, Argument::Word(&["any", "http"]), "any|http",
        "whether bytes pass unread or messages are unpacked").default("any"),
    row("headerinspection", S, Slot::HeaderInspection, Argument::Word(&["deep", "shallow"]),
        "deep|shallow", "how many messages of a connection are looked into")
        .default("deep"),
    row("bindto", S, Slot::BindTo, Argument::Address, "any|ADDRESS",
        "address to listen on").default("any"),
    row("verbosity", SB, Slot::Verbosity, Argument::Boolean, "BOOLEAN",
        "whether debug messages go to syslog").default("off"),
    row("dispatchmode", S, Slot::DispatchMode, Argument::Mode, "MODE",
        "how a back end is chosen").default("roundrobin"),
    row("revivinginterval", S, Slot::RevivingInterval, Argument::Number(0, YEAR), "SECONDS",
        "how often an unavailable back end is checked; 0 is never").unit("s").default("0"),
    row("maxconnections", SB, Slot::MaxConnections, Argument::Number(0, u32::MAX), "NUMBER",
        "limit of concurrent connections; 0 is no limit").unit("connections").default("0"),
    row("backlog", S, Slot::Backlog, Argument::Number(0, 65_535), "NUMBER",
        "clients that may wait to be accepted; 0 is the system maximum")
        .unit("connections").default("0"),
    row("shmkey", S, Slot::ShmKey, Argument::Number(0, u32::MAX), "NUMBER",
        "key of the shared memory; 0 is derived from the port").default("0"),
    row("connectiontimeout", SB, Slot::ConnectionTimeout, Argument::Number(0, YEAR), "SECONDS",
        "idle time after which a connection is ended; 0 is never").unit("s").default("0"),
    row("allowfrom", S, Slot::AllowFrom, Argument::Filters, "FILTER...",
        "clients that may connect"),
    row("denyfrom", S, Slot::DenyFrom, Argument::Filters, "FILTER...",
        "clients that may not connect"),
    row("allowfile", S, Slot::AllowFile, Argument::Text, "FILE",
        "file with the clients that may connect"),
    row("denyfile", S, Slot::DenyFile, Argument::Text, "FILE",
        "file with the clients that may not connect"),
    row("useraccount", S, Slot::UserAccount, Argument::Text, "ACCOUNT",
        "account that external programs run as"),
    row("handlertimeout", S, Slot::HandlerTimeout, Argument::Number(1, 60_000), "MILLISECONDS",
        "how long a persistent handler may take for one answer")
        .unit("ms").default("250").ours(),
    row("onevents", S, Slot::OnEvents, Argument::Text, "COMMAND",
        "long-lived program that is told of every connection").ours(),
    row("capturesize", S, Slot::CaptureSize, Argument::Number(0, 1_048_576), "MEBIBYTES",
        "size at which a capture goes on in a new file; 0 is never")
        .unit("MiB").default("100").ours(),
    row("capturefiles", S, Slot::CaptureFiles, Argument::Number(1, 1_000), "NUMBER",
        "how many files of a capture are kept").unit("files").default("10").ours(),
    row("reuse", S, Slot::Reuse, Argument::Word(&["never", "safe"]), "never|safe",
        "whether clients share connections to back ends").default("never").ours(),
    row("reusemax", S, Slot::ReuseMax, Argument::Number(1, 65_535), "NUMBER",
        "idle connections kept for reuse, for each worker and back end")
        .unit("connections").default("64").ours(),
    row("reuseage", S, Slot::ReuseAge, Argument::Number(1, YEAR), "SECONDS",
        "how long an idle connection is kept for reuse").unit("s").default("30").ours(),
    row("headtimeout", S, Slot::HeadTimeout, Argument::Number(1, YEAR), "SECONDS",
        "how long the head of a request may take").unit("s").default("60").ours(),
    row("keepalivetimeout", S, Slot::KeepaliveTimeout, Argument::Number(0, YEAR), "SECONDS",
        "wait for the next request of a client; 0 is connectiontimeout")
        .unit("s").default("0").ours(),
    row("responsetimeout", S, Slot::ResponseTimeout, Argument::Number(0, YEAR), "SECONDS",
        "how long a back end may take to begin its reply; 0 is no limit")
        .unit("s").default("0").ours(),
    row("maxheadersize", S, Slot::MaxHeaderSize, Argument::Number(1_024, 1_048_576), "BYTES",
        "greatest head of a request or reply").unit("bytes").default("65536").ours(),
    row("maxheaders", S, Slot::MaxHeaders, Argument::Number(8, 1_000), "NUMBER",
        "greatest number of header fields in a head").unit("fields").default("200").ours(),
    row("errorfile", S, Slot::ErrorFile, Argument::Text, "CODE FILE",
        "page of a reply that the daemon makes itself").ours(),
    row("server", B, Slot::Server, Argument::Text, "HOST[:PORT]",
        "address of the back end; required"),
    row("port", B, Slot::Port, Argument::Number(1, 65_535), "NUMBER",
        "TCP port of the back end, unless `server` gives it")
        .unit("TCP port").default("from server"),
    row("weight", B, Slot::Weight, Argument::Number(1, 65_535), "NUMBER",
        "how weak the back end is: a larger weight draws fewer connections")
        .unit("factor").default("1"),
    row("decay", B, Slot::Decay, Argument::Number(0, 100), "PERCENT",
        "fall of the usage with each connection to another back end").unit("percent").default("0"),
    row("retries", B, Slot::Retries, Argument::Number(0, 1_000), "NUMBER",
        "consecutive connect failures that are allowed").unit("failures").default("0").decided(),
    row("onstart", B, Slot::OnStart, Argument::Text, "COMMAND",
        "command run when a connection was made"),
    row("onend", B, Slot::OnEnd, Argument::Text, "COMMAND",
        "command run when a connection ends"),
    row("onfail", B, Slot::OnFail, Argument::Text, "COMMAND",
        "command run when the back end could not be reached"),
    row("trafficlog", BS, Slot::TrafficLog, Argument::Text, "FILE",
        "hex dump of all traffic"),
    row("throughputlog", BS, Slot::ThroughputLog, Argument::Text, "FILE",
        "one line for each block read"),
    row("capture", BS, Slot::Capture, Argument::Text, "FILE [SNAPLEN] [when FILTER...]",
        "traffic as packets, for Wireshark").ours(),
    row("stickycookie", B, Slot::StickyCookie, Argument::Text, "NAME=VALUE",
        "cookie that leads a request to this back end"),
    row("addserverheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "one more header in messages to the back end"),
    row("appendserverheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "addition to a header in messages to the back end"),
    row("setserverheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "header in messages to the back end, in place of those there"),
    row("addclientheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "one more header in messages to the client"),
    row("appendclientheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "addition to a header in messages to the client"),
    row("setclientheader", B, Slot::Header, Argument::Text, "\"NAME: VALUE\"",
        "header in messages to the client, in place of those there"),
    // Retired spellings (16.1).
    row("sessiontimeout", SB, Slot::ConnectionTimeout, Argument::Number(0, YEAR), "SECONDS",
        "retired spelling of connectiontimeout")
        .unit("s").default("0").retired("connectiontimeout"),
    row("maxsessions", SB, Slot::MaxConnections, Argument::Number(0, u32::MAX), "NUMBER",
        "retired spelling of maxconnections")
        .unit("connections").default("0").decided().retired("maxconnections"),
    row("insertcookie", B, Slot::Header, Argument::Text, "TEXT",
        "retired spelling of addclientheader \"Set-Cookie: TEXT\"").retired("addclientheader"),
    row("insertstickycookie", B, Slot::Header, Argument::Text, "TEXT",
        "retired spelling of addclientheader \"Set-Cookie: TEXT\"").retired("addclientheader"),
    row("insertrealip", B, Slot::Header, Argument::OptionalBoolean, "[BOOLEAN]",
        "retired spelling of setserverheader \"X-Real-IP: %r\"")
        .decided().retired("setserverheader"),
    row("onsuccess", B, Slot::OnStart, Argument::Text, "COMMAND",
        "retired spelling of onstart").retired("onstart"),
    row("onfailure", B, Slot::OnFail, Argument::Text, "COMMAND",
        "retired spelling of onfail").retired("onfail"),
];

/// The row of `word` at `level`.
pub fn find(word: &str, level: Level) -> Option<&'static Directive> {
    DIRECTIVES
        .iter()
        .find(|row| row.word == word && row.fits(level))
}

/// The rows of `word` at whatever level.
pub fn rows(word: &str) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(move |row| row.word == word)
}

/// Whether `word` is a directive word of any level, retired ones included.
pub fn is_directive_word(word: &str) -> bool {
    rows(word).next().is_some()
}

/// Whether no service, back end or symbol may be called `word`: a directive
/// word that the original may have had. Words of ours may be names, since they
/// may be names in old files.
pub fn is_reserved_word(word: &str) -> bool {
    rows(word).any(|row| row.mark != Mark::Ours)
}

/// The words that are in use at `level`, in table order, without retired ones.
pub fn words_at(level: Level) -> impl Iterator<Item = &'static str> {
    let rows = DIRECTIVES.iter().filter(move |row| row.fits(level));
    rows.filter(|row| row.replaced_by.is_none())
        .map(|row| row.word)
}

/// The directive word allowed at `level` that is nearest to `found`; a retired
/// one only if no other is as near.
pub fn nearest_at(found: &str, level: Level) -> Option<&'static str> {
    let rows = DIRECTIVES.iter().filter(|row| row.fits(level));
    nearest(found, rows.map(|row| row.word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_has_two_rows_at_one_level() {
        for level in [Level::File, Level::Service, Level::Backend] {
            let mut words: Vec<_> = DIRECTIVES.iter().filter(|row| row.fits(level)).collect();
            let all = words.len();
            words.sort_by_key(|row| row.word);
            words.dedup_by_key(|row| row.word);
            assert_eq!(words.len(), all, "{level:?}");
        }
    }

    #[test]
    fn new_form_of_a_retired_word_is_a_current_directive_of_the_same_slot() {
        for row in DIRECTIVES.iter().filter(|row| row.replaced_by.is_some()) {
            let new = row.replaced_by.unwrap();
            for level in row.levels {
                let new = find(new, *level).unwrap();
                assert_eq!(
                    (new.replaced_by, new.slot),
                    (None, row.slot),
                    "{}",
                    row.word
                );
            }
        }
    }

    #[test]
    fn every_row_says_what_it_does_in_one_line() {
        for row in DIRECTIVES {
            assert!(
                !row.summary.is_empty() && row.summary.len() <= 80,
                "{}",
                row.word
            );
            assert!(!row.placeholder.is_empty(), "{}", row.word);
        }
    }
}

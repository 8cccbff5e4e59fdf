//! Command lines and header texts with `%` specifiers (section 10).
//!
//! Parsed once when the file is read, expanded once for each use, from left to
//! right; what comes out is not expanded again. Pure: the clock, the host name
//! and the process come in with the [`TemplateContext`]. No specifier gives
//! anything that a client or a back end can word freely: the client is an
//! address, names that are no identifiers give nothing, and what comes from the
//! system is made harmless. So a shell takes every value as what it is.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use crate::base::id::BackendId;
use crate::base::name::check_name;

/// Where a template is used; decides which specifiers have a meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemplateKind {
    /// A hook command.
    Hook,
    /// The command of an external handler, which has no current back end.
    Handler,
    /// The command of a program that lives as long as its service: it has
    /// neither a current back end nor a client.
    Resident,
    /// A header text.
    Header,
}

/// What of a back end a specifier gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BackendField {
    /// `a`: 1 if usable, else 0.
    Usable,
    /// `b`: its name.
    Name,
    /// `w`: its weight.
    Weight,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Literal(Vec<u8>),
    Current(BackendField),
    Numbered(BackendId, BackendField),
    Epoch,
    GmtStamp,
    LocalStamp,
    Host,
    Process,
    Client,
    Service,
    LocalCtime,
    GmtCtime,
    Version,
}

/// A command line or header text, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
    references: Vec<Reference>,
}

/// A `%N` specifier: which back end it names, and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// The number as written, from 1 if it is any good.
    pub number: u64,
    /// The bytes of the specifier in the text.
    pub place: Range<usize>,
}

/// What is odd about a specifier; the template works all the same (W12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TemplateIssue {
    /// `%a`, `%b` or `%w` where there is no current back end; it gives nothing.
    NoCurrentBackend(Range<usize>),
    /// `%r` where there is no client; it gives nothing.
    NoClient(Range<usize>),
    /// `%Na` where nobody knows it at the right moment; it gives nothing.
    NoUsability(Range<usize>),
    /// Digits that none of `a`, `b`, `w` follows; they stand for themselves.
    BareNumber(Range<usize>),
}

impl TemplateIssue {
    /// The bytes of the specifier in the text.
    pub fn place(&self) -> Range<usize> {
        match self {
            Self::NoCurrentBackend(place)
            | Self::NoClient(place)
            | Self::NoUsability(place)
            | Self::BareNumber(place) => place.clone(),
        }
    }
}

impl Template {
    /// Takes `text` apart. Every text is a template; what is odd about it comes
    /// beside it, and [`Template::references`] has still to be compared with
    /// the number of back ends.
    ///
    /// Source: documented and decided (section 10, row by row).
    pub fn parse(text: &[u8], kind: TemplateKind) -> (Self, Vec<TemplateIssue>) {
        let mut parser = Parser {
            text,
            at: 0,
            pieces: Vec::new(),
            references: Vec::new(),
            issues: Vec::new(),
        };
        while parser.at < text.len() {
            parser.step(kind);
        }
        let template = Self {
            pieces: parser.pieces,
            references: parser.references,
        };
        (template, parser.issues)
    }

    /// The back ends that are named by their number.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Whether it says of a back end how it stands at the moment of use.
    pub fn asks_usability(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Current(BackendField::Usable) | Piece::Numbered(_, BackendField::Usable)
            )
        })
    }

    /// The text for one use. A number without a back end gives nothing.
    pub fn expand(&self, context: &TemplateContext<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            piece.expand(context, &mut out);
        }
        out
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    pieces: Vec<Piece>,
    references: Vec<Reference>,
    issues: Vec<TemplateIssue>,
}

impl Parser<'_> {
    fn literal(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(literal)) => literal.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Literal(bytes.to_vec())),
        }
    }

    /// Takes one byte, or one specifier.
    fn step(&mut self, kind: TemplateKind) {
        let text = self.text;
        let start = self.at;
        let next = text.get(start + 1).copied();
        self.at += 1;
        match (text[start], next) {
            (b'%', Some(next)) if next.is_ascii_digit() => self.number(start, kind),
            (b'%', Some(next)) => {
                self.at += 1;
                self.letter(start, next, kind);
            }
            (byte, _) => self.literal(&[byte]),
        }
    }

    fn number(&mut self, start: usize, kind: TemplateKind) {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let end = self.at + digits.count();
        let digits = &self.text[self.at..end];
        let field = self.text.get(end).copied().and_then(BackendField::of);
        self.at = end;
        let Some(field) = field else {
            self.issues.push(TemplateIssue::BareNumber(start..end));
            return self.literal(digits);
        };
        self.at += 1;
        let number = digits.iter().fold(0_u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        let place = start..self.at;
        self.references.push(Reference { number, place });
        let index = number
            .checked_sub(1)
            .and_then(|index| u32::try_from(index).ok());
        if kind == TemplateKind::Resident && field == BackendField::Usable {
            // It was started long ago; with each request it is told anew.
            self.issues.push(TemplateIssue::NoUsability(start..self.at));
        } else if let Some(index) = index {
            self.pieces.push(Piece::Numbered(BackendId(index), field));
        }
    }

    fn letter(&mut self, start: usize, letter: u8, kind: TemplateKind) {
        if let Some(field) = BackendField::of(letter) {
            if matches!(kind, TemplateKind::Handler | TemplateKind::Resident) {
                self.issues
                    .push(TemplateIssue::NoCurrentBackend(start..self.at));
            }
            return self.pieces.push(Piece::Current(field));
        }
        if letter == b'r' && kind == TemplateKind::Resident {
            self.issues.push(TemplateIssue::NoClient(start..self.at));
        }
        let piece = match letter {
            b'e' => Piece::Epoch,
            b'g' => Piece::GmtStamp,
            b'l' => Piece::LocalStamp,
            b'h' => Piece::Host,
            b'p' => Piece::Process,
            b'r' => Piece::Client,
            b's' => Piece::Service,
            b't' => Piece::LocalCtime,
            b'T' => Piece::GmtCtime,
            b'v' => Piece::Version,
            other => return self.literal(&[other]),
        };
        self.pieces.push(piece);
    }
}

impl BackendField {
    fn of(letter: u8) -> Option<Self> {
        match letter {
            b'a' => Some(Self::Usable),
            b'b' => Some(Self::Name),
            b'w' => Some(Self::Weight),
            _ => None,
        }
    }
}

/// One back end as specifiers see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TemplateBackend<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its weight, 1 to 65535.
    pub weight: u16,
    /// Whether it may be given a connection now.
    pub usable: bool,
}

/// A date and time of the calendar, in some time zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CalendarTime {
    /// Year, such as 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Day of the week, 0 (Sunday) to 6.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
}

impl CalendarTime {
    /// The GMT calendar time of `seconds` since 1970-01-01 00:00 GMT.
    pub fn gmt(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Days are counted in eras of 400 years that begin on 1 March, so that
        // the leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let leap = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap) / 365;
        let in_year = year_of_era * 365 + year_of_era / 4 - year_of_era / 100;
        let day_of_year = day_of_era - in_year;
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let january = i64::from(month >= 10);
        let small = |number: i64| u8::try_from(number).unwrap_or(0);
        Self {
            year: i32::try_from(year_of_era + era * 400 + january).unwrap_or(0),
            month: small(if month < 10 { month + 3 } else { month - 9 }),
            day: small(day),
            weekday: small((days + 4).rem_euclid(7)),
            hour: small(rest / 3_600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
        }
    }

    /// In the form of ctime, without a line end: `Tue Mar  3 09:05:00 2026`.
    pub fn ctime(&self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let day = DAYS.get(usize::from(self.weekday)).unwrap_or(&"???");
        let month = usize::from(self.month).checked_sub(1);
        let month = month.and_then(|month| MONTHS.get(month)).unwrap_or(&"???");
        format!(
            "{day} {month} {:2} {:02}:{:02}:{:02} {}",
            self.day, self.hour, self.minute, self.second, self.year
        )
    }
}

/// `YYYY-MM-DD/hh:mm:ss`.
impl fmt::Display for CalendarTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)?;
        write!(f, "/{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }
}

/// All values of one expansion; they come from one moment.
#[derive(Clone, Debug)]
pub struct TemplateContext<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// All back ends of the service, in order of definition.
    pub backends: &'a [TemplateBackend<'a>],
    /// The current back end; `None` in a handler.
    pub current: Option<BackendId>,
    /// Address of the client, if there is one.
    pub client: Option<IpAddr>,
    /// Host name of the balancer as the system gives it.
    pub host: &'a str,
    /// Process id of the daemon.
    pub process: u32,
    /// Seconds since 1970-01-01 00:00 GMT.
    pub epoch: i64,
    /// The same moment as local time.
    pub local: CalendarTime,
}

impl Piece {
    fn expand(&self, context: &TemplateContext<'_>, out: &mut Vec<u8>) {
        let gmt = || CalendarTime::gmt(context.epoch);
        let text = match self {
            Self::Literal(bytes) => return out.extend_from_slice(bytes),
            Self::Current(field) => match context.current {
                Some(current) => field.of_backend(context, current),
                None => String::new(),
            },
            Self::Numbered(id, field) => field.of_backend(context, *id),
            Self::Epoch => context.epoch.to_string(),
            Self::GmtStamp => gmt().to_string(),
            Self::LocalStamp => context.local.to_string(),
            Self::Host => host_name(context.host),
            Self::Process => context.process.to_string(),
            Self::Client => context.client.map_or_else(String::new, |ip| ip.to_string()),
            Self::Service => identifier(context.service),
            Self::LocalCtime => context.local.ctime(),
            Self::GmtCtime => gmt().ctime(),
            Self::Version => crate::VERSION.to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

impl BackendField {
    fn of_backend(self, context: &TemplateContext<'_>, id: BackendId) -> String {
        let Some(backend) = context.backends.get(id.index()) else {
            return String::new();
        };
        match self {
            Self::Usable => u8::from(backend.usable).to_string(),
            Self::Name => identifier(backend.name),
            Self::Weight => backend.weight.to_string(),
        }
    }
}

/// A name, or nothing if it is none.
fn identifier(name: &str) -> String {
    match check_name(name) {
        Ok(()) => name.to_owned(),
        Err(_) => String::new(),
    }
}

/// A host name that the shell takes as one word, whatever the system says.
fn host_name(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let bytes = name.bytes();
    bytes
        .map(|byte| if keep(byte) { char::from(byte) } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    const BACKENDS: &[TemplateBackend<'static>] = &[
        TemplateBackend {
            name: "maple",
            weight: 1,
            usable: true,
        },
        TemplateBackend {
            name: "birch",
            weight: 3,
            usable: false,
        },
    ];

    fn context(current: Option<u32>) -> TemplateContext<'static> {
        TemplateContext {
            service: "shop",
            backends: BACKENDS,
            current: current.map(BackendId),
            client: Some(IpAddr::from([192, 0, 2, 7])),
            host: "balance-1.example; rm",
            process: 4_021,
            epoch: 1_772_528_700,
            local: CalendarTime::gmt(1_772_528_700 + 3_600),
        }
    }

    fn expand(text: &str, current: Option<u32>) -> String {
        let (template, _) = Template::parse(text.as_bytes(), TemplateKind::Hook);
        String::from_utf8(template.expand(&context(current))).unwrap()
    }

    #[test]
    fn worked_example_comes_out_as_published() {
        assert_eq!(
            expand("%s/%b from %r: %1b=%1a*%1w %2b=%2a*%2w %%b", Some(1)),
            "shop/birch from 192.0.2.7: maple=1*1 birch=0*3 %b"
        );
    }

    #[test]
    fn times_host_process_and_version_are_filled_in() {
        assert_eq!(
            expand("%e %p %v", None),
            format!("1772528700 4021 {}", crate::VERSION)
        );
        assert_eq!(
            expand("%g|%T", None),
            "2026-03-03/09:05:00|Tue Mar  3 09:05:00 2026"
        );
        assert_eq!(
            expand("%l|%t", None),
            "2026-03-03/10:05:00|Tue Mar  3 10:05:00 2026"
        );
        assert_eq!(expand("%h", None), "balance-1.example__rm");
    }

    #[test]
    fn other_characters_and_a_lone_percent_stand_for_themselves() {
        assert_eq!(expand("%x%-100%", None), "x-100%");
    }

    #[test]
    fn digits_without_a_letter_stand_for_themselves_and_are_reported() {
        let (template, issues) = Template::parse(b"a %12x %", TemplateKind::Hook);

        assert_eq!(template.expand(&context(None)), b"a 12x %");
        assert_eq!(issues, [TemplateIssue::BareNumber(2..5)]);
    }

    #[test]
    fn current_back_end_means_nothing_in_a_handler() {
        let (template, issues) = Template::parse(b"[%b%a%w]", TemplateKind::Handler);

        assert_eq!(template.expand(&context(None)), b"[]");
        assert_eq!(issues.len(), 3);
        assert_eq!(issues[0].place(), 1..3);
    }

    #[test]
    fn numbers_are_kept_for_the_check_of_their_range() {
        let (template, _) = Template::parse(b"%2b %0a %99999999999999999999w", TemplateKind::Hook);

        let numbers: Vec<u64> = template.references().iter().map(|one| one.number).collect();
        assert_eq!(numbers, [2, 0, u64::MAX]);
        assert_eq!(template.references()[0].place, 0..3);
        assert_eq!(template.expand(&context(None)), b"birch  ");
    }

    #[test]
    fn what_comes_out_is_not_expanded_again() {
        let backends = [TemplateBackend {
            name: "e",
            weight: 1,
            usable: true,
        }];
        let context = TemplateContext {
            backends: &backends,
            ..context(None)
        };

        let (template, _) = Template::parse(b"%%1b %%%1b", TemplateKind::Hook);

        assert_eq!(template.expand(&context), b"%1b %e");
    }

    #[test]
    fn nothing_that_a_shell_acts_on_comes_out_whatever_goes_in() {
        for hostile in [
            "a;id", "$(id)", "`id`", "a b", "'", "\"", "a\nb", "*", "~", "-x", "\u{e9}",
        ] {
            let backends = [TemplateBackend {
                name: hostile,
                weight: 1,
                usable: true,
            }];
            let context = TemplateContext {
                service: hostile,
                backends: &backends,
                current: Some(BackendId(0)),
                client: Some("fe80::1".parse().unwrap()),
                host: hostile,
                ..context(None)
            };
            let every = b"%a%b%w%1a%1b%1w%e%g%l%h%p%r%s%v";

            let text = Template::parse(every, TemplateKind::Hook)
                .0
                .expand(&context);

            let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b".:/-_".contains(byte);
            assert!(text.iter().all(harmless), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn program_without_client_is_told_so_and_gets_nothing() {
        let (template, issues) = Template::parse(b"%1b%r%1a", TemplateKind::Resident);

        assert_eq!(
            issues,
            [
                TemplateIssue::NoClient(3..5),
                TemplateIssue::NoUsability(5..8)
            ]
        );
        let context = TemplateContext {
            client: None,
            ..context(None)
        };
        assert_eq!(template.expand(&context), b"maple");
    }

    #[test]
    fn calendar_agrees_with_known_days() {
        for (seconds, text) in [
            (0, "1970-01-01/00:00:00"),
            (951_827_696, "2000-02-29/12:34:56"),
            (-1, "1969-12-31/23:59:59"),
            (4_107_542_400, "2100-03-01/00:00:00"),
        ] {
            assert_eq!(CalendarTime::gmt(seconds).to_string(), text);
        }
        assert_eq!(CalendarTime::gmt(0).ctime(), "Thu Jan  1 00:00:00 1970");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_are_a_template(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (template, issues) = Template::parse(&bytes, TemplateKind::Handler);
            let _ = template.expand(&context(None));
            for issue in issues {
                prop_assert!(bytes.get(issue.place()).is_some());
            }
        }

        #[test]
        fn text_without_percent_stays_as_it_is(text in "[^%]{0,100}") {
            let (template, issues) = Template::parse(text.as_bytes(), TemplateKind::Header);
            prop_assert_eq!(template.expand(&context(Some(0))), text.as_bytes());
            prop_assert!(issues.is_empty());
        }
    }
}

//! The table of flags: what the parser accepts and what the help lists.

use clap::{Arg, ArgAction, builder::OsStringValueParser};

/// What a flag takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Takes {
    /// Nothing.
    Nothing,
    /// One argument, called so in the help; the last one counts.
    One(&'static str),
    /// One argument each time; all count.
    Each(&'static str),
}

/// One flag of the command line.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Flag {
    /// Its letter, if it has one.
    pub(in crate::cli) letter: Option<char>,
    /// Its long name, which is also its key in the parser.
    pub(in crate::cli) long: &'static str,
    /// Its argument.
    pub(in crate::cli) takes: Takes,
    /// What it does, for the help; empty if it is left out there.
    pub(in crate::cli) text: &'static str,
}

/// The flags that only one command takes, by their long names, and which.
///
/// Source: decided (2.3).
pub(super) const OWNERS: &[(&str, &str)] = &[
    ("in-place", "migrate"),
    ("diff", "migrate"),
    ("connection", "trafficlog"),
    ("raw", "trafficlog"),
    ("follow", "trafficlog"),
    ("plot", "throughput"),
];

const fn flag(letter: char, long: &'static str, takes: Takes, text: &'static str) -> Flag {
    Flag {
        letter: Some(letter),
        long,
        takes,
        text,
    }
}

const fn long(long: &'static str, takes: Takes, text: &'static str) -> Flag {
    Flag {
        letter: None,
        long,
        takes,
        text,
    }
}

/// All flags, in the order of the help.
///
/// Source: letters as in 2.2, documented or decided there; long names decided.
pub(in crate::cli) const FLAGS: &[Flag] = &[
    flag(
        'a',
        "activity",
        Takes::Nothing,
        "log start and end of connections to back ends",
    ),
    flag(
        'A',
        "record",
        Takes::One("json"),
        "log a line of JSON for every connection",
    ),
    flag(
        'b',
        "binary",
        Takes::Nothing,
        "write the parsed configuration in binary form",
    ),
    flag(
        'B',
        "buffer-size",
        Takes::One("BYTES"),
        "network buffer, 1024 to 16777216 (65536)",
    ),
    flag(
        'C',
        "settings",
        Takes::Nothing,
        "print the compile-time settings",
    ),
    flag(
        'c',
        "config",
        Takes::One("FILE"),
        "configuration file (PREFIX/etc/crossroads.conf,\nthen /etc/crossroads.conf)",
    ),
    flag(
        'd',
        "dns-ttl",
        Takes::One("SECONDS"),
        "keep an answer of the DNS, 0 to 2147483 (3600)",
    ),
    flag(
        'f',
        "foreground",
        Takes::Nothing,
        "start: stay in the foreground, log to stderr too",
    ),
    flag(
        'g',
        "grace",
        Takes::One("SECONDS"),
        "let running connections go on, 0 to 3600 (3)",
    ),
    flag('h', "help", Takes::Nothing, "print this help; also -?"),
    flag(
        'i',
        "in-place",
        Takes::Nothing,
        "migrate: replace the file, keep FILE.bak",
    ),
    long("diff", Takes::Nothing, "migrate: print a unified diff"),
    flag(
        'j',
        "json",
        Takes::Nothing,
        "status, services, throughput: print JSON",
    ),
    flag(
        'l',
        "facility",
        Takes::One("NAME"),
        "syslog facility, such as local0 (daemon)",
    ),
    flag(
        's',
        "sloppy",
        Takes::Nothing,
        "accepted; ports are always bound this way",
    ),
    flag(
        't',
        "terse",
        Takes::Nothing,
        "status, services: print tab-separated lines",
    ),
    flag(
        'v',
        "verbose",
        Takes::Nothing,
        "report each step; start: log as if every block\nsaid 'verbosity on'; status: exact numbers",
    ),
    flag('V', "version", Takes::Nothing, "print the version"),
    flag(
        'w',
        "workers",
        Takes::One("NUMBER"),
        "worker threads, 1 to 1024 (one a processor)",
    ),
    flag(
        'W',
        "warning",
        Takes::Each("no-CODE"),
        "silence a warning, as in -W no-W17; repeatable",
    ),
    flag('x', "xml", Takes::Nothing, "status, services: print XML"),
    long(
        "connection",
        Takes::One("NUMBER"),
        "trafficlog: only this connection of a capture",
    ),
    long(
        "raw",
        Takes::One("SIDE"),
        "trafficlog: just the bytes that client or backend\nsent",
    ),
    long(
        "follow",
        Takes::Nothing,
        "trafficlog: wait for more at the end of the file",
    ),
    long(
        "plot",
        Takes::One("FILE"),
        "throughput: draw the durations into an SVG file",
    ),
    long("limit", Takes::Each("NAME=SECONDS"), ""),
];

impl Flag {
    /// The flag as the parser is told about it.
    pub(super) fn argument(&self) -> Arg {
        let action = match self.takes {
            Takes::Nothing => ArgAction::SetTrue,
            Takes::One(_) => ArgAction::Set,
            Takes::Each(_) => ArgAction::Append,
        };
        let mut argument = Arg::new(self.long).long(self.long).action(action);
        if self.takes != Takes::Nothing {
            // A negative number is a bad argument, not an unknown flag.
            argument = argument
                .value_parser(OsStringValueParser::new())
                .allow_negative_numbers(true);
        }
        if let Some(letter) = self.letter {
            argument = argument.short(letter);
        }
        if self.letter == Some('h') {
            argument = argument.short_alias('?');
        }
        argument
    }

    /// How messages name it: by its letter if it has one.
    pub(super) fn spelling(&self) -> String {
        match self.letter {
            Some(letter) => format!("-{letter}"),
            None => format!("--{}", self.long),
        }
    }
}

/// The flag with this long name.
pub(super) fn by_long(long: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.long == long)
}

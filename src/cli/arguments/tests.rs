use super::*;
use crate::base::endpoint::Endpoint;
use crate::base::state::{ShownState, Tell};
use crate::base::tap::Origin;

fn parse_line(line: &str) -> Result<Invocation, Failure> {
    let words = std::iter::once("crossroads").chain(line.split_whitespace());
    parse(words.map(OsString::from))
}

fn options_of(line: &str) -> Options {
    parse_line(line).unwrap().options
}

fn action_of(line: &str) -> Action {
    parse_line(line).unwrap().action
}

fn usage_error(line: &str) -> String {
    match parse_line(line) {
        Err(Failure::Usage(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn definition_holds_together() {
    definition().debug_assert();
}

#[test]
fn defaults_are_those_of_the_table() {
    let options = options_of("start");

    assert_eq!(options.config, None);
    assert!(!options.activity && !options.foreground && !options.verbose);
    assert_eq!(options.buffer_size, 65_536);
    assert_eq!(options.dns_ttl, Duration::from_secs(3_600));
    assert_eq!(options.form, Form::Text);
    assert_eq!(options.limits, Limits::default());
    assert!((1..=1_024).contains(&options.workers));
}

#[test]
fn flags_stand_before_or_after_the_command() {
    for line in ["-g 7 -v stop", "stop -g 7 -v", "-v stop -g 7"] {
        let invocation = parse_line(line).unwrap();

        assert_eq!(invocation.action, Action::Run(Command::Stop), "{line}");
        assert!(invocation.options.verbose, "{line}");
        assert_eq!(invocation.options.limits.grace.as_secs(), 7, "{line}");
    }
}

#[test]
fn flags_may_stand_between_the_arguments_of_a_command() {
    let expected = action_of("tell shop birch down");

    assert_eq!(action_of("tell shop -v birch -a down"), expected);
}

#[test]
fn letters_are_joined_and_arguments_attached() {
    let options = options_of("-avc/etc/x.conf -B2048 --dns-ttl=9 --workers 3 start");

    assert!(options.activity && options.verbose);
    assert_eq!(options.config, Some(PathBuf::from("/etc/x.conf")));
    assert_eq!(options.buffer_size, 2_048);
    assert_eq!(options.dns_ttl.as_secs(), 9);
    assert_eq!(options.workers, 3);
}

#[test]
fn every_flag_has_its_letter_and_its_long_name() {
    for (short, long) in [
        ("-a", "--activity"),
        ("-B 1024", "--buffer-size 1024"),
        ("-c f", "--config f"),
        ("-d 0", "--dns-ttl 0"),
        ("-f", "--foreground"),
        ("-g 3600", "--grace 3600"),
        ("-j", "--json"),
        ("-l local0", "--facility local0"),
        ("-s", "--sloppy"),
        ("-t", "--terse"),
        ("-v", "--verbose"),
        ("-w 1024", "--workers 1024"),
        ("-W no-W17", "--warning no-W17"),
        ("-x", "--xml"),
    ] {
        let short = options_of(&format!("{short} status"));
        let long = options_of(&format!("status {long}"));

        assert_eq!(format!("{short:?}"), format!("{long:?}"));
    }
}

#[test]
fn number_out_of_its_range_is_a_usage_error() {
    for (line, text) in [
        ("-w 0 start", "argument '0' of '-w' is not within 1 to 1024"),
        (
            "-w 1025 start",
            "argument '1025' of '-w' is not within 1 to 1024",
        ),
        (
            "-B 1023",
            "argument '1023' of '-B' is not within 1024 to 16777216",
        ),
        (
            "-B 16777217",
            "argument '16777217' of '-B' is not within 1024 to 16777216",
        ),
        (
            "-d 2147484",
            "argument '2147484' of '-d' is not within 0 to 2147483",
        ),
        ("-g 3601", "argument '3601' of '-g' is not within 0 to 3600"),
        (
            "-g 99999999999999999999999",
            "argument '99999999999999999999999' of '-g' is not within 0 to 3600",
        ),
        ("-g 1.5", "argument '1.5' of '-g' is not a number"),
        ("-g +1", "argument '+1' of '-g' is not a number"),
        ("-d -1 start", "argument '-1' of '-d' is not a number"),
        ("--workers=x", "argument 'x' of '-w' is not a number"),
    ] {
        assert_eq!(usage_error(line), text);
    }
}

#[test]
fn bounds_of_ranges_are_accepted() {
    for line in [
        "-w 1",
        "-w 1024",
        "-B 1024",
        "-B 16777216",
        "-d 0",
        "-d 2147483",
        "-g 0",
    ] {
        assert!(parse_line(line).is_ok(), "{line}");
    }
}

#[test]
fn what_the_parser_library_finds_is_said_in_our_words() {
    for (line, text) in [
        ("-Z start", "unknown flag '-Z'"),
        ("start --sloppier", "unknown flag '--sloppier'"),
        ("-aZ start", "unknown flag '-Z'"),
        ("start -c", "argument of '-c' missing"),
        ("start --limit", "argument of '--limit' missing"),
        ("start --json=1", "'-j' takes no argument"),
    ] {
        assert_eq!(usage_error(line), text);
    }
}

#[test]
fn last_of_two_values_counts() {
    assert_eq!(options_of("-g 1 stop -g 2").limits.grace.as_secs(), 2);
    assert!(options_of("-v -v stop").verbose);
}

#[test]
fn two_output_forms_exclude_each_other() {
    for line in ["-t -x status", "-tj status", "start -j -x", "-tjx services"] {
        assert_eq!(
            usage_error(line),
            "only one of '-t', '-x' and '-j' can be used"
        );
    }
    assert_eq!(options_of("start -j").form, Form::Json);
}

#[test]
fn first_of_help_version_settings_and_binary_acts() {
    for (line, action) in [
        ("-bCVh start", Action::Help),
        ("-?", Action::Help),
        ("--help", Action::Help),
        ("-bCV", Action::Version),
        ("-b -C nonsense", Action::Settings),
        ("status -b", Action::Binary),
        ("", Action::Nothing),
        ("-v", Action::Nothing),
        ("--", Action::Nothing),
    ] {
        assert_eq!(action_of(line), action, "{line}");
    }
}

#[test]
fn every_command_is_known_and_takes_no_more_than_it_should() {
    for (word, command) in [
        ("start", Command::Start),
        ("stop", Command::Stop),
        ("restart", Command::Restart),
        ("configtest", Command::ConfigTest),
        ("services", Command::Services),
        ("status", Command::Status),
        ("sampleconf", Command::SampleConf),
        ("demo", Command::Demo),
        ("reload", Command::Reload),
    ] {
        assert_eq!(action_of(word), Action::Run(command));
        assert_eq!(
            usage_error(&format!("{word} more")),
            format!("'{word}' takes no arguments")
        );
    }
}

#[test]
fn unknown_command_is_named_with_its_neighbour() {
    assert_eq!(
        usage_error("sttaus"),
        "unknown command 'sttaus' (did you mean 'status'?)"
    );
    assert_eq!(
        usage_error("Stop"),
        "unknown command 'Stop' (did you mean 'stop'?)"
    );
    assert_eq!(usage_error("frobnicate"), "unknown command 'frobnicate'");
}

#[test]
fn both_spellings_of_tell_mean_the_same() {
    let order = |tell| {
        Action::Run(Command::Tell(Order {
            service: "shop".to_owned(),
            backend: "birch".to_owned(),
            tell,
        }))
    };

    let down = order(Tell::State(ShownState::Down));
    assert_eq!(action_of("tell shop birch state down"), down);
    assert_eq!(action_of("tell shop birch down"), down);
    assert_eq!(
        action_of("tell shop birch up"),
        order(Tell::State(ShownState::Available))
    );
    assert_eq!(
        action_of("tell shop birch server [::1]:80"),
        order(Tell::Server(Endpoint::parse("[::1]:80").unwrap()))
    );
}

#[test]
fn faulty_tell_is_explained() {
    let needs = "'tell' needs SERVICE BACKEND state STATE or SERVICE BACKEND server HOST:PORT";
    for (line, text) in [
        ("tell", needs),
        ("tell shop", needs),
        ("tell shop birch", needs),
        ("tell shop birch state", needs),
        ("tell shop birch server", needs),
        ("tell shop birch state down now", needs),
        (
            "tell shop birch Down",
            "unknown state 'Down' (did you mean 'down'?)",
        ),
        (
            "tell shop birch off",
            "unknown state 'off'; accepted: available, up, unavailable, down, waking",
        ),
        (
            "tell shop birch stat down",
            "'tell' cannot set 'stat' (did you mean 'state'?)",
        ),
    ] {
        assert_eq!(usage_error(line), text);
    }
}

#[test]
fn bad_address_is_no_usage_error_but_says_what_is_wrong() {
    let failure = parse_line("tell shop birch server h:0").unwrap_err();

    match failure {
        Failure::Message(text) => {
            assert_eq!(text, "bad server 'h:0': `0` is not a port, 1 to 65535");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn migrate_takes_one_flag_and_one_file() {
    let migrate = |file: Option<&str>, rewrite| {
        Action::Run(Command::Migrate(Migrate {
            file: file.map(PathBuf::from),
            rewrite,
        }))
    };

    assert_eq!(action_of("migrate"), migrate(None, Rewrite::Print));
    assert_eq!(
        action_of("migrate -i f"),
        migrate(Some("f"), Rewrite::InPlace)
    );
    assert_eq!(
        action_of("--diff migrate f"),
        migrate(Some("f"), Rewrite::Diff)
    );
    assert_eq!(
        action_of("migrate -- -f"),
        migrate(Some("-f"), Rewrite::Print)
    );
    assert_eq!(usage_error("migrate a b"), "'migrate' takes one file");
    assert_eq!(
        usage_error("migrate -i --diff"),
        "only one of '-i' and '--diff' can be used"
    );
    assert_eq!(
        usage_error("stop -i"),
        "'-i' belongs to 'migrate', not to 'stop'"
    );
}

#[test]
fn limit_changes_one_field_and_grace_overrules_it() {
    let limits = options_of("--limit connect=0.25 start --limit=start=86400").limits;

    assert_eq!(limits.connect, Duration::from_millis(250));
    assert_eq!(limits.start, Duration::from_secs(86_400));
    for line in ["-g 5 --limit grace=9 stop", "--limit grace=9 stop -g 5"] {
        assert_eq!(options_of(line).limits.grace.as_secs(), 5);
    }
    assert_eq!(options_of("--limit grace=9 stop").limits.grace.as_secs(), 9);
}

#[test]
fn faulty_limit_is_explained() {
    assert_eq!(
        usage_error("--limit connects=1"),
        format!(
            "unknown limit 'connects'; limits are {}",
            Limits::NAMES.join(", ")
        )
    );
    assert_eq!(
        usage_error("--limit connect"),
        "argument 'connect' of '--limit' is not NAME=SECONDS"
    );
    for seconds in [
        "", "0", "0.0009", "86400.1", "1e3", "-1", ".5", "5.", "inf", "nan",
    ] {
        assert_eq!(
            usage_error(&format!("--limit connect={seconds}")),
            format!("argument 'connect={seconds}' of '--limit' needs seconds from 0.001 to 86400")
        );
    }
    assert!(parse_line("--limit connect=0.001").is_ok());
}

#[test]
fn only_warnings_are_silenced() {
    assert_eq!(
        options_of("-W no-W17 start -Wno-W20").silenced,
        [Code::W17, Code::W20]
    );
    for (line, text) in [
        (
            "-W W17",
            "argument 'W17' of '-W' is not no-CODE, such as no-W17",
        ),
        ("-W no-W99", "argument 'no-W99' of '-W' names no warning"),
        (
            "-W no-E08",
            "argument 'no-E08' of '-W' names no warning; nothing else can be silenced",
        ),
    ] {
        assert_eq!(usage_error(line), text);
    }
}

#[test]
fn facility_is_known_in_any_case_and_with_its_prefix() {
    for text in ["local0", "LOCAL0", "LOG_LOCAL0", "log_local0"] {
        let facility = options_of(&format!("-l {text} start")).facility;

        assert_eq!(facility, "local0".parse().unwrap(), "{text}");
    }
    assert_eq!(options_of("start").facility, Facility::DAEMON);
    assert!(
        usage_error("-l local8 start").starts_with(
            "unknown facility 'local8' (did you mean 'local0'?); facilities are auth,"
        )
    );
}

#[test]
fn trafficlog_shows_a_file_whole_and_to_its_end_unless_told_otherwise() {
    let action = |connection, manner, until| {
        Action::Run(Command::TrafficLog(TrafficLog {
            file: PathBuf::from("f"),
            connection,
            manner,
            until,
        }))
    };

    assert_eq!(
        action_of("trafficlog f"),
        action(None, Manner::Hex, Until::EndOfFile)
    );
    assert_eq!(
        action_of("trafficlog --follow f --raw backend --connection 0000042"),
        action(Some(42), Manner::Raw(Origin::Backend), Until::Signal)
    );
}

#[test]
fn throughput_takes_any_number_of_files_and_a_place_for_a_picture() {
    let action = |files: &[&str], plot: Option<&str>| {
        Action::Run(Command::Throughput(Throughput {
            files: files.iter().map(PathBuf::from).collect(),
            plot: plot.map(PathBuf::from),
        }))
    };

    assert_eq!(action_of("throughput a"), action(&["a"], None));
    assert_eq!(
        action_of("throughput a --plot b.svg - c"),
        action(&["a", "-", "c"], Some("b.svg"))
    );
}

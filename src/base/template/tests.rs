use std::sync::LazyLock;

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

/// One hour east of Greenwich.
static ZONE: LazyLock<Clock> = LazyLock::new(|| Clock::east(1));

fn context(current: Option<u32>) -> TemplateContext<'static> {
    TemplateContext {
        service: "shop",
        backends: &BACKENDS,
        current: current.map(BackendId),
        client: Some(IpAddr::from([192, 0, 2, 7])),
        host: "balance-1.example; rm",
        process: 4_021,
        epoch: 1_772_528_700,
        zone: &ZONE,
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
        backends: &backends.as_slice(),
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
            backends: &backends.as_slice(),
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
fn expansion_goes_behind_what_is_there() {
    let (template, _) = Template::parse(b"1.1 %s", TemplateKind::Header);
    let mut out = b"Via: ".to_vec();

    template.expand_into(&context(None), &mut out);

    assert_eq!(out, b"Via: 1.1 shop");
}

#[test]
fn only_a_template_that_shows_the_time_needs_a_clock() {
    for text in ["%e", "%g", "%l", "%t", "%T"] {
        let (template, _) = Template::parse(text.as_bytes(), TemplateKind::Header);
        assert!(template.needs_clock(), "{text}");
    }
    let without = b"%a%b%w%1a%1b%1w%h%p%r%s%v%%e%x";
    let (template, _) = Template::parse(without, TemplateKind::Header);
    assert!(!template.needs_clock());
}

#[test]
fn back_ends_may_be_listed_without_how_they_stand() {
    let known = [(BackendName::new("maple").unwrap(), 7)];
    let list = BackendList {
        known: &known,
        usable: &[],
    };
    let context = TemplateContext {
        backends: &list,
        ..context(Some(0))
    };

    let (template, _) = Template::parse(b"%b %w %a %2b", TemplateKind::Header);

    assert_eq!(template.expand(&context), b"maple 7 0 ");
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

    #[test]
    fn no_context_puts_a_control_character_into_a_text_that_has_none(
        literal in proptest::collection::vec(any::<u8>(), 0..40),
        (service, host, name) in (any::<String>(), any::<String>(), any::<String>()),
        weight in any::<u16>(),
        usable in any::<bool>(),
        current in proptest::option::of(0_u32..3),
        client in proptest::option::of(any::<IpAddr>()),
        (process, epoch) in (any::<u32>(), any::<u64>()),
    ) {
        let is_control = |byte: &u8| byte.is_ascii_control();
        let literal: Vec<u8> = literal.into_iter().filter(|byte| !is_control(byte)).collect();
        let every = b"%a%b%w%1a%1b%1w%2b%e%g%l%h%p%r%s%t%T%v%x";
        let text = [&literal[..], every, &literal].concat();
        let (template, _) = Template::parse(&text, TemplateKind::Header);
        let name = name.as_str();
        let backends = [TemplateBackend { name, weight, usable }; 2];

        let out = template.expand(&TemplateContext {
            service: &service,
            backends: &backends.as_slice(),
            current: current.map(BackendId),
            client,
            host: &host,
            process,
            epoch,
            zone: &ZONE,
        });

        prop_assert!(!out.iter().any(is_control), "{}", out.escape_ascii());
    }

    #[test]
    fn bytes_that_are_no_ascii_stay_bytes(bytes in proptest::collection::vec(128_u8.., 0..40)) {
        let text = [b"%".as_slice(), &bytes, b"%%", &bytes].concat();
        let (template, _) = Template::parse(&text, TemplateKind::Header);

        let expected = match bytes.is_empty() {
            true => b"%%".to_vec(),
            false => [&bytes[..], b"%", &bytes].concat(),
        };
        prop_assert_eq!(template.expand(&context(None)), expected);
    }
}

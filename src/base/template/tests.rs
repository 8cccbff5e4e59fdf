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

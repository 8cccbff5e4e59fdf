use super::super::testing::{example, report, sample_config, shop};
use super::super::{Form, services};
use super::*;

const PLAIN: Form = Form::Text(TextStyle {
    detail: Detail::Brief,
    colours: Colours::Off,
});

const FULL: Form = Form::Text(TextStyle {
    detail: Detail::Full,
    colours: Colours::Off,
});

fn lines(running: RunningService) -> Vec<String> {
    let text = report(running).render(PLAIN);
    text.lines().map(str::to_owned).collect()
}

fn lines_in_full(running: RunningService) -> Vec<String> {
    let text = report(running).render(FULL);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn example_of_the_specification_is_printed_as_it_stands_there() {
    assert_eq!(
        example().render(PLAIN),
        "\
shop: type http, bindto any, port 8443, dispatchmode bysize over 4, pid 2817
  active 12 of 300, accepted 40211, refused 3, without back end 1
  BACKEND  SERVER       STATE      SINCE  WEIGHT  ACTIVE  MAX  TOTAL  FAILED    IN    OUT   MEAN    USAGE  REASON
  maple    10.0.0.5:80  available  2d04h       1       7    -  30010       0  9.6M  77.7M  0.271  3050.25  -
  birch    10.0.0.6:80  down       3m12s       2       5   10  10201       4  3.1M  25.6M  0.270  2952.00  told
"
    );
}

#[test]
fn access_lists_have_a_line_with_sizes_age_and_refusals() {
    let mut shop = shop();
    let numbers = &mut shop.snapshot.service.value.1;
    (numbers.deny_filters, numbers.allow_filters) = (1, 100_000);
    numbers.allow_read = 1_699_999_690;

    let expected = "  deny 1 filter (refused 2), allow 100000 filters (read 5m10s ago, refused 1)";
    assert_eq!(lines(shop)[2], expected);
}

#[test]
fn list_that_was_read_and_is_empty_is_told() {
    let mut shop = shop();
    shop.snapshot.service.value.1.deny_read = 1_699_999_999;

    assert_eq!(lines(shop)[2], "  deny 0 filters (read 1s ago, refused 2)");
}

#[test]
fn what_was_dropped_has_a_line_of_its_own() {
    let mut shop = shop();
    let numbers = &mut shop.snapshot.service.value.1;
    (numbers.hooks_dropped, numbers.helper_dropped) = (1, 40);
    for backend in &mut shop.snapshot.backends {
        backend.value.1.log_dropped = 3;
    }

    let expected = "  dropped 1 hook, 40 lines to helpers, 6 log blocks";
    assert_eq!(lines(shop)[2], expected);
}

#[test]
fn requests_that_the_daemon_answered_itself_have_a_line_where_there_are_any() {
    for (refused, failed, expected) in [
        (3, 1, "  requests refused 3, failed 1"),
        (3, 0, "  requests refused 3"),
        (0, 1, "  requests failed 1"),
    ] {
        let mut shop = shop();
        let numbers = &mut shop.snapshot.service.value.1;
        (numbers.refused_requests, numbers.failed_requests) = (refused, failed);

        assert_eq!(lines(shop)[2], expected);
    }
}

#[test]
fn no_limit_leaves_the_active_number_alone() {
    let mut shop = shop();
    shop.snapshot.service.value.0.max_connections = 0;

    let expected = "  active 12, accepted 40211, refused 3, without back end 1";
    assert_eq!(lines(shop)[1], expected);
}

#[test]
fn column_is_as_wide_as_its_longest_entry() {
    let mut shop = shop();
    shop.snapshot.backends.truncate(1);
    let (facts, numbers) = &mut shop.snapshot.backends[0].value;
    facts.name = "a_long_name".to_owned();
    numbers.total = 123_456_789;
    numbers.reason = Reason::NameDoesNotResolve;

    assert_eq!(
        lines(shop)[2..],
        [
            "  BACKEND      SERVER       STATE      SINCE  WEIGHT  ACTIVE  MAX      TOTAL  FAILED  \
             \u{20} IN    OUT   MEAN    USAGE  REASON",
            "  a_long_name  10.0.0.5:80  available  2d04h       1       7    -  123456789       0  \
             9.6M  77.7M  0.000  3050.25  name does not resolve",
        ]
    );
}

#[test]
fn old_heartbeat_and_missing_file_entry_follow_line_1() {
    let mut shop = shop();
    shop.heartbeat_age = 10;
    assert!(lines(shop.clone())[0].ends_with("pid 2817"));

    shop.heartbeat_age = 11;
    shop.in_file = false;

    let expected = "pid 2817 (no sign of life for 11 s) (not in the file)";
    assert!(lines(shop)[0].ends_with(expected));
}

#[test]
fn torn_records_are_marked() {
    let mut shop = shop();
    shop.snapshot.service.torn = true;
    shop.snapshot.backends[0].torn = true;

    let lines = lines(shop);

    assert!(lines[1].ends_with("without back end 1?"));
    assert!(lines[3].starts_with("  maple    10.0.0.5:80  available?  2d04h "));
    assert!(lines[4].starts_with("  birch    10.0.0.6:80  down        3m12s "));
}

#[test]
fn sizes_are_exact_when_asked() {
    let text = example().render(FULL);

    assert!(text.contains("  0  10066330  81474355  0.271  "), "{text}");
}

#[test]
fn requests_of_http_stand_below_the_table_when_more_is_asked() {
    let mut shop = shop();
    let birch = &mut shop.snapshot.backends[1].value.1;
    (birch.requests, birch.replies, birch.first_byte_microseconds) = (1, [0; 5], 0);

    let full = lines_in_full(shop.clone());

    assert_eq!(
        full[5..],
        [
            "  maple: 30100 requests, replies 1xx 1, 2xx 30000, 3xx 50, 4xx 40, 5xx 9, \
             first byte 4.0 ms",
            "  birch: 1 request, replies 1xx 0, 2xx 0, 3xx 0, 4xx 0, 5xx 0, first byte -",
        ]
    );
    assert_eq!(lines(shop.clone()).len(), 5);
    shop.snapshot.service.value.0.http = false;
    assert_eq!(lines_in_full(shop).len(), 5);
}

#[test]
fn mean_is_a_dash_while_no_connection_has_ended() {
    let mut shop = shop();
    shop.snapshot.backends[0].value.1.total = 7;
    shop.snapshot.backends[1].value.1.total = 3;

    for line in &lines(shop)[3..] {
        assert_eq!(line.split_whitespace().nth(11), Some("-"), "{line}");
    }
}

#[test]
fn clock_that_was_set_back_gives_no_negative_age() {
    let mut shop = shop();
    shop.snapshot.backends[0].value.1.since = u64::MAX;

    assert_eq!(lines(shop)[3].split_whitespace().nth(3), Some("0s"));
}

#[test]
fn services_without_daemon_have_one_line() {
    let services = vec![
        ServiceStatus::NotRunning {
            name: "shop".to_owned(),
        },
        ServiceStatus::LeftOver {
            name: "mail".to_owned(),
            pid: 31,
        },
    ];

    let text = StatusReport { services, now: 0 }.render(PLAIN);

    assert_eq!(
        text,
        "shop: not running\nmail: not running (left over from pid 31)\n"
    );
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let mut report = example();
    report.services.push(ServiceStatus::NotRunning {
        name: "mail".to_owned(),
    });
    let style = TextStyle {
        detail: Detail::Brief,
        colours: Colours::On,
    };

    let coloured = report.render(Form::Text(style));

    assert!(
        coloured.contains("\x1b[32mavailable\x1b[0m  2d04h"),
        "{coloured}"
    );
    assert!(
        coloured.contains("\x1b[35mdown\x1b[0m       3m12s"),
        "{coloured}"
    );
    assert!(
        coloured.contains("mail: \x1b[31mnot running\x1b[0m\n"),
        "{coloured}"
    );
    let codes = regex::Regex::new("\x1b\\[[0-9]+m").unwrap();
    assert_eq!(codes.replace_all(&coloured, ""), report.render(PLAIN));
}

#[test]
fn services_are_listed_with_their_back_ends() {
    assert_eq!(
        services(&sample_config(), PLAIN),
        "\
shop: type http, bindto any, port 8443, dispatchmode bysize over 4
  maple: 10.0.0.5:80
  birch: [2001:db8::6]:80
mail: type any, bindto 192.0.2.1, port 25, dispatchmode externalhandler /opt/pick %1b %1a
  cedar: mx.example:25
"
    );
}

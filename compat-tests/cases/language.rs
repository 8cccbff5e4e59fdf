//! The configuration language, through `configtest` and `services`.

use regex::Regex;

use crate::harness::{Run, Sandbox};

/// One finding of `configtest`.
#[derive(Debug)]
struct Finding {
    line: usize,
    column: usize,
    code: String,
    /// Everything up to the next finding.
    text: String,
}

/// Runs `configtest` on `text`, with `flags`.
fn configtest_with(text: &str, flags: &[&str]) -> (Run, Vec<Finding>) {
    let sandbox = Sandbox::new();
    let file = sandbox.write("case.conf", text);
    let run = sandbox
        .program()
        .args(["-c"])
        .args([file])
        .args(flags)
        .args(["configtest"])
        .run();
    let findings = findings(&run.stderr);
    (run, findings)
}

fn configtest(text: &str) -> (Run, Vec<Finding>) {
    configtest_with(text, &["-W", "no-W17", "-W", "no-W20"])
}

fn findings(stderr: &str) -> Vec<Finding> {
    let head = Regex::new(r"(?m)^.*:(\d+):(\d+): (?:error|warning)\[([EW]\d\d)\]: ").unwrap();
    let starts: Vec<_> = head.captures_iter(stderr).collect();
    let place = |index: usize| {
        starts
            .get(index)
            .map_or(stderr.len(), |c| c.get(0).unwrap().start())
    };
    starts
        .iter()
        .enumerate()
        .map(|(index, found)| Finding {
            line: found[1].parse().unwrap(),
            column: found[2].parse().unwrap(),
            code: found[3].to_owned(),
            text: stderr[place(index)..place(index + 1)].to_owned(),
        })
        .collect()
}

/// The codes that were found.
fn codes(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// What `services -j` says about `text`.
fn services(text: &str) -> serde_json::Value {
    let sandbox = Sandbox::new();
    let file = sandbox.write("case.conf", text);
    let run = sandbox
        .program()
        .args(["-c"])
        .args([file])
        .args(["-j", "services"])
        .run();
    serde_json::from_str(run.ok()).unwrap()
}

/// C09 (documented; the hook's text decided).
#[test]
fn comments_of_all_three_kinds_are_skipped_but_not_in_generic_strings() {
    let text = "/* one\n   comment */ service shop { // two\n  port 8080; # three\n\
                backend maple { server 10.0.0.5:80; onstart /opt/log http://a/*; } }\n";

    let (run, findings) = configtest(text);
    let services = services(text);

    run.ok();
    assert_eq!(codes(&findings), Vec::<&str>::new());
    let maple = &services["services"][0]["backends"][0];
    assert_eq!(maple["onstart"], "/opt/log http://a/*");
}

/// C10 (documented).
#[test]
fn a_defined_symbol_stands_for_its_definition() {
    let services = services(
        "#define P 8080\nservice shop { port P; backend maple { server 10.0.0.5:80; } }\n",
    );

    assert_eq!(services["services"][0]["port"], 8080);
}

/// C10 (decided).
#[test]
fn a_define_in_column_2_is_a_comment_with_a_warning() {
    let (run, findings) = configtest(
        " #define P 8080\nservice shop { port P; backend maple { server 10.0.0.5:80; } }\n",
    );

    run.failed();
    assert_eq!(codes(&findings), ["W10", "E07"]);
    assert_eq!((findings[0].line, findings[0].column), (1, 2));
    assert!(findings[1].text.contains("`P`"), "{findings:?}");
}

/// C11 (documented).
#[test]
fn an_include_puts_a_file_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("parts/more.conf", "backend maple { server 10.0.0.5:80; }\n");
    let file = sandbox.write(
        "case.conf",
        "service shop { port 8080;\n#include \"parts/more.conf\"\n}\n",
    );

    let run = sandbox
        .program()
        .args(["services", "-t", "-c"])
        .args([file])
        .run();

    let fields: Vec<&str> = run.clean().trim_end().split('\t').collect();
    assert_eq!(
        fields,
        [
            "shop",
            "any",
            "any",
            "8080",
            "roundrobin",
            "maple",
            "10.0.0.5:80"
        ]
    );
}

/// C11 (decided).
#[test]
fn a_file_that_includes_itself_is_an_error() {
    let (run, findings) = configtest("#include \"case.conf\"\n");

    run.failed();
    assert!(codes(&findings).contains(&"E22"), "{run:#?}");
}

/// C12 (documented): the value of a quoted header text.
#[test]
fn a_semicolon_inside_double_quotes_does_not_end_a_string() {
    let services = services(
        "service shop { port 8080; type http; backend maple { server 10.0.0.5:80;\n\
         addclientheader \"Set-Cookie: K=2; Path=/\"; } }\n",
    );

    let header = &services["services"][0]["backends"][0]["addclientheader"];
    assert_eq!(header[0], "Set-Cookie: K=2; Path=/");
}

/// C13 (documented).
#[test]
fn the_same_statement_twice_is_accepted() {
    let (run, findings) = configtest(
        "service shop { port 8080; verbosity on; verbosity on; backend maple { server 10.0.0.5:80; } }",
    );

    assert!(run.ok().contains("configuration is ok"), "{run:#?}");
    assert_eq!(codes(&findings), Vec::<&str>::new());
}

/// C13 (decided).
#[test]
fn of_two_different_values_the_last_one_counts_with_a_warning() {
    let text = "service shop { port 80; port 81; backend maple { server 10.0.0.5:80; } }";

    let (run, findings) = configtest(text);

    run.ok();
    assert_eq!(codes(&findings), ["W02"]);
    assert_eq!(services(text)["services"][0]["port"], 81);
}

/// C14 (decided).
#[test]
fn all_errors_of_a_file_are_reported_with_line_column_and_caret() {
    let text = "service shop {\n    port 99999;\n    dispatchmode bysise;\n    \
                backend maple {\n        server 10.0.0.5:80;\n        wieght 2;\n    }\n}\n";

    let (run, findings) = configtest(text);

    run.failed();
    let places: Vec<_> = findings
        .iter()
        .map(|finding| (finding.line, finding.column, finding.code.as_str()))
        .collect();
    assert_eq!(
        places,
        [(2, 10, "E08"), (3, 18, "E07"), (6, 9, "E02")],
        "{run:#?}"
    );
    let shown = "  |\n2 |     port 99999;\n  |          ^^^^^\n  = accepted: ";
    assert!(findings[0].text.contains(shown), "{}", findings[0].text);
    assert!(
        findings[1].text.contains("= did you mean `bysize`?"),
        "{}",
        findings[1].text
    );
    assert!(
        findings[2].text.contains("= did you mean `weight`?"),
        "{}",
        findings[2].text
    );
    let last = run.stderr.lines().last().unwrap();
    assert!(last.ends_with("case.conf: 3 errors, 0 warnings"), "{last}");
}

/// C15 (decided).
#[test]
fn a_keyword_in_another_case_is_unknown_but_guessed() {
    let (run, findings) =
        configtest("service shop { Port 80; backend maple { server 10.0.0.5:80; } }");

    run.failed();
    assert_eq!(codes(&findings), ["E02"]);
    assert!(
        findings[0].text.contains("= did you mean `port`?"),
        "{}",
        findings[0].text
    );
}

/// C16 (decided; the old words are documented).
#[test]
fn retired_spellings_act_as_the_new_ones_with_a_warning() {
    let text = "service shop { port 8080; sessiontimeout 9; dispatchmode bysessions;\n\
                type stickyhttp; backend maple { server 10.0.0.5:80; } }";

    let (run, findings) = configtest(text);
    let services = services(text);

    run.ok();
    assert_eq!(codes(&findings), ["W01"; 3]);
    let shop = &services["services"][0];
    assert_eq!(shop["connectiontimeout"], 9);
    assert_eq!(shop["dispatchmode"], "byconnections");
    assert_eq!(shop["type"], "http");
}

/// The sample of section 3.8.
const SAMPLE: &str = r#"#define SHOP_PORT 8443
/* shop front: sticky, two servers of unequal strength */
service shop {
    port SHOP_PORT;   type http;
    dispatchmode byduration over 8;
    revivinginterval 7;   connectiontimeout 90;   maxconnections 400;
    allowfrom 172.16/12 127.0.0.1 2001:db8::/32;
    backend maple {
        server 10.4.0.11:8001;   decay 15;
        stickycookie lane=maple;
        addclientheader "Set-Cookie: lane=maple; Path=/; HttpOnly";
        setserverheader "X-Client: %r";
        onfail logger -t shop "lost %b at %l";       // quotes stay: they do not enclose all
    }
    backend birch {
        server 10.4.0.12;   port 8001;   decay 15;   weight 3;
        maxconnections 60;   retries 2;
        stickycookie lane=birch;
        addclientheader "Set-Cookie: lane=birch; Path=/; HttpOnly";
        throughputlog /var/log/birch.log;
    }
}
# plain TCP, the back end chosen by a program
service desk {
    port 5900;   bindto 127.0.0.1;   revivinginterval 10;
    dispatchmode externalhandler
        /opt/desk/pick --from %r
        %1b:%1a:%1w %2b:%2a:%2w;
    backend large { server 10.4.1.1:5901; maxconnections 1; onend /opt/desk/free %b; }
    backend small { server 10.4.1.2:5901; maxconnections 1; weight 2; onend /opt/desk/free %b; }
}
"#;

/// C17 (decided).
#[test]
fn the_sample_of_the_specification_has_no_error_and_no_warning() {
    let (run, findings) = configtest_with(SAMPLE, &[]);

    assert_eq!(codes(&findings), Vec::<&str>::new(), "{run:#?}");
    let expected = "case.conf: configuration is ok (2 services, 4 back ends)\n";
    assert!(run.ok().ends_with(expected), "{run:#?}");
}

/// C17 (decided); the command line over three lines is C27 (inferred).
#[test]
fn services_lists_what_the_sample_configures() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("case.conf", SAMPLE);

    let run = sandbox
        .program()
        .args(["services", "-c"])
        .args([file])
        .run();

    let expected = "\
shop: type http, bindto any, port 8443, dispatchmode byduration over 8
  maple: 10.4.0.11:8001
  birch: 10.4.0.12:8001
desk: type any, bindto 127.0.0.1, port 5900, dispatchmode externalhandler \
/opt/desk/pick --from %r %1b:%1a:%1w %2b:%2a:%2w
  large: 10.4.1.1:5901
  small: 10.4.1.2:5901
";
    assert_eq!(run.clean(), expected);
}

/// C57 (decided).
#[test]
fn a_service_that_one_refused_connect_can_empty_is_warned_about() {
    let text = "service shop { port 8080; backend maple { server 10.0.0.5:80; }\n\
                backend birch { server 10.0.0.6:80; } }";

    let (loud, found) = configtest_with(text, &[]);
    let (silenced, none) = configtest_with(text, &["-W", "no-W17"]);
    let (refused, _) = configtest_with(text, &["-W", "no-E08"]);

    loud.ok();
    assert_eq!(codes(&found), ["W17"]);
    assert!(
        found[0].text.contains("revivinginterval"),
        "{}",
        found[0].text
    );
    silenced.ok();
    assert_eq!(codes(&none), Vec::<&str>::new());
    refused.usage_error();
}

/// C58 (decided).
#[test]
fn lints_find_configurations_that_do_not_mean_what_they_say() {
    let service = |body: &str| format!("service shop {{ port 8080; {body} }}");
    let two = "backend maple { server 10.0.0.5:80; } backend birch { server 10.0.0.6:80; }";
    let inverted = "dispatchmode byconnections; backend main { server 10.0.0.5:80; weight 5; }\n\
                    backend spare { server 10.0.0.6:80; }";
    let looped = "backend maple { server 127.0.0.1:8080; }";
    let second_host = "type http; backend maple { server 10.0.0.5:80; addserverheader Host: a; }";

    for (body, code) in [
        (format!("allowfrom 10.1.2.3; denyfrom 10/8; {two}"), "W18"),
        (inverted.to_owned(), "W19"),
        (format!("dispatchmode bysize; {two}"), "W20"),
        (format!("dispatchmode bysize over 4; {two}"), "W20"),
        (looped.to_owned(), "W21"),
        (format!("trafficlog /log; capture /log; {two}"), "W22"),
        (second_host.to_owned(), "W23"),
    ] {
        let (run, findings) = configtest_with(&service(&body), &["-W", "no-W17"]);

        run.ok();
        assert_eq!(codes(&findings), [code], "{body}");
    }
}

/// 3.2 and 14.1 (decided): a byte that is not UTF-8 is accepted in a comment
/// and in a generic string, but not in a name (C56, first and last part).
#[test]
fn bytes_that_are_not_utf8_are_accepted_in_comments_and_strings_only() {
    let sandbox = Sandbox::new();
    let check = |text: &[u8]| {
        let file = sandbox.write("case.conf", text);
        sandbox
            .program()
            .args(["configtest", "-c"])
            .args([file])
            .run()
    };

    let accepted = check(
        b"# caf\xe9\nservice shop { port 8080; backend maple { server 10.0.0.5:80;\n\
          onstart echo caf\xe9; } }\n",
    );
    let refused = check(b"service shop { port 8080; backend map\xe9le { server 10.0.0.5:80; } }\n");

    accepted.ok();
    assert!(refused.failed().contains("error[E11]"), "{refused:#?}");
}

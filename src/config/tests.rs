use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::TempDir;

use super::diagnostic::{Colours, Which};
use super::model::{
    CaptureRotation, ErrorPage, HandlerKind, HeaderInspection, Reuse, ServiceKind, WebSettings,
};
use super::*;
use crate::base::clock::Clock;
use crate::base::id::BackendId;
use crate::base::limits::Limits;
use crate::base::quantity::Seconds;
use crate::base::template::{TemplateBackend, TemplateContext};
use crate::base::text::Text;
use crate::policy::dispatch::DispatchMode;

/// A directory with one file in it.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crossroads.conf");
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn read(bytes: &[u8]) -> Loaded {
    let (_directory, path) = file(bytes);
    load(&path, &LoadOptions::default())
}

fn codes(loaded: &Loaded) -> Vec<&'static str> {
    let found = loaded.report.diagnostics().iter();
    found.map(|found| found.code.as_str()).collect()
}

fn config(text: &str) -> Config {
    let loaded = read(text.as_bytes());
    let report = loaded.report.render(Colours::Never, Which::All);
    loaded.config.expect(&report)
}

const BACKEND: &str = "backend maple { server 10.4.0.11:80; }";

#[test]
fn every_directive_reaches_the_model() {
    let config = config(
        "service shop { port 8443; type http; headerinspection shallow; verbosity on;
            dispatchmode bysize over 4; revivinginterval 7; maxconnections 400; backlog 9;
            shmkey 77; connectiontimeout 90; allowfrom 11/8 127.0.0.1; denyfrom 12/8;
            allowfile /a; denyfile /d; useraccount nobody; trafficlog /t; throughputlog /u;
            backend maple { server web:8001; weight 3; decay 15; retries 2; maxconnections 60;
                connectiontimeout 0; verbosity yes; onstart a; onend b; onfail c;
                trafficlog /tt; throughputlog /uu; stickycookie lane=maple;
                addclientheader \"Set-Cookie: lane=maple\"; setserverheader \"X-Client: %r\"; } }",
    );

    let service = &config.services[0];
    assert_eq!(service.kind, ServiceKind::Http(HeaderInspection::Shallow));
    assert_eq!(service.dispatch.to_string(), "bysize over 4");
    assert_eq!(
        (service.port, service.backlog, service.shm_key()),
        (8443, 9, 77)
    );
    assert_eq!(service.reviving_interval.get(), 7);
    assert_eq!(service.max_connections.get(), Some(400));
    assert_eq!(
        service.allow_from,
        [Text::from("11/8"), Text::from("127.0.0.1")]
    );
    assert_eq!(service.deny_from, [Text::from("12/8")]);
    let own = [
        &service.allow_file,
        &service.deny_file,
        &service.user_account,
    ];
    assert_eq!(
        own,
        [
            &Some("/a".into()),
            &Some("/d".into()),
            &Some("nobody".into())
        ]
    );
    let backend = &service.backends[0];
    assert_eq!(backend.server.to_string(), "web:8001");
    assert_eq!(
        (backend.weight.get(), backend.decay.get(), backend.retries),
        (3, 15, 2)
    );
    assert_eq!(service.idle_limit(backend).get(), 0);
    let hooks = [&backend.on_start, &backend.on_end, &backend.on_fail];
    assert_eq!(
        hooks,
        [&Some("a".into()), &Some("b".into()), &Some("c".into())]
    );
    assert_eq!(backend.traffic_log, Some("/tt".into()));
    assert_eq!(backend.sticky_cookie, Some("lane=maple".into()));
    assert_eq!(backend.headers.len(), 2);
}

#[test]
fn directives_of_ours_reach_the_model() {
    let config = config(
        "service desk { port 5900; dispatchmode externalhandler persistent /opt/pick  %1b;
            onevents /opt/note; handlertimeout 40; capture /c; capturesize 5; capturefiles 2;
            backend maple { server a:1;
                capture \"/var/log/a b\" 96 when 10/8 2001:db8::/32; }
            backend birch { server b:1; } }",
    );

    let service = &config.services[0];
    let handler = service.handler.as_ref().unwrap();
    assert_eq!(handler.kind, HandlerKind::Persistent);
    assert_eq!(handler.command, Text::from("/opt/pick  %1b"));
    assert_eq!(service.on_events, Some("/opt/note".into()));
    assert_eq!(service.handler_timeout.get(), 40);
    assert_eq!(service.capture.as_ref().unwrap().to_string(), "/c");
    let rotation = CaptureRotation { size: 5, files: 2 };
    assert_eq!(service.capture_rotation, rotation);
    let capture = service.backends[0].capture.as_ref().unwrap();
    assert_eq!(capture.file, Text::from("/var/log/a b"));
    assert_eq!(capture.snap_length, Some(96));
    assert_eq!(capture.when.filters().len(), 2);
    assert_eq!(service.backends[1].capture, None);
}

#[test]
fn directives_of_http_services_reach_the_model() {
    let web = |statements: &str| {
        let text = format!("service s {{ port 1; type http; {statements} {BACKEND} }}");
        config(&text).services[0].web.clone()
    };

    let given = web(
        "reuse safe; reusemax 5; reuseage 6; headtimeout 7; keepalivetimeout 8;
            responsetimeout 9; maxheadersize 1024; maxheaders 1000;",
    );

    let seconds = |number| Seconds::new(number).unwrap();
    let expected = WebSettings {
        reuse: Reuse::Safe,
        reuse_max: 5,
        reuse_age: seconds(6),
        head_timeout: Some(seconds(7)),
        keepalive_timeout: seconds(8),
        response_timeout: seconds(9),
        max_header_size: 1_024,
        max_headers: 1_000,
        error_pages: Vec::new(),
    };
    assert_eq!(given, expected);
    assert_eq!(web(""), WebSettings::default());
    assert_eq!(web("reuse never;"), WebSettings::default());
}

#[test]
fn defaults_of_http_services_are_those_of_the_table() {
    let default = WebSettings::default();
    for (word, value) in [
        ("reuse", default.reuse.to_string()),
        ("reusemax", default.reuse_max.to_string()),
        ("reuseage", default.reuse_age.get().to_string()),
        ("headtimeout", Limits::default().head.as_secs().to_string()),
        (
            "keepalivetimeout",
            default.keepalive_timeout.get().to_string(),
        ),
        (
            "responsetimeout",
            default.response_timeout.get().to_string(),
        ),
        ("maxheadersize", default.max_header_size.to_string()),
        ("maxheaders", default.max_headers.to_string()),
    ] {
        let row = directives::find(word, directives::Level::Service).unwrap();
        assert_eq!(row.default, value, "{word}");
    }
}

#[test]
fn limits_of_http_services_end_where_they_should() {
    for (statement, code) in [
        ("reusemax 0;", "E08"),
        ("reusemax 65536;", "E08"),
        ("reuseage 0;", "E08"),
        ("headtimeout 0;", "E08"),
        ("keepalivetimeout 31536001;", "E08"),
        ("responsetimeout 31536001;", "E08"),
        ("maxheadersize 1023;", "E08"),
        ("maxheadersize 1048577;", "E08"),
        ("maxheaders 7;", "E08"),
        ("maxheaders 1001;", "E08"),
        ("reuse always;", "E07"),
        ("reuse;", "E06"),
    ] {
        let text = format!("service shop {{ port 8080; type http; {statement} {BACKEND} }}");
        assert_eq!(codes(&read(text.as_bytes())), [code], "{statement}");
    }
}

/// How a file with one service of this type and an `errorfile` is read.
fn with_page(kind: &str, file: &str, purpose: Purpose) -> Loaded {
    let text = format!(
        "service s {{ port 1; type {kind}; errorfile 504 gone; errorfile 503 {file};
            errorfile 504 {file}; {BACKEND} }}"
    );
    let (_directory, path) = self::file(text.as_bytes());
    let options = LoadOptions {
        purpose,
        silenced: vec![Code::W02, Code::W03],
        ..LoadOptions::default()
    };
    load(&path, &options)
}

#[test]
fn pages_of_error_replies_reach_the_model() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("so sorry.HTML");
    fs::write(&file, "<p>Sorry").unwrap();

    let loaded = with_page("http", file.to_str().unwrap(), Purpose::Start);

    assert_eq!(codes(&loaded), [""; 0]);
    let web = loaded.config.unwrap().services.remove(0).web;
    let page = |code| ErrorPage {
        code,
        file: file.to_str().unwrap().into(),
        content_type: "text/html",
        page: b"<p>Sorry"[..].into(),
    };
    assert_eq!(web.error_pages, [page(504), page(503)]);
    assert_eq!(web.error_page(503), Some(&page(503)));
    assert_eq!(web.error_page(502), None);
}

#[test]
fn pages_are_left_alone_where_they_do_not_matter() {
    for (kind, purpose, expected) in [
        ("http", Purpose::Start, vec!["E44", "E44"]),
        ("http", Purpose::ConfigTest, vec!["E44", "E44"]),
        ("http", Purpose::Other, vec![]),
        ("any", Purpose::Start, vec![]),
    ] {
        let loaded = with_page(kind, "/no/such/page", purpose);

        assert_eq!(codes(&loaded), expected, "{kind} {purpose:?}");
        if let Some(config) = loaded.config {
            assert!(config.services[0].web.error_pages[0].page.is_empty());
        }
    }
}

#[test]
fn type_of_a_page_follows_the_end_of_its_name() {
    for (file, expected) in [
        ("/a/503.html", "text/html"),
        ("503.HTM", "text/html"),
        ("a.b/503.json", "application/json"),
        ("503.xml", "application/xml"),
        ("503.txt", "text/plain"),
        ("503", "text/plain"),
        ("a.html/503", "text/plain"),
        (".html", "text/plain"),
        ("503.php", "text/plain"),
    ] {
        assert_eq!(ErrorPage::content_type_of(&file.into()), expected, "{file}");
    }
}

#[test]
fn nothing_is_said_of_reuse_where_its_word_was_faulty() {
    let text = format!("service s {{ port 1; type http; reuse on; reusemax 9; {BACKEND} }}");

    assert_eq!(codes(&read(text.as_bytes())), ["E07"]);
}

#[test]
fn faulty_capture_and_handler_say_what_is_wrong() {
    for (statement, code) in [
        ("capture /c 63;", "E08"),
        ("capture /c 70000;", "E08"),
        ("capture /c wehn 10/8;", "E09"),
        ("capture /c when;", "E06"),
        ("capture /c when 10.;", "E35"),
        ("capture \"\" 96;", "E07"),
        ("dispatchmode externalhandler persistent;", "E06"),
        ("handlertimeout 0;", "E08"),
        ("capturefiles 0;", "E08"),
    ] {
        let text = format!("service shop {{ port 8080; {statement} {BACKEND} }}");
        assert_eq!(codes(&read(text.as_bytes())), [code], "{statement}");
    }
}

#[test]
fn words_of_ours_may_be_names_as_in_old_files() {
    let config = config("service capture { port 8080; backend onevents { server 10.0.0.1:80; } }");

    assert_eq!(config.services[0].name.as_str(), "capture");
    assert_eq!(config.services[0].backends[0].name.as_str(), "onevents");
}

#[test]
fn what_is_not_given_has_the_published_defaults() {
    let config = config(&format!("service shop {{ port 8080; {BACKEND} }}"));

    let (service, backend) = (&config.services[0], &config.services[0].backends[0]);
    assert_eq!(service.shm_key(), 0x5852_1f90);
    assert_eq!(service.dispatch, DispatchMode::RoundRobin);
    assert_eq!(service.bind.to_string(), "any");
    assert_eq!((service.backlog, service.max_connections.get()), (0, None));
    assert_eq!(
        (backend.weight.get(), backend.decay.get(), backend.retries),
        (1, 0, 0)
    );
    assert_eq!(backend.connection_timeout, None);
}

#[test]
fn retired_spellings_give_the_model_of_the_new_ones() {
    let model = |text: &str| Config {
        path: String::new(),
        fingerprint: 0,
        ..config(text)
    };
    let old = model(
        "service shop { port 80; type stickyhttp; sessiontimeout 9; dispatchmode bysessions;
            maxsessions 7; backend maple { server h:1; insertcookie lane=1; insertrealip yes;
            insertstickycookie \"Set-Cookie: b=2\"; insertrealip off; onsuccess x; onfailure y; } }",
    );
    let new = model(
        "service shop { port 80; type http; connectiontimeout 9; dispatchmode byconnections;
            maxconnections 7; backend maple { server h:1; addclientheader \"Set-Cookie: lane=1\";
            setserverheader \"X-Real-IP: %r\"; addclientheader \"Set-Cookie: b=2\"; onstart x;
            onfail y; } }",
    );

    assert_eq!(old, new);
}

#[test]
fn later_of_server_and_port_gives_the_port() {
    for (text, port) in [
        ("server h:80; port 81;", 81),
        ("port 81; server h:80;", 80),
        ("port 81; server h;", 81),
        ("server g:80; server h; port 82;", 82),
        ("port 81; server g:80; server h:82;", 82),
    ] {
        let text = format!("service shop {{ port 8080; backend maple {{ {text} }} }}");
        assert_eq!(
            config(&text).services[0].backends[0].server.port,
            port,
            "{text}"
        );
    }
    let lost = read(b"service shop { port 1; backend maple { server g:80; server h; } }");
    assert_eq!(codes(&lost), ["E30", "W02"]);
}

#[test]
fn byte_that_is_not_utf8_reaches_the_model_as_it_is() {
    let loaded = read(
        b"service shop { port 80; type http; backend maple { server h:1;
            addserverheader \"X-City: Orl\xE9ans\"; } } # \xE9",
    );

    let config = loaded.config.unwrap();
    let header = &config.services[0].backends[0].headers[0];
    assert_eq!(header.text.as_bytes(), b"X-City: Orl\xE9ans");
}

/// What one directive of a back end in a service of `type http` gives.
fn with_header(statement: &str) -> Loaded {
    let text =
        format!("service s {{ port 1; type http; backend maple {{ server h:1; {statement} }} }}");
    read(text.as_bytes())
}

#[test]
fn header_directive_is_taken_apart_with_its_value_as_a_template() {
    for (written, name, value) in [
        ("X-Client: to %b", "X-Client", "to maple"),
        ("X-Empty:", "X-Empty", ""),
        ("X:  a: b ", "X", "a: b"),
        ("%b: %b", "%b", "maple"),
    ] {
        let loaded = with_header(&format!("setserverheader \"{written}\";"));

        assert_eq!(codes(&loaded), [""; 0], "{written}");
        let config = loaded.config.unwrap();
        let header = &config.services[0].backends[0].headers[0];
        let maple = TemplateBackend {
            name: "maple",
            weight: 1,
            usable: true,
        };
        let expanded = header.value.expand(&TemplateContext {
            service: "s",
            backends: &[maple].as_slice(),
            current: Some(BackendId(0)),
            client: None,
            host: "",
            process: 0,
            epoch: 0,
            zone: &Clock::gmt(),
        });
        assert_eq!(header.name, Text::from(name));
        assert_eq!(Text::from(expanded), Text::from(value));
        assert_eq!(header.text, Text::from(written));
    }
}

#[test]
fn specifier_of_a_header_is_found_behind_the_name_and_not_in_it() {
    for (statement, shown) in [
        ("setserverheader \"%9b: x %9b\";", "%9b\";"),
        ("insertcookie k=%9b;", "%9b;"),
    ] {
        let loaded = with_header(statement);

        let found = loaded.report.diagnostics().iter();
        let mut found = found.filter(|found| found.code == Code::E38);
        let place = &found.next().unwrap().place;
        let excerpt = place.excerpt.as_deref().unwrap();
        assert!(excerpt[place.indent..].starts_with(shown), "{excerpt}");
        assert!(found.next().is_none(), "{statement}");
    }
}

#[test]
fn header_with_a_control_character_or_a_bad_name_is_refused() {
    let controls = (1..0x20).chain([0x7F]).map(char::from);
    let faulty = controls.map(|control| format!("X: a{control}b"));
    let names = [
        "X Y: a",
        "X\t: a",
        "(X): a",
        "X\u{e9}: a",
        ": a",
        "X",
        " : a",
    ];
    for written in faulty.chain(names.map(str::to_owned)) {
        let loaded = with_header(&format!("addclientheader \"{written}\";"));

        assert_eq!(codes(&loaded), ["E37"], "{written:?}");
    }
}

#[test]
fn header_that_frames_a_message_is_refused() {
    for statement in [
        "setserverheader \"content-length: 1\";",
        "addclientheader \"Transfer-Encoding: chunked\";",
    ] {
        assert_eq!(codes(&with_header(statement)), ["E37"], "{statement}");
    }
}

#[test]
fn second_host_is_warned_of_and_stays_in_effect() {
    for statement in [
        "addserverheader \"host: a\";",
        "appendserverheader \"Host: a\";",
    ] {
        let loaded = with_header(statement);

        assert_eq!(codes(&loaded), ["W23"], "{statement}");
        let config = loaded.config.unwrap();
        assert_eq!(config.services[0].backends[0].headers.len(), 1);
    }
}

#[test]
fn only_host_of_a_request_draws_no_warning() {
    for statement in [
        "setserverheader \"Host: a\";",
        "addclientheader \"Host: a\";",
        "addserverheader \"X-Host: a\";",
    ] {
        assert_eq!(codes(&with_header(statement)), [""; 0], "{statement}");
    }
}

#[test]
fn header_that_the_daemon_manages_is_warned_of_and_dropped() {
    let managed = [
        "Connection",
        "proxy-connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "UPGRADE",
    ];
    for name in managed {
        let loaded = with_header(&format!("setclientheader \"{name}: x\";"));

        assert_eq!(codes(&loaded), ["W15"], "{name}");
        let config = loaded.config.unwrap();
        assert_eq!(config.services[0].backends[0].headers, []);
    }
}

#[test]
fn missing_file_is_one_error_of_the_report() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.conf");

    let loaded = load(&path, &LoadOptions::default());

    assert_eq!(codes(&loaded), ["E43"]);
    let text = loaded.report.render(Colours::Never, Which::All);
    let start = format!("{}:1:1: error[E43]: cannot read", path.display());
    assert!(text.starts_with(&start), "{text}");
    assert!(loaded.config.is_none() && loaded.partial.is_empty());
}

#[test]
fn directory_is_no_configuration() {
    let directory = tempfile::tempdir().unwrap();

    assert_eq!(
        codes(&load(directory.path(), &LoadOptions::default())),
        ["E43"]
    );
}

#[test]
fn file_of_more_than_64_mib_is_refused() {
    let (_directory, path) = file(b"");
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();

    assert_eq!(codes(&load(&path, &LoadOptions::default())), ["E42"]);
}

#[test]
fn includes_are_counted_together_towards_the_limit_of_size() {
    let (directory, path) = file(&b"#include \"big.inc\"\n".repeat(9));
    fs::write(directory.path().join("big.inc"), vec![b'\n'; 8 << 20]).unwrap();

    let loaded = load(&path, &LoadOptions::default());

    assert!(!codes(&loaded).is_empty());
    assert!(
        codes(&loaded).iter().all(|code| *code == "E42"),
        "{:?}",
        codes(&loaded)
    );
}

#[test]
fn includes_nest_16_deep_and_no_deeper() {
    let (directory, path) = file(b"#include \"1.inc\"\n");
    let last = |depth: usize| {
        for number in 1..depth {
            let text = format!("#include \"{}.inc\"\n", number + 1);
            fs::write(directory.path().join(format!("{number}.inc")), text).unwrap();
        }
        let text = format!("service shop {{ port 80; {BACKEND} }}");
        fs::write(directory.path().join(format!("{depth}.inc")), text).unwrap();
        codes(&load(&path, &LoadOptions::default()))
    };

    assert_eq!(last(16), [""; 0]);
    assert_eq!(last(17), ["E22"]);
}

#[test]
fn symbols_stand_for_each_other_64_deep_and_no_deeper() {
    let text = |depth: usize| {
        let mut text = String::from("#define S1 80\n");
        for number in 2..=depth {
            text += &format!("#define S{number} S{}\n", number - 1);
        }
        text + &format!("service shop {{ port S{depth}; {BACKEND} }}")
    };

    assert_eq!(codes(&read(text(64).as_bytes())), [""; 0]);
    assert_eq!(codes(&read(text(65).as_bytes())), ["E24"]);
}

#[test]
fn symbol_holds_from_its_line_on_and_the_last_definition_counts() {
    let config = config(&format!(
        "#define P 81\nservice a {{ port P; {BACKEND} }}\n#define P 82\n\
         service b {{ port P; {BACKEND} }}"
    ));

    let ports: Vec<u16> = config.services.iter().map(|service| service.port).collect();
    assert_eq!(ports, [81, 82]);
}

#[test]
fn symbol_is_replaced_in_strings_but_not_in_quotes_or_behind_a_percent_sign() {
    let config = config(
        "#define b maple\n#define SELF SELF\n#define A B\n#define B A\n\
         service shop { port 80; backend b { server h:1; onstart b %b 'b' \"b\" bb b-b SELF A; } }",
    );

    let backend = &config.services[0].backends[0];
    assert_eq!(backend.name.as_str(), "maple");
    let command = backend.on_start.clone().unwrap();
    assert_eq!(
        command.as_bytes(),
        b"maple %b 'b' \"b\" bb maple-maple SELF A"
    );
}

#[test]
fn included_file_counts_at_its_place_and_names_its_includer() {
    let (directory, path) = file(b"wrong 1;\n#include \"in/more.conf\"\nwrong 3;\n");
    fs::create_dir(directory.path().join("in")).unwrap();
    fs::write(
        directory.path().join("in/more.conf"),
        "wrong 2;\n#include \"least.conf\"",
    )
    .unwrap();
    fs::write(directory.path().join("in/least.conf"), "wrong 22;").unwrap();

    let loaded = load(&path, &LoadOptions::default());

    let places: Vec<String> = loaded
        .report
        .diagnostics()
        .iter()
        .map(|found| found.place.excerpt.as_deref().unwrap_or("").to_owned())
        .collect();
    // The first finding is that there is no service.
    assert_eq!(
        places[1..],
        ["wrong 1;", "wrong 2;", "wrong 22;", "wrong 3;"]
    );
    assert_eq!(loaded.report.diagnostics()[3].notes.len(), 2);
}

#[test]
fn fingerprint_is_over_all_files_in_order_of_reading() {
    let (directory, path) = file(b"#include \"more.conf\"\n");
    fs::write(
        directory.path().join("more.conf"),
        format!("service a {{ port 1; {BACKEND} }}"),
    )
    .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(fs::read(directory.path().join("more.conf")).unwrap());
    let mut expected = source::Fingerprint::START;
    expected.add(&bytes);

    let config = load(&path, &LoadOptions::default()).config.unwrap();

    assert_eq!(config.fingerprint, expected.0);
    assert_eq!(config.path, path.to_string_lossy());
}

#[test]
fn silenced_warning_is_neither_kept_nor_counted() {
    let (_directory, path) = file(b"service a { port 1; port 2; backend b { server h:1; } }");
    let options = LoadOptions {
        silenced: vec![Code::W02, Code::E08],
        ..LoadOptions::default()
    };

    let loaded = load(&path, &options);

    assert_eq!(loaded.report.warnings(), 0);
    assert!(loaded.config.is_some());
}

#[test]
fn file_that_others_can_write_is_a_warning_for_root() {
    let (_directory, path) = file(format!("service a {{ port 1; {BACKEND} }}").as_bytes());
    let options = LoadOptions {
        privilege: Privilege::Root,
        ..LoadOptions::default()
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
    assert_eq!(codes(&load(&path, &options)), ["W14"]);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(codes(&load(&path, &options)), [""; 0]);
}

#[test]
fn services_of_a_faulty_file_can_still_be_found() {
    let loaded = read(
        b"service shop { port 8080; wieght 2; } service desk { port 0; }
          service lane { port 1; shmkey x; } service yard { shmkey 9; ",
    );

    let found: Vec<(&str, u32)> = loaded
        .partial
        .iter()
        .map(|service| (service.name.as_str(), service.shm_key))
        .collect();
    assert_eq!(found, [("shop", 0x5852_1f90), ("yard", 9)]);
}

#[test]
fn too_many_back_ends_or_services_are_refused() {
    let backends: String = (0..1_025)
        .map(|n| format!("backend b{n} {{ server h:1; }}"))
        .collect();
    let text = format!("service shop {{ port 1; revivinginterval 1; {backends} }}");
    assert_eq!(codes(&read(text.as_bytes())), ["E42"]);

    let services: String = (1..=4_097)
        .map(|n| format!("service s{n} {{ port {n}; {BACKEND} }}\n"))
        .collect();
    assert_eq!(codes(&read(services.as_bytes())), ["E42"]);
}

#[test]
fn allow_and_deny_files_are_left_alone_where_they_do_not_matter() {
    let text = format!("service a {{ port 1; allowfile /no/such/file; {BACKEND} }}");
    let (_directory, path) = file(text.as_bytes());
    let with = |purpose| LoadOptions {
        purpose,
        ..LoadOptions::default()
    };

    assert_eq!(codes(&load(&path, &with(Purpose::Other))), [""; 0]);
    assert_eq!(codes(&load(&path, &with(Purpose::Start))), ["W05"]);
}

#[test]
fn access_lists_reach_the_model_as_the_checks_read_them() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    fs::write(&list, "10/8 # and\n127.0.0.1\n").unwrap();
    let path = directory.path().join("x.conf");
    let text = format!(
        "service a {{ port 1; allowfile {}; denyfrom 10.9/16 10.9.1.1; {BACKEND} }}
         service b {{ port 2; {BACKEND} }}",
        list.display()
    );
    fs::write(&path, text).unwrap();
    let of = |purpose| {
        let options = LoadOptions {
            purpose,
            ..LoadOptions::default()
        };
        let [a, b] = load(&path, &options)
            .config
            .unwrap()
            .services
            .try_into()
            .unwrap();
        (a.access, b.access)
    };

    let (a, b) = of(Purpose::Start);
    let (unread, _) = of(Purpose::Other);

    assert_eq!((a.rules.allow.len(), a.rules.deny.len()), (2, 2));
    assert!(a.rules.allow.matches([10, 1, 1, 1].into()));
    assert!(a.read_at > 0);
    assert_eq!(b, Default::default());
    assert_eq!((unread.rules.allow.len(), unread.rules.deny.len()), (0, 2));
    assert_eq!(unread.read_at, 0);
}

#[test]
fn fifo_as_an_allow_file_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let path = directory.path().join("x.conf");
    let text = format!(
        "service a {{ port 1; allowfile {}; {BACKEND} }}",
        fifo.display()
    );
    fs::write(&path, text).unwrap();

    let options = LoadOptions {
        purpose: Purpose::Start,
        ..LoadOptions::default()
    };

    assert_eq!(codes(&load(&path, &options)), ["E41"]);
}

#[test]
fn included_fifo_or_terminal_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let path = directory.path().join("x.conf");
    fs::write(&path, "#include \"fifo\"\n#include \"/dev/tty\"\n").unwrap();

    let loaded = load(&path, &LoadOptions::default());

    assert_eq!(codes(&loaded), ["E21", "E21"]);
}

#[test]
fn many_findings_in_one_long_line_are_told_in_little_text() {
    let statements = "port 1; port 2; ".repeat(10_000);
    let text = format!("service a {{ {statements} {BACKEND} }}");

    let report = read(text.as_bytes()).report;

    assert_eq!(report.warnings(), 19_999);
    assert!(report.render(Colours::Never, Which::All).len() < 20_000 * 1_500);
}

/// Pieces of the language, to be thrown together.
const PIECES: &[&str] = &[
    "service ",
    "backend ",
    "shop ",
    "maple",
    "{",
    "}",
    ";",
    " ",
    "\n",
    "port ",
    "80",
    "server ",
    "10.4.0.11:80",
    "\"",
    "'",
    "\\",
    "/*",
    "*/",
    "//",
    "#",
    "\n#define A ",
    "A",
    "\n#include \"",
    "crossroads.conf",
    "\"\n",
    "dispatchmode ",
    "externalhandler ",
    "bysize ",
    "over ",
    "%9b",
    "%",
    "type ",
    "http",
    "onstart ",
    "stickycookie ",
    "a=b",
    "addclientheader ",
    "Set-Cookie: a=b",
    "insertcookie ",
    "insertrealip",
    "allowfrom ",
    "11/8",
    "2001:db8::/32",
    ",",
    "weight ",
    "é",
    "\u{10FE00}",
    "\u{10FEE9}",
    "\0",
    "\r\n",
    "bindto ",
    "::",
    "shmkey ",
    "4294967296",
    "Port ",
    "wieght ",
    "verbosity ",
    "on",
    "\n#define B A ",
    "B",
];

/// Whatever came in, the report is in order and can be printed.
fn sound(bytes: &[u8]) -> Result<(), TestCaseError> {
    let loaded = read(bytes);
    let text = loaded.report.render(Colours::Always, Which::All);
    prop_assert!(!text.contains('\0'));
    prop_assert_eq!(loaded.config.is_none(), loaded.report.errors() > 0);
    let found = loaded.report.diagnostics();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    prop_assert!(
        found
            .iter()
            .all(|one| (1..=lines).contains(&one.place.line))
    );
    let in_order = found
        .windows(2)
        .all(|two| two[0].place.line <= two[1].place.line);
    // A NUL counts as white space; its place in the order is that of its file.
    prop_assert!(
        in_order || bytes.contains(&0) || text.contains("symbol defined"),
        "{}",
        text
    );
    Ok(())
}

#[test]
fn noise_on_one_long_line_is_refused_with_a_bounded_report() {
    for noise in ["a;", "a{", "{", "}", "\"'", "port x; ", "'\"", "A "] {
        let loaded = read(noise.repeat(1 << 16).as_bytes());

        assert!(loaded.config.is_none(), "{noise}");
        assert!(loaded.report.errors() <= findings::MAX_ERRORS, "{noise}");
    }
    let last = read("}".repeat(20_000).as_bytes());
    let last = last.report.diagnostics().last().map(|found| found.code);
    assert_eq!(last, Some(Code::E42));
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        sound(&bytes)?;
    }

    #[test]
    fn pieces_of_the_language_never_panic(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        sound(pieces.concat().as_bytes())?;
    }

    #[test]
    fn mutated_sample_never_panics(
        cuts in proptest::collection::vec((0_usize..2_000, 0_usize..8, any::<u8>()), 1..6),
    ) {
        let mut bytes = include_bytes!("../../compat-tests/configs/valid/sample.conf").to_vec();
        for (at, length, byte) in cuts {
            let at = at % bytes.len();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, [byte]);
        }
        sound(&bytes)?;
    }
}

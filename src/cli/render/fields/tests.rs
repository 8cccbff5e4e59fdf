use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::super::testing::{example, report, sample_config, shop};
use super::super::{Form, services};
use super::*;
use crate::config::directives::{Argument, DIRECTIVES, Level};

#[test]
fn running_service_in_json_has_the_fields_of_the_specification() {
    let mut shop = shop();
    shop.snapshot.backends.pop();
    shop.snapshot.backends[0].value.1.errno = 111;

    assert_eq!(
        report(shop).render(Form::Json),
        "{\"version\":\"3.0.0\",\"services\":[{\"name\":\"shop\",\"running\":true,\
         \"type\":\"http\",\"bindto\":\"any\",\"port\":8443,\"dispatchmode\":\"bysize over 4\",\
         \"pid\":2817,\"started\":1699812800,\"active\":12,\"maxconnections\":300,\
         \"accepted\":40211,\"refused_deny\":2,\"refused_allow\":1,\"no_backend\":1,\
         \"allow_filters\":0,\"deny_filters\":0,\"allow_read\":0,\"deny_read\":0,\
         \"hooks_dropped\":0,\"helper_dropped\":0,\
         \"refused_requests\":0,\"failed_requests\":0,\
         \"backends\":[{\"name\":\"maple\",\"server\":\"10.0.0.5:80\",\"state\":\"available\",\
         \"weight\":1,\"active\":7,\"maxconnections\":0,\"total\":30010,\"failures\":0,\
         \"consecutive\":0,\"bytes_to_client\":81474355,\"bytes_to_backend\":10066330,\
         \"seconds\":8130.813000,\"usage\":3050.250000,\"since\":1699812800,\"reason\":\"none\",\
         \"errno_name\":\"ECONNREFUSED\",\"requests\":30100,\"replies_1xx\":1,\
         \"replies_2xx\":30000,\"replies_3xx\":50,\"replies_4xx\":40,\"replies_5xx\":9,\
         \"first_byte_seconds\":120.500000,\"aborted\":2,\"log_dropped\":0}]}]}\n"
    );
}

#[test]
fn service_that_is_not_running_has_its_name_only() {
    let services = vec![
        ServiceStatus::NotRunning {
            name: "shop".to_owned(),
        },
        ServiceStatus::LeftOver {
            name: "mail".to_owned(),
            pid: 31,
        },
    ];
    let report = StatusReport { services, now: 0 };

    assert_eq!(
        report.render(Form::Json),
        "{\"version\":\"3.0.0\",\"services\":[{\"name\":\"shop\",\"running\":false},\
         {\"name\":\"mail\",\"running\":false}]}\n"
    );
    assert_eq!(
        report.render(Form::Xml),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <crossroads version=\"3.0.0\">\n  \
         <service name=\"shop\" running=\"false\"/>\n  \
         <service name=\"mail\" running=\"false\"/>\n\
         </crossroads>\n"
    );
}

#[test]
fn running_service_in_xml_has_the_same_fields() {
    let mut shop = shop();
    shop.snapshot.backends[1].torn = true;
    shop.snapshot.backends.remove(0);

    assert_eq!(
        report(shop).render(Form::Xml),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <crossroads version=\"3.0.0\">\n  \
         <service name=\"shop\" running=\"true\" type=\"http\" bindto=\"any\" port=\"8443\" \
         dispatchmode=\"bysize over 4\" pid=\"2817\" started=\"1699812800\" active=\"12\" \
         maxconnections=\"300\" accepted=\"40211\" refused_deny=\"2\" refused_allow=\"1\" \
         no_backend=\"1\" allow_filters=\"0\" deny_filters=\"0\" allow_read=\"0\" \
         deny_read=\"0\" hooks_dropped=\"0\" helper_dropped=\"0\" \
         refused_requests=\"0\" failed_requests=\"0\">\n    \
         <backend name=\"birch\" server=\"10.0.0.6:80\" state=\"down?\" weight=\"2\" active=\"5\" \
         maxconnections=\"10\" total=\"10201\" failures=\"4\" consecutive=\"1\" \
         bytes_to_client=\"26843546\" bytes_to_backend=\"3250586\" seconds=\"2752.920000\" \
         usage=\"2952.000000\" since=\"1699999808\" reason=\"told\" requests=\"10300\" \
         replies_1xx=\"0\" replies_2xx=\"10200\" replies_3xx=\"0\" replies_4xx=\"0\" \
         replies_5xx=\"1\" first_byte_seconds=\"60.250000\" aborted=\"0\" \
         log_dropped=\"0\"/>\n  \
         </service>\n\
         </crossroads>\n"
    );
}

#[test]
fn errors_have_the_names_of_the_system() {
    assert_eq!(errno_name(0), None);
    assert_eq!(errno_name(113), Some("EHOSTUNREACH".to_owned()));
    assert_eq!(errno_name(99_999), Some("99999".to_owned()));
    assert_eq!(errno_name(u32::MAX), Some("4294967295".to_owned()));
}

#[test]
fn configured_values_are_effective_ones() {
    let document: Json = serde_json::from_str(&services(&sample_config(), Form::Json)).unwrap();
    let shop = &document["services"][0];
    let mail = &document["services"][1];

    for (found, expected) in [
        (&shop["headerinspection"], Json::from("shallow")),
        (&shop["shmkey"], Json::from(0x5852_20fb)),
        (&shop["allowfrom"], Json::from(vec!["10/8", "192.0.2.1"])),
        (&shop["denyfrom"], Json::Null),
        (&shop["reuse"], Json::from("safe")),
        (&shop["headtimeout"], Json::Null),
        (&shop["maxheadersize"], Json::from(65_536)),
        (
            &shop["errorfile"],
            Json::from(vec!["503 /etc/so sorry.html"]),
        ),
        (&mail["reuse"], Json::from("never")),
        (&mail["errorfile"], Json::Null),
        (&shop["verbosity"], Json::from(false)),
        (&mail["shmkey"], Json::from(77)),
        (&mail["headerinspection"], Json::from("deep")),
        (
            &mail["dispatchmode"],
            Json::from("externalhandler /opt/pick\t%1b %1a"),
        ),
        (&mail["useraccount"], Json::Null),
        (&shop["backends"][0]["connectiontimeout"], Json::from(0)),
        (&shop["backends"][1]["connectiontimeout"], Json::from(60)),
        (
            &shop["backends"][0]["trafficlog"],
            Json::from("/var/log/maple"),
        ),
        (
            &shop["backends"][1]["trafficlog"],
            Json::from("/var/log/shop"),
        ),
        (
            &shop["backends"][0]["onstart"],
            Json::from("echo 'a' | logger"),
        ),
        (
            &shop["backends"][0]["addserverheader"],
            Json::from(vec!["X-Client: %r", "X-Via: %s"]),
        ),
        (
            &shop["backends"][0]["setclientheader"],
            Json::from(vec!["Server: us"]),
        ),
        (&shop["backends"][0]["appendclientheader"], Json::Null),
        (&shop["backends"][1]["port"], Json::from(80)),
        (
            &shop["backends"][1]["server"],
            Json::from("[2001:db8::6]:80"),
        ),
    ] {
        assert_eq!(*found, expected);
    }
}

/// The words of the directives of a level in today's spelling, but for blocks,
/// with what else the objects of that level hold.
fn directive_fields(level: Level, others: &[&str]) -> BTreeSet<String> {
    let rows = DIRECTIVES.iter();
    let simple = rows.filter(|row| {
        row.levels.contains(&level) && row.argument != Argument::Block && row.replaced_by.is_none()
    });
    let words = simple.map(|row| row.word).chain(others.iter().copied());
    words.map(str::to_owned).collect()
}

#[test]
fn services_shows_each_directive_of_the_table_and_nothing_else() {
    let config = sample_config();
    let shop = &config.services[0];

    let service = configured_service(shop);
    let backend = configured_backend(shop, &shop.backends[0]);

    let expected = directive_fields(Level::Service, &["name", "backends"]);
    assert_eq!(names(&service), expected);
    assert_eq!(names(&backend), directive_fields(Level::Backend, &["name"]));
    for object in [service, backend] {
        assert_eq!(object.0.len(), names(&object).len(), "a field stands twice");
    }
}

#[test]
fn lists_are_joined_by_line_breaks_in_xml() {
    let xml = services(&sample_config(), Form::Xml);

    assert!(xml.contains(" allowfrom=\"10/8&#10;192.0.2.1\""));
    assert!(xml.contains(" addserverheader=\"X-Client: %r&#10;X-Via: %s\""));
    assert!(!xml.contains("denyfrom"));
}

/// The names that a schema requires and those that it describes.
fn schema_names(schema: &Json) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = |name: &Json| name.as_str().unwrap().to_owned();
    let required = schema["required"].as_array().unwrap().iter().map(text);
    let described = schema["properties"].as_object().unwrap().keys().cloned();
    (required.collect(), described.collect())
}

fn names(object: &Object) -> BTreeSet<String> {
    object
        .0
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

#[test]
fn schema_and_output_have_the_same_fields() {
    let schema = include_str!("../../../../etc/status.schema.json");
    let schema: Json = serde_json::from_str(schema).unwrap();
    let defined = &schema["$defs"];
    let example = example();
    let ServiceStatus::Running(shop) = &example.services[0] else {
        unreachable!("the example runs");
    };
    let stopped = ServiceStatus::NotRunning {
        name: "mail".to_owned(),
    };

    for (part, object) in [
        (&schema, status(&example)),
        (&defined["running"], running_service(shop)),
        (&defined["stopped"], service_status(&stopped)),
        (
            &defined["backend"],
            running_backend(&shop.snapshot.backends[0]),
        ),
    ] {
        let (required, described) = schema_names(part);
        assert_eq!(required, names(&object));
        assert_eq!(described, names(&object));
    }
}

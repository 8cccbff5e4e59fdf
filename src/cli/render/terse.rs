//! Lines of fields separated by tabs.

use std::collections::VecDeque;

use crate::config::model::Config;

use super::document::{Object, Value};
use super::fields;

/// How many fields a line of `status -t` has.
const STATUS_FIELDS: usize = 26;

/// A line for each back end, and one for each service that is not running.
pub(super) fn status(document: &Object) -> String {
    let mut out = String::new();
    for service in objects(document) {
        let name = first(service);
        if is_running(service) {
            for backend in objects(service) {
                let mut line: VecDeque<_> =
                    backend.0.iter().map(|(_, value)| field(value)).collect();
                line.push_front(name.clone());
                push_line(&mut out, line);
            }
        } else {
            let blank = || "-".to_owned();
            let mut line = vec![name, blank(), blank(), "stopped".to_owned()];
            line.resize_with(STATUS_FIELDS, blank);
            push_line(&mut out, line);
        }
    }
    out
}

/// A line for each back end.
pub(super) fn services(config: &Config) -> String {
    let mut out = String::new();
    for service in &config.services {
        for backend in &service.backends {
            let line = [
                service.name.to_string(),
                fields::kind(service).to_owned(),
                service.bind.to_string(),
                service.port.to_string(),
                fields::mode(service),
                backend.name.to_string(),
                backend.server.to_string(),
            ];
            push_line(&mut out, line.map(|text| field(&text.into())));
        }
    }
    out
}

fn push_line(out: &mut String, fields: impl IntoIterator<Item = String>) {
    for (position, field) in fields.into_iter().enumerate() {
        if position > 0 {
            out.push('\t');
        }
        out.push_str(&field);
    }
    out.push('\n');
}

/// A field may hold neither a tab nor a line end.
fn field(value: &Value) -> String {
    let line = value.to_line().unwrap_or_else(|| "-".to_owned());
    line.replace(char::is_control, " ")
}

fn objects(object: &Object) -> &[Object] {
    let found = object.0.iter().find_map(|(_, value)| match value {
        Value::Objects(_, objects) => Some(objects.as_slice()),
        _ => None,
    });
    found.unwrap_or_default()
}

fn first(object: &Object) -> String {
    object
        .0
        .first()
        .map(|(_, value)| field(value))
        .unwrap_or_default()
}

fn is_running(service: &Object) -> bool {
    service.0.contains(&("running", Value::Flag(true)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{example, sample_config};
    use super::super::{Form, ServiceStatus, services};

    #[test]
    fn each_back_end_has_its_line_of_26_fields() {
        let mut report = example();
        report.services.push(ServiceStatus::NotRunning {
            name: "mail".to_owned(),
        });

        let lines = report.render(Form::Terse);

        let stopped = format!("mail\t-\t-\tstopped{}\n", "\t-".repeat(22));
        assert_eq!(
            lines,
            format!(
                "shop\tmaple\t10.0.0.5:80\tavailable\t1\t7\t0\t30010\t0\t0\t81474355\t10066330\t\
                 8130.813000\t3050.250000\t1699812800\tnone\t-\t30100\t1\t30000\t50\t40\t9\t\
                 120.500000\t2\t0\n\
                 shop\tbirch\t10.0.0.6:80\tdown\t2\t5\t10\t10201\t4\t1\t26843546\t3250586\t\
                 2752.920000\t2952.000000\t1699999808\ttold\t-\t10300\t0\t10200\t0\t0\t1\t\
                 60.250000\t0\t0\n{stopped}"
            )
        );
        assert!(lines.lines().all(|line| line.split('\t').count() == 26));
    }

    #[test]
    fn services_have_a_line_for_each_back_end() {
        assert_eq!(
            services(&sample_config(), Form::Terse),
            "shop\thttp\tany\t8443\tbysize over 4\tmaple\t10.0.0.5:80\n\
             shop\thttp\tany\t8443\tbysize over 4\tbirch\t[2001:db8::6]:80\n\
             mail\tany\t192.0.2.1\t25\texternalhandler /opt/pick %1b %1a\tcedar\tmx.example:25\n"
        );
    }
}

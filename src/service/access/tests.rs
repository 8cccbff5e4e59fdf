//! Lists with files in a directory of their own, reread as an order would.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::base::name::ServiceName;
use crate::config::{LoadOptions, Purpose, load};

const WORKERS: usize = 2;

/// Remembers what was said of lists.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl EventSink for Heard {
    fn emit(&self, event: &Event<'_>) {
        let name = |file: &str| file.rsplit('/').next().unwrap().to_owned();
        self.0.lock().unwrap().push(match event {
            Event::ListRead {
                list,
                file,
                filters,
                ..
            } => format!("{list:?} {}: {filters}", name(file)),
            Event::ListNotRead {
                list, file, reason, ..
            } => format!("{list:?} {}: not read, {reason}", name(file)),
            other => format!("{other:?}"),
        });
    }
}

/// A service `shop` with these statements; `DIR` in them stands for a directory
/// that holds `files`.
struct Rig {
    access: AccessControl,
    heard: Heard,
    directory: TempDir,
}

impl Rig {
    fn new(statements: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let statements = statements.replace("DIR", directory.path().to_str().unwrap());
        let text =
            format!("service shop {{ port 8080; {statements} backend a {{ server h:1; }} }}");
        let file = directory.path().join("crossroads.conf");
        fs::write(&file, text).unwrap();
        let options = LoadOptions {
            purpose: Purpose::Start,
            ..LoadOptions::default()
        };
        let config = load(&file, &options).config.unwrap();
        Self {
            access: AccessControl::new(&config.services[0], WORKERS),
            heard: Heard::default(),
            directory,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reread(&self) -> Vec<String> {
        let name = ServiceName::new("shop").unwrap();
        let service = InService {
            name: &name,
            verbose: false,
        };
        self.access.reread(service, &self.heard);
        self.heard.taken()
    }

    /// Who refuses this client; all workers agree.
    #[track_caller]
    fn refuses(&self, client: &str) -> Option<ListSide> {
        let client = client.parse().unwrap();
        let verdicts = [0, 1].map(|worker| self.access.refuses(worker, client));
        assert_eq!(verdicts[0], verdicts[1]);
        verdicts[0]
    }

    /// Sizes of both lists, and whether a time is shown for them.
    fn numbers(&self) -> [(u64, bool); 2] {
        let mut numbers = ServiceNumbers::default();
        self.access.publish(&mut numbers);
        [
            (numbers.allow_filters, numbers.allow_read > 0),
            (numbers.deny_filters, numbers.deny_read > 0),
        ]
    }
}

#[test]
fn service_without_lists_admits_everyone_and_keeps_nothing_for_its_workers() {
    let rig = Rig::new("", &[]);

    assert_eq!(rig.refuses("192.0.2.1"), None);
    assert!(rig.access.rules.is_empty());
    assert!(!rig.access.has_files());
    assert_eq!(rig.reread(), [""; 0]);
    assert_eq!(rig.numbers(), [(0, false), (0, false)]);
}

#[test]
fn filters_of_the_statements_are_counted_and_have_no_time_of_reading() {
    let rig = Rig::new("allowfrom 10/8 10.1/16 127.0.0.1; denyfrom 10.9/16;", &[]);

    assert_eq!(rig.refuses("10.1.1.1"), None);
    assert_eq!(rig.refuses("10.9.1.1"), Some(ListSide::Deny));
    assert_eq!(rig.refuses("192.0.2.1"), Some(ListSide::Allow));
    assert_eq!(rig.reread(), [""; 0]);
    assert_eq!(rig.numbers(), [(3, false), (1, false)]);
}

#[test]
fn lists_that_the_checks_read_are_in_force_whatever_became_of_the_files() {
    let rig = Rig::new("allowfile DIR/allow;", &[("allow", "10/8 127.0.0.1\n")]);
    fs::remove_file(rig.file("allow")).unwrap();

    assert_eq!(rig.refuses("10.1.1.1"), None);
    assert_eq!(rig.refuses("192.0.2.1"), Some(ListSide::Allow));
    assert_eq!(rig.numbers(), [(2, true), (0, false)]);
}

#[test]
fn each_side_is_read_again_for_itself() {
    let files = [("allow", "10/8"), ("deny", "10.9/16")];
    let rig = Rig::new("allowfile DIR/allow; denyfile DIR/deny;", &files);
    fs::write(rig.file("allow"), "10/8 11/8 x").unwrap();
    fs::write(rig.file("deny"), "10.8/16 10.7/16").unwrap();

    let heard = rig.reread();

    let fault = "Allow allow:1:11: not read, `x` is not an address; \
                 names are not looked up; write the address";
    assert_eq!(heard, [fault, "Deny deny: 2"]);
    assert_eq!(rig.refuses("10.9.1.1"), None);
    assert_eq!(rig.refuses("10.8.1.1"), Some(ListSide::Deny));
    assert_eq!(rig.refuses("11.1.1.1"), Some(ListSide::Allow));
    assert_eq!(rig.numbers(), [(1, true), (2, true)]);
}

#[test]
fn file_that_has_gone_leaves_the_old_list_and_an_empty_one_empties_it() {
    let rig = Rig::new(
        "allowfile DIR/allow; denyfrom 10.9/16;",
        &[("allow", "10/8")],
    );
    fs::remove_file(rig.file("allow")).unwrap();
    let gone = "Allow allow: not read, no such file or directory";
    assert_eq!(rig.reread(), [gone]);
    assert_eq!(rig.refuses("192.0.2.1"), Some(ListSide::Allow));

    fs::write(rig.file("allow"), "# nobody\n").unwrap();

    assert_eq!(rig.reread(), ["Allow allow: 0"]);
    assert_eq!(rig.refuses("192.0.2.1"), None);
    assert_eq!(rig.refuses("10.9.1.1"), Some(ListSide::Deny));
    assert_eq!(rig.numbers(), [(0, true), (1, false)]);
}

#[test]
fn file_that_was_missing_at_the_start_counts_when_it_is_there() {
    let rig = Rig::new("denyfile DIR/deny;", &[]);
    assert_eq!(rig.refuses("10.1.1.1"), None);
    fs::write(rig.file("deny"), "10/8").unwrap();

    assert_eq!(rig.reread(), ["Deny deny: 1"]);

    assert_eq!(rig.refuses("10.1.1.1"), Some(ListSide::Deny));
}

#[test]
fn old_list_is_freed_as_soon_as_the_new_one_is_in_force() {
    let rig = Rig::new("denyfile DIR/deny;", &[("deny", "10/8")]);
    let old = Arc::downgrade(&rig.access.rules[0].lock().deny);

    rig.reread();

    assert!(old.upgrade().is_none());
}

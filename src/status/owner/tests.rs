use super::super::publish::SegmentWriter;
use super::super::testing::{bytes_of, fresh_key, header, open_for_writing, segment, shop};
use super::*;

#[test]
fn field_22_is_found_behind_any_name() {
    let stat = |name: &str| {
        let mut fields: Vec<_> = (4..=30).map(|field| field.to_string()).collect();
        fields.insert(0, "S".to_owned());
        format!("17 ({name}) {}", fields.join(" ")).into_bytes()
    };

    for name in ["crossroads", "a b", "a) R 1 2 (b", ")", ""] {
        assert_eq!(start_in_stat(&stat(name)), Some(22), "{name}");
    }
}

#[test]
fn name_that_is_not_utf8_is_passed_over() {
    let mut stat = b"17 (\xff\xfe) S".to_vec();
    (4..=22).for_each(|field| stat.extend(format!(" {field}").bytes()));

    assert_eq!(start_in_stat(&stat), Some(22));
}

#[test]
fn broken_stat_gives_nothing() {
    for stat in [
        "",
        "17",
        "17 (a",
        "17 (a)",
        "17 (a) S 4 5",
        "17 (a) S 4 5 6 x",
    ] {
        assert_eq!(start_in_stat(stat.as_bytes()), None, "{stat}");
    }
}

#[test]
fn own_process_is_live() {
    let mut header = header(1);
    assert_eq!(Liveness::of(&header), Liveness::Live);

    // The same pid, but another process.
    header.process_start += 1;

    assert_eq!(Liveness::of(&header), Liveness::LeftOver);
}

#[test]
fn process_behind_many_segments_is_looked_for_once() {
    let mut child = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut header = header(1);
    header.pid = child.id();
    header.process_start = process_start(child.id()).unwrap();
    let mut processes = Processes::default();
    assert_eq!(processes.liveness(&header), Liveness::Live);

    // Its end would show in a second look.
    drop(child.stdin.take());
    child.wait().unwrap();

    assert_eq!(processes.liveness(&header), Liveness::Live);
    assert_eq!(Liveness::of(&header), Liveness::LeftOver);
}

#[test]
fn process_that_has_ended_does_not_count() {
    let fields: Vec<_> = (4..=30).map(|field| field.to_string()).collect();

    for (state, expected) in [("S", Some(22)), ("T", Some(22)), ("Z", None), ("X", None)] {
        let stat = format!("17 (crossroads) {state} {}", fields.join(" "));
        assert_eq!(start_in_stat(stat.as_bytes()), expected, "{state}");
    }
}

#[test]
fn heartbeat_age_is_taken_from_the_boot_clock() {
    let mut header = header(1);
    header.heartbeat = boottime_seconds().saturating_sub(12);
    assert!((12..60).contains(&heartbeat_age(&header)));

    header.heartbeat = u64::MAX;

    assert_eq!(heartbeat_age(&header), 0);
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let key = fresh_key();

    assert_eq!(examine(key).unwrap(), Found::None);
    remove(key).unwrap();
}

#[test]
fn segment_of_a_running_daemon_is_live_and_stays() {
    let (key, _writer) = segment(&["maple"]);

    let (pid, started) = (std::process::id(), 1_700_000_000);
    assert_eq!(examine(key).unwrap(), Found::Live { pid, started });
    assert!(matches!(remove(key), Err(RemoveError::Live { pid: p, .. }) if p == pid));
    assert_eq!(bytes_of(key).len(), 1280);
}

#[test]
fn segment_of_a_pid_that_another_process_took_is_left_over_and_goes() {
    let key = fresh_key();
    let mut header = header(key);
    header.process_start += 1;
    let _writer = SegmentWriter::create(&header, &shop(), &[]).unwrap();

    let found = examine(key).unwrap();
    remove(key).unwrap();

    let (pid, socket) = (header.pid, PathBuf::from("/run/crossroads/2817.sock"));
    assert_eq!(found, Found::LeftOver { pid, socket });
    assert_eq!(examine(key).unwrap(), Found::None);
}

#[test]
fn what_is_not_ours_is_never_removed() {
    let (key, _writer) = segment(&["maple"]);
    let object = open_for_writing(key);
    std::os::unix::fs::FileExt::write_all_at(&object, b"YRSTATUS", 0).unwrap();

    let refused = remove(key).unwrap_err();

    assert!(matches!(
        refused,
        RemoveError::NotOurs(ExamineError::Read { .. })
    ));
    assert_eq!(bytes_of(key).len(), 1280);
}

#[test]
fn object_of_another_account_is_seen_and_root_may_remove_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give an object away");
        return;
    }
    let (key, _writer) = segment(&["maple"]);
    std::os::unix::fs::fchown(open_for_writing(key), Some(65534), None).unwrap();

    let found = examine(key).unwrap();
    remove(key).unwrap();

    assert_eq!(found, Found::OtherAccount { uid: 65534 });
    assert_eq!(examine(key).unwrap(), Found::None);
}

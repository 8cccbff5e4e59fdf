//! The sample helpers of `etc/helpers` as persistent ones, at the two ends of the
//! protocol that crossroads.conf(7) describes.

use std::fs::{File, OpenOptions};
use std::io::Write;

use nix::sys::stat::Mode;

use crate::cases::helpers::in_both;
use crate::harness::{Deadline, until};

/// A dispatch of the protocol for 192.0.2.7, who tried `tried`, with the back
/// ends `large` and `small`, both usable, with so many connections.
fn dispatch(id: u32, tried: &str, large: u32, small: u32) -> String {
    format!(
        "{{\"v\":1,\"type\":\"dispatch\",\"id\":{id},\"time\":1772528700.123456,\
         \"service\":\"desk\",\"connection\":4021,\"client\":\"192.0.2.7\",\"tried\":[{tried}],\
         \"backends\":[{{\"name\":\"large\",\"usable\":true,\"active\":{large},\"weight\":1}},\
         {{\"name\":\"small\",\"usable\":true,\"active\":{small},\"weight\":1}}]}}\n"
    )
}

/// An event of the protocol about 192.0.2.7.
fn event(kind: &str, backend: &str) -> String {
    format!(
        "{{\"v\":1,\"type\":\"{kind}\",\"time\":1772528700.5,\"service\":\"desk\",\
         \"backend\":\"{backend}\",\"server\":\"10.4.1.1:5901\",\"connection\":4021,\
         \"client\":\"192.0.2.7\"}}\n"
    )
}

/// The persistent protocol, ours (decided): what is unknown, of another version
/// or broken is ignored.
#[test]
fn a_persistent_round_robin_answers_dispatches_and_nothing_else() {
    in_both(|helpers| {
        let lines = [
            "{\"v\":1,\"type\":\"hello\",\"service\":\"desk\",\"pid\":1,\"version\":\"3.0.0\",\
             \"backends\":[{\"name\":\"large\",\"server\":\"10.4.1.1:5901\",\"weight\":1}]}\n",
            &dispatch(1, "", 0, 0),
            &dispatch(7, "", 0, 0),
            "\n[]\n{\"v\":1}\nnonsense\n{\"v\":1,\"type\":\"news\",\"id\":8,\"x\":[{}]}\n",
            &dispatch(9, "", 0, 0).replace("\"v\":1", "\"v\":2"),
            dispatch(10, "", 0, 0).trim_end_matches("}\n"),
            "\n",
            &dispatch(11, "\"large\"", 0, 0),
            &dispatch(12, "\"large\",\"small\"", 0, 0),
            &dispatch(13, "", 0, 0)
                .replace(
                    "\"tried\"",
                    "\"said\":\"\\\"}\\\\\",\"inner\":{\"id\":99},\"tried\"",
                )
                .replace(",\"", " , \""),
        ]
        .concat();

        let answers = helpers.told("\"$TURN\" --persistent", &lines);

        assert_eq!(answers, "1 large\n7 small\n11 small\n12 -\n13 large\n");
    });
}

/// The persistent protocol, ours (decided).
#[test]
fn a_persistent_round_robin_goes_on_where_its_state_file_says() {
    in_both(|helpers| {
        let command = "\"$TURN\" --persistent \"$STATE\"";

        let first = helpers.told(command, &dispatch(1, "", 0, 0));
        let second = helpers.told(command, &dispatch(1, "", 0, 0));

        assert_eq!((&*first, &*second), ("1 large\n", "1 small\n"));
    });
}

/// The persistent protocol, ours (decided): `active` is what counts as load.
#[test]
fn a_persistent_farm_keeps_its_clients_and_counts_their_sessions() {
    in_both(|helpers| {
        let lines = [
            dispatch(1, "", 2, 1),
            event("start", "small"),
            event("fail", "large"),
            event("state", "large"),
            dispatch(2, "", 0, 5),
            event("start", "small"),
            event("end", "small"),
            dispatch(3, "\"small\"", 9, 0),
            event("start", "large"),
        ]
        .concat();

        let answers = helpers.told("\"$FARM\" persistent \"$STATE\"", &lines);

        assert_eq!(answers, "1 small\n2 small\n3 large\n");
        assert_eq!(helpers.clients(), ["192.0.2.7 large 1"]);
    });
}

/// The persistent protocol, ours (decided): the input stays open, as the
/// daemon's does, and its end is the end of the program.
#[test]
fn a_persistent_farm_answers_at_once_and_ends_with_its_input() {
    in_both(|helpers| {
        let pipe = helpers.sandbox.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        // Opened for both, so that nobody waits for the other end.
        let mut input: File = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)
            .unwrap();
        let mut running = helpers.spawn("exec \"$FARM\" persistent \"$STATE\" <pipe");

        for id in 1..=5 {
            input.write_all(dispatch(id, "", 0, 0).as_bytes()).unwrap();
            let answer = format!("{id} large");
            running.stdout_until(|line| line == answer);
        }
        input.write_all(event("start", "large").as_bytes()).unwrap();
        until("the event is in the state", || {
            helpers.clients() == ["192.0.2.7 large 1"]
        });
        drop(input);

        running.finish(Deadline::usual()).clean();
    });
}

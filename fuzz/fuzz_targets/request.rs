//! One line on the control socket: whatever it is, it is a request or a reply
//! or an error, and what was read is printed as a line that reads the same.

#![no_main]

use crossroads::control::request::{MAX_LINE, MAX_REPLY, Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::parse(bytes) {
        let line = request.to_line().expect("what was read can be sent");
        assert!(line.len() <= MAX_LINE);
        assert_eq!(Request::parse(line.as_bytes()), Ok(request));
    }
    if let Ok(reply) = Reply::parse(bytes) {
        let line = reply.to_line();
        assert!(line.len() <= MAX_REPLY);
        assert_eq!(Reply::parse(line.as_bytes()), Ok(reply));
    }
});

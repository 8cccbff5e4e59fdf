//! Starts the two programs and reads what they say.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running program; it is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    stdin: Option<ChildStdin>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_peers"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            stdin,
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap()
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// How many sockets it has.
    pub(crate) fn sockets(&self) -> usize {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end: the last line, the errors, and whether it succeeded.
    pub(crate) fn finish(mut self) -> (Vec<String>, String, bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = Vec::new();
        // The sender is gone when the output has ended.
        while let Ok(line) = self.lines.recv_timeout(deadline - Instant::now()) {
            lines.push(line);
        }
        assert!(Instant::now() < deadline, "no end after {lines:?}");
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (lines, errors, self.child.wait().unwrap().success())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A back end with `count` listeners.
pub(crate) fn backend(count: usize) -> (Program, Vec<SocketAddr>) {
    let count_text = count.to_string();
    let program = Program::start(&["backend", "--listen", "127.0.0.1:0", "--count", &count_text]);
    let addresses = (0..count)
        .map(|_| {
            let line = program.line();
            let address = line.strip_prefix("listening ").unwrap();
            address.parse().unwrap()
        })
        .collect();
    assert_eq!(program.line(), "ready");
    (program, addresses)
}

/// A client of `to`; `options` are separated by blanks.
pub(crate) fn client(to: SocketAddr, options: &str) -> Program {
    let to = to.to_string();
    let mut arguments = vec!["client", "--to", &to, "--warm", "0.05"];
    arguments.extend(options.split(' '));
    Program::start(&arguments)
}

/// The report of a client that does its work.
pub(crate) fn report(client: Program) -> Value {
    let (lines, errors, success) = client.finish();
    assert!(success, "{errors}");
    assert_eq!(errors, "");
    serde_json::from_str(lines.last().unwrap()).unwrap()
}

//! The pager: a program that shows text screen by screen.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, ChildStdin, Command, Stdio};

/// The pager where the environment names none.
const USUAL: &str = "less";

/// What `less` does unless LESS says otherwise: end at once where the text fits
/// on one screen (F), leave it there (X), and pass colours through (R).
const LESS: &str = "FRX";

/// A pager that runs.
#[derive(Debug)]
pub struct Pager {
    child: Child,
    input: Option<ChildStdin>,
}

impl Pager {
    /// Starts the pager `named`, a command line for the shell, or the usual one.
    /// It writes to this process's stdout.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::NotFound`] where there is no
    /// usual one.
    pub fn start(named: Option<&OsStr>) -> io::Result<Self> {
        let mut command = match named {
            Some(line) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(line);
                shell
            }
            None => Command::new(USUAL),
        };
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", LESS);
        }
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// Where the text goes; closed once what is given is dropped. `None` the
    /// second time.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// Waits until its user has read enough; says whether it ended well.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn wait(mut self) -> io::Result<bool> {
        drop(self.input.take());
        Ok(self.child.wait()?.success())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn pager_gets_the_text_and_says_how_it_ended() {
        for (command, expected) in [("grep -q text", true), ("grep -q other", false)] {
            let mut pager = Pager::start(Some(OsStr::new(command))).unwrap();
            let mut input = pager.input().unwrap();
            input.write_all(b"some text\n").unwrap();
            drop(input);

            assert_eq!(pager.wait().unwrap(), expected, "{command}");
        }
    }
}

//! What this process is to the system: its name, its rights, its descriptors.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Gives the process the name that `killall` looks for.
///
/// To be called on the main thread: the name of a process is that of its main
/// thread.
///
/// # Errors
///
/// What the system says.
///
/// Source: decided (15); the name documented (tips chapter).
pub fn take_name() -> io::Result<()> {
    Ok(rustix::thread::set_name(c"crossroads")?)
}

/// Raises the soft limit of open files to the hard limit, and gives it.
///
/// # Errors
///
/// What the system says; the limit is then as before.
///
/// Source: decided (2.6).
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    // A hard limit of "none" means what the kernel allows one process.
    let wanted = limit.maximum.or_else(kernel_limit).or(limit.current);
    if wanted > limit.current && limit.current.is_some() {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: wanted,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(wanted.unwrap_or(u64::MAX))
}

fn kernel_limit() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// How many descriptors this process has open; 0 where /proc cannot be read.
pub fn open_descriptors() -> usize {
    // One of those counted reads the directory.
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count().saturating_sub(1))
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the process has the rights of root.
pub fn is_root() -> bool {
    effective_uid() == 0
}

/// The name of this machine, harmless to a shell: bytes outside letters,
/// digits, `.` and `-` are `_`. Empty if it has none.
///
/// Source: decided (10, `%h`).
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| String::new(), |name| harmless(name.as_encoded_bytes()))
}

fn harmless(name: &[u8]) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    name.iter()
        .map(|&byte| if allowed(byte) { char::from(byte) } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn name_is_the_one_that_killall_looks_for() {
        let name = thread::spawn(|| {
            take_name().unwrap();
            fs::read_to_string("/proc/thread-self/comm").unwrap()
        });

        assert_eq!(name.join().unwrap(), "crossroads\n");
    }

    #[test]
    fn soft_limit_of_descriptors_becomes_the_hard_one() {
        let raised = raise_descriptor_limit().unwrap();

        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, Some(raised));
        assert_eq!(limit.maximum.unwrap_or(raised), raised);
        assert_eq!(raise_descriptor_limit().unwrap(), raised);
    }

    #[test]
    fn descriptors_are_counted() {
        // Other tests open and close some meanwhile; stdin, stdout and stderr
        // are there in any case.
        assert!(open_descriptors() >= 3);
    }

    #[test]
    fn host_name_holds_nothing_that_a_shell_acts_on() {
        assert_eq!(harmless(b"web-1.example"), "web-1.example");
        assert_eq!(harmless(b"a;rm $x\xe9"), "a_rm__x_");
        assert_eq!(harmless(host_name().as_bytes()), host_name());
    }
}

//! The demo's surroundings: a temporary directory with a configuration, a
//! RUNDIR and a socket for the log; all of it goes when the demo ends.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use crate::cli::demo::backends::NAMES;

/// The name of the demo's service.
pub(super) const SERVICE: &str = "demo";

/// A temporary directory; removed with all that is in it when dropped.
pub(super) struct Scene {
    directory: PathBuf,
}

impl Scene {
    /// Makes the directory and the RUNDIR in it, both closed to others.
    ///
    /// # Errors
    ///
    /// The system's, when the directory cannot be made.
    pub(super) fn set() -> io::Result<Self> {
        let template = env::temp_dir().join("crossroads-demo.XXXXXX");
        let scene = Self {
            directory: mkdtemp(&template)?,
        };
        DirBuilder::new().mode(0o700).create(scene.run_dir())?;
        Ok(scene)
    }

    /// Where the control socket of the demo lies.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// The configuration file.
    pub(super) fn configuration(&self) -> PathBuf {
        self.directory.join("demo.conf")
    }

    /// The socket that the demo's daemon logs to, in place of the system's.
    pub(super) fn log_socket(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Writes the configuration of a balancer at `front` before `backends`.
    ///
    /// # Errors
    ///
    /// The system's, when the file cannot be written.
    pub(super) fn write(&self, front: SocketAddr, backends: &[SocketAddr]) -> io::Result<()> {
        fs::write(self.configuration(), configuration(front, backends))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Nobody is left to be told; the directory is a temporary one.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
///
/// The system's, when no port is free.
pub(super) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The key of a demo's segment: its high half differs from that of keys made
/// of ports, and two demos differ by the port they listen on.
fn shm_key(front: SocketAddr) -> u32 {
    const DEMO: u32 = 0x4445_0000;
    DEMO | u32::from(front.port())
}

fn configuration(front: SocketAddr, backends: &[SocketAddr]) -> String {
    let mut text = format!(
        "// The configuration of a running demo; it goes when the demo ends.\n\
         service {SERVICE} {{\n    \
             port {};\n    \
             bindto {};\n    \
             type http;\n    \
             shmkey {};\n    \
             dispatchmode roundrobin;\n    \
             revivinginterval 2;\n",
        front.port(),
        front.ip(),
        shm_key(front),
    );
    for (name, address) in NAMES.iter().zip(backends) {
        text.push_str(&format!(
            "    backend {name} {{ server {address}; verbosity on; }}\n"
        ));
    }
    text.push_str("}\n");
    text
}

/// What the demo prints before anything happens.
pub(super) fn introduction(scene: &Scene, program: &Path, front: SocketAddr) -> String {
    let command = format!(
        "CROSSROADS_RUN_DIR={} {} -c {}",
        quoted(&scene.run_dir()),
        quoted(program),
        quoted(&scene.configuration()),
    );
    format!(
        "A balancer with three web servers behind it is running.\n\n\
         configuration  {}\n\
         try            curl http://{front}/\n\
         look           {command} status\n\
         take one out   {command} tell {SERVICE} two down\n\
         and back       {command} tell {SERVICE} two up\n\
         end            Ctrl-C\n\n",
        scene.configuration().display(),
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn scene_is_closed_to_others_and_goes_with_all_that_is_in_it() {
        let scene = Scene::set().unwrap();
        let directory = scene.directory.clone();
        scene.write(free_address().unwrap(), &[]).unwrap();

        for path in [&directory, &scene.run_dir()] {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o700);
        }
        assert!(scene.configuration().exists());

        drop(scene);
        assert!(!directory.exists());
    }

    #[test]
    fn introduction_gives_commands_that_fit_the_demo() {
        let scene = Scene::set().unwrap();
        let front = "127.0.0.1:4711".parse().unwrap();

        let text = introduction(&scene, Path::new("/opt/my bin/crossroads"), front);

        let command = format!(
            "CROSSROADS_RUN_DIR={0}/run '/opt/my bin/crossroads' -c {0}/demo.conf tell demo two down",
            scene.directory.display()
        );
        assert!(text.contains(&command), "{text}");
        assert!(text.contains("curl http://127.0.0.1:4711/"), "{text}");
    }

    #[test]
    fn quotes_of_a_path_survive_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/a-b.c")), "/tmp/a-b.c");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}

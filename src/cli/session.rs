//! What every command is given, and how it reads the configuration.

use std::path::PathBuf;

use crate::base::limits::Limits;
use crate::cli::arguments::Options;
use crate::cli::console::Console;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::find::{Expected, Survey, survey};
use crate::cli::locate;
use crate::config::diagnostic::{Report, Which};
use crate::config::model::{Config, Service};
use crate::config::{LoadOptions, Loaded, Privilege, Purpose, load};
use crate::control::rundir::RunDir;
use crate::process::identity;

/// What every command is given.
pub(super) struct Session {
    /// The flags.
    pub(super) options: Options,
    /// Where it writes to.
    pub(super) console: Console,
    /// Where control sockets are.
    pub(super) run_dir: RunDir,
}

/// What a command for a running daemon knows of the configuration, however
/// faulty that may be by now.
pub(super) struct Known {
    /// The file as messages name it.
    pub(super) file: String,
    /// The paths that a daemon may have been started from.
    pub(super) paths: Vec<String>,
    /// The services that could be read.
    pub(super) services: Vec<Expected>,
    /// The fingerprint of the files, if they are free of errors.
    pub(super) fingerprint: Option<u64>,
}

impl Session {
    /// The fixed limits, as flags changed them.
    pub(super) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The configuration file.
    ///
    /// # Errors
    ///
    /// A message that names every file looked for.
    pub(super) fn configuration(&self) -> Result<PathBuf, Failure> {
        locate::configuration(self.options.config.as_deref())
            .map_err(|missing| Failure::message(missing.to_string()))
    }

    /// Reads the configuration file, which must be free of errors.
    ///
    /// # Errors
    ///
    /// [`Failure::Told`] after all errors were printed.
    pub(super) fn load(&self, purpose: Purpose) -> Result<Config, Failure> {
        let path = self.configuration()?;
        self.console
            .step(format_args!("reading {}", path.display()));
        let loaded = load(&path, &self.load_options(purpose));
        self.print(&loaded.report, which(purpose));
        loaded.config.ok_or(Failure::Told)
    }

    /// Reads as much of the configuration as is needed to find its daemon; of
    /// its errors only the first one is printed.
    ///
    /// # Errors
    ///
    /// None of the file's; only when the working directory is gone.
    ///
    /// Source: decided (2.3).
    pub(super) fn know(&self) -> Result<Known, Failure> {
        let known = |path: PathBuf| {
            locate::as_daemons_know(&path)
                .map_err(|error| Failure::message(format!("no working directory: {error}")))
        };
        let path = match locate::configuration(self.options.config.as_deref()) {
            Ok(path) => path,
            Err(missing) => {
                self.console.error(&missing);
                let paths = missing.looked_for.into_iter().map(known);
                return Ok(Known {
                    file: locate::DEFAULT.to_owned(),
                    paths: paths.collect::<Result<_, _>>()?,
                    services: Vec::new(),
                    fingerprint: None,
                });
            }
        };
        self.console
            .step(format_args!("reading {}", path.display()));
        let loaded = load(&path, &self.load_options(Purpose::Other));
        self.print(&loaded.report, Which::FirstError);
        Ok(Known {
            file: path.display().to_string(),
            fingerprint: loaded.config.as_ref().map(|config| config.fingerprint),
            services: expected(loaded),
            paths: vec![known(path)?],
        })
    }

    /// Looks for what runs for a configuration.
    pub(super) fn survey(&self, known: &Known) -> Survey {
        let survey = survey(&known.services, &known.paths, &self.run_dir, self.limits());
        for daemon in &survey.daemons {
            self.console.step(format_args!("found pid {}", daemon.pid));
        }
        survey
    }

    /// How the configuration is read for `purpose`.
    pub(super) fn load_options(&self, purpose: Purpose) -> LoadOptions {
        LoadOptions {
            silenced: self.options.silenced.clone(),
            purpose,
            privilege: self.privilege(),
        }
    }

    /// With whose rights this process runs.
    pub(super) fn privilege(&self) -> Privilege {
        match identity::is_root() {
            true => Privilege::Root,
            false => Privilege::User,
        }
    }

    /// Prints findings on stderr.
    pub(super) fn print(&self, report: &Report, which: Which) {
        self.console
            .write_message(&report.render(self.console.messages(), which));
    }
}

/// Only `configtest`, `start` and `restart` show more than errors.
fn which(purpose: Purpose) -> Which {
    match purpose {
        Purpose::ConfigTest | Purpose::Start => Which::All,
        Purpose::Other => Which::ErrorsOnly,
    }
}

fn expected(loaded: Loaded) -> Vec<Expected> {
    match loaded.config {
        Some(config) => config.services.iter().map(expect).collect(),
        None => loaded
            .partial
            .into_iter()
            .map(|service| Expected {
                name: service.name.to_string(),
                key: service.shm_key,
            })
            .collect(),
    }
}

/// Where a service is to be found.
pub(super) fn expect(service: &Service) -> Expected {
    Expected {
        name: service.name.to_string(),
        key: service.shm_key(),
    }
}

impl Known {
    /// The configuration that was just found free of errors.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            file: config.path.clone(),
            paths: vec![config.path.clone()],
            services: config.services.iter().map(expect).collect(),
            fingerprint: Some(config.fingerprint),
        }
    }

    /// What `stop`, `status` and `tell` give when they found nothing: an error
    /// only if the file could not tell them where to look.
    pub(super) fn found_nothing(&self) -> Outcome {
        if self.services.is_empty() {
            Err(Failure::Told)
        } else {
            Ok(())
        }
    }
}

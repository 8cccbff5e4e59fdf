//! `configtest`: says everything that can be said about a file, runs nothing.

use crate::cli::exit::{Failure, Outcome};
use crate::cli::session::Session;
use crate::config::diagnostic::{Report, Which};
use crate::config::model::Config;
use crate::config::{Purpose, load};

/// Checks the file and prints every error and warning.
///
/// Source: documented (manual page); "every" and the last line decided (2.5).
pub(super) fn run(session: &Session) -> Outcome {
    let path = session.configuration()?;
    let loaded = load(&path, &session.load_options(Purpose::ConfigTest));
    session.print(&loaded.report, Which::All);
    let file = path.display().to_string();
    match &loaded.config {
        Some(config) => session.console.print(fine(&file, config)),
        None => {
            session
                .console
                .write_message(&faulty(&file, &loaded.report));
            Err(Failure::Told)
        }
    }
}

fn fine(file: &str, config: &Config) -> String {
    let services = config.services.len();
    let backends: usize = config
        .services
        .iter()
        .map(|service| service.backends.len())
        .sum();
    format!("{file}: configuration is ok ({services} services, {backends} back ends)\n")
}

fn faulty(file: &str, report: &Report) -> String {
    let errors = counted(report.errors(), "error");
    let warnings = counted(report.warnings(), "warning");
    format!("{file}: {errors}, {warnings}\n")
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_counts_errors_and_warnings_with_their_singular() {
        assert_eq!(
            faulty("/etc/x.conf", &Report::default()),
            "/etc/x.conf: 0 errors, 0 warnings\n"
        );
        assert_eq!(counted(1, "warning"), "1 warning");
        assert_eq!(counted(2, "error"), "2 errors");
    }
}

//! Tables, for a terminal and as Markdown.

use std::fmt::Write;

use super::ratio::pairs;
use super::{Figure, Results, WorkResult};
use crate::compare::Calls;
use crate::stats::Summary;

/// How much of the machine others may have before the figures are doubtful.
const STRANGERS: f64 = 0.1;

/// Rows of cells below a head.
struct Table(Vec<Vec<String>>);

/// All works, with the machine.
pub(super) fn markdown(results: &Results) -> String {
    let (machine, effort) = (&results.machine, results.effort);
    let mut text = format!(
        "# Comparison of balancers\n\n{}  \n{}\n\n\
        {} rounds of {} s after {} s of warming up; medians, and in brackets {}. \
        Ratios are formed round by round; `~` marks those that may as well be 1.\n",
        machine.line(),
        machine.programs(),
        effort.rounds,
        effort.seconds,
        effort.warm,
        match effort.rounds {
            0..6 => "the smallest and the greatest value",
            _ => "the interval that holds them with 95 %",
        },
    );
    for work in &results.works {
        let _ = write!(text, "\n## {}\n\n{}\n\n", work.name, work.about);
        text += &figures(work).markdown();
        if let Some(ratios) = ratios(work) {
            text += "\n";
            text += &ratios.markdown();
        }
        text += &notes(work, "\n- ");
    }
    text
}

/// One work.
pub(super) fn text(work: &WorkResult) -> String {
    let mut text = format!("\n{}: {}\n", work.name, work.about);
    text += &figures(work).text();
    if let Some(ratios) = ratios(work) {
        text += &ratios.text();
    }
    text + &notes(work, "  ")
}

fn figures(work: &WorkResult) -> Table {
    let shown = Figure::shown(work);
    let counted = work.entries.iter().any(|entry| entry.calls.is_some());
    let mut head = vec![String::new()];
    head.extend(
        shown
            .iter()
            .map(|figure| figure.title(work.unit).to_owned()),
    );
    head.extend(counted.then(|| "system calls".to_owned()));
    let mut rows = vec![head];
    for entry in &work.entries {
        let mut row = vec![entry.title()];
        row.extend(
            shown
                .iter()
                .map(|figure| cell(*figure, figure.summary(entry, work))),
        );
        let calls = |calls: &Calls| number(calls.values().sum());
        row.extend(counted.then(|| entry.calls.as_ref().map_or("-".to_owned(), calls)));
        rows.push(row);
    }
    Table(rows)
}

fn ratios(work: &WorkResult) -> Option<Table> {
    let compared = Figure::compared(work);
    let pairs = pairs(work);
    let mut head = vec![String::new()];
    head.extend(
        compared
            .iter()
            .map(|figure| figure.title(work.unit).to_owned()),
    );
    let rows = pairs.iter().map(|pair| {
        let cells = compared
            .iter()
            .map(|figure| ratio_cell(pair.ratio(*figure, work)));
        std::iter::once(pair.title()).chain(cells).collect()
    });
    (!pairs.is_empty()).then(|| Table(std::iter::once(head).chain(rows).collect()))
}

/// What went wrong, and the system calls by name.
fn notes(work: &WorkResult, bullet: &str) -> String {
    let mut text = String::new();
    let samples = || {
        work.entries
            .iter()
            .flat_map(|entry| entry.rounds.iter().flatten())
    };
    let strangers = Summary::of(samples().map(|sample| sample.strangers));
    if let Some(Summary { median, .. }) = strangers.filter(|share| share.median > STRANGERS) {
        let _ = writeln!(
            text,
            "{bullet}other programs had {:.0} % of the machine: not to be trusted",
            median * 100.0
        );
    }
    let late = samples().filter(|sample| sample.is_askew()).count();
    if late > 0 {
        let _ = writeln!(
            text,
            "{bullet}counters read at the wrong time: {late} of {} measurements",
            samples().count()
        );
    }
    for entry in &work.entries {
        if let Some(failed) = &entry.failed {
            let _ = writeln!(text, "{bullet}{}: {failed}", entry.title());
        }
        let first = entry
            .rounds
            .iter()
            .flatten()
            .find_map(|sample| sample.client.first_error.as_ref());
        if let Some(error) = first {
            let _ = writeln!(
                text,
                "{bullet}{}, first error of a client: {error}",
                entry.title()
            );
        }
        if let Some(calls) = &entry.calls {
            let _ = writeln!(text, "{bullet}{}: {}", entry.title(), calls_line(calls));
        }
    }
    text
}

fn calls_line(calls: &Calls) -> String {
    let mut sorted: Vec<_> = calls.iter().filter(|(_, count)| **count >= 0.005).collect();
    sorted.sort_by(|one, other| other.1.total_cmp(one.1));
    let texts: Vec<_> = sorted
        .iter()
        .map(|(name, count)| format!("{name} {count:.2}"))
        .collect();
    texts.join(", ")
}

/// The intervals of the others are in the JSON; all of them are too wide for a
/// terminal.
fn cell(figure: Figure, summary: Option<Summary>) -> String {
    let Some(Summary {
        median,
        low,
        high,
        count,
    }) = summary
    else {
        return "-".to_owned();
    };
    match figure {
        Figure::Rate | Figure::Cpu | Figure::PerConnection if count > 1 => {
            format!("{} ({}..{})", number(median), number(low), number(high))
        }
        _ => number(median),
    }
}

fn ratio_cell(summary: Option<Summary>) -> String {
    let Some(
        summary @ Summary {
            median, low, high, ..
        },
    ) = summary
    else {
        return "-".to_owned();
    };
    let mark = if summary.spans(1.0) { " ~" } else { "" };
    format!("{median:.2} ({low:.2}..{high:.2}){mark}")
}

/// Three significant digits, and no more than needed.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size < 0.005 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

impl Table {
    /// Columns aligned with blanks: names to the left, figures to the right.
    fn text(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.0.iter().map(line).collect()
    }

    fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let mut lines: Vec<_> = self.0.iter().map(line).collect();
        let columns = self.0.first().map_or(0, Vec::len);
        let rule = format!("|---|{}\n", "---:|".repeat(columns.saturating_sub(1)));
        lines.insert(1.min(lines.len()), rule);
        lines.concat()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self
                .0
                .iter()
                .filter_map(|row: &Vec<String>| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Side;
    use super::super::tests::{sample, work};
    use super::*;
    use crate::compare::Sample;

    #[test]
    fn columns_of_the_text_are_aligned() {
        let rows = [["", "per s"], ["a long name", "1"], ["b", "12345678"]];
        let table = Table(rows.map(|row| row.map(str::to_owned).to_vec()).to_vec());

        assert_eq!(
            table.text(),
            "                  per s\n  a long name         1\n  b            12345678\n"
        );
    }

    #[test]
    fn markdown_has_a_rule_below_the_head() {
        let table = Table(
            [["", "x"], ["a", "1"]]
                .map(|row| row.map(str::to_owned).to_vec())
                .to_vec(),
        );

        assert_eq!(table.markdown(), "|  | x |\n|---|---:|\n| a | 1 |\n");
    }

    #[test]
    fn busy_machine_is_reported() {
        let mut work = work(&[("pen", Side::Theirs, "")]);
        let busy = Sample {
            strangers: 0.25,
            ..sample(100, 500.0)
        };
        work.entries[0].rounds = vec![Some(busy)];

        let text = text(&work);

        assert!(
            text.contains("other programs had 25 % of the machine"),
            "{text}"
        );
    }

    #[test]
    fn ratio_that_may_be_one_is_marked() {
        let mut work = work(&[("crossroads", Side::Ours, ""), ("pen", Side::Theirs, "")]);
        work.entries[0].rounds = vec![Some(sample(100, 500.0)), Some(sample(100, 800.0))];
        work.entries[1].rounds = vec![Some(sample(100, 1000.0)), Some(sample(100, 400.0))];

        let text = text(&work);

        assert!(
            text.contains("crossroads / pen  1.25 (0.50..2.00) ~"),
            "{text}"
        );
        assert!(text.contains("1.00 (1.00..1.00) ~"), "{text}");
    }

    #[test]
    fn clear_ratio_is_not_marked() {
        let mut work = work(&[("crossroads", Side::Ours, ""), ("pen", Side::Theirs, "")]);
        work.entries[0].rounds = vec![Some(sample(100, 500.0)), None];
        work.entries[1].rounds = vec![Some(sample(100, 1000.0)), Some(sample(100, 1.0))];

        let text = text(&work);

        assert!(
            text.contains("crossroads / pen  0.50 (0.50..0.50)  "),
            "{text}"
        );
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [0.0, 0.123, 9.876, 12.34, 123.4, 14567.0].map(number),
            ["0", "0.12", "9.88", "12.3", "123", "14567"]
        );
    }
}

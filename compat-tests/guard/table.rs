//! A table of figures beside this file: what is allowed, and what is found.
//!
//! Each line holds a case, a figure's name and its value; what follows a `#` is
//! a comment. A figure that is not in the table is 0.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Tests that run side by side bless the same file.
static BLESSING: Mutex<()> = Mutex::new(());

/// How far a figure may be from the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margin {
    /// So much above it is no change for the worse.
    pub(crate) above: f64,
    /// So much below it is no change for the better; more is one that the table
    /// has to hold from now on, or it would be lost unseen.
    pub(crate) below: f64,
}

impl Margin {
    /// The same to both sides.
    pub(crate) const fn of(both: f64) -> Self {
        let (above, below) = (both, both);
        Self { above, below }
    }
}

/// One of the tables.
pub(crate) struct Table {
    name: &'static str,
}

impl Table {
    /// The table in the file `name` beside this one.
    pub(crate) const fn called(name: &'static str) -> Self {
        Self { name }
    }

    /// Asserts that the figures of `case` are those of the table; with
    /// `CROSSROADS_BLESS=1` puts those that are not into it instead.
    #[track_caller]
    pub(crate) fn assert_holds(
        &self,
        case: &str,
        found: &BTreeMap<String, f64>,
        margin: impl Fn(&str) -> Margin,
    ) {
        let _one_at_a_time = BLESSING.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::fs::read_to_string(self.path()).expect("the table");
        let allowed = figures(&text, case);
        let rows = compare(&allowed, found, margin);
        if rows.iter().all(|row| row.verdict == Verdict::Holds) {
            return;
        }
        if std::env::var_os("CROSSROADS_BLESS").is_some() {
            let blessed = blessed(&text, case, &rows);
            return std::fs::write(self.path(), blessed).expect("the table");
        }
        panic!("{}", self.complaint(case, &rows));
    }

    fn path(&self) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "compat-tests/guard", self.name]
            .iter()
            .collect()
    }

    fn complaint(&self, case: &str, rows: &[Row]) -> String {
        let mut text = format!("`{case}` is not as in guard/{}:\n\n", self.name);
        let head = ["figure", "allowed", "found"];
        let _ = writeln!(text, "  {:<24}{:>12}{:>12}", head[0], head[1], head[2]);
        for row in rows {
            let Row {
                name,
                allowed,
                found,
                verdict,
            } = row;
            let (allowed, found) = (shown(*allowed), shown(*found));
            let _ = writeln!(
                text,
                "  {name:<24}{allowed:>12}{found:>12}{}",
                verdict.remark()
            );
        }
        let worse = rows.iter().any(|row| row.verdict == Verdict::Worse);
        text += if worse {
            "\nSomething costs more than before. If that is meant, say in the commit what it buys,\nand "
        } else {
            "\nNothing costs more than before, so the table is out of date:\n"
        };
        text + "run the test again with CROSSROADS_BLESS=1 to put it into the table."
    }
}

/// What one figure has to be, and is.
struct Row {
    name: String,
    allowed: f64,
    found: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Holds,
    Worse,
    Better,
}

impl Verdict {
    fn remark(self) -> &'static str {
        match self {
            Self::Holds => "",
            Self::Worse => "  more than allowed",
            Self::Better => "  less: table out of date",
        }
    }
}

fn compare(
    allowed: &BTreeMap<String, f64>,
    found: &BTreeMap<String, f64>,
    margin: impl Fn(&str) -> Margin,
) -> Vec<Row> {
    let names: BTreeMap<&String, ()> = allowed
        .keys()
        .chain(found.keys())
        .map(|name| (name, ()))
        .collect();
    let of =
        |figures: &BTreeMap<String, f64>, name: &str| figures.get(name).copied().unwrap_or(0.0);
    let row = |name: &String| {
        let (allowed, found) = (of(allowed, name), of(found, name));
        let Margin { above, below } = margin(name);
        // Sums of decimal figures are not exact.
        let verdict = match found - allowed {
            more if more > above + 1e-9 => Verdict::Worse,
            more if more < -below - 1e-9 => Verdict::Better,
            _ => Verdict::Holds,
        };
        let name = name.clone();
        Row {
            name,
            allowed,
            found,
            verdict,
        }
    };
    names.into_keys().map(row).collect()
}

/// The figures of `case`, by their names.
fn figures(table: &str, case: &str) -> BTreeMap<String, f64> {
    let figure = |(number, line): (usize, &str)| {
        let words: Vec<&str> = words(line).collect();
        let [of, name, value] = words[..] else {
            assert!(
                words.is_empty(),
                "line {}: a case, a name and a value are wanted, not {line:?}",
                number + 1
            );
            return None;
        };
        let value = value.parse();
        let value = value.unwrap_or_else(|_| panic!("line {}: no number: {line:?}", number + 1));
        (of == case).then(|| (name.to_owned(), value))
    };
    table.lines().enumerate().filter_map(figure).collect()
}

/// What a line says, without its comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or("").split_whitespace()
}

/// The table with the figures of `case` as in `rows`, where they do not hold.
fn blessed(table: &str, case: &str, rows: &[Row]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut place = None;
    for line in table.lines() {
        if words(line).next() == Some(case) {
            place.get_or_insert(lines.len());
        } else {
            lines.push(line.to_owned());
        }
    }
    let place = place.unwrap_or_else(|| {
        lines.push(String::new());
        lines.len()
    });
    let value = |row: &Row| match row.verdict {
        Verdict::Holds => row.allowed,
        Verdict::Worse | Verdict::Better => row.found,
    };
    let kept = rows.iter().filter(|row| shown(value(row)) != "0");
    let new = kept.map(|row| format!("{case:<20} {:<24} {:>8}", row.name, shown(value(row))));
    lines.splice(place..place, new);
    lines.join("\n") + "\n"
}

/// A figure in hundredths, without digits that say nothing.
fn shown(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A comment after a figure stays out of it, and other cases stay as they are.
#[test]
fn blessing_rewrites_what_does_not_hold() {
    let table = "# costs\n\na read 2\na write 1\n\nb read 7 # why\n";
    let found = BTreeMap::from([("read".to_owned(), 2.04), ("close".to_owned(), 3.0)]);

    let rows = compare(&figures(table, "a"), &found, |_| Margin::of(0.05));
    let text = blessed(table, "a", &rows);

    let expected = BTreeMap::from([("read".to_owned(), 2.0), ("close".to_owned(), 3.0)]);
    assert_eq!(figures(&text, "a"), expected);
    assert!(text.starts_with("# costs\n\na "), "{text}");
    assert!(text.ends_with("\n\nb read 7 # why\n"), "{text}");
}

/// The message says what was before and what is after.
#[test]
fn the_complaint_names_both_numbers() {
    let found = BTreeMap::from([("read".to_owned(), 3.0)]);
    let rows = compare(&figures("a read 2\na send 2", "a"), &found, |_| {
        Margin::of(0.05)
    });

    let text = Table::called("costs.txt").complaint("a", &rows);

    let line = |name: &str| {
        text.lines()
            .find(|line| line.contains(name))
            .map(str::to_owned)
    };
    let words: Vec<_> = line("read")
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(words[1..], ["2", "3", "more", "than", "allowed"]);
    assert!(line("send").unwrap().ends_with("out of date"), "{text}");
}

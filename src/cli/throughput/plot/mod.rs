//! The picture: durations in the course of the logs, and how often each
//! duration occurs.
//!
//! ```text
//! ┌─────────────────────────────────────────┐
//! │ title, legend: a row for each log       │
//! ├─────────────────────────────────────────┤
//! │ whole duration in the course of a log   │
//! ├────────────────────┬────────────────────┤
//! │ first byte: shares │ whole: shares      │
//! └────────────────────┴────────────────────┘
//! ```

mod axis;
mod course;
mod shares;
mod svg;

use super::analysis::{Durations, Findings, Summary};
use axis::LogAxis;
use svg::{Align, Ink, Svg};

/// Colours of the logs, one after another; told apart also by people who do
/// not see all colours (Okabe and Ito).
const COLOURS: &[&str] = &[
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5a5a5a",
];

const TEXT: &str = "#222222";
const QUIET: &str = "#666666";
const GRID: &str = "#e4e4e4";
const FRAME: &str = "#b0b0b0";

/// The width of the picture.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
/// Below the text that stands above the legend.
const LEGEND: f64 = 66.0;
const ROW: f64 = 20.0;
const COURSE_HEIGHT: f64 = 290.0;
const SHARES_HEIGHT: f64 = 230.0;
/// Room for the caption above a panel, and for axis and title below it.
const CAPTION: f64 = 40.0;
const FOOT: f64 = 52.0;
const GUTTER: f64 = 76.0;

/// A rectangle that data is drawn into.
#[derive(Clone, Copy)]
struct Panel {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Panel {
    fn bottom(&self) -> f64 {
        self.y + self.height
    }

    fn right(&self) -> f64 {
        self.x + self.width
    }

    fn frame(&self, svg: &mut Svg) {
        svg.rect(
            (self.x, self.y),
            (self.width, self.height),
            Ink::line(FRAME, 1.0),
        );
    }

    /// What the panel shows, above it, and how to read it.
    fn caption(&self, svg: &mut Svg, text: &str, how: &str) {
        svg.bold((self.x, self.y - 24.0), text);
        svg.text((self.x, self.y - 8.0), Align::Start, QUIET, how);
    }

    /// What its axis measures, below it.
    fn foot(&self, svg: &mut Svg, text: &str) {
        let middle = self.x + self.width / 2.0;
        svg.text((middle, self.bottom() + 40.0), Align::Middle, QUIET, text);
    }
}

fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

/// Draws the findings of all logs into one SVG picture.
pub(super) fn draw(all: &[Findings]) -> String {
    let top = LEGEND + all.len() as f64 * ROW + CAPTION;
    let course = Panel {
        x: LEFT,
        y: top,
        width: WIDTH - LEFT - RIGHT,
        height: COURSE_HEIGHT,
    };
    let half = Panel {
        x: LEFT,
        y: course.bottom() + FOOT + CAPTION,
        width: (course.width - GUTTER) / 2.0,
        height: SHARES_HEIGHT,
    };
    let other = Panel {
        x: half.right() + GUTTER,
        ..half
    };
    let mut svg = Svg::new(WIDTH, half.bottom() + FOOT, "Durations of exchanges");
    legend(&mut svg, all);
    course::draw(&mut svg, &course, all);
    shares::draw(
        &mut svg,
        &half,
        "Time to first byte",
        &|one| &one.tally.first_byte,
        all,
    );
    shares::draw(
        &mut svg,
        &other,
        "Whole duration",
        &|one| &one.tally.whole,
        all,
    );
    svg.finish()
}

fn legend(svg: &mut Svg, all: &[Findings]) {
    svg.title((LEFT, 34.0), "Durations of exchanges");
    let columns = [420.0, 540.0, 660.0, 780.0, 900.0].map(|x| x + LEFT);
    let heads = ["exchanges", "median", "90 %", "99 %", "slowest"];
    for (x, head) in columns.iter().zip(heads) {
        svg.text((*x, LEGEND - 10.0), Align::End, QUIET, head);
    }
    for (place, one) in all.iter().enumerate() {
        let y = LEGEND + 10.0 + place as f64 * ROW;
        svg.rect(
            (LEFT, y - 10.0),
            (14.0, 11.0),
            Ink::fill(colour(place), 1.0),
        );
        svg.text((LEFT + 22.0, y), Align::Start, TEXT, &shortened(&one.name));
        let mut cells = vec![one.tally.answered.to_string()];
        if let Some(Summary {
            median,
            p90,
            p99,
            max,
            ..
        }) = one.tally.whole.summary()
        {
            cells.extend([median, p90, p99, max].map(axis::duration));
        }
        for (x, cell) in columns.iter().zip(cells) {
            svg.text((*x, y), Align::End, TEXT, &cell);
        }
    }
}

/// The end of a long name, which tells it from others.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 36;
    let count = name.chars().count();
    match count.checked_sub(LONGEST) {
        None | Some(0) => name.to_owned(),
        Some(surplus) => format!("…{}", name.chars().skip(surplus + 1).collect::<String>()),
    }
}

/// An axis that holds the durations that `of` gives of all logs; `None` if
/// there are none.
fn axis_of(all: &[Findings], of: &dyn Fn(&Findings) -> &Durations) -> Option<LogAxis> {
    let summaries = all.iter().filter_map(|one| of(one).summary());
    let range = summaries
        .map(|summary| (summary.min, summary.max))
        .reduce(|(low, high), (min, max)| (low.min(min), high.max(max)));
    range.map(|(low, high)| LogAxis::new(low, high))
}

fn nothing(svg: &mut Svg, panel: &Panel) {
    let middle = (panel.x + panel.width / 2.0, panel.y + panel.height / 2.0);
    svg.text(middle, Align::Middle, QUIET, "no exchange was answered");
}

#[cfg(test)]
mod tests {
    use super::super::analysis::Analysis;
    use super::*;

    fn findings(name: &str, count: u64) -> Findings {
        let mut analysis = Analysis::new(name);
        for number in 0..count {
            let micros = 1 + number * number % 900_000;
            analysis
                .push(format!("{number} 0.000000 C x\n{number} 0.{micros:06} B y\n").as_bytes());
        }
        analysis.end()
    }

    #[test]
    fn picture_names_every_log_and_every_number_in_it_is_one() {
        let picture = draw(&[
            findings("maple & <co>.log", 5_000),
            findings("birch.log", 20),
        ]);

        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("maple &amp; &lt;co&gt;.log"));
        assert!(picture.contains("birch.log"));
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
        assert_eq!(
            picture.matches("<g").count(),
            picture.matches("</g>").count()
        );
    }

    #[test]
    fn picture_of_nothing_says_so() {
        for all in [vec![], vec![findings("empty.log", 0)]] {
            let picture = draw(&all);

            assert_eq!(picture.matches("no exchange was answered").count(), 3);
        }
    }

    #[test]
    fn one_exchange_makes_a_picture() {
        let picture = draw(&[findings("one.log", 1)]);

        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }

    #[test]
    fn long_names_lose_their_beginning() {
        let name = format!("/var/log/{}/maple.log", "x".repeat(60));

        let short = shortened(&name);

        assert_eq!(short.chars().count(), 36);
        assert!(short.ends_with("/maple.log"), "{short}");
    }
}

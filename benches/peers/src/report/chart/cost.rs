//! Processor time for each unit, as bars beside that of one of the others.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, FAINT, INK, colour, draw, unpainted, write};
use crate::report::ratio::Pair;
use crate::report::{Entry, Figure, Results, Side, WorkResult};
use crate::stats::Summary;

/// Works that a newcomer understands, in their order.
const WORKS: [(&str, &str); 9] = [
    ("conn", "new connections"),
    ("keep", "kept connections"),
    ("one", "a single connection"),
    ("bulk", "large replies"),
    ("upload", "large requests"),
    ("both", "both at once"),
    ("http-conn", "new, read as HTTP"),
    ("http-keep", "kept, read as HTTP"),
    ("http-bulk", "large, read as HTTP"),
];

/// Height of a bar, and distance of two works.
const BAR: i32 = 16;
const GAP: i32 = 14;
/// Where bars begin, and how long one of the ratio 1 is.
const LEFT: i32 = 210;
const ONE: i32 = 330;
/// The longest bar: beyond it only the figure tells.
const LONGEST: f64 = 1.75;

/// The bars of one work.
struct Group<'a> {
    words: &'static str,
    work: &'a WorkResult,
    bars: Vec<Bar<'a>>,
}

/// A bar of the picture.
struct Bar<'a> {
    entry: &'a Entry,
    ratio: Summary,
    colour: RGBColor,
}

/// None if there is nothing to compare with.
pub(super) fn picture(results: &Results) -> Result<Option<String>> {
    let works = WORKS.iter().filter_map(|(name, words)| {
        let found = results.works.iter().find(|work| work.name == *name)?;
        Some(Group {
            words,
            work: found,
            bars: bars(found),
        })
    });
    let groups: Vec<_> = works.filter(|group| group.bars.len() > 1).collect();
    let Some(base) = groups.first().and_then(|group| base(group.work)) else {
        return Ok(None);
    };
    let rows: i32 = groups.iter().map(|group| height(&group.bars)).sum();
    let title = format!(
        "Processor time of the balancer, {} = 1 (shorter is better)",
        base.peer
    );
    let canvas_height = u32::try_from(rows + 110)?;
    let text = draw(results, &title, canvas_height, |canvas| {
        let mut top = 52;
        line(
            canvas,
            (LEFT + ONE, top - 6),
            (LEFT + ONE, top + rows - GAP + 6),
        )?;
        for group in &groups {
            paint(canvas, group, top)?;
            top += height(&group.bars);
        }
        Ok(())
    })?;
    Ok(Some(text))
}

/// Whom the bars are relative to: haproxy, or else the first of the others.
fn base(work: &WorkResult) -> Option<&Entry> {
    let theirs = || {
        work.entries
            .iter()
            .filter(|entry| entry.side == Side::Theirs)
    };
    theirs()
        .find(|entry| entry.peer == "haproxy")
        .or_else(|| theirs().next())
}

fn bars(work: &WorkResult) -> Vec<Bar<'_>> {
    let Some(base) = base(work) else {
        return Vec::new();
    };
    let shown = work.entries.iter().filter(|entry| entry.side != Side::None);
    let bar = |(place, entry): (usize, _)| {
        let ratio = Pair {
            first: entry,
            second: base,
        }
        .ratio(Figure::Cpu, work)?;
        Some(Bar {
            entry,
            ratio,
            colour: colour(&entry.peer, entry.side, place),
        })
    };
    shown.enumerate().filter_map(bar).collect()
}

fn height(bars: &[Bar<'_>]) -> i32 {
    BAR * i32::try_from(bars.len()).unwrap_or(0) + GAP
}

fn paint(canvas: &Canvas<'_>, group: &Group<'_>, top: i32) -> Result<()> {
    let name = (20, top + BAR / 2);
    write(canvas, group.work.name, name, 14, HPos::Left)?;
    write(canvas, group.words, (20, name.1 + BAR), 11, HPos::Left)?;
    let mut top = top;
    for bar in &group.bars {
        row(canvas, bar, top)?;
        top += BAR;
    }
    Ok(())
}

fn row(canvas: &Canvas<'_>, bar: &Bar<'_>, top: i32) -> Result<()> {
    let Summary {
        median, low, high, ..
    } = bar.ratio;
    let (middle, end) = (top + BAR / 2, place(median));
    write(
        canvas,
        &bar.entry.title(),
        (LEFT - 8, middle),
        12,
        HPos::Right,
    )?;
    let body = Rectangle::new([(LEFT, top + 2), (end, top + BAR - 2)], bar.colour.filled());
    canvas.draw(&body).map_err(unpainted)?;
    // The interval as a line over the end of the bar.
    let whisker = PathElement::new(vec![(place(low), middle), (place(high), middle)], INK);
    canvas.draw(&whisker).map_err(unpainted)?;
    let text = match low == high {
        true => format!("{median:.2}"),
        false => format!("{median:.2} ({low:.2}..{high:.2})"),
    };
    write(
        canvas,
        &text,
        (place(high.max(median)) + 8, middle),
        12,
        HPos::Left,
    )
}

fn line(canvas: &Canvas<'_>, from: (i32, i32), to: (i32, i32)) -> Result<()> {
    canvas
        .draw(&PathElement::new(vec![from, to], FAINT.stroke_width(2)))
        .map_err(unpainted)
}

/// Where a ratio lies.
fn place(ratio: f64) -> i32 {
    // At most a few hundred pixels.
    LEFT + (ratio.clamp(0.0, LONGEST) * f64::from(ONE)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_lengths_and_never_leave_the_picture() {
        assert_eq!(place(0.0), LEFT);
        assert_eq!(place(1.0), LEFT + ONE);
        assert_eq!(place(50.0), place(LONGEST));
    }
}

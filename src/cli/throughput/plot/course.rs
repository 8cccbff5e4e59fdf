//! The panel of the course: median and 99 % of each span of exchanges.

use super::axis::{self, LogAxis};
use super::svg::{Align, Ink, Svg};
use super::{FRAME, GRID, Panel, QUIET, axis_of, colour, nothing};
use crate::cli::throughput::analysis::Findings;
use crate::cli::throughput::timeline::Timeline;

/// Draws the course of the whole durations of all logs.
pub(super) fn draw(svg: &mut Svg, panel: &Panel, all: &[Findings]) {
    panel.caption(
        svg,
        "Whole duration in the course of a log",
        "line: half of the exchanges were faster; shaded: 99 of 100 were; dots: single exchanges, \
         where they are few",
    );
    let most = all.iter().map(|one| one.lines).max().unwrap_or(0);
    match axis_of(all, &|one| &one.tally.whole) {
        None => nothing(svg, panel),
        Some(axis) => {
            grid(svg, panel, &axis, most as f64);
            for (place, one) in all.iter().enumerate() {
                svg.group(&one.name);
                let scale = Scale {
                    panel,
                    axis,
                    most: most as f64,
                };
                scale.course(svg, &one.tally.timeline, colour(place));
                svg.end_group();
            }
        }
    }
    panel.frame(svg);
    panel.foot(svg, "line of the log");
}

fn grid(svg: &mut Svg, panel: &Panel, axis: &LogAxis, most: f64) {
    for mark in axis.marks() {
        let y = panel.bottom() - mark.place * panel.height;
        svg.path(&[(panel.x, y), (panel.right(), y)], Ink::line(GRID, 1.0));
        svg.text((panel.x - 8.0, y + 4.0), Align::End, QUIET, &mark.label);
    }
    for mark in axis::linear(most) {
        let x = panel.x + mark / most.max(1.0) * panel.width;
        svg.path(
            &[(x, panel.bottom()), (x, panel.bottom() + 5.0)],
            Ink::line(FRAME, 1.0),
        );
        let label = axis::count(mark);
        svg.text((x, panel.bottom() + 20.0), Align::Middle, QUIET, &label);
    }
}

struct Scale<'a> {
    panel: &'a Panel,
    axis: LogAxis,
    most: f64,
}

impl Scale<'_> {
    fn point(&self, line: f64, micros: f64) -> (f64, f64) {
        let x = self.panel.x + line / self.most.max(1.0) * self.panel.width;
        let y = self.panel.bottom() - self.axis.place(micros) * self.panel.height;
        // The last span may reach beyond the last line.
        (x.min(self.panel.right()), y)
    }

    fn course(&self, svg: &mut Svg, timeline: &Timeline, colour: &'static str) {
        if let Some(points) = timeline.points() {
            for (line, duration) in points {
                let point = self.point(*line as f64, *duration as f64);
                svg.dot(point, 2.2, Ink::fill(colour, 0.75));
            }
            return;
        }
        let curve = |part: f64| -> Vec<(f64, f64)> {
            let spans = timeline.spans();
            spans
                .map(|(line, span)| self.point(line, span.quantile(part)))
                .collect()
        };
        let medians = curve(0.5);
        let mut area = curve(0.99);
        svg.path(&area, Ink::line(colour, 0.6));
        area.extend(medians.iter().rev());
        svg.path(&area, Ink::fill(colour, 0.16));
        svg.path(&medians, Ink::line(colour, 1.8));
    }
}

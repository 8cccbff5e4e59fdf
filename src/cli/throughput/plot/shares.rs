//! A panel of shares: how often each duration occurs.

use super::axis::{self, LogAxis};
use super::svg::{Align, Ink, Svg};
use super::{FRAME, GRID, Panel, QUIET, axis_of, colour, nothing};
use crate::cli::throughput::analysis::{Durations, Findings};

/// Into how many bins the axis is divided.
const BINS: usize = 60;

/// Draws the shares of the durations that `of` gives of all logs.
pub(super) fn draw(
    svg: &mut Svg,
    panel: &Panel,
    caption: &str,
    of: &dyn Fn(&Findings) -> &Durations,
    all: &[Findings],
) {
    panel.caption(svg, caption, "upright lines: median, and dashed 99 %");
    match axis_of(all, of) {
        None => nothing(svg, panel),
        Some(axis) => {
            let curves: Vec<Vec<f64>> = all.iter().map(|one| shares(of(one), &axis)).collect();
            let highest = curves.iter().flatten().copied().fold(0.0, f64::max);
            let scale = Scale {
                panel,
                axis,
                // Room for the upright lines above the highest bin.
                highest: highest * 1.08,
            };
            scale.grid(svg);
            for (place, (one, shares)) in all.iter().zip(&curves).enumerate() {
                svg.group(&one.name);
                scale.curve(svg, shares, colour(place));
                scale.uprights(svg, of(one), colour(place));
                svg.end_group();
            }
        }
    }
    panel.frame(svg);
    panel.foot(svg, "duration");
}

/// Which share of all, in percent, falls into each bin.
fn shares(durations: &Durations, axis: &LogAxis) -> Vec<f64> {
    let mut bins = vec![0_u64; BINS];
    for (duration, count) in durations.counts() {
        bins[axis.bin(duration, BINS)] += count;
    }
    let all: u64 = bins.iter().sum();
    let share = |count: &u64| *count as f64 * 100.0 / all.max(1) as f64;
    bins.iter().map(share).collect()
}

struct Scale<'a> {
    panel: &'a Panel,
    axis: LogAxis,
    highest: f64,
}

impl Scale<'_> {
    fn x(&self, place: f64) -> f64 {
        self.panel.x + place * self.panel.width
    }

    fn y(&self, share: f64) -> f64 {
        self.panel.bottom() - share / self.highest.max(1e-9) * self.panel.height
    }

    fn grid(&self, svg: &mut Svg) {
        let panel = self.panel;
        for share in axis::linear(self.highest) {
            let y = self.y(share);
            svg.path(&[(panel.x, y), (panel.right(), y)], Ink::line(GRID, 1.0));
            let label = format!("{} %", axis::count(share));
            svg.text((panel.x - 8.0, y + 4.0), Align::End, QUIET, &label);
        }
        for mark in self.axis.marks() {
            let x = self.x(mark.place);
            svg.path(&[(x, panel.y), (x, panel.bottom())], Ink::line(GRID, 1.0));
            svg.path(
                &[(x, panel.bottom()), (x, panel.bottom() + 5.0)],
                Ink::line(FRAME, 1.0),
            );
            svg.text(
                (x, panel.bottom() + 20.0),
                Align::Middle,
                QUIET,
                &mark.label,
            );
        }
    }

    /// Steps, as high as the shares.
    fn curve(&self, svg: &mut Svg, shares: &[f64], colour: &'static str) {
        let mut points = vec![(self.x(0.0), self.y(0.0))];
        for (bin, share) in shares.iter().enumerate() {
            let y = self.y(*share);
            let edge = |bin: usize| self.x(bin as f64 / BINS as f64);
            points.extend([(edge(bin), y), (edge(bin + 1), y)]);
        }
        points.push((self.x(1.0), self.y(0.0)));
        svg.path(&points, Ink::fill(colour, 0.20));
        svg.path(&points, Ink::line(colour, 1.4));
    }

    fn uprights(&self, svg: &mut Svg, durations: &Durations, colour: &'static str) {
        let Some(summary) = durations.summary() else {
            return;
        };
        let lines = [
            (summary.median, Ink::line(colour, 1.2)),
            (summary.p99, Ink::dashed(colour, 1.2)),
        ];
        for (duration, ink) in lines {
            let x = self.x(self.axis.place(duration as f64));
            svg.path(&[(x, self.panel.y), (x, self.panel.bottom())], ink);
        }
    }
}

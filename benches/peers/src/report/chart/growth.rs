//! Processor time for each request, by the number of connections.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, FAINT, FONT, INK, WIDTH, colour, draw, unpainted, write};
use crate::report::{Entry, Figure, Results, Side, WorkResult};

const HEIGHT: u32 = 480;
/// Room for the names, right of the lines.
const NAMES: u32 = 190;

/// The line of one balancer.
struct Course {
    title: String,
    points: Vec<(f64, f64)>,
    style: ShapeStyle,
}

/// None if fewer than two numbers of connections were measured.
pub(super) fn picture(results: &Results) -> Result<Option<String>> {
    let works: Vec<_> = results
        .works
        .iter()
        .filter(|work| work.group == "growth")
        .collect();
    let Some(last) = works.last().filter(|_| works.len() > 1) else {
        return Ok(None);
    };
    let courses: Vec<_> = last
        .entries
        .iter()
        .filter(|entry| entry.side != Side::None)
        .map(|entry| course(entry, &last.entries, &works))
        .filter(|course| !course.points.is_empty())
        .collect();
    let title = "Processor time for a request, by the number of connections (lower is better)";
    let text = draw(results, title, HEIGHT, |canvas| {
        paint(canvas, &works, &courses)
    })?;
    Ok(Some(text))
}

fn course(entry: &Entry, all: &[Entry], works: &[&WorkResult]) -> Course {
    let point = |work: &&WorkResult| {
        let same = |other: &&Entry| other.peer == entry.peer && other.variant == entry.variant;
        let found = work.entries.iter().find(same)?;
        Some((
            f64::from(work.load.connections),
            Figure::Cpu.summary(found, work)?.median,
        ))
    };
    // Builds of ours are counted, not their variants.
    let mut builds = all
        .iter()
        .filter(|one| one.side == Side::Ours && one.variant.is_empty());
    let place = builds.position(|one| one.peer == entry.peer).unwrap_or(0);
    let colour = colour(&entry.peer, entry.side, place);
    // Thin and pale: the same balancer with more workers.
    let style = match entry.variant {
        "" => colour.stroke_width(3),
        _ => colour.mix(0.6).stroke_width(2),
    };
    Course {
        title: entry.title(),
        points: works.iter().filter_map(point).collect(),
        style,
    }
}

fn paint(canvas: &Canvas<'_>, works: &[&WorkResult], courses: &[Course]) -> Result<()> {
    let connections = works.iter().map(|work| f64::from(work.load.connections));
    let (least, most) =
        connections.fold((f64::MAX, 0.0), |(low, high), n| (n.min(low), n.max(high)));
    let highest = courses
        .iter()
        .flat_map(|course| &course.points)
        .fold(0.0, |top: f64, (_, y)| top.max(*y));
    let area = canvas.margin(44, 48, 12, NAMES);
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((least..most * 1.05).log_scale(), 0.0..highest * 1.1)
        .map_err(unpainted)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style((FONT, 12).into_font().color(&INK))
        .x_desc("connections")
        .y_desc("microseconds")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()
        .map_err(unpainted)?;
    for course in courses {
        let line = LineSeries::new(course.points.iter().copied(), course.style).point_size(3);
        chart.draw_series(line).map_err(unpainted)?;
    }
    names(canvas, courses)
}

/// The names beside their colours, those that end highest first.
fn names(canvas: &Canvas<'_>, courses: &[Course]) -> Result<()> {
    let mut sorted: Vec<_> = courses.iter().collect();
    let end = |course: &Course| course.points.last().map_or(0.0, |(_, y)| *y);
    sorted.sort_by(|one, other| end(other).total_cmp(&end(one)));
    let left = i32::try_from(WIDTH - NAMES)? + 8;
    let mut middle = 70;
    for course in sorted {
        let line = PathElement::new(vec![(left, middle), (left + 22, middle)], course.style);
        canvas.draw(&line).map_err(unpainted)?;
        write(canvas, &course.title, (left + 28, middle), 12, HPos::Left)?;
        middle += 20;
    }
    Ok(())
}

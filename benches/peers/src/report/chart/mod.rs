//! Pictures for people who read no tables.
//!
//! They stand on white, so that they can be read on a page of any colour.

mod cost;
mod growth;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Results, Side};

const WIDTH: u32 = 900;
const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(208, 215, 222);

/// A canvas that becomes an SVG text.
type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// All pictures that the results are enough for, with their file names.
///
/// # Errors
///
/// If drawing fails.
pub(super) fn pictures(results: &Results) -> Result<Vec<(&'static str, String)>> {
    let pictures = [
        ("cost.svg", cost::picture(results)?),
        ("growth.svg", growth::picture(results)?),
    ];
    Ok(pictures
        .into_iter()
        .filter_map(|(name, picture)| Some((name, picture?)))
        .collect())
}

/// An SVG text of a height, painted by `paint`, with title and origin.
fn draw(
    results: &Results,
    title: &str,
    height: u32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<String> {
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        canvas.fill(&WHITE).map_err(unpainted)?;
        write(&canvas, title, (20, 24), 18, HPos::Left)?;
        let machine = &results.machine;
        let below = i32::try_from(height)?;
        write(&canvas, &machine.line(), (20, below - 30), 11, HPos::Left)?;
        write(
            &canvas,
            &machine.programs(),
            (20, below - 14),
            11,
            HPos::Left,
        )?;
        paint(&canvas)?;
        canvas.present().map_err(unpainted)?;
    }
    Ok(text)
}

fn write(canvas: &Canvas<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> Result<()> {
    let style = (FONT, size)
        .into_font()
        .color(&INK)
        .pos(Pos::new(side, VPos::Center));
    canvas
        .draw(&Text::new(text.to_owned(), at, style))
        .map_err(unpainted)
}

/// Errors of the drawing library hold references; their text is enough.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is the argument of map_err"
)]
fn unpainted(error: impl ToString) -> anyhow::Error {
    anyhow!("cannot draw: {}", error.to_string())
}

/// The colour of a balancer: ours are blue, the first one the darkest.
fn colour(peer: &str, side: Side, place: usize) -> RGBColor {
    match (side, peer) {
        (Side::Ours, _) => [
            RGBColor(9, 80, 174),
            RGBColor(84, 150, 235),
            RGBColor(160, 200, 250),
        ][place.min(2)],
        (_, "haproxy") => RGBColor(120, 128, 138),
        (_, "nginx") => RGBColor(45, 144, 80),
        (_, "pen") => RGBColor(200, 135, 20),
        _ => RGBColor(150, 90, 180),
    }
}

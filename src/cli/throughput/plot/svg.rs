//! The few shapes of SVG that the picture is made of.

use std::fmt::Write as _;

/// A picture in the making.
pub(super) struct Svg(String);

/// Which end of a text its place is.
#[derive(Clone, Copy)]
pub(super) enum Align {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// How a shape is drawn.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    fill: &'static str,
    opacity: f64,
    stroke: &'static str,
    width: f64,
    dashes: &'static str,
}

impl Ink {
    /// A line.
    pub(super) fn line(stroke: &'static str, width: f64) -> Self {
        Self {
            fill: "none",
            opacity: 1.0,
            stroke,
            width,
            dashes: "none",
        }
    }

    /// A line of dashes.
    pub(super) fn dashed(stroke: &'static str, width: f64) -> Self {
        Self {
            dashes: "5 4",
            ..Self::line(stroke, width)
        }
    }

    /// An area, more or less transparent.
    pub(super) fn fill(fill: &'static str, opacity: f64) -> Self {
        Self {
            fill,
            opacity,
            stroke: "none",
            width: 0.0,
            dashes: "none",
        }
    }

    fn attributes(&self) -> String {
        let Self {
            fill,
            opacity,
            stroke,
            width,
            dashes,
        } = self;
        match *stroke {
            "none" => format!("fill=\"{fill}\" fill-opacity=\"{opacity}\""),
            _ => format!(
                "fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{width}\" \
                 stroke-dasharray=\"{dashes}\" stroke-linejoin=\"round\""
            ),
        }
    }
}

type Point = (f64, f64);

impl Svg {
    /// An empty picture on white.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut text = String::new();
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-size=\"12\" \
             font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escaped(title)
        );
        Self(text)
    }

    /// Shapes of the course of this name.
    pub(super) fn group(&mut self, title: &str) {
        let _ = writeln!(self.0, "<g><title>{}</title>", escaped(title));
    }

    /// Ends a group.
    pub(super) fn end_group(&mut self) {
        self.0.push_str("</g>\n");
    }

    /// A rectangle with its upper left corner at `at`.
    pub(super) fn rect(&mut self, at: Point, (width, height): (f64, f64), ink: Ink) {
        let (x, y) = at;
        let ink = ink.attributes();
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {ink}/>"
        );
    }

    /// A line through all points.
    pub(super) fn path(&mut self, points: &[Point], ink: Ink) {
        self.0.push_str("<path d=\"");
        for (place, (x, y)) in points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let _ = write!(self.0, "{letter}{x:.1} {y:.1}");
        }
        let _ = writeln!(self.0, "\" {}/>", ink.attributes());
    }

    /// A dot.
    pub(super) fn dot(&mut self, (x, y): Point, radius: f64, ink: Ink) {
        let ink = ink.attributes();
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" {ink}/>"
        );
    }

    /// A text.
    pub(super) fn text(&mut self, at: Point, align: Align, colour: &str, text: &str) {
        let anchor = match align {
            Align::Start => "start",
            Align::Middle => "middle",
            Align::End => "end",
        };
        self.write(
            at,
            &format!("text-anchor=\"{anchor}\" fill=\"{colour}\""),
            text,
        );
    }

    /// A text in bold type.
    pub(super) fn bold(&mut self, at: Point, text: &str) {
        self.write(
            at,
            "font-size=\"13\" font-weight=\"600\" fill=\"#222222\"",
            text,
        );
    }

    /// The title of the picture.
    pub(super) fn title(&mut self, at: Point, text: &str) {
        self.write(
            at,
            "font-size=\"19\" font-weight=\"600\" fill=\"#222222\"",
            text,
        );
    }

    fn write(&mut self, (x, y): Point, attributes: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>"
        );
    }

    /// The whole picture.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Text that XML takes for nothing else; what XML cannot hold becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

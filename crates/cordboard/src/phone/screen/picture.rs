//! The screen as a picture for the documents.
//!
//! Lines and blocks are drawn as shapes and letters are stretched to their cells: whatever font a reader has, the picture is
//! the same.

use std::fmt::Write as _;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell, CellWidth as _};
use ratatui::style::{Color, Modifier};

use super::shown::Shown;
use super::view::{Look, view};

/// Columns and rows of the terminal.
const SIZE: (u16, u16) = (80, 24);
/// A cell, in pixels.
const CELL: (f32, f32) = (8.5, 18.0);
/// Around the cells, and the bar above them.
const MARGIN: f32 = 12.0;
const BAR: f32 = 34.0;
/// Where letters stand in a cell.
const BASE: f32 = 13.5;

const GROUND: &str = "#14181d";
const LETTERS: &str = "#dfe4ea";
const FRAME: &str = "#1f252c";
/// What faint letters are mixed to.
const FAINT: &str = "#8b949e";

/// The screen in a window of that name, as SVG.
pub(super) fn picture(shown: &Shown, look: &Look, name: &str) -> String {
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("a buffer does not fail");
    terminal.draw(|frame| view(frame, shown, look)).expect("a buffer does not fail");
    let mut svg = String::new();
    window(&mut svg, name);
    let buffer = terminal.backend().buffer();
    for row in 0..SIZE.1 {
        grounds(&mut svg, buffer, row);
        letters(&mut svg, buffer, row);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn window(svg: &mut String, name: &str) {
    let width = f32::from(SIZE.0) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(SIZE.1) * CELL.1 + BAR + 1.5 * MARGIN;
    let name = escaped(name);
    let middle = width / 2.0;
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{name}">
<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>
<path d="M0 {BAR}V8a8 8 0 0 1 8 -8H{right}a8 8 0 0 1 8 8V{BAR}z" fill="{FRAME}"/>
<circle cx="18" cy="17" r="5" fill="#3d4650"/><circle cx="36" cy="17" r="5" fill="#3d4650"/><circle cx="54" cy="17" r="5" fill="#3d4650"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">
<text x="{middle}" y="22" fill="{FAINT}" font-size="13" text-anchor="middle">{name}</text>"##,
        right = width - 8.0,
    );
}

/// Grounds of a row other than the terminal's.
fn grounds(svg: &mut String, buffer: &Buffer, row: u16) {
    let ground = |column: u16| paint(&buffer[(column, row)]).1;
    let mut column = 0;
    while column < SIZE.0 {
        let begins = column;
        let colour = ground(begins);
        while column < SIZE.0 && ground(column) == colour {
            column += 1;
        }
        if colour != GROUND {
            let (x, y) = corner(begins, row);
            let width = f32::from(column - begins) * CELL.0;
            let _ =
                writeln!(svg, r#"<rect x="{x}" y="{y}" width="{width}" height="{}" rx="2" fill="{colour}"/>"#, CELL.1);
        }
    }
}

fn letters(svg: &mut String, buffer: &Buffer, row: u16) {
    let mut column = 0;
    while column < SIZE.0 {
        let cell = &buffer[(column, row)];
        let begins = column;
        if let Some(shape) = shape(cell.symbol(), corner(column, row)) {
            // What goes on in the next cell is one shape, without seams.
            while column + 1 < SIZE.0 && ["─", "█"].contains(&cell.symbol()) && buffer[(column + 1, row)] == *cell {
                column += 1;
            }
            let stretched = f32::from(column - begins) * CELL.0;
            let _ = writeln!(svg, "{}", shape.drawn(paint(cell).0, stretched));
            column += 1;
        } else if cell.symbol() == " " {
            column += 1;
        } else {
            let mut word = String::new();
            while column < SIZE.0 && is_of_word(buffer, column, row, cell) {
                let letter = buffer[(column, row)].symbol();
                word.push_str(letter);
                column += letter.cell_width().max(1);
            }
            let (x, y) = corner(begins, row);
            let length = f32::from(column - begins) * CELL.0;
            let weight = if cell.modifier.contains(Modifier::BOLD) { r#" font-weight="bold""# } else { "" };
            let _ = writeln!(
                svg,
                r#"<text x="{x}" y="{}" textLength="{length}" lengthAdjust="spacingAndGlyphs" fill="{}"{weight}>{}</text>"#,
                y + BASE,
                paint(cell).0,
                escaped(&word)
            );
        }
    }
}

fn is_of_word(buffer: &Buffer, column: u16, row: u16, first: &Cell) -> bool {
    let cell = &buffer[(column, row)];
    cell.symbol() != " " && shape(cell.symbol(), (0.0, 0.0)).is_none() && cell.style() == first.style()
}

/// What is drawn rather than written.
enum Shape {
    /// From, and along which path.
    Line(f32, f32, String),
    /// Left, top, width, height.
    Block(f32, f32, f32, f32),
    /// A dot's middle.
    Dot(f32, f32),
}

impl Shape {
    fn drawn(&self, colour: &str, stretched: f32) -> String {
        match self {
            Shape::Line(x, y, path) => {
                let longer = if stretched > 0.0 { format!("h{stretched}") } else { String::new() };
                format!(r#"<path d="M{x} {y}{path}{longer}" stroke="{colour}" fill="none"/>"#)
            }
            Shape::Block(x, y, width, height) => {
                let width = width + stretched;
                format!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>"#)
            }
            Shape::Dot(x, y) => format!(r#"<circle cx="{x}" cy="{y}" r="1" fill="{colour}"/>"#),
        }
    }
}

fn shape(symbol: &str, (x, y): (f32, f32)) -> Option<Shape> {
    let ((width, height), (half, middle)) = (CELL, (CELL.0 / 2.0, CELL.1 / 2.0));
    let line = |dx: f32, dy: f32, path: String| Some(Shape::Line(x + dx, y + dy, path));
    // The corners of panels are quarters of a circle.
    let round = half;
    let straight = middle - round;
    match symbol {
        "─" => line(0.0, middle, format!("h{width}")),
        "│" => line(half, 0.0, format!("v{height}")),
        "╭" => line(half, height, format!("v-{straight}a{round} {round} 0 0 1 {round} -{round}")),
        "╮" => line(0.0, middle, format!("a{round} {round} 0 0 1 {round} {round}v{straight}")),
        "╰" => line(half, 0.0, format!("v{straight}a{round} {round} 0 0 0 {round} {round}")),
        "╯" => line(0.0, middle, format!("a{round} {round} 0 0 0 {round} -{round}v-{straight}")),
        "·" => Some(Shape::Dot(x + half, y + middle)),
        _ => {
            let eighths = "▏▎▍▌▋▊▉█".chars().position(|block| symbol.starts_with(block))? + 1;
            // A little air above and below makes meters of the bars.
            Some(Shape::Block(x, y + 3.0, width * eighths as f32 / 8.0, height - 6.0))
        }
    }
}

fn corner(column: u16, row: u16) -> (f32, f32) {
    (MARGIN + f32::from(column) * CELL.0, BAR + MARGIN / 2.0 + f32::from(row) * CELL.1)
}

/// The colours of letters and ground.
fn paint(cell: &Cell) -> (&'static str, &'static str) {
    let faint = cell.modifier.contains(Modifier::DIM);
    let letters = match cell.fg {
        Color::Reset if faint => FAINT,
        colour => theme(colour).unwrap_or(LETTERS),
    };
    let ground = theme(cell.bg).unwrap_or(GROUND);
    if cell.modifier.contains(Modifier::REVERSED) { (ground, letters) } else { (letters, ground) }
}

/// The colours of a dark terminal's theme.
fn theme(colour: Color) -> Option<&'static str> {
    match colour {
        Color::Black => Some(GROUND),
        Color::Green => Some("#56c38a"),
        Color::Yellow => Some("#e3b341"),
        Color::Red => Some("#f47067"),
        Color::Cyan => Some("#56c2d6"),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::meter::{Meter, Meters};
    use super::super::palette::Palette;
    use super::super::samples;
    use super::*;

    /// To draw it anew: `CORDBOARD_DRAW=1 cargo test -p cordboard picture`.
    #[test]
    fn the_picture_in_the_documents_is_what_the_screen_looks_like() {
        let meters = Meters { input: Meter { level: -13.4, peak: -4.0 }, output: Meter { level: -31.0, peak: -24.0 } };
        let look = Look { meters, palette: Palette::Colours, typing: false };
        let picture = picture(&samples::echo_call(), &look, "cordboard call sip:echo@127.0.0.1");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures/phone.svg");
        if std::env::var_os("CORDBOARD_DRAW").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &picture).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(there == picture, "docs/pictures/phone.svg is old; draw it anew with CORDBOARD_DRAW=1");
    }
}

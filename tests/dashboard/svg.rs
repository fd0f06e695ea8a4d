//! A drawn buffer as SVG: cells of whole pixels, equal style merged into one text, backgrounds as rectangles.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

const CELL: (usize, usize) = (9, 18);
const BASELINE: usize = 14;
const MARGIN: usize = 12;
const BACKGROUND: &str = "#11161c";
const FOREGROUND: &str = "#d5dbe1";

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    color: &'static str,
    background: Option<&'static str>,
    bold: bool,
    dim: bool,
}

fn color(color: Color, default: &'static str) -> &'static str {
    match color {
        Color::Green => "#56d08a",
        Color::Yellow => "#e8b84a",
        Color::Red => "#ff6b6b",
        Color::Cyan => "#5ec4e0",
        _ => default,
    }
}

fn look(cell: &Cell) -> Look {
    let front = color(cell.fg, FOREGROUND);
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    Look {
        color: if reversed { BACKGROUND } else { front },
        background: reversed.then_some(front),
        bold: cell.modifier.contains(Modifier::BOLD),
        dim: cell.modifier.contains(Modifier::DIM),
    }
}

/// The picture.
pub(crate) fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, rows * CELL.1 + 2 * MARGIN);
    let mut out = String::new();
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">"
    )
    .expect("a string takes it");
    writeln!(out, "<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>")
        .expect("a string takes it");
    writeln!(out, "<g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\">")
        .expect("a string takes it");
    for row in 0..rows {
        let cells: Vec<&Cell> = (0..columns)
            .map(|column| &buffer[(u16::try_from(column).expect("small"), u16::try_from(row).expect("small"))])
            .collect();
        let mut at = 0;
        while at < columns {
            let style = look(cells[at]);
            let length = cells[at..].iter().take_while(|cell| look(cell) == style).count();
            draw(&mut out, &cells[at..at + length], style, (at, row));
            at += length;
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn draw(out: &mut String, cells: &[&Cell], style: Look, (column, row): (usize, usize)) {
    let (x, y) = (MARGIN + column * CELL.0, MARGIN + row * CELL.1);
    if let Some(background) = style.background {
        let width = cells.len() * CELL.0;
        writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{background}\"/>", CELL.1)
            .expect("a string takes it");
    }
    let text: String = cells.iter().map(|cell| cell.symbol()).collect();
    // Blanks at both ends need no text.
    let lead = text.len() - text.trim_start().len();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let x = x + lead * CELL.0;
    let length = text.chars().count() * CELL.0;
    let bold = if style.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if style.dim { " opacity=\"0.62\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(
        out,
        "<text xml:space=\"preserve\" x=\"{x}\" y=\"{}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{bold}{dim}>{text}</text>",
        y + BASELINE,
        style.color,
    )
    .expect("a string takes it");
}

//! Colours that can be read on light and on dark terminals.
//!
//! Only the eight colours that every terminal's theme fits to its background are used, and what a colour says is also said
//! in words: who has none, or wants none (`NO_COLOR`), misses nothing.

use ratatui::style::{Color, Modifier, Style};

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Fair,
    /// Something is wrong.
    Bad,
    /// Something is under way.
    Active,
    /// Nothing.
    Plain,
}

/// With colours or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    /// The colours of the terminal's theme.
    Colours,
    /// Weight and reversal only.
    Monochrome,
}

impl Palette {
    /// As the user wishes: `NO_COLOR`, if it is there and not empty, means none (no-color.org).
    pub(super) fn wished(no_color: Option<&std::ffi::OsStr>) -> Palette {
        if no_color.is_some_and(|wish| !wish.is_empty()) { Palette::Monochrome } else { Palette::Colours }
    }

    /// For words.
    pub(super) fn text(self, tone: Tone) -> Style {
        match (self, tone) {
            (_, Tone::Plain) => Style::new(),
            (Palette::Colours, tone) => Style::new().fg(colour(tone)),
            (Palette::Monochrome, Tone::Good) => Style::new(),
            (Palette::Monochrome, _) => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// For a word on a ground of its own.
    pub(super) fn badge(self, tone: Tone) -> Style {
        match (self, tone) {
            (Palette::Colours, Tone::Good | Tone::Fair | Tone::Bad | Tone::Active) => {
                Style::new().fg(Color::Black).bg(colour(tone))
            }
            _ => Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}

/// For what names other things.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// For what is looked at first, also on a faint border.
pub(super) fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM)
}

fn colour(tone: Tone) -> Color {
    match tone {
        Tone::Good => Color::Green,
        Tone::Fair => Color::Yellow,
        Tone::Bad => Color::Red,
        Tone::Active => Color::Cyan,
        Tone::Plain => Color::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://no-color.org>: "when present and not an empty string (regardless of its value)".
    #[test]
    fn no_color_means_no_colour_unless_it_is_empty() {
        assert_eq!(Palette::wished(Some("0".as_ref())), Palette::Monochrome);
        assert_eq!(Palette::wished(Some("".as_ref())), Palette::Colours);
        assert_eq!(Palette::wished(None), Palette::Colours);
    }
}

//! From a palette to styles that this terminal can show: truecolor, 256 or 16 colours, or none.
//!
//! Every role that carries meaning also shows without colour: a marker, brackets, an arrow, a word.

use crate::config::{Catalog, Ground, Paint, Palette, Role};
use ratatui::style::{Color, Modifier, Style};
use std::fmt::Write as _;

/// Steps of a bar that fades out.
const STEPS: usize = 8;

/// How many colours a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// None.
    Mono,
    /// The sixteen that the user chose.
    Sixteen,
    /// And a cube of 6 × 6 × 6 and 24 greys.
    Indexed,
    /// All.
    True,
}

impl Depth {
    /// As the environment says: `NO_COLOR`, `TERM`, `COLORTERM`.
    pub(super) fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(|v| v.to_lowercase());
        let term = set("TERM").unwrap_or_default();
        if set("NO_COLOR").is_some() || term == "dumb" {
            return Self::Mono;
        }
        let says = set("COLORTERM").is_some_and(|says| says.contains("truecolor") || says.contains("24bit"));
        // screen passes COLORTERM on and cannot do it.
        let cannot = term.starts_with("screen") || term.starts_with("linux");
        if says && !cannot || term.ends_with("-direct") {
            return Self::True;
        }
        if term.contains("256") || ["xterm-kitty", "alacritty", "foot"].contains(&&*term) {
            return Self::Indexed;
        }
        Self::Sixteen
    }
}

/// A style for each role.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Theme {
    pub(super) plain: Style,
    pub(super) strong: Style,
    pub(super) dim: Style,
    pub(super) rx: Style,
    pub(super) tx: Style,
    pub(super) warning: Style,
    pub(super) error: Style,
    pub(super) selected: Style,
    /// A bar of one colour.
    pub(super) bar: Style,
    /// A bar that fades out, from its beginning.
    pub(super) fading: [Style; STEPS],
    pub(super) titles: Style,
    pub(super) key: Style,
    pub(super) header: Style,
    pub(super) border: Style,
    pub(super) pinned: Style,
    /// Under everything; says nothing where the terminal's own background will do.
    pub(super) paper: Style,
}

impl Theme {
    /// A palette on a terminal of that depth whose background is known or not. Where it is not known to be of the
    /// palette's kind, the palette brings its own.
    pub(super) fn new(palette: &Palette, depth: Depth, ground: Option<Ground>) -> Self {
        let plain = Style::new();
        if depth == Depth::Mono {
            return Self::without_colour();
        }
        let colour = |role| shown(palette.paint(role), depth);
        let fg = |role| colour(role).map_or(plain, |colour| plain.fg(colour));
        let bg = |role| colour(role).map_or(plain, |colour| plain.bg(colour));
        let paints = palette.ground != Ground::Any && ground != Some(palette.ground);
        let text = fg(Role::Text);
        let bold = plain.add_modifier(Modifier::BOLD);
        // Where colours are few, what stands on a bar may have become the bar's own colour.
        let on_bar = match depth {
            Depth::Sixteen if palette.ground != Ground::Any => legible(palette.paint(Role::Bar)),
            _ => fg(Role::BarText),
        };
        let dim = match palette.paint(Role::Dim) {
            Paint::Default => plain.add_modifier(Modifier::DIM),
            _ => fg(Role::Dim),
        };
        let mut fading = [bg(Role::Bar).patch(on_bar); STEPS];
        if depth > Depth::Sixteen {
            for (step, style) in (0u8..).zip(&mut fading) {
                let mixed = mix(palette.paint(Role::Bar), palette.paint(Role::BarEnd), step);
                *style = shown(mixed, depth).map_or(*style, |colour| style.bg(colour));
            }
        }
        Self {
            plain: text,
            strong: text.patch(bold),
            dim,
            rx: fg(Role::Rx),
            tx: fg(Role::Tx),
            warning: fg(Role::Warning).patch(bold),
            error: fg(Role::Error).patch(bold),
            selected: bg(Role::Selected).patch(bold),
            bar: bg(Role::Bar).patch(on_bar),
            fading,
            titles: fg(Role::Titles).add_modifier(Modifier::UNDERLINED),
            key: fg(Role::Key).patch(bold),
            header: fg(Role::Header).patch(bold),
            border: match palette.paint(Role::Border) {
                Paint::Default => plain.add_modifier(Modifier::DIM),
                _ => fg(Role::Border),
            },
            pinned: fg(Role::Pinned).patch(bold),
            paper: if paints { text.patch(bg(Role::Paper)) } else { plain },
        }
    }

    /// Bold, dim, underlined, reversed.
    pub(super) fn without_colour() -> Self {
        let plain = Style::new();
        let strong = plain.add_modifier(Modifier::BOLD);
        let bar = plain.add_modifier(Modifier::REVERSED);
        Self {
            plain,
            strong,
            dim: plain.add_modifier(Modifier::DIM),
            rx: plain,
            tx: plain,
            warning: strong,
            error: strong,
            selected: strong,
            bar,
            fading: [bar; STEPS],
            titles: plain.add_modifier(Modifier::UNDERLINED),
            key: strong,
            header: strong,
            border: plain.add_modifier(Modifier::DIM),
            pinned: strong,
            paper: plain,
        }
    }
}

/// What a terminal of that depth shows for a colour; nothing where it keeps its own.
fn shown(paint: Paint, depth: Depth) -> Option<Color> {
    match (paint, depth) {
        (Paint::Default, _) | (_, Depth::Mono) => None,
        (Paint::Ansi(number), _) => Some(ansi(number)),
        (Paint::Rgb(red, green, blue), Depth::True) => Some(Color::Rgb(red, green, blue)),
        (Paint::Rgb(red, green, blue), Depth::Indexed) => {
            let fixed = (16..=255).map(|index| (index, cube(index)));
            Some(Color::Indexed(nearest((red, green, blue), fixed)))
        }
        (Paint::Rgb(red, green, blue), Depth::Sixteen) => {
            Some(ansi(nearest((red, green, blue), (0u8..).zip(SIXTEEN))))
        }
    }
}

/// The colour between two, an eighth a step.
fn mix(from: Paint, to: Paint, step: u8) -> Paint {
    let (Paint::Rgb(r, g, b), Paint::Rgb(red, green, blue)) = (from, to) else { return from };
    let steps = 7;
    let between = |a: u8, b: u8| {
        let mixed = (u16::from(a) * u16::from(steps - step.min(steps))
            + u16::from(b) * u16::from(step.min(steps)))
            / u16::from(steps);
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    Paint::Rgb(between(r, red), between(g, green), between(b, blue))
}

type Rgb = (u8, u8, u8);

/// The sixteen colours as most terminals have them.
const SIXTEEN: [Rgb; 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

fn ansi(number: u8) -> Color {
    const COLORS: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    COLORS[usize::from(number % 16)]
}

/// The colour of an index from 16: a cube, then greys.
fn cube(index: u8) -> Rgb {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    if let Some(grey) = index.checked_sub(232) {
        let grey = 8 + 10 * grey;
        return (grey, grey, grey);
    }
    let place = index.saturating_sub(16);
    let level = |step: u8| LEVELS[usize::from(step % 6)];
    (level(place / 36), level(place / 6), level(place))
}

/// The nearest as the eye has it: the weights of red and blue follow the mean of red.
fn nearest(wanted: Rgb, candidates: impl Iterator<Item = (u8, Rgb)>) -> u8 {
    let distance = |(red, green, blue): Rgb| {
        let mean = i32::midpoint(wanted.0.into(), red.into());
        let [r, g, b] =
            [(wanted.0, red), (wanted.1, green), (wanted.2, blue)].map(|(a, b)| i32::from(a) - i32::from(b));
        (((512 + mean) * r * r) >> 8) + 4 * g * g + (((767 - mean) * b * b) >> 8)
    };
    candidates.min_by_key(|(_, candidate)| distance(*candidate)).map_or(0, |(index, _)| index)
}

/// Black or white text for what stands on one of the sixteen colours.
fn legible(under: Paint) -> Style {
    let Paint::Rgb(red, green, blue) = under else { return Style::new() };
    let under = usize::from(nearest((red, green, blue), (0u8..).zip(SIXTEEN)));
    let (red, green, blue) = SIXTEEN[under % 16];
    let light = u32::from(red) * 2126 + u32::from(green) * 7152 + u32::from(blue) * 722 > 10_000 * 100;
    Style::new().fg(if light { Color::Black } else { Color::White })
}

/// The themes for `--list-colors`: name and swatches, one a line.
pub(super) fn swatches(catalog: &Catalog, depth: Depth) -> String {
    const SHOWN: [Role; 9] = [
        Role::Text,
        Role::Dim,
        Role::Rx,
        Role::Tx,
        Role::Key,
        Role::Warning,
        Role::Error,
        Role::Bar,
        Role::Selected,
    ];
    let width = catalog.themes().iter().map(|theme| theme.name.chars().count()).max().unwrap_or(0);
    let mut page = String::new();
    for theme in catalog.themes() {
        let ground = match theme.ground {
            Ground::Dark => "dark",
            Ground::Light => "light",
            Ground::Any => "any",
        };
        // Writing to a String cannot fail.
        let _ = write!(page, "{:width$}  {ground:5}", crate::frontend::escape(&theme.name));
        for role in SHOWN {
            let paint = theme.paint(role);
            let _ = match shown(paint, depth).and_then(background) {
                Some(code) => write!(page, " \x1b[{code}m  \x1b[0m"),
                None => write!(page, " {}", spelled(paint)),
            };
        }
        page.push('\n');
    }
    page
}

/// The parameters of SGR for a background.
fn background(colour: Color) -> Option<String> {
    match colour {
        Color::Rgb(red, green, blue) => Some(format!("48;2;{red};{green};{blue}")),
        Color::Indexed(index) => Some(format!("48;5;{index}")),
        other => (0u8..16).find(|number| ansi(*number) == other).map(|number| match number {
            0..=7 => (40 + number).to_string(),
            _ => (92 + number).to_string(),
        }),
    }
}

fn spelled(paint: Paint) -> String {
    match paint {
        Paint::Default => "default".into(),
        Paint::Ansi(number) => format!("ansi{number}"),
        Paint::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ROLES;

    fn depth(variables: &[(&str, &str)]) -> Depth {
        Depth::detect(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_how_many_colours() {
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(depth(&[("TERM", "xterm-direct")]), Depth::True);
        assert_eq!(depth(&[("TERM", "tmux-256color")]), Depth::Indexed);
        assert_eq!(depth(&[("TERM", "screen-256color"), ("COLORTERM", "truecolor")]), Depth::Indexed);
        assert_eq!(depth(&[("TERM", "linux"), ("COLORTERM", "24bit")]), Depth::Sixteen);
        assert_eq!(depth(&[("TERM", "xterm")]), Depth::Sixteen);
        assert_eq!(depth(&[]), Depth::Sixteen);
        assert_eq!(depth(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), Depth::Mono);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Depth::Mono);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Indexed);
    }

    #[test]
    fn colours_become_the_nearest_there_is() {
        let rgb = |red, green, blue| Paint::Rgb(red, green, blue);
        assert_eq!(shown(rgb(255, 0, 0), Depth::Sixteen), Some(Color::LightRed));
        assert_eq!(shown(rgb(250, 250, 250), Depth::Sixteen), Some(Color::White));
        assert_eq!(shown(rgb(95, 135, 175), Depth::Indexed), Some(Color::Indexed(67)));
        assert_eq!(shown(rgb(8, 8, 8), Depth::Indexed), Some(Color::Indexed(232)));
        assert_eq!(shown(rgb(1, 2, 3), Depth::True), Some(Color::Rgb(1, 2, 3)));
        assert_eq!(shown(rgb(1, 2, 3), Depth::Mono), None);
        assert_eq!(shown(Paint::Default, Depth::True), None);
        for index in 16..=255 {
            let (red, green, blue) = cube(index);
            let Some(Color::Indexed(found)) = shown(rgb(red, green, blue), Depth::Indexed) else { panic!() };
            assert_eq!(cube(found), cube(index), "a colour of the cube is its own nearest");
        }
    }

    #[test]
    fn text_on_a_bar_is_never_the_colour_of_the_bar() {
        for theme in Catalog::built_in().themes() {
            for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
                let styles = Theme::new(theme, depth, None);
                for role in [styles.plain, styles.rx, styles.tx] {
                    for bar in styles.fading.iter().chain([&styles.bar]) {
                        let cell = role.patch(*bar);
                        assert!(cell.fg.is_none() || cell.fg != cell.bg, "{} {depth:?}", theme.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_theme_brings_its_background_where_the_terminal_has_not_its_kind() {
        let catalog = Catalog::built_in();
        let dark = catalog.find("default-dark").unwrap();
        assert_eq!(Theme::new(dark, Depth::True, Some(Ground::Dark)).paper, Style::new());
        assert_eq!(Theme::new(dark, Depth::True, Some(Ground::Light)).paper.bg, Some(Color::Rgb(16, 20, 24)));
        assert!(Theme::new(dark, Depth::True, None).paper.bg.is_some());
        let own = catalog.find("terminal").unwrap();
        assert_eq!(Theme::new(own, Depth::True, None).paper, Style::new());
        assert_eq!(Theme::new(dark, Depth::Mono, None), Theme::without_colour());
    }

    #[test]
    fn every_theme_has_its_line() {
        let catalog = Catalog::built_in();
        let coloured = swatches(&catalog, Depth::True);
        assert_eq!(coloured.lines().count(), catalog.themes().len());
        assert!(coloured.lines().all(|line| line.contains("\x1b[48;2;") || line.starts_with("terminal")));
        let plain = swatches(&catalog, Depth::Mono);
        assert!(!plain.contains('\x1b') && plain.contains("#7fd88f"), "{plain}");
        assert!(swatches(&catalog, Depth::Sixteen).contains("\x1b[4"));
        assert_eq!(ROLES.map(|(role, _)| role as usize), std::array::from_fn(|place| place));
    }
}

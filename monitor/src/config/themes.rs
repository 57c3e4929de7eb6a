//! Themes: a colour for each role, built in or from the user's directory, and what is wrong with the latter.
//!
//! It knows no terminal: what a colour becomes on one with fewer of them is the screen's business.

use super::caller::Caller;
use super::reading::{Problem, Reading, shown, suggestion, type_of};
use crate::bounded;
use anyhow::anyhow;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use toml_edit::{Item, Table};

/// The largest theme, bytes.
const MOST_BYTES: u64 = 64 << 10;
/// Themes of the caller's own.
const MOST_THEMES: usize = 200;
/// The longest name of one, characters.
const MOST_NAME: usize = 64;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Paint {
    /// What the terminal has where nothing is said.
    Default,
    /// One of the sixteen of the terminal, by number.
    Ansi(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Text in general.
    Text,
    /// What is over or only explains.
    Dim,
    /// Received.
    Rx,
    /// Sent.
    Tx,
    /// Keys, and what else stands for itself.
    Key,
    /// Titles of columns.
    Titles,
    /// The first line.
    Header,
    /// Lines around things.
    Border,
    /// What to look at.
    Warning,
    /// What went wrong.
    Error,
    /// Pinned rows.
    Pinned,
    /// Behind a bar's beginning.
    Bar,
    /// Behind a bar's end.
    BarEnd,
    /// Text on a bar, where not its own.
    BarText,
    /// Behind the selected row.
    Selected,
    /// Behind everything: what the theme was made for.
    Paper,
}

/// Every role and its name in a file.
pub(crate) const ROLES: [(Role, &str); 16] = [
    (Role::Text, "text"),
    (Role::Dim, "dim"),
    (Role::Rx, "rx"),
    (Role::Tx, "tx"),
    (Role::Key, "key"),
    (Role::Titles, "titles"),
    (Role::Header, "header"),
    (Role::Border, "border"),
    (Role::Warning, "warning"),
    (Role::Error, "error"),
    (Role::Pinned, "pinned"),
    (Role::Bar, "bar"),
    (Role::BarEnd, "bar-end"),
    (Role::BarText, "bar-text"),
    (Role::Selected, "selected"),
    (Role::Paper, "paper"),
];

/// The sixteen colours, by number.
const ANSI: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

/// The background that a theme can be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Dark.
    Dark,
    /// Light.
    Light,
    /// Either.
    Any,
}

/// A theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Palette {
    /// Its name.
    pub name: String,
    /// What it can be read on.
    pub ground: Ground,
    paints: [Paint; ROLES.len()],
}

impl Palette {
    /// The colour of a role.
    pub(crate) fn paint(&self, role: Role) -> Paint {
        self.paints[role as usize]
    }
}

macro_rules! built_in {
    ($($file:literal)*) => {
        const BUILT_IN: &[&str] = &[$(include_str!(concat!("../../themes/", $file, ".toml"))),*];
    };
}

built_in! {
    "default-dark" "default-light" "terminal" "colour-blind-safe" "colour-blind-safe-light" "high-contrast" "paper"
    "iftopcolor" "NeonSprawl" "AcidRain" "IceBreaker" "SynthWave" "RustBelt" "GhostWire" "RedSector" "SakuraDen"
    "DataStream" "SolarFlare" "NeonNoir" "ChromeHeart" "BladeRunner" "VoidWalker" "ToxicWaste" "CyberFrost"
    "PlasmaCore" "SteelNerve" "DarkSignal" "GlitchPop" "HoloShift" "NightCity" "DeepNet" "LaserGrid" "QuantumFlux"
    "BioHazard" "Darkwave" "Overlock" "Megacorp" "Zaibatsu"
}

/// All themes that there are.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    themes: Vec<Palette>,
}

impl Catalog {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        let parse = |text: &&str| parse(text, None).ok();
        Self { themes: BUILT_IN.iter().filter_map(parse).collect() }
    }

    /// The built-in ones and those of a directory of the caller's, which win where they share a name; a directory that is not
    /// there, or closed to him, has none.
    ///
    /// # Errors
    /// What is wrong in which line of which file, and where there are too many.
    pub(crate) fn with_directory(directory: &Path, caller: &Caller) -> anyhow::Result<Self> {
        let mut catalog = Self::built_in();
        let texts = match caller.act(|| texts(directory)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(catalog),
            texts => texts?,
        };
        for (path, text) in texts {
            let text = text.map_err(|error| anyhow!("cannot read the theme {}: {error}", path.display()))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let theme = parse(&text, Some((&stem, &catalog))).map_err(|problems| {
                let lines: Vec<String> =
                    problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
                anyhow!("{}", lines.join("\nmonitor: "))
            })?;
            catalog.themes.retain(|other| plain(&other.name) != plain(&theme.name));
            catalog.themes.push(theme);
        }
        Ok(catalog)
    }

    /// All of them, in the order of the chooser.
    pub(crate) fn themes(&self) -> &[Palette] {
        &self.themes
    }

    /// The theme of that name, however it is spelled: `Neon Sprawl`, `neon-sprawl`.
    ///
    /// # Errors
    /// There is none; which was meant.
    pub(crate) fn find(&self, name: &str) -> Result<&Palette, String> {
        let wanted = plain(name);
        self.themes.iter().find(|theme| plain(&theme.name) == wanted).ok_or_else(|| {
            let names: Vec<&str> = self.themes.iter().map(|theme| theme.name.as_str()).collect();
            format!("there is no theme `{}`; {}", shown(name), suggestion(name, &names))
        })
    }
}

/// The themes of a directory, each with its text.
fn texts(directory: &Path) -> io::Result<Vec<(PathBuf, io::Result<String>)>> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(Vec::new()) };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_theme = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let mut paths: Vec<_> = paths.filter(is_theme).take(MOST_THEMES + 1).collect();
    if paths.len() > MOST_THEMES {
        let why = format!("there are more than {MOST_THEMES} themes in {}; keep fewer", directory.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    paths.sort();
    Ok(paths
        .into_iter()
        .map(|path| {
            let text = bounded::read_text(&path, MOST_BYTES);
            (path, text)
        })
        .collect())
}

/// A name without what people spell differently.
fn plain(name: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    name.to_lowercase().replace("color", "colour")
}

/// Reads a theme. A user's theme is called like its file where it does not say otherwise, and takes the roles that it
/// does not name from the default of its background.
fn parse(text: &str, user: Option<(&str, &Catalog)>) -> Result<Palette, Vec<Problem>> {
    let (mut reading, document) = Reading::new(text);
    let mut palette =
        Palette { name: String::new(), ground: Ground::Dark, paints: [Paint::Default; ROLES.len()] };
    let Some(document) = document else { return reading.finish(palette) };
    let table = document.as_table();
    reading.only(table, "entry", &["name", "background", "roles"]);
    match table.get("name") {
        Some(item) => match item.as_str().filter(|name| !plain(name).is_empty()) {
            Some(name) => name.clone_into(&mut palette.name),
            None => reading.complain(item.span(), "`name` is no word; give one in quotes".into()),
        },
        None => user.map_or("", |(stem, _)| stem).clone_into(&mut palette.name),
    }
    // The settings file gets it, and the terminal.
    if palette.name.chars().any(char::is_control) || palette.name.chars().count() > MOST_NAME {
        let what =
            format!("its name has control characters or is longer than {MOST_NAME}; give another as `name`");
        reading.complain(table.get("name").and_then(Item::span), what);
    }
    if let Some(item) = table.get("background") {
        match item.as_str() {
            Some("dark") => palette.ground = Ground::Dark,
            Some("light") => palette.ground = Ground::Light,
            Some("any") => palette.ground = Ground::Any,
            _ => reading
                .complain(item.span(), "`background` is wrong; give \"dark\", \"light\" or \"any\"".into()),
        }
    }
    let base = if palette.ground == Ground::Light { "default-light" } else { "default-dark" };
    if let Some(base) = user.and_then(|(_, catalog)| catalog.find(base).ok()) {
        palette.paints = base.paints;
    }
    match table.get("roles").map(|item| (item, item.as_table())) {
        Some((_, Some(roles))) => read_roles(&mut reading, roles, &mut palette, user.is_none()),
        Some((item, None)) => reading.complain(item.span(), "`roles` is no table; write `[roles]`".into()),
        None => reading.complain(None, "there is no table `[roles]`".into()),
    }
    reading.finish(palette)
}

fn read_roles(reading: &mut Reading<'_>, roles: &Table, palette: &mut Palette, all: bool) {
    let names: Vec<&str> = ROLES.iter().map(|(_, name)| *name).collect();
    reading.only(roles, "role", &names);
    for (role, name) in ROLES {
        match roles.get(name).map(|item| (item, paint(item))) {
            Some((_, Ok(paint))) => palette.paints[role as usize] = paint,
            Some((item, Err(what))) => reading.complain(item.span(), format!("`{name}` {what}")),
            None if all && role != Role::BarText => {
                reading.complain(None, format!("there is no role `{name}`"));
            }
            None => {}
        }
    }
}

fn paint(item: &Item) -> Result<Paint, String> {
    let text = item
        .as_str()
        .ok_or_else(|| format!("is a {}; give a colour such as \"#ff8800\" or \"green\"", type_of(item)))?;
    if text == "default" {
        return Ok(Paint::Default);
    }
    if let Some(digits) = text.strip_prefix('#') {
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6);
        let [_, red, green, blue] =
            number.ok_or_else(|| format!("is `{text}`; give six digits, such as #ff8800"))?.to_be_bytes();
        return Ok(Paint::Rgb(red, green, blue));
    }
    let number = ANSI.iter().position(|name| *name == text);
    number.and_then(|number| u8::try_from(number).ok()).map(Paint::Ansi).ok_or_else(|| {
        format!("is `{}`, no colour; {} (or #rrggbb, or default)", shown(text), suggestion(text, &ANSI))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The themes of iftoprs, by their names there.
    const IFTOPRS: &str = "NeonSprawl AcidRain IceBreaker SynthWave RustBelt GhostWire RedSector SakuraDen DataStream \
        SolarFlare NeonNoir ChromeHeart BladeRunner VoidWalker ToxicWaste CyberFrost PlasmaCore SteelNerve DarkSignal \
        GlitchPop HoloShift NightCity DeepNet LaserGrid QuantumFlux BioHazard Darkwave Overlock Megacorp Zaibatsu \
        Iftopcolor";

    #[test]
    fn every_built_in_theme_is_whole() {
        for text in BUILT_IN {
            parse(text, None).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        }
        let names: HashSet<String> =
            Catalog::built_in().themes().iter().map(|theme| plain(&theme.name)).collect();
        assert_eq!(names.len(), BUILT_IN.len());
        assert!(names.len() >= 32);
        for name in IFTOPRS.split_whitespace() {
            Catalog::built_in().find(name).unwrap();
        }
    }

    fn luminance(paint: Paint) -> f64 {
        let Paint::Rgb(red, green, blue) = paint else { panic!("{paint:?} has no colour of its own") };
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// The ratio of WCAG 2.
    fn contrast(a: Paint, b: Paint) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_everything_it_stands_on() {
        let text = [
            Role::Text,
            Role::Dim,
            Role::Rx,
            Role::Tx,
            Role::Key,
            Role::Titles,
            Role::Header,
            Role::Warning,
            Role::Error,
            Role::Pinned,
        ];
        for theme in Catalog::built_in().themes().iter().filter(|theme| theme.ground != Ground::Any) {
            for role in text {
                for under in [Role::Paper, Role::Bar, Role::BarEnd, Role::Selected] {
                    let ratio = contrast(theme.paint(role), theme.paint(under));
                    assert!(ratio >= 4.5, "{}: {role:?} on {under:?} has {ratio:.2}", theme.name);
                }
            }
            // Where the terminal keeps its own background, the usual ones must do.
            let (usual, least) = match theme.ground {
                Ground::Light => ([Paint::Rgb(255, 255, 255), Paint::Rgb(0xfd, 0xf6, 0xe3)], 4.5),
                _ => ([Paint::Rgb(0, 0, 0), Paint::Rgb(0x1e, 0x1e, 0x2e)], 4.5),
            };
            for (role, paper) in text.iter().flat_map(|role| usual.map(|paper| (*role, paper))) {
                let ratio = contrast(theme.paint(role), paper);
                assert!(ratio >= least, "{}: {role:?} on {paper:?} has {ratio:.2}", theme.name);
            }
        }
    }

    #[test]
    fn the_safe_theme_tells_received_from_sent_without_red_and_green() {
        for name in ["colour-blind-safe", "colour-blind-safe-light"] {
            let catalog = Catalog::built_in();
            let theme = catalog.find(name).unwrap();
            let [rx, tx] = [Role::Rx, Role::Tx].map(|role| match theme.paint(role) {
                Paint::Rgb(red, _, blue) => i32::from(blue) - i32::from(red),
                other => panic!("{other:?}"),
            });
            assert!(rx > 60 && tx < -60, "{name}: blue against orange, {rx} {tx}");
        }
    }

    #[test]
    fn names_are_found_however_they_are_spelled() {
        let catalog = Catalog::built_in();
        assert_eq!(catalog.find("neon sprawl").unwrap().name, "NeonSprawl");
        assert_eq!(catalog.find("color-blind-safe").unwrap().name, "colour-blind-safe");
        assert_eq!(
            catalog.find("voidwalkr").unwrap_err(),
            "there is no theme `voidwalkr`; did you mean `VoidWalker`?"
        );
    }

    fn with_directory(directory: &Path) -> anyhow::Result<Catalog> {
        Catalog::with_directory(directory, &Caller::default())
    }

    #[test]
    fn names_that_could_do_harm_and_themes_without_end_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |text: &str, file: &str| {
            let path = directory.path().join(file);
            fs::write(&path, text).unwrap();
            let said = with_directory(directory.path()).unwrap_err().to_string();
            fs::remove_file(&path).unwrap();
            said
        };
        let theme = "[roles]\n";
        let said = refused(theme, "a\nLD_PRELOAD=x.so\nb.toml");
        assert!(said.contains("line 1: its name has control characters"), "{said}");
        let said = refused("[roles]\n\n\n[x]\n", &format!("{}.toml", "n".repeat(MOST_NAME + 1)));
        assert!(said.contains("longer than 64"), "{said}");
        let said = refused("# why\nname = \"a\\u001bb\"\n[roles]\n", "mine.toml");
        assert!(said.contains("line 2: its name has control characters"), "{said}");
        assert!(refused(&"#".repeat(100_000), "mine.toml").contains("larger than 65536 bytes"));
        let fifo = directory.path().join("fifo.toml");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refused(theme, "mine.toml").contains("fifo.toml: it is not a regular file"));
        fs::remove_file(&fifo).unwrap();
        for number in 0..=MOST_THEMES {
            fs::write(directory.path().join(format!("{number}.toml")), theme).unwrap();
        }
        let said = with_directory(directory.path()).unwrap_err().to_string();
        assert!(said.contains("more than 200 themes"), "{said}");
        fs::remove_file(directory.path().join("0.toml")).unwrap();
        let catalog = with_directory(directory.path()).unwrap();
        assert_eq!(catalog.themes().len(), BUILT_IN.len() + MOST_THEMES);
    }

    #[test]
    fn user_themes_are_added_and_their_mistakes_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine.toml");
        fs::write(&path, "[roles]\nrx = \"#010203\"\ntx = \"bright-red\"\n").unwrap();
        fs::write(directory.path().join("notes.txt"), "no theme").unwrap();
        let catalog = with_directory(directory.path()).unwrap();
        let mine = catalog.find("mine").unwrap();
        assert_eq!(mine.paint(Role::Rx), Paint::Rgb(1, 2, 3));
        assert_eq!(mine.paint(Role::Tx), Paint::Ansi(9));
        assert_eq!(mine.paint(Role::Key), catalog.find("default-dark").unwrap().paint(Role::Key));
        assert_eq!(catalog.themes().len(), BUILT_IN.len() + 1);

        for (text, said) in [
            ("[roles]\nrxx = \"red\"\n", "line 2: unknown role `rxx`; did you mean `rx`?"),
            ("[roles]\nrx = \"gren\"\n", "line 2: `rx` is `gren`, no colour; did you mean `green`?"),
            ("[roles]\n\nrx = \"#12\"\n", "line 3: `rx` is `#12`; give six digits"),
            ("[roles]\nrx = 3\n", "line 2: `rx` is a integer; give a colour"),
            ("background = 1\n[roles]\n", "line 1: `background` is wrong"),
            ("roles = 1\n", "line 1: `roles` is no table"),
            ("", "there is no table `[roles]`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = with_directory(directory.path()).unwrap_err().to_string();
            assert!(error.contains("mine.toml: ") && error.contains(said), "{error}");
        }
        assert_eq!(with_directory(&path).unwrap().themes().len(), BUILT_IN.len());
    }
}

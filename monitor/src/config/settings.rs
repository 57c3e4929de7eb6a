//! Settings: what a user can set and keep. One table, from which the file is read, written and documented.
//!
//! Defaults, then the file, then the command line. This module reads no file; `file` does.

use super::field::Field;
use super::reading::{Problem, Reading};
use super::value::{Alert, Background, BarStyle, Lines, Prefix, Scale, Unit};
use crate::query::{SortKey, Units, ViewKind, Window};
use std::fmt::Write as _;
use std::time::Duration;
use toml_edit::{DocumentMut, Item};

/// Everything that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the screen")]
pub(crate) struct Settings {
    /// Interfaces to look at; all sockets where empty.
    pub interface: Vec<String>,
    /// Between ticks.
    pub interval: Duration,
    /// The view to open with.
    pub view: ViewKind,
    /// The order to open with.
    pub sort: SortKey,
    /// Smallest first.
    pub reverse: bool,
    /// How flows are drawn.
    pub lines: Lines,
    /// How bars are drawn.
    pub bars: BarStyle,
    /// How long bars are.
    pub bar_scale: Scale,
    /// The rate that a full bar stands for, bits/s; automatic where `None`.
    pub bar_max: Option<u64>,
    /// Rows that move more are marked.
    pub alert: Alert,
    /// The average that bars show.
    pub bar_window: Window,
    /// What rates count.
    pub unit: Unit,
    /// What a k is.
    pub prefix: Prefix,
    /// Host names in place of addresses.
    pub hosts: bool,
    /// Service names in place of port numbers.
    pub services: bool,
    /// Ports beside addresses.
    pub ports: bool,
    /// Whose a flow is, beside it.
    pub owners: bool,
    /// The header is shown.
    pub header: bool,
    /// The totals are shown.
    pub totals: bool,
    /// The graph of all traffic is shown.
    pub graph: bool,
    /// There is a border around the table.
    pub border: bool,
    /// The mouse opens tooltips.
    pub tooltips: bool,
    /// The mouse is ours.
    pub mouse: bool,
    /// The theme; `auto` follows the background.
    pub theme: String,
    /// The background to be read on.
    pub background: Background,
    /// Use colour.
    pub color: bool,
}

impl Settings {
    /// Both settings about units as one.
    pub(crate) fn units(&self) -> Units {
        match (self.unit, self.prefix) {
            (Unit::Bits, Prefix::Si) => Units::SiBits,
            (Unit::Bytes, Prefix::Si) => Units::SiBytes,
            (Unit::Bits, Prefix::Iec) => Units::BinBits,
            (Unit::Bytes, Prefix::Iec) => Units::BinBytes,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interface: Vec::new(),
            interval: Duration::from_secs(1),
            view: ViewKind::default(),
            sort: SortKey::Rate(Window::Two),
            reverse: false,
            lines: Lines::default(),
            bars: BarStyle::default(),
            bar_scale: Scale::default(),
            bar_max: None,
            alert: Alert::default(),
            bar_window: Window::Two,
            unit: Unit::default(),
            prefix: Prefix::default(),
            hosts: true,
            services: true,
            ports: true,
            owners: true,
            header: true,
            totals: true,
            graph: true,
            border: false,
            tooltips: true,
            mouse: true,
            theme: "auto".into(),
            background: Background::default(),
            color: true,
        }
    }
}

/// One line of the table.
pub(crate) struct Opt {
    /// Its name in the file.
    pub name: &'static str,
    /// What it does, for the sample.
    pub help: &'static str,
    field: fn(&mut Settings) -> &mut dyn Field,
}

macro_rules! options {
    ($($name:literal $field:ident: $help:literal;)*) => {
        /// Everything that can be set, in the order of the sample.
        pub(crate) static OPTIONS: &[Opt] = &[$(Opt { name: $name, help: $help, field: |settings| &mut settings.$field }),*];
    };
}

options! {
    "interface" interface: "Interfaces to look at, as -i; all sockets where there are none";
    "interval" interval: "Seconds between ticks (key f)";
    "view" view: "The view to open with";
    "sort" sort: "The order to open with: 2s, 10s or 40s for the rate of both directions, or a column";
    "reverse" reverse: "Smallest first (key r)";
    "lines" lines: "How flows are drawn (key t)";
    "bars" bars: "The bars behind the rows (key b)";
    "bar-scale" bar_scale: "How the length of a bar follows from the rate (key L)";
    "bar-max" bar_max: "The rate of a full bar in bits/s, such as \"100M\", or \"auto\" (option -m)";
    "bar-window" bar_window: "The average that the bars show (key w)";
    "alert" alert: "Mark rows that move more than this in either direction, such as \"100Mb/s\"; \"off\" or 0 for none (option --alert)";
    "unit" unit: "What rates count (key B)";
    "prefix" prefix: "What a k is: 1000 or 1024 (key u)";
    "hosts" hosts: "Host names in place of addresses where they are known (key n)";
    "services" services: "Service names in place of port numbers (key N)";
    "ports" ports: "Ports beside addresses (key p)";
    "owners" owners: "Whose flows are, in the view of flows (key Z)";
    "header" header: "Show the first line (key g)";
    "totals" totals: "Show the totals (key U)";
    "graph" graph: "Show the graph of all traffic where there is room (key v)";
    "border" border: "Draw a border around the table (key x)";
    "tooltips" tooltips: "A right click tells more about a row (key T)";
    "mouse" mouse: "Listen to the mouse; without, the terminal selects text (key M)";
    "theme" theme: "The theme: `monitor --list-colors` shows them; auto follows the background (key c)";
    "background" background: "The background to be read on; auto asks the terminal";
    "color" color: "Use colour";
}

/// The names of all options.
pub(super) fn names() -> Vec<&'static str> {
    OPTIONS.iter().map(|option| option.name).collect()
}

impl Settings {
    /// Reads the text of a file, over the defaults.
    ///
    /// # Errors
    /// Every unknown name and every wrong value, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut settings = Self::default();
        let (mut reading, document) = Reading::new(text);
        if let Some(document) = document {
            let table = document.as_table();
            reading.only(table, "setting", &names());
            for option in OPTIONS {
                let Some(item) = table.get(option.name) else { continue };
                if let Err(wanted) = (option.field)(&mut settings).read(item) {
                    reading.complain(item.span(), format!("`{}` {wanted}", option.name));
                }
            }
        }
        reading.finish(settings)
    }

    /// The text of a file that says the same, every option with what it is for.
    pub(crate) fn sample(&self) -> String {
        let mut text = String::from(
            "# Settings of monitor. It reads this file at the start and writes it only when you ask it to (key W);\n\
             # your comments stay. Options of the command line win over what is here.\n",
        );
        let mut settings = self.clone();
        for option in OPTIONS {
            let field = (option.field)(&mut settings);
            let choices = field.choices();
            let choices =
                if choices.is_empty() { String::new() } else { format!(": {}", choices.join(", ")) };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n# {}{choices}.\n{} = {}\n", option.help, option.name, field.write());
        }
        text
    }

    /// The text of a file with these settings in it: what is there and says the same stays as it is, comments too.
    ///
    /// # Errors
    /// The file is not one that can be read.
    pub(crate) fn merge_into(&self, text: &str) -> Result<String, Vec<Problem>> {
        let mut there = Self::parse(text)?;
        let (mut reading, _) = Reading::new(text);
        let mut document: DocumentMut = match text.parse() {
            Ok(document) => document,
            Err(error) => {
                let error: toml_edit::TomlError = error;
                reading.complain(error.span(), error.message().to_owned());
                return Err(reading.problems);
            }
        };
        let mut wanted = self.clone();
        for option in OPTIONS {
            let value = (option.field)(&mut wanted).write();
            if (option.field)(&mut there).write().to_string() == value.to_string() {
                continue;
            }
            match document.get_mut(option.name).and_then(Item::as_value_mut) {
                // The decoration is the space and the comment around the value.
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = value;
                    *old.decor_mut() = decor;
                }
                None => {
                    document.insert(option.name, Item::Value(value));
                }
            }
        }
        Ok(document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let problems = Settings::parse(text).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_equals_the_defaults() {
        let sample = Settings::default().sample();
        assert_eq!(Settings::parse(&sample).unwrap(), Settings::default());
        for option in OPTIONS {
            assert!(sample.contains(&format!("\n{} = ", option.name)), "{}", option.name);
        }
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
    }

    /// Every field differs from its default.
    fn other() -> Settings {
        let text = "interface = ['eth0', 'lo']\ninterval = 0.5\nview = 'flows'\nsort = 'rx_total'\nreverse = true\n\
            lines = 'sent'\nbars = 'thin'\nbar-scale = 'linear'\nbar-max = '100M'\nbar-window = '40s'\nalert = '2G'\n\
            unit = 'bytes'\nprefix = 'iec'\nhosts = false\nservices = false\nports = false\nowners = false\nheader = false\ntotals = false\ngraph = false\nborder = true\n\
            tooltips = false\nmouse = false\ntheme = 'VoidWalker'\nbackground = 'light'\ncolor = false\n";
        assert_eq!(text.lines().count(), OPTIONS.len(), "a new option belongs into this test");
        Settings::parse(text).unwrap()
    }

    #[test]
    fn every_option_is_read_and_written() {
        let (mut other, mut default) = (other(), Settings::default());
        for option in OPTIONS {
            let values =
                [&mut other, &mut default].map(|settings| (option.field)(settings).write().to_string());
            assert_ne!(values[0], values[1], "{}", option.name);
        }
        assert_eq!(Settings::parse(&other.sample()).unwrap(), other);
    }

    #[test]
    fn unknown_names_and_wrong_values_name_line_and_way_out() {
        assert_eq!(
            problems("# mine\ntheem = 'x'\nmouse = 'yes'\n"),
            "line 2: unknown setting `theem`; did you mean `theme`?\nline 3: `mouse` is a string; give true or false"
        );
        assert_eq!(problems("bars = 'gradent'"), "line 1: `bars` is `gradent`; did you mean `gradient`?");
        assert!(problems("interval = 0.01").contains("0.1"));
        assert!(problems("interval = 'x'").contains("seconds"));
        assert!(problems("bar-max = 'lots'").contains("100M"));
        assert!(problems("bar-max = '0'").contains("100M"));
        assert!(problems("alert = 'much'").contains("100Mb/s") && problems("alert = 5").contains("quotes"));
        assert!(problems("sort = 'nothing'").contains("rx_total"));
        assert!(problems("interface = [1]").contains("list"));
        assert!(problems("mouse = true\nmouse = false").starts_with("line 2"));
    }

    #[test]
    fn an_alert_is_a_rate_or_off() {
        let alert = |value: &str| Settings::parse(&format!("alert = {value}")).unwrap().alert;
        for off in ["0", "'0'", "'off'", "0.0"] {
            assert_eq!(alert(off), Alert(None), "{off}");
        }
        assert_eq!([alert("'100Mb/s'"), alert("'12.5MB/s'"), alert("'100M'")], [Alert(Some(100_000_000)); 3]);
    }

    #[test]
    fn saving_keeps_comments_and_what_says_the_same() {
        let text = "# mine\nmouse   =  true # keep it\n\n  # why\ninterval = 1\ntheme = \"auto\" # old\n";
        let kept = Settings::parse(text).unwrap().merge_into(text).unwrap();
        assert_eq!(kept, text, "nothing changed, nothing written");
        let changed = Settings { theme: "VoidWalker".into(), border: true, ..Settings::default() };
        let saved = changed.merge_into(text).unwrap();
        assert_eq!(
            saved,
            "# mine\nmouse   =  true # keep it\n\n  # why\ninterval = 1\ntheme = \"VoidWalker\" # old\nborder = true\n"
        );
        assert_eq!(Settings::parse(&saved).unwrap(), changed);
        assert_eq!(Settings::parse(&other().merge_into(text).unwrap()).unwrap(), other());
        assert!(changed.merge_into("nonsense").is_err());
    }
}

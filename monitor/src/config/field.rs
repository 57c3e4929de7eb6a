//! Setting types: how each is read from and written to TOML.

use super::reading::{shown, suggestion, type_of};
use super::value::{Alert, Background, BarStyle, Lines, Prefix, Scale, Unit};
use super::{MIN_INTERVAL, checked_seconds, parse_rate};
use crate::query::{self, SortKey, ViewKind, Window, columns};
use clap::ValueEnum;
use std::str::FromStr;
use std::time::Duration;
use toml_edit::{Array, Item, Value};

/// One setting.
pub(super) trait Field {
    /// Takes the value, or says what is wrong with it: a clause that follows the name.
    fn read(&mut self, item: &Item) -> Result<(), String>;
    /// The value.
    fn write(&self) -> Value;
    /// What can be chosen from; empty where it is not a choice.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Field for bool {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        *self = item.as_bool().ok_or_else(|| format!("is a {}; give true or false", type_of(item)))?;
        Ok(())
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Field for String {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        text(item)?.clone_into(self);
        Ok(())
    }

    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Field for Vec<String> {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        let wanted = || "is not a list of names; give one such as [\"eth0\", \"lo\"]".to_owned();
        let array = item.as_array().ok_or_else(wanted)?;
        *self = array
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(wanted)?;
        Ok(())
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(String::as_str).collect::<Array>())
    }
}

impl Field for Duration {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        let seconds = match item.as_integer() {
            // More than a year is refused all the same.
            Some(seconds) => i32::try_from(seconds).map_or(f64::MAX, f64::from),
            None => item.as_float().ok_or_else(|| {
                format!("is a {}; give a number of seconds, such as 1 or 0.5", type_of(item))
            })?,
        };
        *self = checked_seconds(seconds, MIN_INTERVAL).map_err(|wanted| format!("is wrong: {wanted}"))?;
        Ok(())
    }

    fn write(&self) -> Value {
        Value::from(self.as_secs_f64())
    }
}

/// The rate of a full bar.
impl Field for Option<u64> {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        *self = match text(item)? {
            "auto" => None,
            rate => Some(parse_rate(rate).map_err(|wanted| format!("is `{}`; {wanted}", shown(rate)))?),
        };
        Ok(())
    }

    fn write(&self) -> Value {
        match self {
            None => Value::from("auto"),
            Some(rate) => Value::from(rate.to_string()),
        }
    }
}

impl FromStr for Alert {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "0" => Ok(Self(None)),
            rate => parse_rate(rate).map(|rate| Self(Some(rate))),
        }
    }
}

impl Field for Alert {
    fn read(&mut self, item: &Item) -> Result<(), String> {
        // As iftoprs writes it.
        if item.as_integer() == Some(0) || item.as_float().is_some_and(|rate| rate.abs() < 1.0) {
            *self = Self(None);
            return Ok(());
        }
        let rate = text(item)?;
        *self = rate.parse().map_err(|wanted| format!("is `{}`; {wanted}, or off", shown(rate)))?;
        Ok(())
    }

    fn write(&self) -> Value {
        self.0.map_or_else(|| Value::from("off"), |rate| Value::from(rate.to_string()))
    }
}

macro_rules! choices {
    ($($kind:ty),*) => {$(
        impl Field for $kind {
            fn read(&mut self, item: &Item) -> Result<(), String> {
                *self = among(item, &<$kind as Choice>::every())?;
                Ok(())
            }

            fn write(&self) -> Value {
                let every = <$kind as Choice>::every();
                every.into_iter().find(|(choice, _)| choice == self).map_or(Value::from(""), |(_, name)| Value::from(name))
            }

            fn choices(&self) -> Vec<String> {
                <$kind as Choice>::every().into_iter().map(|(_, name)| name).collect()
            }
        }
    )*};
}

choices!(Lines, BarStyle, Scale, Unit, Prefix, Background, Window, ViewKind, SortKey);

/// What can be chosen from, by name.
trait Choice: Sized {
    fn every() -> Vec<(Self, String)>;
}

impl Choice for Window {
    fn every() -> Vec<(Self, String)> {
        Self::ALL.map(|window| (window, format!("{}s", window.seconds()))).into()
    }
}

impl Choice for ViewKind {
    fn every() -> Vec<(Self, String)> {
        Self::ALL.map(|view| (view, view.title().to_lowercase())).into()
    }
}

impl Choice for SortKey {
    fn every() -> Vec<(Self, String)> {
        let mut every: Vec<(Self, String)> =
            Window::every().into_iter().map(|(window, name)| (Self::Rate(window), name)).collect();
        for column in ViewKind::ALL.iter().flat_map(|view| columns(*view)) {
            let key = Self::Column(column.id);
            // What groups are called differs from view to view.
            let name = match column.id {
                query::Field::Group => "name",
                query::Field::Key => "key",
                _ => column.name,
            };
            if every.iter().all(|(other, _)| *other != key) {
                every.push((key, name.to_owned()));
            }
        }
        every
    }
}

macro_rules! value_enums {
    ($($kind:ty),*) => {$(
        impl Choice for $kind {
            fn every() -> Vec<(Self, String)> {
                let name = |choice: &Self| Some((*choice, choice.to_possible_value()?.get_name().to_owned()));
                Self::value_variants().iter().filter_map(name).collect()
            }
        }
    )*};
}

value_enums!(Lines, BarStyle, Scale, Unit, Prefix, Background);

/// The order of that name, as the file and `-o` have it; iftop's names of the two ends are taken too.
pub(super) fn sort_name(name: &str) -> Result<String, String> {
    if ViewKind::ALL.into_iter().any(|view| SortKey::named(view, name).is_some()) {
        return Ok(name.to_owned());
    }
    named(name, &SortKey::every()).map(|_| name.to_owned())
}

fn text(item: &Item) -> Result<&str, String> {
    item.as_str().ok_or_else(|| format!("is a {}; give a word in quotes", type_of(item)))
}

fn among<T: Clone>(item: &Item, choices: &[(T, String)]) -> Result<T, String> {
    let wanted = text(item)?;
    named(wanted, choices).map_err(|hint| format!("is `{}`; {hint}", shown(wanted)))
}

fn named<T: Clone>(wanted: &str, choices: &[(T, String)]) -> Result<T, String> {
    let found = choices.iter().find(|(_, name)| name == wanted).map(|(choice, _)| choice.clone());
    let names: Vec<&str> = choices.iter().map(|(_, name)| name.as_str()).collect();
    found.ok_or_else(|| suggestion(wanted, &names))
}

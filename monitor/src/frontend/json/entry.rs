//! An entry of a list, written member for member as the table of its kind of row says.

use super::member::{Absent, Is, Member};
use super::number::{date, date_of};
use crate::model::{Ancestor, Snapshot, Wall};
use crate::query::{Row, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A row, as an object of these members.
#[derive(Clone, Copy)]
pub(super) struct Entry<'s> {
    pub members: &'static [Member],
    pub row: Row<'s>,
    pub snapshot: &'s Snapshot,
}

/// The rows of a list. Nothing of them is copied before it is written.
pub(super) struct Entries<'s> {
    pub members: &'static [Member],
    pub rows: Vec<Row<'s>>,
    pub snapshot: &'s Snapshot,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { members, snapshot, .. } = *self;
        serializer.collect_seq(self.rows.iter().map(|row| Entry { members, row: *row, snapshot }))
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(self.members, &mut map)?;
        map.end()
    }
}

impl Entry<'_> {
    fn write<M: SerializeMap>(&self, members: &'static [Member], map: &mut M) -> Result<(), M::Error> {
        let Self { row, snapshot, .. } = *self;
        for Member { name, is, absent, .. } in members {
            match is {
                Is::Field(field) => match (field.value(row, snapshot), absent) {
                    (Value::Nothing, Absent::LeftOut) => {}
                    (value, Absent::Never | Absent::Null | Absent::LeftOut) => {
                        map.serialize_entry(name, &Written { value, boot_wall: snapshot.boot_wall })?;
                    }
                },
                Is::Part(known_by, _) if known_by.value(row, snapshot) == Value::Nothing => {
                    map.serialize_entry(name, &())?;
                }
                Is::Part(_, members) | Is::Object(members) => {
                    map.serialize_entry(name, &Entry { members, ..*self })?;
                }
                Is::Inline(members) => self.write(members, map)?,
                #[cfg(test)]
                Is::Written(_) => {}
            }
        }
        Ok(())
    }
}

/// A value as schema 1 writes its type.
struct Written<'s> {
    value: Value<'s>,
    boot_wall: Wall,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Nothing => serializer.serialize_none(),
            Value::Bytes(number)
            | Value::BitRate(number)
            | Value::Packets(number)
            | Value::Count(number)
            | Value::Id(number) => serializer.serialize_u64(number),
            Value::Duration(time) => {
                serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
            }
            Value::Time(at) => date(&date_of(at, self.boot_wall), serializer),
            Value::Pid(pid) => serializer.serialize_u32(pid),
            Value::Port(port) => serializer.serialize_u16(port),
            Value::Address(addr) => serializer.collect_str(&addr),
            Value::End(_, end) => serializer.collect_str(&end),
            Value::Protocol(protocol) => serializer.collect_str(&protocol),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Group(row) | Value::Key(row) | Value::GroupId(row) => row.id_text().serialize(serializer),
            Value::Ancestors(all) => serializer.collect_seq(all.iter().map(Parent)),
        }
    }
}

/// A process that another descends from.
struct Parent<'s>(&'s Ancestor);

impl Serialize for Parent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("pid", &self.0.id.pid)?;
        map.serialize_entry("process", &Some(&*self.0.comm).filter(|comm| !comm.is_empty()))?;
        map.end()
    }
}

//! What is made from the tables of members: docs/json.schema.json and the tables of docs/json.md.

use super::super::member::{
    Absent, CONTAINER, COUNTERS, EVIDENCE, FLOW, GROUP, Is, LOCAL, Member, POD, PROCESS, Shape, TCP,
};
use super::table::{CAPTURE, CARRIED, DEGRADED, INTERFACE, OBJECT, OWN, PARENT, SIDE};
use crate::query::Kind;
use serde_json::{Map, Value, json};

/// What a member is made of.
enum Type {
    Null,
    String,
    /// In a unit.
    Unsigned(&'static str),
    Signed(&'static str),
    Object(&'static [Member]),
    List(&'static [Member]),
}

fn type_of(member: &Member) -> Type {
    match &member.is {
        Is::Field(field) => match field.kind() {
            Kind::Bytes => Type::Unsigned("bytes"),
            Kind::BitRate => Type::Unsigned("bits/s"),
            Kind::Duration => Type::Unsigned("us"),
            Kind::Packets | Kind::Count | Kind::Pid | Kind::Id | Kind::Port => Type::Unsigned(""),
            Kind::Ancestors => Type::List(&PARENT),
            Kind::Time
            | Kind::Address
            | Kind::End
            | Kind::Protocol
            | Kind::Text
            | Kind::Name
            | Kind::Group
            | Kind::Key => Type::String,
        },
        Is::Part(_, members) | Is::Object(members) | Is::Inline(members) => Type::Object(members),
        Is::Written(Shape::List(members)) => Type::List(members),
        Is::Written(Shape::Text) => Type::String,
        Is::Written(Shape::Integer(unit)) => Type::Unsigned(unit),
        Is::Written(Shape::Signed(unit)) => Type::Signed(unit),
        Is::Written(Shape::Null) => Type::Null,
    }
}

/// The members of an object, those that stand for several put in.
fn flat(members: &'static [Member]) -> Vec<&'static Member> {
    let inner = |member: &'static Member| match &member.is {
        Is::Inline(members) => flat(members),
        Is::Field(_) | Is::Part(..) | Is::Object(_) | Is::Written(_) => vec![member],
    };
    members.iter().flat_map(inner).collect()
}

/// The schema of an object.
fn object(members: &'static [Member]) -> Map<String, Value> {
    let members = flat(members);
    let required = members.iter().filter(|member| member.absent != Absent::LeftOut).map(|member| member.name);
    let required: Vec<&str> = required.collect();
    let properties: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), property(member))).collect();
    let Value::Object(schema) = json!({"type": "object", "required": required, "properties": properties})
    else {
        unreachable!("it was made an object")
    };
    schema
}

fn property(member: &Member) -> Value {
    let mut schema = Map::new();
    match type_of(member) {
        Type::Null => drop(schema.insert("type".into(), "null".into())),
        Type::String => drop(schema.insert("type".into(), "string".into())),
        Type::Unsigned(_) => {
            schema.insert("type".into(), "integer".into());
            schema.insert("minimum".into(), 0.into());
        }
        Type::Signed(_) => drop(schema.insert("type".into(), "integer".into())),
        Type::Object(members) => schema = object(members),
        Type::List(members) => {
            schema.insert("type".into(), "array".into());
            schema.insert("items".into(), Value::Object(object(members)));
        }
    }
    if member.absent == Absent::Null {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema.insert("description".into(), member.meaning.into());
    Value::Object(schema)
}

/// docs/json.schema.json.
pub(super) fn schema() -> Value {
    let mut schema = object(&OBJECT);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "An object of monitor --json, schema 1".into());
    Value::Object(schema)
}

/// The tables of docs/json.md: under which heading, which one there, of which members.
fn tables() -> Vec<(&'static str, usize, &'static [Member])> {
    vec![
        ("## The object", 0, &OBJECT),
        ("### `own`", 0, &OWN),
        ("### An entry of `degraded`", 0, &DEGRADED),
        ("### `ledger.rx` and `ledger.tx`", 0, &SIDE),
        ("### An entry of `ledger.interfaces`", 0, &INTERFACE),
        ("### An entry of `ledger.interfaces`", 1, &CARRIED),
        ("### An entry of `ledger.interfaces`", 2, &CAPTURE),
        ("### Counters", 0, &COUNTERS),
        ("### An entry of `processes`", 0, &PROCESS),
        ("### `container`", 0, &CONTAINER),
        ("### `pod`", 0, &POD),
        ("### An entry of `parents`", 0, &PARENT),
        ("### An entry of `flows`", 0, &FLOW),
        ("### `local` and `remote`", 0, &LOCAL),
        ("### An entry of `groups`", 0, &GROUP),
        ("### `tcp`", 0, &TCP),
        ("### `attribution`", 0, &EVIDENCE),
    ]
}

fn row(member: &Member) -> String {
    if let Is::Inline(_) = member.is {
        return format!("| {} | | |\n", member.name);
    }
    let null = if member.absent == Absent::Null { " or null" } else { "" };
    let (what, unit) = match type_of(member) {
        Type::Null => ("null", ""),
        Type::String => ("string", ""),
        Type::Unsigned(unit) => ("integer", unit),
        Type::Signed(unit) => ("signed integer", unit),
        Type::Object(_) => ("object", ""),
        Type::List(_) => ("list", ""),
    };
    let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
    format!("| `{}` | {what}{null}{unit} | {} |\n", member.name, member.meaning)
}

/// The page with its tables made anew.
fn page(old: &str) -> String {
    let mut page = old.to_owned();
    for (heading, number, members) in tables() {
        let section = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
        let mut from = section;
        for count in 0..=number {
            let after = if count == 0 { from } else { from + page[from..].find("\n\n").unwrap() };
            from = after + page[after..].find("\n| ").unwrap() + 1;
        }
        let end = from + page[from..].find("\n\n").unwrap() + 1;
        let table: String = members.iter().map(row).collect();
        page.replace_range(from..end, &format!("| field | type | meaning |\n|---|---|---|\n{table}"));
    }
    page
}

/// The file as it is made; `MONITOR_WRITE_DOCS=1` writes it.
fn is_as_made(name: &str, make: impl Fn(&str) -> String) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&there);
    if std::env::var_os("MONITOR_WRITE_DOCS").is_some() {
        return std::fs::write(path, wanted).unwrap();
    }
    assert!(there == wanted, "docs/{name} is old: MONITOR_WRITE_DOCS=1 cargo test -p monitor docs");
}

#[test]
fn docs_have_the_tables_of_members() {
    is_as_made("json.md", page);
}

#[test]
fn docs_have_the_schema_of_the_tables() {
    is_as_made("json.schema.json", |_| serde_json::to_string_pretty(&schema()).unwrap() + "\n");
}

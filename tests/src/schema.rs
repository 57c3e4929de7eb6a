//! Objects of JSON held to a JSON Schema: of its vocabulary what docs/json.schema.json uses, and stricter in one thing. A member
//! that the schema does not name is a fault here, while readers are to ignore it.

use serde_json::Value;

/// What is wrong with a value by this schema, each with its place; nothing where nothing is.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    judge(schema, value, "", &mut faults);
    faults
}

fn judge(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let one = std::slice::from_ref(&schema["type"]);
    let types = schema["type"].as_array().map_or(one, Vec::as_slice);
    let types: Vec<&str> = types.iter().filter_map(Value::as_str).collect();
    if !types.iter().any(|wanted| is_of(value, wanted)) {
        faults.push(format!("{at} is no {types:?}: {value}"));
    }
    let below = schema["minimum"].as_i64().zip(value.as_i64()).is_some_and(|(least, number)| number < least);
    if below {
        faults.push(format!("{at} is below its minimum: {value}"));
    }
    if let Some(members) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        faults.extend(
            required
                .filter(|name| !members.contains_key(*name))
                .map(|name| format!("{at}/{name} is missing")),
        );
        for (name, value) in members {
            match schema["properties"].get(name) {
                Some(schema) => judge(schema, value, &format!("{at}/{name}"), faults),
                None => faults.push(format!("{at}/{name} is not in the schema")),
            }
        }
    }
    for value in value.as_array().into_iter().flatten() {
        judge(&schema["items"], value, &format!("{at}[]"), faults);
    }
}

fn is_of(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

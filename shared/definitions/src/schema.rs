//! The JSON Schema of a definition file, for editors: made from the table of keys.
use crate::format::Format;
use crate::keys::{FILE, Key, Kind, Need, Object, objects};
use serde_json::{Map, Value, json};

/// Draft 7, which every YAML language server knows.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(&FILE);
    let definitions: Map<String, Value> = objects()
        .into_iter()
        .filter(|one| one.name != FILE.name)
        .map(|one| (one.name.to_owned(), Value::Object(object(one))))
        .collect();
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_owned(), json!("Windlass definitions"));
    schema.insert("definitions".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn object(object: &Object) -> Map<String, Value> {
    let properties: Map<String, Value> =
        object.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = object
        .keys
        .iter()
        .filter(|key| matches!(key.need, Need::Required))
        .map(|key| key.name)
        .collect();
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("description".to_owned(), json!(object.about)),
        ("properties".to_owned(), Value::Object(properties)),
        ("additionalProperties".to_owned(), json!(false)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !object.one_of.is_empty() {
        let choices: Vec<Value> =
            object.one_of.iter().map(|name| json!({ "required": [name] })).collect();
        schema.insert("oneOf".to_owned(), json!(choices));
    }
    schema
}

fn property(key: &Key) -> Value {
    let about = match key.need {
        Need::Required => key.about.to_owned(),
        Need::Default(default) => format!("{} Default: {default}.", key.about),
    };
    match value(key.kind) {
        // Draft 7 ignores what stands beside a `$ref`.
        Value::Object(inner) if inner.contains_key("$ref") => {
            json!({ "allOf": [inner], "description": about })
        }
        Value::Object(mut inner) => {
            inner.insert("description".to_owned(), json!(about));
            Value::Object(inner)
        }
        other => other,
    }
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text(format) => text(format),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::OneOf(words) => {
            let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok());
            let choices: Vec<Value> =
                words.iter().map(|word| json!(word)).chain(numbers.map(|n| json!(n))).collect();
            json!({ "enum": choices })
        }
        Kind::List(item) => json!({ "type": "array", "items": value(*item) }),
        Kind::Object(object) => json!({ "$ref": format!("#/definitions/{}", object.name) }),
    }
}

/// A text is what was written, so an editor must let `1.10` and `yes` stand where one may.
fn text(format: Format) -> Value {
    let mut schema = Map::new();
    let any = matches!(
        format,
        Format::Any
            | Format::Name
            | Format::Label
            | Format::Branch
            | Format::Repository
            | Format::Requirement
            | Format::Workspace
    );
    let kind = if any { json!(["string", "number", "boolean"]) } else { json!("string") };
    schema.insert("type".to_owned(), kind);
    if let Some(pattern) = format.pattern() {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    Value::Object(schema)
}

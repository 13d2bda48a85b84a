//! The reference of all keys in Markdown: made from the table of keys.
use crate::keys::{FILE, Kind, Need, Object, objects};
use std::fmt::Write as _;

/// One section for each mapping, one row for each key.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for object in objects() {
        section(&mut text, object);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(text: &mut String, object: &Object) {
    let title = if object.name == FILE.name { "The file" } else { object.name };
    let _ = writeln!(text, "### {title}\n\n{}\n", object.about);
    if !object.one_of.is_empty() {
        let _ = writeln!(text, "Exactly one of `{}` is given.\n", object.one_of.join("` and `"));
    }
    text.push_str("| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for key in object.keys {
        let default = match key.need {
            Need::Required => "**required**",
            Need::Default(words) => words,
        };
        let _ =
            writeln!(text, "| `{}` | {} | {default} | {} |", key.name, kind(key.kind), key.about);
    }
    text.push('\n');
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text(format) => format.words().to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer => "whole number".to_owned(),
        Kind::OneOf(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::List(item) => format!("list of {}", self::kind(*item)),
        Kind::Object(object) => format!("[{0}](#{0})", object.name),
    }
}

//! Holds a tree against the table of keys: unknown, missing and ill-typed ones, all of them.
//!
//! What passes is read through [`Fields`], which answers None for whatever was refused here; a
//! definition with any fault is never used, so the reader need not care.
use crate::format::{Format, TIME_ZONES};
use crate::keys::{FILE, Kind, Need, Object};
use crate::problem::{At, Faults, Text, quote};
use crate::yaml::{Content, Entry, Node};

/// A whole file.
pub(crate) fn check_file(node: &Node, faults: &mut Faults<'_>) {
    check_object(node, &FILE, "the file", node.at, faults);
}

/// Only the key `include`, for who needs no more than that.
pub(crate) fn check_includes(node: &Node, faults: &mut Faults<'_>) {
    let fields = Fields::file(node);
    if let (Some(entry), Some(key)) = (fields.entry("include"), FILE.key("include")) {
        check(&entry.value, key.kind, "`include`", entry.at, faults);
    }
}

/// `label` is how messages call the value; `at` is where to point if it has no place of its own.
fn check(node: &Node, kind: Kind, label: &str, at: At, faults: &mut Faults<'_>) {
    if matches!(node.content, Content::Null) {
        let help = match kind {
            Kind::Text(Format::Any) => "write \"\" for an empty text",
            _ => "give it one, or leave the key out",
        };
        faults.add(at, format!("{label} has no value"), Some(help.to_owned()));
        return;
    }
    match kind {
        Kind::Text(format) => check_text(node, format, label, faults),
        Kind::Flag => check_flag(node, label, faults),
        Kind::Integer => {
            let fine = matches!(&node.content, Content::Plain(text) if integer(text).is_some());
            if !fine {
                let message = format!("{label} must be a whole number, found {}", found(node));
                faults.add(node.at, message, None);
            }
        }
        Kind::OneOf(words) => check_word(node, words, label, faults),
        Kind::List(item) => match &node.content {
            Content::List(items) => {
                for one in items {
                    check(one, *item, &format!("an item of {label}"), one.at, faults);
                }
            }
            _ => {
                let help = node.scalar().map(|text| format!("write `[{text}]`"));
                faults.add(node.at, format!("{label} must be a list, found {}", found(node)), help);
            }
        },
        Kind::Object(object) => check_object(node, object, label, at, faults),
    }
}

fn check_text(node: &Node, format: Format, label: &str, faults: &mut Faults<'_>) {
    let Some(text) = node.scalar() else {
        let message = format!("{label} must be text, found {}", found(node));
        faults.add(node.at, message, None);
        return;
    };
    let Err(expected) = format.check(text) else { return };
    let help = match format {
        Format::TimeZone => faults.nearest(text, TIME_ZONES.iter().copied()),
        _ => None,
    };
    faults.add(node.at, format!("{label} must be {expected}, found {}", quote(text)), help);
}

fn check_flag(node: &Node, label: &str, faults: &mut Faults<'_>) {
    if flag(node).is_some() {
        return;
    }
    let meant = match node.scalar().map(str::to_ascii_lowercase).as_deref() {
        Some("yes" | "on" | "y" | "true") => Some("true"),
        Some("no" | "off" | "n" | "false") => Some("false"),
        _ => None,
    };
    let help = meant.map(|meant| match &node.content {
        Content::Quoted(_) => format!("write {meant}, without quotes"),
        _ => format!("YAML 1.2 reads that as text: write {meant}"),
    });
    faults.add(node.at, format!("{label} must be true or false, found {}", found(node)), help);
}

fn check_word(node: &Node, words: &[&str], label: &str, faults: &mut Faults<'_>) {
    let text = node.scalar();
    if text.is_some_and(|text| words.contains(&text)) {
        return;
    }
    let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let expected = if words.len() == 1 { list } else { format!("one of {list}") };
    let near = |text| faults.nearest(text, words.iter().copied());
    let help = if words.len() > 1 { text.and_then(near) } else { None };
    faults.add(node.at, format!("{label} must be {expected}, found {}", found(node)), help);
}

fn check_object(node: &Node, object: &Object, label: &str, at: At, faults: &mut Faults<'_>) {
    let Content::Map(entries) = &node.content else {
        let keys = object.keys.iter().map(|key| key.name).take(3).collect::<Vec<_>>().join("`, `");
        let message = format!("{label} must be a mapping, found {}", found(node));
        faults.add(node.at, message, Some(format!("its keys are `{keys}`, …")));
        return;
    };
    for entry in entries {
        match object.key(&entry.key) {
            Some(key) => {
                let label = format!("`{}`", key.name);
                let at = if matches!(entry.value.content, Content::Null) {
                    entry.at
                } else {
                    entry.value.at
                };
                check(&entry.value, key.kind, &label, at, faults);
            }
            None => {
                let names = object.keys.iter().map(|key| key.name);
                let help = faults.nearest(&entry.key, names);
                faults.add(entry.at, format!("unknown key {}", quote(&entry.key)), help);
            }
        }
    }
    let has = |name: &str| entries.iter().any(|entry| &*entry.key == name);
    let place = entries.first().map_or(at, |first| first.at);
    for key in object.keys {
        if matches!(key.need, Need::Required) && !has(key.name) {
            faults.add(place, format!("missing key `{}`", key.name), None);
        }
    }
    check_one_of(entries, object, place, faults);
}

fn check_one_of(entries: &[Entry], object: &Object, place: At, faults: &mut Faults<'_>) {
    if object.one_of.is_empty() {
        return;
    }
    let names = object.one_of.join("` or `");
    let mut given = entries.iter().filter(|entry| object.one_of.contains(&&*entry.key));
    match (given.next(), given.next()) {
        (None, _) => faults.add(place, format!("missing key `{names}`"), None),
        (Some(_), Some(second)) => {
            faults.add(second.at, format!("only one of `{names}` may be given"), None);
        }
        _ => {}
    }
}

/// The value for a message: a scalar as written, else its kind.
fn found(node: &Node) -> String {
    match &node.content {
        Content::Plain(text) => quote(text),
        Content::Quoted(text) => format!("the text {}", quote(text)),
        _ => node.kind().to_owned(),
    }
}

fn flag(node: &Node) -> Option<bool> {
    match &node.content {
        Content::Plain(text) => match &**text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Decimal, without a leading zero that another reader would take for octal.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    if plain && !leading { text.parse().ok() } else { None }
}

/// A mapping that was held against its object.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    object: &'static Object,
    node: &'a Node,
}

impl<'a> Fields<'a> {
    pub(crate) fn file(node: &'a Node) -> Self {
        Self { object: &FILE, node }
    }

    /// Where the mapping starts.
    pub(crate) fn at(&self) -> At {
        self.node.at
    }

    /// Where the key stands.
    pub(crate) fn key_at(&self, name: &str) -> Option<At> {
        self.entry(name).map(|entry| entry.at)
    }

    pub(crate) fn text(&self, name: &str) -> Option<Text> {
        text(self.get(name)?)
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<Text> {
        self.items(name).filter_map(text).collect()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        flag(self.get(name)?)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        integer(self.get(name)?.scalar()?)
    }

    pub(crate) fn object(&self, name: &str) -> Option<Fields<'a>> {
        let object = self.inner(name)?;
        Some(Fields { object, node: self.get(name)? })
    }

    pub(crate) fn objects(&self, name: &str) -> impl Iterator<Item = Fields<'a>> {
        let object = self.inner(name);
        self.items(name).filter_map(move |node| Some(Fields { object: object?, node }))
    }

    fn items(&self, name: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
        let items = match self.get(name).map(|node| &node.content) {
            Some(Content::List(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(|node| &**node)
    }

    fn inner(&self, name: &str) -> Option<&'static Object> {
        match self.object.key(name)?.kind {
            Kind::Object(object) => Some(object),
            Kind::List(Kind::Object(object)) => Some(*object),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &*entry.value)
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        debug_assert!(self.object.key(name).is_some(), "{} has no key {name}", self.object.name);
        match &self.node.content {
            Content::Map(entries) => entries.iter().find(|entry| &*entry.key == name),
            _ => None,
        }
    }
}

fn text(node: &Node) -> Option<Text> {
    Some(Text { text: node.scalar()?.to_owned(), at: node.at })
}

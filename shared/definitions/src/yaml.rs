//! YAML text to a tree in which every node knows its place, and nothing is guessed.
//!
//! A plain scalar keeps the letters that were written: `yes`, `010` and `1.10` are texts until a
//! key says that it wants a number or a flag. Aliases are followed; merge keys, tags, directives
//! and second documents are refused. Size, depth and the expansion of aliases are bounded, so a
//! hostile file costs no more than an honest one.
use crate::problem::{At, Faults};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// One file's size.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Levels of lists and mappings, aliases followed.
const DEPTH_MAX: usize = 32;
/// Nodes of one file with every alias written out.
const NODES_MAX: usize = 600_000;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// Without quotes, as written.
    Plain(Box<str>),
    /// In quotes, or a block of text.
    Quoted(Box<str>),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) at: At,
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// What a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Plain(_) | Content::Quoted(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// The only document of a file. None: it is empty, or has faults, which are then in `faults`.
pub(crate) fn parse(file: u32, text: &str, faults: &mut Faults<'_>) -> Option<Rc<Node>> {
    if text.len() > FILE_BYTES_MAX {
        let at = At { file, ..At::default() };
        let message =
            format!("the file has {} bytes; at most {FILE_BYTES_MAX} are read", text.len());
        faults.add(at, message, Some("spread it over several files with `include`".to_owned()));
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX * 2,
        block_nesting_limit: DEPTH_MAX * 2,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { file, ..Builder::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let outcome = match event {
            Ok((event, span)) => builder.event(event, &span, faults),
            Err(error) => {
                let mark = error.marker();
                let at = place(file, mark.line(), mark.col(), 1);
                let message = match error.kind() {
                    ErrorKind::RecursionLimitExceeded => too_deep(),
                    _ => format!("not valid YAML: {}", error.info()),
                };
                faults.add(at, message, None);
                Err(Stop)
            }
        };
        if outcome.is_err() {
            return None;
        }
    }
    builder.root
}

fn place(file: u32, line: usize, column: usize, width: usize) -> At {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At { file, line: small(line), column: small(column + 1), width: small(width) }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels")
}

/// The rest of the file can't be read; why is in the faults.
struct Stop;

enum Key {
    Awaited,
    Read(Box<str>, At),
    /// Its key was refused: the value that follows belongs to nothing.
    Refused,
}

enum Holder {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, seen: BTreeSet<Box<str>>, key: Key },
}

struct Frame {
    at: At,
    anchor: usize,
    holder: Holder,
    /// Levels below.
    height: usize,
    /// Nodes below, aliases written out.
    size: usize,
}

struct Anchored {
    node: Rc<Node>,
    height: usize,
    size: usize,
}

#[derive(Default)]
struct Builder {
    file: u32,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Anchored>,
    root: Option<Rc<Node>>,
    documents: usize,
    nodes: usize,
}

impl Builder {
    fn event(
        &mut self,
        event: Event<'_>,
        span: &Span,
        faults: &mut Faults<'_>,
    ) -> Result<(), Stop> {
        let at = self.at(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return stop(faults, at, "a second document: one file holds one");
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = scalar(text, style, tag.as_deref(), at, faults);
                self.complete(Rc::new(Node { at, content }), anchor, 0, 1, faults)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.as_deref(), at, faults);
                self.open(at, anchor, Holder::List(Vec::new()), faults)
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.as_deref(), at, faults);
                let holder =
                    Holder::Map { entries: Vec::new(), seen: BTreeSet::new(), key: Key::Awaited };
                self.open(at, anchor, holder, faults)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(faults),
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(Anchored { node, height, size }) => {
                    let (node, height, size) = (Rc::clone(node), *height, *size);
                    self.complete(node, 0, height, size, faults)
                }
                None => stop(faults, at, "an alias inside of what it stands for"),
            },
            _ => Ok(()),
        }
    }

    fn at(&self, span: &Span) -> At {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() { end.col() - start.col() } else { 1 };
        place(self.file, start.line(), start.col(), width)
    }

    fn open(
        &mut self,
        at: At,
        anchor: usize,
        holder: Holder,
        faults: &mut Faults<'_>,
    ) -> Result<(), Stop> {
        if self.frames.len() >= DEPTH_MAX {
            return stop(faults, at, &too_deep());
        }
        // The parser's span of a collection has no width that a caret could use.
        let at = At { width: 1, ..at };
        self.frames.push(Frame { at, anchor, holder, height: 0, size: 1 });
        Ok(())
    }

    fn close(&mut self, faults: &mut Faults<'_>) -> Result<(), Stop> {
        let Some(Frame { at, anchor, holder, height, size }) = self.frames.pop() else {
            return Ok(());
        };
        let content = match holder {
            Holder::List(items) => Content::List(items),
            Holder::Map { entries, .. } => Content::Map(entries),
        };
        // Its children were counted when they came.
        self.nodes = self.nodes.saturating_sub(size - 1);
        self.complete(Rc::new(Node { at, content }), anchor, height + 1, size, faults)
    }

    /// Puts a finished node into what is open, or makes it the document.
    fn complete(
        &mut self,
        node: Rc<Node>,
        anchor: usize,
        height: usize,
        size: usize,
        faults: &mut Faults<'_>,
    ) -> Result<(), Stop> {
        self.nodes += size;
        if self.nodes > NODES_MAX || self.frames.len() + height > DEPTH_MAX {
            return stop(faults, node.at, "aliases make this file too large or too deep to read");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node: Rc::clone(&node), height, size });
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        frame.size += size;
        match &mut frame.holder {
            Holder::List(items) => items.push(node),
            Holder::Map { entries, seen, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => *key = read_key(&node, seen, faults),
                Key::Read(name, at) => entries.push(Entry { key: name, at, value: node }),
                Key::Refused => {}
            },
        }
        Ok(())
    }
}

fn read_key(node: &Node, seen: &mut BTreeSet<Box<str>>, faults: &mut Faults<'_>) -> Key {
    match &node.content {
        Content::Plain(text) if &**text == "<<" => {
            let help = "share values with a context, or repeat the whole value with an alias";
            faults.add(node.at, "merge keys are not read".to_owned(), Some(help.to_owned()));
            Key::Refused
        }
        Content::Plain(text) | Content::Quoted(text) => {
            if !seen.insert(text.clone()) {
                let message = format!("duplicate key {}", crate::problem::quote(text));
                faults.add(node.at, message, None);
                return Key::Refused;
            }
            Key::Read(text.clone(), node.at)
        }
        _ => {
            faults.add(node.at, format!("a key must be text, found {}", node.kind()), None);
            Key::Refused
        }
    }
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: At,
    faults: &mut Faults<'_>,
) -> Content {
    let as_text = tag.and_then(Tag::core_suffix) == Some("str");
    if !as_text {
        refuse_tag(tag, at, faults);
    }
    let text = text.into_owned().into_boxed_str();
    match style {
        ScalarStyle::Plain if !as_text => match &*text {
            "" | "~" | "null" | "Null" | "NULL" => Content::Null,
            _ => Content::Plain(text),
        },
        _ => Content::Quoted(text),
    }
}

fn refuse_tag(tag: Option<&Tag>, at: At, faults: &mut Faults<'_>) {
    if let Some(tag) = tag {
        let message = format!("tags are not read: {}", crate::problem::quote(&tag.original()));
        faults.add(at, message, None);
    }
}

fn stop(faults: &mut Faults<'_>, at: At, message: &str) -> Result<(), Stop> {
    faults.add(at, message.to_owned(), None);
    Err(Stop)
}

//! A Terraform module as it is written: what it declares, and what it refers to. Providers can't be
//! had everywhere, so `terraform validate` can't either; names are held together here.
use anyhow::{Context as _, Result};
use hcl::expr::{Conditional, ForExpr, FuncCall, Operation, TraversalOperator};
use hcl::template::{Directive, Element, Template};
use hcl::{Block, Body, Expression};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// All `.tf` files of one folder.
#[derive(Clone, Debug, Default)]
pub struct Module {
    pub blocks: Vec<Block>,
}

impl Module {
    /// # Errors
    /// When a file can't be read, or is no HCL.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut blocks = vec![];
        for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "tf") {
                let text = std::fs::read_to_string(&path)?;
                let body = hcl::parse(&text).with_context(|| format!("{}", path.display()))?;
                blocks.extend(body.blocks().cloned());
            }
        }
        Ok(Self { blocks })
    }

    pub fn of<'m>(&'m self, kind: &'m str) -> impl Iterator<Item = &'m Block> {
        self.blocks.iter().filter(move |block| block.identifier() == kind)
    }

    /// Variables, and whether each has to be given.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, bool> {
        let required = |block: &Block| attribute(block.body(), "default").is_none();
        self.of("variable").map(|block| (label(block, 0), required(block))).collect()
    }

    /// Everything that can be referred to: `var.x`, `local.x`, `data.t.n`, `t.n`, `module.n`.
    #[must_use]
    pub fn declared(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for block in &self.blocks {
            match block.identifier() {
                "variable" => drop(all.insert(format!("var.{}", label(block, 0)))),
                "module" => drop(all.insert(format!("module.{}", label(block, 0)))),
                "resource" => drop(all.insert(format!("{}.{}", label(block, 0), label(block, 1)))),
                "data" => drop(all.insert(format!("data.{}.{}", label(block, 0), label(block, 1)))),
                "locals" => {
                    all.extend(block.body().attributes().map(|one| format!("local.{}", one.key())));
                }
                _ => {}
            }
        }
        all
    }

    /// What is referred to, by where: a variable's own block does not count as a use of it.
    #[must_use]
    pub fn references(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for block in &self.blocks {
            let mut found = BTreeSet::new();
            in_body(block.body(), &mut Vec::new(), &mut found);
            if block.identifier() == "variable" {
                found.remove(&format!("var.{}", label(block, 0)));
            }
            all.extend(found);
        }
        all
    }

    /// The value of a local.
    #[must_use]
    pub fn local(&self, name: &str) -> Option<&Expression> {
        self.of("locals").find_map(|block| attribute(block.body(), name))
    }

    /// Statements of an `aws_iam_policy_document`: actions by Sid.
    #[must_use]
    pub fn statements(&self, document: &str) -> BTreeMap<String, BTreeSet<String>> {
        let named = |block: &&Block| {
            label(block, 0) == "aws_iam_policy_document" && label(block, 1) == document
        };
        let mut all = BTreeMap::new();
        for block in self.of("data").filter(named) {
            for inner in block.body().blocks() {
                let body = match inner.identifier() {
                    "dynamic" => inner
                        .body()
                        .blocks()
                        .find(|one| one.identifier() == "content")
                        .map(Block::body),
                    "statement" => Some(inner.body()),
                    _ => None,
                };
                let Some(body) = body else { continue };
                let sid = attribute(body, "sid").and_then(text).unwrap_or_default();
                let mut actions = BTreeSet::new();
                match attribute(body, "actions") {
                    Some(Expression::Array(items)) => actions.extend(items.iter().filter_map(text)),
                    Some(Expression::Traversal(local)) => {
                        let name = local.operators.first().and_then(attr).unwrap_or_default();
                        if let Some(Expression::Array(items)) = self.local(&name) {
                            actions.extend(items.iter().filter_map(text));
                        }
                    }
                    _ => {}
                }
                all.insert(sid, actions);
            }
        }
        all
    }
}

#[must_use]
pub fn label(block: &Block, at: usize) -> String {
    block.labels().get(at).map(|label| label.as_str().to_owned()).unwrap_or_default()
}

#[must_use]
pub fn attribute<'b>(body: &'b Body, key: &str) -> Option<&'b Expression> {
    body.attributes().find(|one| one.key() == key).map(hcl::Attribute::expr)
}

#[must_use]
pub fn text(expr: &Expression) -> Option<String> {
    match expr {
        Expression::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Keys of all objects in an expression: of a `merge(…)` of objects, say.
#[must_use]
pub fn object_keys(expr: &Expression) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    visit(expr, &mut |expr| {
        if let Expression::Object(object) = expr {
            keys.extend(object.keys().map(ToString::to_string));
        }
    });
    keys
}

fn attr(operator: &TraversalOperator) -> Option<String> {
    match operator {
        TraversalOperator::GetAttr(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}

/// Scoped names (of `for` and `dynamic`) are no references.
fn in_body(body: &Body, scope: &mut Vec<String>, found: &mut BTreeSet<String>) {
    for one in body.attributes() {
        in_expr(one.expr(), scope, found);
    }
    for block in body.blocks() {
        let depth = scope.len();
        if block.identifier() == "dynamic" {
            scope.push(label(block, 0));
        }
        in_body(block.body(), scope, found);
        scope.truncate(depth);
    }
}

/// Names that Terraform itself brings, without anything behind them that could be missing.
const BUILT_IN: &[&str] = &["path", "each", "count", "self", "terraform"];
/// Words that stand where a reference could: types, and words of `lifecycle`.
const WORDS: &[&str] = &["string", "number", "bool", "any", "desired_capacity"];

fn in_expr(expr: &Expression, scope: &[String], found: &mut BTreeSet<String>) {
    match expr {
        Expression::Variable(name) => {
            let name = name.as_str();
            if !scope.iter().any(|known| known == name) && !WORDS.contains(&name) {
                found.insert(name.to_owned());
            }
        }
        Expression::Traversal(traversal) => {
            for operator in &traversal.operators {
                if let TraversalOperator::Index(index) = operator {
                    in_expr(index, scope, found);
                }
            }
            let Expression::Variable(root) = &traversal.expr else {
                return in_expr(&traversal.expr, scope, found);
            };
            let root = root.as_str();
            if scope.iter().any(|known| known == root) || BUILT_IN.contains(&root) {
                return;
            }
            let parts = if root == "data" { 2 } else { 1 };
            let mut name = root.to_owned();
            for part in traversal.operators.iter().take(parts).filter_map(attr) {
                name = format!("{name}.{part}");
            }
            found.insert(name);
        }
        Expression::ForExpr(looped) => {
            let mut inner = scope.to_vec();
            inner.extend(looped.key_var.iter().map(|name| name.as_str().to_owned()));
            inner.push(looped.value_var.as_str().to_owned());
            in_expr(&looped.collection_expr, scope, found);
            for part in parts_of_for(looped) {
                in_expr(part, &inner, found);
            }
        }
        Expression::TemplateExpr(template) => {
            if let Ok(template) = Template::from_expr(template) {
                in_template(&template, scope, found);
            }
        }
        other => children(other, &mut |child| in_expr(child, scope, found)),
    }
}

fn in_template(template: &Template, scope: &[String], found: &mut BTreeSet<String>) {
    for element in template.elements() {
        match element {
            Element::Literal(_) => {}
            Element::Interpolation(inner) => in_expr(&inner.expr, scope, found),
            Element::Directive(directive) => match directive.as_ref() {
                Directive::If(branch) => {
                    in_expr(&branch.cond_expr, scope, found);
                    in_template(&branch.true_template, scope, found);
                    if let Some(other) = &branch.false_template {
                        in_template(other, scope, found);
                    }
                }
                Directive::For(looped) => {
                    in_expr(&looped.collection_expr, scope, found);
                    let mut inner = scope.to_vec();
                    inner.extend(looped.key_var.iter().map(|name| name.as_str().to_owned()));
                    inner.push(looped.value_var.as_str().to_owned());
                    in_template(&looped.template, &inner, found);
                }
            },
        }
    }
}

fn parts_of_for(looped: &ForExpr) -> impl Iterator<Item = &Expression> {
    let optional = looped.key_expr.iter().chain(looped.cond_expr.iter());
    std::iter::once(&looped.value_expr).chain(optional)
}

/// Every expression in this one, itself first.
fn visit(expr: &Expression, see: &mut dyn FnMut(&Expression)) {
    see(expr);
    children(expr, &mut |child| visit(child, see));
}

fn children(expr: &Expression, see: &mut dyn FnMut(&Expression)) {
    match expr {
        Expression::Array(items) => items.iter().for_each(see),
        Expression::Object(object) => {
            for (key, value) in object {
                // A bare word as a key is a word.
                if let hcl::expr::ObjectKey::Expression(key) = key {
                    see(key);
                }
                see(value);
            }
        }
        Expression::FuncCall(call) => {
            let FuncCall { args, .. } = call.as_ref();
            args.iter().for_each(see);
        }
        Expression::Parenthesis(inner) => see(inner),
        Expression::Conditional(choice) => {
            let Conditional { cond_expr, true_expr, false_expr } = choice.as_ref();
            [cond_expr, true_expr, false_expr].into_iter().for_each(see);
        }
        Expression::Operation(operation) => match operation.as_ref() {
            Operation::Unary(one) => see(&one.expr),
            Operation::Binary(two) => [&two.lhs_expr, &two.rhs_expr].into_iter().for_each(see),
        },
        Expression::ForExpr(looped) => {
            see(&looped.collection_expr);
            parts_of_for(looped).for_each(see);
        }
        Expression::Traversal(traversal) => see(&traversal.expr),
        _ => {}
    }
}

//! Configuration from the environment: read once at a cold start, all problems in one message.
use std::fmt;

/// What one function needs to know. `VARS` is every variable that [`Configured::read`] asks for:
/// the template is held against it.
pub trait Configured: Sized {
    const VARS: &'static [&'static str];
    /// Asks for everything, whatever is missing; what it returns counts only without problems.
    fn read(vars: &mut Vars<'_>) -> Self;
}

/// The environment, and what is wrong with it so far.
pub struct Vars<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    asked: Vec<&'static str>,
    problems: Vec<String>,
}

/// Everything that is wrong with the environment, one problem per line. Never a value: a variable
/// can hold what was meant for another.
#[derive(Debug, PartialEq, Eq)]
pub struct Misconfigured(pub Vec<String>);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function is not configured: {}", self.0.join("; "))
    }
}
impl std::error::Error for Misconfigured {}

impl<'a> Vars<'a> {
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, asked: vec![], problems: vec![] }
    }

    /// None when it is unset or empty: a template can't leave a variable out.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        let value = (self.lookup)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    pub fn required(&mut self, name: &'static str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name} is not set"));
        }
        value.unwrap_or_default()
    }

    /// `parse` says what is wrong without repeating the value.
    pub fn parsed<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let value = self.required(name);
        if value.is_empty() {
            return T::default();
        }
        parse(&value).unwrap_or_else(|why| {
            self.problem(format!("{name}: {why}"));
            T::default()
        })
    }

    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }
}

/// Reads a configuration through `lookup`.
///
/// # Errors
/// Every problem at once.
pub(crate) fn read<C: Configured>(
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<C, Misconfigured> {
    let mut vars = Vars::new(lookup);
    let config = C::read(&mut vars);
    if vars.problems.is_empty() { Ok(config) } else { Err(Misconfigured(vars.problems)) }
}

/// The variables that [`Configured::read`] really asks for, sorted: equal to `VARS`, or a test
/// fails.
#[must_use]
pub fn asked<C: Configured>() -> Vec<&'static str> {
    let mut vars = Vars::new(&|_| None);
    C::read(&mut vars);
    vars.asked.sort_unstable();
    vars.asked.dedup();
    vars.asked
}

/// For the tests of configurations: reads from a table.
///
/// # Errors
/// Every problem at once.
pub fn read_from<C: Configured>(table: &[(&str, &str)]) -> Result<C, Misconfigured> {
    read(&|name| table.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

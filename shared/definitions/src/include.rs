//! Which files of a commit hold definitions: the root file, and what its `include` matches.
use crate::format;
use crate::model::SourceFile;
use crate::problem::{Faults, Problem, Text};
use crate::shape::{Fields, check_includes};
use crate::yaml;
use globset::{GlobSet, GlobSetBuilder};

/// Where the root file may be; the first that exists is read.
pub const ROOT_FILES: [&str; 2] = ["windlass.yaml", "windlass.yml"];
const PATTERNS_MAX: usize = 1_000;

/// The matcher of a root file's `include`.
#[derive(Clone, Debug, Default)]
pub struct Includes {
    globs: GlobSet,
}

impl Includes {
    /// Whether this file of the commit is to be read. Root files never are a second time.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let yaml = path.ends_with(".yaml") || path.ends_with(".yml");
        yaml && !ROOT_FILES.contains(&path) && self.globs.is_match(path)
    }
}

/// What a root file includes. Only faults that keep it from being known are reported here;
/// [`crate::parse`] reports all.
///
/// # Errors
/// The file is not YAML, or `include` is not a list of globs.
pub fn includes(root: &SourceFile) -> Result<Includes, Vec<Problem>> {
    let mut faults = Faults::new(vec![root]);
    let node = yaml::parse(0, &root.text, &mut faults);
    let patterns = match &node {
        Some(node) => {
            check_includes(node, &mut faults);
            Fields::file(node).texts("include")
        }
        None => Vec::new(),
    };
    check(&patterns, &mut faults);
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| format::glob(&pattern.text).ok()) {
        set.add(glob);
    }
    match set.build() {
        Ok(globs) if faults.count() == 0 => Ok(Includes { globs }),
        Err(error) if faults.count() == 0 => {
            let at = patterns.first().map(|pattern| pattern.at).unwrap_or_default();
            faults.add(at, format!("`include` can't be matched: {error}"), None);
            Err(faults.into_problems())
        }
        _ => Err(faults.into_problems()),
    }
}

/// Bounds what a root file may ask of the matcher.
pub(crate) fn check(patterns: &[Text], faults: &mut Faults<'_>) {
    if let Some(extra) = patterns.get(PATTERNS_MAX) {
        let message = format!("`include` has more than {PATTERNS_MAX} globs");
        faults.add(extra.at, message, None);
    }
}

/// Whether a change of this path changes definitions. Without a matcher (there is no root file,
/// or it can't be read) only root files do.
#[must_use]
pub fn is_definition_file(path: &str, includes: Option<&Includes>) -> bool {
    ROOT_FILES.contains(&path) || includes.is_some_and(|includes| includes.matches(path))
}

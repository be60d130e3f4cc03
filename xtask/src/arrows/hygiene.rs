//! What must not be left lying about: notes to oneself without an owner, tests that never run, unfinished merges.

use std::path::{Path, PathBuf};

use super::Violation;
use super::source::lines_with_word;
use crate::shell::{self, Outcome};

// Spelt apart, so that this file keeps its own rule.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const NEVER_RUN: &str = concat!("#[ig", "nore");
const UNFINISHED_MERGE: [&str; 2] = [concat!("<<<<", "<<< "), concat!(">>>>", ">>> ")];

const WRITTEN_BY_US: [&str; 7] = ["rs", "toml", "md", "sh", "yml", "cfg", "js"];

/// Files that git knows or would take in, of the kinds that people write.
pub(super) fn our_files() -> Outcome<Vec<PathBuf>> {
    let names = shell::output(shell::program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    Ok(names
        .lines()
        .map(PathBuf::from)
        .filter(|path| {
            path.extension()
                .and_then(|extension| extension.to_str())
                .is_some_and(|extension| WRITTEN_BY_US.contains(&extension))
        })
        .collect())
}

pub(super) fn leftovers(path: &Path, text: &str) -> Vec<Violation> {
    let violation = |line, rule: String| Violation { file: path.to_owned(), line, rule };
    let mut violations = Vec::new();
    for note in NOTES {
        for line in lines_with_word(text, note) {
            if !has_owner(text, line, note) {
                let rule = format!("a {note} names its owner: `{note}(name): …`");
                violations.push(violation(line, rule));
            }
        }
    }
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with(NEVER_RUN) {
            let rule = "a test that is never run proves nothing".to_owned();
            violations.push(violation(index + 1, rule));
        }
        if UNFINISHED_MERGE.iter().any(|mark| line.starts_with(mark)) {
            violations.push(violation(index + 1, "an unfinished merge".to_owned()));
        }
    }
    violations
}

/// Decisions that their index does not list.
pub(super) fn unlisted_decisions(paths: &[PathBuf], index: &str) -> Vec<Violation> {
    let folder = Path::new("docs/decisions");
    paths
        .iter()
        .filter(|path| path.starts_with(folder) && !path.ends_with("README.md"))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            !name.is_some_and(|name| index.contains(&format!("]({name})")))
        })
        .map(|path| Violation {
            file: path.clone(),
            line: 1,
            rule: "docs/decisions/README.md does not list this decision".to_owned(),
        })
        .collect()
}

fn has_owner(text: &str, line: usize, note: &str) -> bool {
    text.lines()
        .nth(line - 1)
        .is_some_and(|line| line.match_indices(note).all(|(start, _)| line[start + note.len()..].starts_with('(')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        leftovers(Path::new("a.rs"), text).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_note_without_an_owner_is_found_and_one_with_an_owner_is_not() {
        let note = NOTES[0];
        assert_eq!(lines(&format!("// {note}: later\n// {note}(ada): later")), [1]);
    }

    #[test]
    fn a_test_that_never_runs_is_found() {
        assert_eq!(lines(&format!("fn f() {{}}\n    {NEVER_RUN}]")), [2]);
    }

    #[test]
    fn a_decision_that_the_index_forgets_is_found() {
        let paths = ["README.md", "0000-a.md", "0001-b.md"].map(|name| Path::new("docs/decisions").join(name));
        let found = unlisted_decisions(&paths, "| [0](0000-a.md) | A |");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, paths[2]);
    }

    #[test]
    fn an_unfinished_merge_is_found() {
        assert_eq!(lines(&format!("{}HEAD\n", UNFINISHED_MERGE[0])), [1]);
    }
}

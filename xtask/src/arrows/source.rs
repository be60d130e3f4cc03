//! Rust sources as the word scans want them: comments, strings and test code blanked out, every line where it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::shell::Outcome;

/// A source file, once as it is and once with only its code left.
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// Comments, strings and character literals are spaces here.
    pub(super) code: String,
}

/// All Rust files below a folder, without its build products.
pub(super) fn rust_files(folder: &Path) -> Outcome<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            // A folder with a manifest is a package of its own.
            if path.is_dir() && !path.ends_with("target") && !path.join("Cargo.toml").exists() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = blank_comments_and_literals(&std::fs::read_to_string(&path)?);
                files.push(SourceFile { path, code });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What a crate ships: the files below `src/` less its test modules, and in these files the code that is not for tests.
pub(super) fn without_tests<'a>(files: &'a [SourceFile], package: &'a Path) -> impl Iterator<Item = SourceFile> + 'a {
    let source = package.join("src");
    let tests: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let folder = module_folder(&file.path);
            test_modules(&file.code).into_iter().map(move |module| folder.join(module))
        })
        .collect();
    files
        .iter()
        .filter(move |file| file.path.starts_with(&source))
        .filter(move |file| !tests.iter().any(|module| belongs_to(&file.path, module)))
        .map(|file| SourceFile { path: file.path.clone(), code: blank_test_items(&file.code) })
}

/// Where in the text a word stands on its own, as line numbers counted from one.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let found = line.match_indices(word).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + word.len()..].chars().next();
            !before.is_some_and(|c| is_word(c) && starts_with_word(word))
                && !after.is_some_and(|c| is_word(c) && ends_with_word(word))
        });
        if found {
            lines.push(index + 1);
        }
    }
    lines
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_with_word(word: &str) -> bool {
    word.chars().next().is_some_and(is_word)
}

fn ends_with_word(word: &str) -> bool {
    word.chars().next_back().is_some_and(is_word)
}

/// Replaces comments, string literals and character literals by spaces; newlines stay.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = if bytes[at..].starts_with(b"//") {
            at + bytes[at..].iter().position(|&b| b == b'\n').unwrap_or(bytes.len() - at)
        } else if bytes[at..].starts_with(b"/*") {
            end_of_block_comment(bytes, at)
        } else if let Some(end) = end_of_raw_string(bytes, at) {
            end
        } else if bytes[at] == b'"' {
            end_of_quoted(bytes, at, b'"')
        } else if bytes[at] == b'\'' && is_character_literal(bytes, at) {
            end_of_quoted(bytes, at, b'\'')
        } else {
            at += 1;
            continue;
        };
        blank(&mut code[at..end]);
        at = end;
    }
    String::from_utf8(code).expect("whole characters were replaced by spaces")
}

fn blank(code: &mut [u8]) {
    for byte in code {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of `r"…"`, `r#"…"#`, `br"…"` and so on, if one begins here.
fn end_of_raw_string(bytes: &[u8], start: usize) -> Option<usize> {
    if start > 0 && is_word(char::from(bytes[start - 1])) {
        return None;
    }
    let after_prefix = ["r", "br", "cr"]
        .iter()
        .find(|prefix| bytes[start..].starts_with(prefix.as_bytes()))
        .map(|prefix| start + prefix.len())?;
    let hashes = bytes[after_prefix..].iter().take_while(|&&b| b == b'#').count();
    if bytes.get(after_prefix + hashes) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = after_prefix + hashes + 1;
    let length = bytes[body..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(bytes.len(), |length| body + length + closing.len()))
}

fn end_of_quoted(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character_literal(bytes: &[u8], start: usize) -> bool {
    match bytes.get(start + 1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            bytes.get(start + 1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// Names of the modules in files of their own that are compiled for tests only.
fn test_modules(code: &str) -> Vec<String> {
    code.match_indices(TEST_ATTRIBUTE)
        .filter_map(|(start, _)| {
            let rest = code[start + TEST_ATTRIBUTE.len()..].trim_start();
            let (name, _) = rest.strip_prefix("mod ")?.split_once(';')?;
            let name = name.trim();
            name.chars().all(is_word).then(|| name.to_owned())
        })
        .collect()
}

/// Blanks every item behind `#[cfg(test)]`, up to its semicolon or its closing brace.
fn blank_test_items(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (start, _) in code.match_indices(TEST_ATTRIBUTE) {
        let mut depth = 0usize;
        let end = code[start..]
            .bytes()
            .position(|byte| match byte {
                b'{' => {
                    depth += 1;
                    false
                }
                b'}' => {
                    depth = depth.saturating_sub(1);
                    depth == 0
                }
                b';' => depth == 0,
                _ => false,
            })
            .map_or(code.len(), |length| start + length + 1);
        blank(&mut bytes[start..end]);
    }
    String::from_utf8(bytes).expect("whole items were replaced by spaces")
}

/// Where the submodules of a file are found.
fn module_folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(file);
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder.to_owned(),
        Some(stem) => folder.join(stem),
    }
}

fn belongs_to(file: &Path, module: &Path) -> bool {
    file == module.with_extension("rs") || file.starts_with(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_strings_are_not_code() {
        let text = "a // Mutex\nb /* Mutex /* Mutex */ Mutex */ c\n\"Mutex \\\" Mutex\" r#\"Mutex \" Mutex\"# d\n";
        let code = blank_comments_and_literals(text);
        assert!(!code.contains("Mutex"), "{code}");
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn lifetimes_are_not_character_literals() {
        let code = blank_comments_and_literals("fn f<'a>(x: &'a str) { '\"'; '\\''; 'é'; Mutex }");
        assert!(code.contains("<'a>"));
        assert!(code.contains("Mutex"));
        assert!(!code.contains('é'));
    }

    #[test]
    fn a_word_stands_on_its_own() {
        let code = "rand::random()\nbrand::new()\nstrand\noperand\nMutexGuard\nx = rand::y";
        assert_eq!(lines_with_word(code, "rand::"), [1, 6]);
        assert_eq!(lines_with_word(code, "Mutex"), Vec::<usize>::new());
    }

    #[test]
    fn code_for_tests_is_blanked_and_the_code_after_it_stays() {
        let code = "one\n#[cfg(test)]\nmod tests { fn f() { two } }\n#[cfg(test)]\nuse three;\nfour";
        let shipped = blank_test_items(code);
        assert_eq!(shipped.split_whitespace().collect::<Vec<_>>(), ["one", "four"]);
        assert_eq!(shipped.lines().count(), code.lines().count());
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_recognised() {
        assert_eq!(test_modules("#[cfg(test)]\nmod stories;\n#[cfg(test)]\nmod tests { }"), ["stories"]);
        assert!(belongs_to(
            Path::new("src/invite/stories.rs"),
            &module_folder(Path::new("src/invite.rs")).join("stories")
        ));
    }
}

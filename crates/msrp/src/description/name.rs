//! Names of files that others give (RFC 5547 §9): a name is a name, and no path, command, disguise or device.

/// Octets of a name; file systems take 255, and whoever stores a file adds to its name.
const LONGEST: usize = 200;
/// Octets of an extension that is kept when a name is cut.
const LONGEST_EXTENSION: usize = 16;
/// What a file is called whose name has nothing that is worth keeping.
const NAMELESS: &str = "file";

/// A name that somebody else gave, as one that is safe to show and to store under: no way into another folder, nothing that
/// a terminal would obey, nothing hidden, nothing that looks like another name, no device of any system, not too long.
///
/// ```
/// use msrp::description::harmless_name;
///
/// assert_eq!(harmless_name("../../etc/passwd"), "passwd");
/// assert_eq!(harmless_name("photo\u{202e}gpj.exe"), "photo_gpj.exe");
/// ```
pub fn harmless_name(name: &str) -> String {
    // The last part of whatever path the other side's system has.
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().map(|letter| if is_harmless(letter) { letter } else { '_' }).collect();
    let mut clean = cut(trimmed(&clean));
    if is_device(&clean) || clean.starts_with('-') {
        // "-rf" is an option to whoever writes `*`.
        clean = cut(&format!("_{clean}"));
    }
    if clean.is_empty() { NAMELESS.to_owned() } else { clean }
}

/// Whether a letter is itself on every system's disk and in every terminal.
fn is_harmless(letter: char) -> bool {
    !matches!(letter, ':' | '*' | '?' | '"' | '<' | '>' | '|') && !letter.is_control() && !is_invisible(letter)
}

/// Letters that turn the direction of writing, end a line, or can't be seen: they make one name look like another.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Without dots that hide it or lead upwards, and without ends that some systems take away.
fn trimmed(name: &str) -> &str {
    name.trim_matches(|letter: char| letter == '.' || letter.is_whitespace())
}

/// Not too long; what it is (its extension) stays, if that is short.
fn cut(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|dot| &name[dot..]).filter(|extension| extension.len() <= LONGEST_EXTENSION);
    let extension = extension.unwrap_or_default();
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", trimmed(&name[..end]))
}

/// Windows' devices, which no folder or extension makes files of.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_numbered = |kind| {
        let mut number = stem.strip_prefix(kind).unwrap_or_default().chars();
        matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || is_numbered("COM") || is_numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_harms_nobody_stays_as_it_is() {
        for name in
            ["picture.jpg", "Grüße aus Zürich.txt", "報告.pdf", "a b (1).tar.gz", "console.log", "common", "x-1"]
        {
            assert_eq!(harmless_name(name), name);
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        for (given, wanted) in [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/shadow", "shadow"),
            ("C:\\Windows\\system.ini", "system.ini"),
            ("C:system.ini", "C_system.ini"),
            ("file.txt:stream", "file.txt_stream"),
            ("a/..", "file"),
            ("..", "file"),
            (".", "file"),
            ("/", "file"),
            ("", "file"),
            (" . . ", "file"),
        ] {
            assert_eq!(harmless_name(given), wanted, "{given:?}");
        }
    }

    #[test]
    fn no_name_is_hidden() {
        for given in [".bashrc", "...bashrc", " .bashrc", "\u{2003}.bashrc", "x/.bashrc", "bashrc. .", "bashrc "] {
            assert_eq!(harmless_name(given), "bashrc", "{given:?}");
        }
    }

    #[test]
    fn no_name_commands_a_terminal_or_a_shell() {
        assert_eq!(harmless_name("a\0b\r\nc"), "a_b__c");
        assert_eq!(harmless_name("a\u{1b}[2Jb\n"), "a_[2Jb_");
        assert_eq!(harmless_name("a\u{9b}2Jb\u{7f}"), "a_2Jb_");
        assert_eq!(harmless_name("-rf"), "_-rf");
        assert_eq!(harmless_name("What? \"this\": <that>|*"), "What_ _this__ _that___");
    }

    #[test]
    fn no_name_looks_like_another() {
        for letter in ['\u{202e}', '\u{202d}', '\u{2066}', '\u{2069}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{feff}'] {
            assert_eq!(harmless_name(&format!("photo{letter}gpj.exe")), "photo_gpj.exe", "{letter:?}");
        }
        assert_eq!(harmless_name("two\u{2028}lines"), "two_lines");
    }

    #[test]
    fn no_name_is_a_device() {
        for device in ["CON", "nul", "Aux.txt", "PRN.tar.gz", "com1", "LPT9.doc", "COM¹", "nul .txt", "CONIN$"] {
            assert_eq!(harmless_name(device), format!("_{device}"));
        }
    }

    #[test]
    fn no_name_is_too_long_for_a_disk_and_a_long_one_keeps_its_extension() {
        let cut = harmless_name(&format!("{}.tar.gz", "a".repeat(400)));
        assert!(cut.len() == LONGEST && cut.ends_with("a.gz"), "{cut}");
        for long in
            ["ü".repeat(500), format!("x.{}", "y".repeat(500)), format!("{}. {}", "a".repeat(199), "b".repeat(99))]
        {
            let cut = harmless_name(&long);
            assert!(cut.len() <= LONGEST && cut.len() > LONGEST - 8 && !cut.ends_with(['.', ' ']), "{cut:?}");
        }
    }

    /// Whatever is strange about it, and in whatever order.
    #[test]
    fn what_is_harmless_stays_so() {
        let parts =
            ["CON", "..", "/", "\\", " ", ".", "-", "\0", "\u{202e}", "ü", "txt", ":", "\u{a0}", "\u{85}", "com1", "_"];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut name = String::new();
            for _ in 0..1 + state % 7 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let part = parts[(state >> 33) as usize % parts.len()];
                name += &part.repeat(if state >> 59 == 0 { 150 } else { 1 });
            }
            let once = harmless_name(&name);
            assert_eq!(harmless_name(&once), once, "{name:?}");
            assert!(!once.is_empty() && once.len() <= LONGEST && !once.contains(['/', '\\', '\0']), "{name:?}");
            assert!(!once.starts_with(['.', '-', ' ']) && !once.ends_with(['.', ' ']), "{name:?}");
        }
    }
}

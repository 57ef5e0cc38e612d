//! What came from somewhere else, as a terminal can show it.
//!
//! ```text
//! \n \r \t     a line break, a carriage return, a tab
//! \u{202e}     a character that is not seen, or commands the terminal or the order of writing
//! \xff         a byte that is no UTF-8
//! \\           a backslash
//! \/ \#        in names: a slash, and a number sign at the beginning
//! ```
//!
//! Nothing is lost, and no two contents look the same. A name in this form is what the command line takes.

use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// A message, or other text.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut shown, c));
        push_bytes(&mut shown, chunk.invalid());
    }
    shown
}

/// A name: what makes it look like another one, or like a leaf or a device, is visible too.
pub(crate) fn name(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '/' => shown.push_str("\\/"),
                '#' if shown.is_empty() => shown.push_str("\\#"),
                ' ' if shown.is_empty() || shown.ends_with(' ') => shown.push_str("\\u{20}"),
                c if c != ' ' && c.general_category() == GeneralCategory::SpaceSeparator => {
                    push_code(&mut shown, c);
                }
                c => push(&mut shown, c),
            }
        }
        push_bytes(&mut shown, chunk.invalid());
    }
    if shown.ends_with(' ') {
        shown.pop();
        shown.push_str("\\u{20}");
    }
    shown
}

/// A name on the command line, and what stands behind its first slash: a device.
///
/// Returns `None` for an escape that is none, and for a slash with no device behind it.
pub(crate) fn parse(written: &str) -> Option<(Vec<u8>, Option<String>)> {
    let mut user = Vec::new();
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '/' => {
                let device = rest.collect::<String>();
                return (!device.is_empty()).then_some((user, Some(device)));
            }
            '\\' => match rest.next()? {
                'n' => user.push(b'\n'),
                'r' => user.push(b'\r'),
                't' => user.push(b'\t'),
                c @ ('\\' | '/' | '#') => push_utf8(&mut user, c),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    user.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                'u' => {
                    let code: String =
                        rest.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                    push_utf8(&mut user, char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                _ => return None,
            },
            c => push_utf8(&mut user, c),
        }
    }
    Some((user, None))
}

fn push_utf8(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        '\\' => shown.push_str("\\\\"),
        c => match c.general_category() {
            GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
            | GeneralCategory::Surrogate => push_code(shown, c),
            _ => shown.push(c),
        },
    }
}

fn push_code(shown: &mut String, c: char) {
    // Writing to a String does not fail.
    let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
}

fn push_bytes(shown: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| {
        let _ = write!(shown, "\\x{byte:02x}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that can be registered: each is shown in one way, and found by what is shown.
    #[test]
    fn every_name_is_addressed_by_what_is_shown() {
        let names: [(&[u8], &str); 14] = [
            (b"bob", "bob"),
            ("Zo\u{eb}".as_bytes(), "Zo\u{eb}"),
            (b"bob smith", "bob smith"),
            (b"bob ", "bob\\u{20}"),
            (b"#3", "\\#3"),
            (b"a#3", "a#3"),
            (b"alice/3f2a", "alice\\/3f2a"),
            (b"back\\slash", "back\\\\slash"),
            (b"two\nlines", "two\\nlines"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"\xff\x00", "\\xff\\u{0}"),
            ("a\u{200b}b".as_bytes(), "a\\u{200b}b"),
            ("\u{202e}bob".as_bytes(), "\\u{202e}bob"),
            (b"0xff", "0xff"),
        ];
        for (bytes, shown) in names {
            assert_eq!(name(bytes), shown);
            assert_eq!(parse(shown), Some((bytes.to_vec(), None)), "{shown}");
        }
        assert_eq!(parse("bob/3f2a"), Some((b"bob".to_vec(), Some("3f2a".to_owned()))));
        assert_eq!(parse("a\\/b/3f"), Some((b"a/b".to_vec(), Some("3f".to_owned()))));
        for wrong in ["\\", "\\q", "\\xzz", "\\u{d800}", "\\u{zz}"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    /// Whatever could command a terminal or turn the order of writing is seen, and nothing else is changed.
    #[test]
    fn a_message_cannot_command_the_terminal() {
        let cases = [
            ("a line\nand\ta tab", "a line\\nand\\ta tab"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{2066}x\u{2069}\u{200d}\u{feff}", "\\u{2066}x\\u{2069}\\u{200d}\\u{feff}"),
            ("\u{e0041}\u{2028}", "\\u{e0041}\\u{2028}"),
            ("0x6c69", "0x6c69"),
            ("#1/2 \u{1f44d}", "#1/2 \u{1f44d}"),
        ];
        for (said, shown) in cases {
            assert_eq!(text(said.as_bytes()), shown);
        }
    }
}

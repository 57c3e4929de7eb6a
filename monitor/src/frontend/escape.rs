//! Escaping of names for display: a process chooses its own name and must not draw on the screen with it.
//!
//! What moves the cursor, hides text or turns its direction is shown as `\x1b` or `\u{202e}`. Everything else stays,
//! the backslash too: this is for eyes, not for parsing back (JSON carries raw names).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes control, invisible and direction-changing characters.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_hostile)
}

/// Like [`escape`], and everything that is not ASCII too: for terminals that do not speak UTF-8.
pub(crate) fn escape_ascii(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_hostile(c) || !c.is_ascii())
}

/// Like [`escape`], and spaces too, so that the text is one field to awk.
pub(crate) fn escape_word(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_hostile(c) || c.is_whitespace())
}

fn escape_where(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match u32::from(c) {
            _ if !hostile(c) => escaped.write_char(c),
            code @ ..0x80 => write!(escaped, "\\x{code:02x}"),
            code => write!(escaped, "\\u{{{code:x}}}"),
        };
    }
    Cow::Owned(escaped)
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, grapheme joiner, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
            // Zero width, direction marks; line and paragraph separators, direction overrides; invisible operators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Variation selectors, byte order mark, interlinear annotation.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            // Musical format controls, tags and more variation selectors.
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_draw_are_spelled_out() {
        for (raw, shown) in [
            ("nginx", "nginx"),
            ("tmux: server", "tmux: server"),
            ("a\u{1b}[2Jb", "a\\x1b[2Jb"),
            ("a\nb\tc\u{7f}", "a\\x0ab\\x09c\\x7f"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("x\u{202e}gpj.exe", "x\\u{202e}gpj.exe"),
            ("ze\u{200b}ro", "ze\\u{200b}ro"),
            ("\u{feff}bom\u{2028}", "\\u{feff}bom\\u{2028}"),
            ("データ é \u{fffd}", "データ é \u{fffd}"),
            ("back\\slash", "back\\slash"),
        ] {
            assert_eq!(escape(raw), shown);
        }
        assert_eq!(escape_ascii("é "), "\\u{e9} ");
        assert_eq!(escape_word("tmux: server\u{a0}"), "tmux:\\x20server\\u{a0}");
    }

    proptest! {
        #[test]
        fn nothing_hostile_is_left(text in any::<String>(), raw in prop::collection::vec(any::<u8>(), 0..40)) {
            for text in [text, String::from_utf8_lossy(&raw).into_owned()] {
                for shown in [escape(&text), escape_ascii(&text), escape_word(&text)] {
                    prop_assert!(!shown.chars().any(char::is_control));
                    prop_assert!(!shown.chars().any(is_hostile));
                    // What is shown needs no second escaping.
                    prop_assert_eq!(escape(&shown), shown.as_ref());
                }
                prop_assert!(escape_ascii(&text).is_ascii());
                prop_assert!(!escape_word(&text).contains(char::is_whitespace));
            }
        }
    }
}

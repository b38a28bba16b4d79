//! Texts that people write and others see: one line, of a length that people count, without
//! characters that play tricks.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The longest text that is looked at, in bytes per character that is allowed. Emoji of a family
/// have 25.
const MAX_BYTES_PER_CHARACTER: usize = 32;

/// The longest single character, in bytes: a couple with skin colours has 35. More is a letter with a
/// tower of accents on it, which covers what others wrote.
const MAX_CHARACTER_BYTES: usize = 48;

/// Why a text is refused. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing that can be seen.
    #[error("it has nothing that can be seen")]
    Empty,
    /// Too long.
    #[error("it has more than {max} characters")]
    TooLong {
        /// How many are allowed.
        max: usize,
    },
    /// A character that controls instead of being seen: line breaks, directions of writing.
    #[error("it has control characters, or ones that change the direction of writing")]
    Control,
    /// A letter with a tower of accents.
    #[error("it has a character with too many marks")]
    Marks,
}

/// Brings a text to the form in which it is kept: composed (NFC), without spaces around it, and with
/// single ones within.
///
/// # Errors
///
/// [`TextError`].
pub fn line(text: &str, max: usize) -> Result<String, TextError> {
    // Before any work that depends on the length.
    if text.len() > max.saturating_mul(MAX_BYTES_PER_CHARACTER) {
        return Err(TextError::TooLong { max });
    }
    if text.chars().any(is_control) {
        return Err(TextError::Control);
    }
    let composed: String = text.nfc().collect();
    let words: Vec<&str> = composed.split_whitespace().collect();
    let line = words.join(" ");
    if !line.chars().any(is_visible) {
        return Err(TextError::Empty);
    }
    let mut count = 0;
    for character in line.graphemes(true) {
        count += 1;
        if count > max {
            return Err(TextError::TooLong { max });
        }
        if character.len() > MAX_CHARACTER_BYTES {
            return Err(TextError::Marks);
        }
    }
    Ok(line)
}

/// The form in which words are compared: `Café` and `CAFÉ` are the same. `ß` and `SS` are not: that
/// would want a table per language.
#[must_use]
pub fn fold(word: &str) -> String {
    word.to_lowercase().nfc().collect()
}

/// Characters that are not shown but change what is shown.
const fn is_control(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'          // C0, C1
        | '\u{61c}' | '\u{200e}' | '\u{200f}'             // marks of direction
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
        | '\u{2028}' | '\u{2029}'                         // line and paragraph separator
        | '\u{206a}'..='\u{206f}'                         // deprecated format characters
        | '\u{fff9}'..='\u{fffb}'                         // annotations
        | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a character alone can be seen: not a space, a joiner, a mark, or a filler.
fn is_visible(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
        && !unicode_normalization::char::is_combining_mark(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_kept_in_one_form_or_refused() {
        let tower = format!("e{}", "\u{301}".repeat(40));
        let long = "x".repeat(1_000_000);
        for (text, expected) in [
            ("Ada", Ok("Ada")),
            ("  Ada   Lovelace ", Ok("Ada Lovelace")),
            ("Ada\u{a0}Lovelace", Ok("Ada Lovelace")),
            ("e\u{301}", Ok("é")),
            ("<img src=x onerror=alert(1)>", Ok("<img src=x onerror=alert(1)>")), // shown as text
            ("👨‍👩‍👧‍👦", Ok("👨‍👩‍👧‍👦")),
            ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", Ok("🏴󠁧󠁢󠁥󠁮󠁧󠁿")),
            ("می‌خواهم", Ok("می‌خواهم")), // a joiner that Persian needs
            ("", Err(TextError::Empty)),
            (" \u{a0} ", Err(TextError::Empty)),
            ("\u{200b}\u{200d}", Err(TextError::Empty)),
            ("\u{3164}", Err(TextError::Empty)),
            ("\u{301}", Err(TextError::Empty)),
            ("a\nb", Err(TextError::Control)),
            ("a\u{0}b", Err(TextError::Control)),
            ("\u{202e}adA", Err(TextError::Control)),
            ("\u{2067}x", Err(TextError::Control)),
            ("\u{feff}x", Err(TextError::Control)),
            (tower.as_str(), Err(TextError::Marks)),
            ("12345678901234567890123456789012345678901", Err(TextError::TooLong { max: 40 })),
            (long.as_str(), Err(TextError::TooLong { max: 40 })),
        ] {
            assert_eq!(line(text, 40), expected.map(str::to_owned), "{text:.60}");
        }
    }

    #[test]
    fn words_that_differ_by_case_are_the_same() {
        for (a, b) in [("Café", "CAFÉ"), ("ÜBER", "über"), ("Rust", "rust")] {
            assert_eq!(fold(a), fold(b));
        }
    }

    proptest! {
        #[test]
        fn what_was_accepted_is_accepted_unchanged(text in "\\PC{0,60}", max in 1_usize..50) {
            if let Ok(kept) = line(&text, max) {
                prop_assert_eq!(line(&kept, max), Ok(kept.clone()));
                prop_assert!(kept.graphemes(true).count() <= max);
                prop_assert!(!kept.chars().any(is_control));
            }
        }

        #[test]
        fn any_text_is_bounded(text: String, max in 0_usize..50) {
            if let Ok(kept) = line(&text, max) {
                prop_assert!(kept.len() <= max * MAX_CHARACTER_BYTES);
            }
        }

        #[test]
        fn folding_twice_is_folding_once(word in "\\PC{0,20}") {
            prop_assert_eq!(fold(&fold(&word)), fold(&word));
        }
    }
}

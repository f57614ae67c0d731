//! What holds of every sentence that people read.

/// A sentence is one line without what is not seen, and prints no more of a value than helps.
pub fn check_sentence(sentence: &str) {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    assert!(!sentence.trim().is_empty(), "a sentence that says nothing");
    assert!(!sentence.contains(is_hidden), "a hidden character in a sentence: {sentence:?}");
    assert!(sentence.len() < 2000, "a sentence of {} bytes: {sentence:.300}…", sentence.len());
}

use proptest::prelude::*;

use super::*;

fn config(min_chars: usize, max_chars: usize, prefer: BreakPreference) -> BlockConfig {
    BlockConfig { enabled: true, at_message_end: false, min_chars, max_chars, prefer }
}

fn texts(blocks: &[Block]) -> Vec<&str> {
    blocks.iter().map(|block| block.text.as_str()).collect()
}

/// All blocks of a text that comes in pieces of `size` characters.
fn cut(text: &str, config: &BlockConfig, size: usize) -> Vec<Block> {
    let mut cutter = BlockCutter::new(config.clone(), 0, None);
    let chars: Vec<char> = text.chars().collect();
    let mut blocks = Vec::new();
    for piece in chars.chunks(size) {
        blocks.extend(cutter.push(&piece.iter().collect::<String>()));
    }
    blocks.extend(cutter.finish());
    blocks
}

#[test]
fn blocks_end_at_the_preferred_place_once_they_are_long_enough() {
    let text = "One two three.\n\nFour five six.\nSeven.\n\nEight nine ten eleven.";
    let paragraphs = cut(text, &config(10, 60, BreakPreference::Paragraph), 3);
    assert_eq!(texts(&paragraphs), ["One two three.", "Four five six.\nSeven.", "Eight nine ten eleven."]);
    let lines = cut(text, &config(9, 60, BreakPreference::Newline), 1);
    assert_eq!(texts(&lines), ["One two three.", "Four five six.", "Seven.\n\nEight nine ten eleven."]);
    let sentences = cut("A b c d. E f g h. I", &config(5, 60, BreakPreference::Sentence), 2);
    assert_eq!(texts(&sentences), ["A b c d.", "E f g h.", "I"]);
}

#[test]
fn a_text_without_a_place_is_cut_at_a_word_before_the_limit() {
    let blocks = cut(&"word ".repeat(20), &config(10, 32, BreakPreference::Paragraph), 7);
    assert!(blocks.len() > 2);
    for block in &blocks {
        assert!(block.text.chars().count() <= 32 && block.text.ends_with("word"), "{:?}", block.text);
    }
}

#[test]
fn code_that_has_to_be_cut_is_closed_and_opened_again() {
    let code = "let x = 1;\n".repeat(12);
    let blocks =
        cut(&format!("Look:\n\n```rust\n{code}```\n\nThat was it."), &config(20, 60, BreakPreference::Paragraph), 5);
    assert!(blocks.len() > 2);
    for block in &blocks {
        assert_eq!(block.text.matches("```").count() % 2, 0, "{}", block.text);
    }
    assert!(blocks[1].text.starts_with("```rust\nlet x"), "{}", blocks[1].text);
}

#[test]
fn nothing_is_cut_before_the_message_is_complete_if_so_asked() {
    let config = BlockConfig { at_message_end: true, ..config(5, 20, BreakPreference::Paragraph) };
    let mut cutter = BlockCutter::new(config, 0, None);
    assert_eq!(cutter.push("A paragraph.\n\nAnother one.\n\nEnd"), []);
    assert_eq!(texts(&cutter.finish()), ["A paragraph.", "Another one.", "End"]);
}

#[test]
fn the_last_message_keeps_its_rest_for_the_end_of_the_turn() {
    let mut cutter = BlockCutter::new(config(5, 20, BreakPreference::Paragraph), 3, None);
    let text = "A paragraph.\n\nThe rest";
    assert_eq!(texts(&cutter.push(text)), ["A paragraph."]);
    assert_eq!(texts(&cutter.finish_turn()), [""; 0]);
    let sent = Streamed::new(3, cutter.sent());
    assert_eq!(sent.unsent(text).as_deref(), Some("The rest"));
}

#[test]
fn what_an_earlier_attempt_sent_is_passed_over_and_nothing_else() {
    let text = "A paragraph.\n\nAnother one.\n\nThe rest";
    let config = config(5, 20, BreakPreference::Paragraph);
    let earlier = Streamed::new(2, "A paragraph.\n\n");
    let blocks = |before, text: &str| {
        let mut cutter = BlockCutter::new(config.clone(), before, Some(earlier.clone()));
        let mut blocks = Vec::new();
        for piece in text.split_inclusive(' ') {
            blocks.extend(cutter.push(piece));
        }
        blocks.extend(cutter.finish());
        blocks
    };
    assert_eq!(texts(&blocks(2, text)), ["Another one.", "The rest"]);
    assert_eq!(texts(&blocks(4, text)), ["A paragraph.", "Another one.", "The rest"], "another message");
    let other = blocks(2, "B paragraph.\n\nEnd");
    assert_eq!(texts(&other), ["B paragraph.", "End"], "another answer");
    assert_eq!(texts(&blocks(2, "Short")), ["Short"]);
}

fn words(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

proptest! {
    #[test]
    fn blocks_give_the_text_back_in_order_however_it_came(
        text in "([a-z]{1,9}[ .\n]{1,2}|\n\n|ü ){0,60}", size in 1_usize..40, other in 1_usize..40,
        least in 1_usize..40, more in 0_usize..40,
        prefer in prop::sample::select(vec![BreakPreference::Paragraph, BreakPreference::Newline, BreakPreference::Sentence]),
    ) {
        let config = config(least, least + more, prefer);
        let blocks = cut(&text, &config, size);
        let joined: String = blocks.iter().map(|block| block.text.as_str()).collect();
        prop_assert_eq!(words(&joined), words(&text));
        for block in &blocks {
            prop_assert!(block.text.chars().count() <= config.max_chars.max(1), "{:?}", block.text);
            prop_assert!(text.starts_with(&block.sent));
        }
        prop_assert_eq!(blocks, cut(&text, &config, other), "the cuts depend on the text alone");
    }
}

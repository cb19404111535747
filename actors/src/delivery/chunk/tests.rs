use proptest::prelude::*;

use super::*;

fn limits(max: usize) -> Limits {
    Limits { max, unit: TextUnit::Utf16, markdown: true }
}

fn plain(max: usize) -> Limits {
    Limits { markdown: false, ..limits(max) }
}

/// The letters of a text, without markup, white space and digits.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

#[test]
fn a_short_text_is_one_piece() {
    assert_eq!(split("hello", limits(4000)), ["hello"]);
    assert!(split(" \n ", limits(4000)).is_empty());
    assert!(split("", limits(4000)).is_empty());
}

#[test]
fn cuts_prefer_paragraphs_then_lines_then_sentences_then_words() {
    assert_eq!(split("aaaa bbbb\n\ncc dd ee", plain(14)), ["aaaa bbbb", "cc dd ee"]);
    assert_eq!(split("aaaa bbbb\ncc dd ee", plain(14)), ["aaaa bbbb", "cc dd ee"]);
    assert_eq!(split("aaaa bb. cc dd ee", plain(13)), ["aaaa bb.", "cc dd ee"]);
    assert_eq!(split("aaaa bbbb ccc", plain(11)), ["aaaa bbbb", "ccc"]);
    assert_eq!(split("aaaaaaaaaa", plain(4)), ["aaaa", "aaaa", "aa"]);
}

#[test]
fn surrogate_pairs_and_graphemes_stay_whole() {
    let family = "👩‍👩‍👧‍👦";
    let pieces = split(&family.repeat(5), plain(26));
    assert!(pieces.iter().all(|piece| piece.len() % family.len() == 0), "{pieces:?}");
    assert_eq!(split(&"𝄞".repeat(5), plain(5)), ["𝄞𝄞", "𝄞𝄞", "𝄞"]);
    assert_eq!(split(&"e\u{301}".repeat(5), plain(5)), ["e\u{301}e\u{301}", "e\u{301}e\u{301}", "e\u{301}"]);
}

#[test]
fn a_grapheme_longer_than_a_piece_is_cut_between_characters() {
    let tower = format!("e{}", "\u{301}".repeat(20));
    let pieces = split(&tower, plain(8));
    assert_eq!(pieces.concat(), tower);
    assert!(pieces.iter().all(|piece| TextUnit::Utf16.len_of(piece) <= 8));
}

#[test]
fn a_code_block_is_closed_and_opened_again_with_its_language() {
    let code: String = (0..60).map(|line| format!("let x{line} = {line};\n")).collect();
    let pieces = split(&format!("Look:\n\n```rust\n{code}```\n\nDone."), limits(300));
    assert!(pieces.len() > 2);
    for piece in &pieces {
        assert_eq!(piece.matches("```").count() % 2, 0, "{piece}");
        assert!(TextUnit::Utf16.len_of(piece) <= 300);
    }
    assert!(pieces[1].starts_with("```rust\n"));
    assert!(pieces.last().unwrap().ends_with("Done."));
    let joined: String = pieces.concat().replace("```rust\n", "").replace("```", "");
    for line in code.lines() {
        assert!(joined.contains(line), "{line}");
    }
}

#[test]
fn a_code_block_that_starts_near_the_limit_begins_a_piece() {
    let text = format!("{}\n\n```python\nprint(1)\nprint(2)\n```\n{}", "word ".repeat(25), "tail ".repeat(10));
    let pieces = split(&text, limits(140));
    assert!(pieces.iter().any(|piece| piece.contains("```python\nprint(1)\nprint(2)\n```")), "{pieces:?}");
}

#[test]
fn a_fence_within_a_list_closes_at_its_indentation() {
    let code: String = (0..40).map(|line| format!("  line{line}\n")).collect();
    let pieces = split(&format!("- item\n\n  ```sh\n{code}  ```\n"), limits(200));
    assert!(pieces.len() > 1);
    assert!(pieces[0].ends_with("\n  ```"), "{}", pieces[0]);
    assert!(pieces[1].starts_with("  ```sh\n"));
}

#[test]
fn links_and_inline_code_stay_whole() {
    let link = "[the link text](https://example.org/a/b/c)";
    let text = format!("{} {link} {} `let a = b;` end", "word ".repeat(20), "word ".repeat(20));
    for max in 60..140 {
        let pieces = split(&text, limits(max));
        assert!(pieces.iter().any(|piece| piece.contains(link)), "{max}: {pieces:?}");
        assert!(pieces.iter().any(|piece| piece.contains("`let a = b;`")), "{max}: {pieces:?}");
    }
}

#[test]
fn the_units_of_the_limit_are_respected() {
    for unit in [TextUnit::Utf16, TextUnit::Chars, TextUnit::Bytes] {
        let pieces = split(&"日本語 𝄞 ".repeat(40), Limits { max: 30, unit, markdown: false });
        assert!(pieces.iter().all(|piece| unit.len_of(piece) <= 30));
    }
}

fn document() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z]{1,9} ",
        2 => Just("\n".to_owned()),
        2 => Just("\n\n".to_owned()),
        1 => Just(". ".to_owned()),
        1 => Just("\n- ".to_owned()),
        1 => Just("\n> ".to_owned()),
        1 => "`[a-z ]{1,6}` ",
        1 => "\\*\\*[a-z ]{1,9}\\*\\* ",
        1 => "\\[[a-z]{1,6}\\]\\(#[a-z]{1,5}\\) ",
        1 => Just("👩‍👩‍👧‍👦e\u{301}𝄞".to_owned()),
        1 => "[*_`~|#>\\[\\]-]{1,3}",
        1 => proptest::collection::vec("[a-z ;]{0,30}", 0..12).prop_map(|lines| {
            format!("\n\n```9\n{}\n```\n\n", lines.join("\n"))
        }),
    ];
    proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

/// Only well-formed blocks at the left edge, so that counting fences means something.
fn tidy_document() -> impl Strategy<Value = String> {
    let block = prop_oneof![
        3 => proptest::collection::vec("[a-z]{1,9}", 1..30).prop_map(|words| words.join(" ")),
        1 => proptest::collection::vec("[a-z ;]{0,40}", 0..20)
            .prop_map(|lines| format!("```9\n{}\n```", lines.join("\n"))),
    ];
    proptest::collection::vec(block, 0..12).prop_map(|blocks| blocks.join("\n\n"))
}

proptest! {
    #[test]
    fn pieces_fit_are_not_empty_and_lose_nothing(text in document(), max in 20usize..600) {
        let pieces = split(&text, limits(max));
        for piece in &pieces {
            prop_assert!(TextUnit::Utf16.len_of(piece) <= max, "{} > {max}: {piece:?}", TextUnit::Utf16.len_of(piece));
            prop_assert!(!piece.trim().is_empty());
        }
        prop_assert_eq!(letters(&pieces.concat()), letters(&text));
    }

    #[test]
    fn plain_pieces_join_to_the_text_but_for_white_space(text in "\\PC{0,400}", max in 4usize..80) {
        let pieces = split(&text, plain(max));
        for piece in &pieces {
            prop_assert!(TextUnit::Utf16.len_of(piece) <= max);
            prop_assert!(!piece.trim().is_empty());
        }
        let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(squeeze(&pieces.concat()), squeeze(&text));
    }

    #[test]
    fn every_piece_closes_its_code_blocks(text in tidy_document(), max in 128usize..500) {
        for piece in split(&text, limits(max)) {
            let fences = piece.lines().filter(|line| line.starts_with("```")).count();
            prop_assert_eq!(fences % 2, 0, "{}", piece);
        }
    }

    #[test]
    fn equal_input_gives_equal_pieces(text in document(), max in 20usize..300) {
        prop_assert_eq!(split(&text, limits(max)), split(&text, limits(max)));
    }
}

use proptest::prelude::*;

use super::*;

#[test]
fn inline_markup_becomes_tags() {
    assert_eq!(
        to_html("**bold** _it_ ~~gone~~ `a<b` [site](https://x.org/?a=1&b=2)"),
        "<b>bold</b> <i>it</i> <s>gone</s> <code>a&lt;b</code> <a href=\"https://x.org/?a=1&amp;b=2\">site</a>"
    );
}

#[test]
fn blocks_are_separated_and_lists_get_bullets() {
    assert_eq!(
        to_html("# Title\n\nOne\ntwo\n\n- a\n- b\n  1. c\n  2. d\n\nEnd"),
        "<b>Title</b>\n\nOne\ntwo\n\n• a\n• b\n  1. c\n  2. d\n\nEnd"
    );
}

#[test]
fn code_blocks_keep_their_language() {
    assert_eq!(
        to_html("```rust\nfn main() { a && b }\n```"),
        "<pre><code class=\"language-rust\">fn main() { a &amp;&amp; b }</code></pre>"
    );
}

#[test]
fn raw_html_is_shown_not_passed_on() {
    assert_eq!(to_html("a <b>x</b> <script>"), "a &lt;b&gt;x&lt;/b&gt; &lt;script&gt;");
}

#[test]
fn tables_become_aligned_text() {
    assert_eq!(to_html("| a | long |\n|---|---|\n| 1 | **2** |"), "<pre>a | long\n--+-----\n1 | 2</pre>");
}

#[test]
fn quotes_do_not_nest() {
    let html = to_html("> a\n>> b");
    assert_eq!(html.matches("<blockquote>").count(), 1);
    assert_eq!(html.matches("</blockquote>").count(), 1);
}

#[test]
fn a_source_nobody_refers_to_stays_readable() {
    assert!(visible(&to_html("Text.\n\n[1]: https://a.example/x")).contains("https://a.example/x"));
}

#[test]
fn unsafe_links_lose_their_target() {
    assert_eq!(to_html("[x](javascript:alert(1))"), "x");
}

/// True when every tag is one that Telegram knows and closes in the right order.
fn is_well_formed(html: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else { return false };
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.to_owned()) {
                return false;
            }
        } else {
            let name = tag.split(' ').next().unwrap_or("");
            if !["b", "i", "s", "code", "pre", "a", "blockquote"].contains(&name) {
                return false;
            }
            open.push(name.to_owned());
        }
    }
    open.is_empty()
}

/// Text that is rich in Markdown's own characters.
pub(crate) fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z ]{1,12}",
        2 => Just("\n".to_owned()),
        2 => Just("\n\n".to_owned()),
        1 => Just("```rust\n".to_owned()),
        1 => Just("\n```\n".to_owned()),
        1 => "[*_`~<>&|#\\[\\]()!>-]{1,4}",
        1 => Just("- ".to_owned()),
        1 => Just("1. ".to_owned()),
        1 => Just("> ".to_owned()),
        1 => Just("[x](https://a.example)".to_owned()),
        1 => Just("👩‍👩‍👧‍👦é𝄞".to_owned()),
        1 => Just("| a | b |\n|---|---|\n| c | d |\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_markdown_renders_to_what_telegram_reads(source in markdown()) {
        let html = to_html(&source);
        prop_assert!(is_well_formed(&html), "{html}");
    }

    #[test]
    fn any_text_renders_to_what_telegram_reads(source in "\\PC{0,200}") {
        prop_assert!(is_well_formed(&to_html(&source)));
    }

    #[test]
    fn words_survive_rendering(words in proptest::collection::vec("[a-z]{1,8}", 1..20)) {
        let source = words.join(" ");
        prop_assert_eq!(visible(&to_html(&source)), source);
    }

    #[test]
    fn escaping_is_undone_by_reading(text in "\\PC{0,100}") {
        prop_assert_eq!(visible(&escape(&text)), text);
    }
}

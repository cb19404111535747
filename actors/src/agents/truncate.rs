//! How much of a tool's result the model is shown.

/// Percent of the window that one result may fill.
const ONE: u64 = 30;
/// Percent of the window that all results of a step may fill together.
const STEP: u64 = 50;
/// Characters a token is taken for.
const CHARS_PER_TOKEN: u64 = 4;
/// What is shown of a result at least.
const LEAST: usize = 2_000;
/// Most of a tail that is kept.
const MOST_TAIL: usize = 4_000;
/// A line end this near to a cut is where it is cut.
const NEAR: usize = 200;

/// Characters one result may have in a window of so many tokens.
#[must_use]
pub fn result_chars(window: u64) -> usize {
    let tier: u64 = match window {
        0..100_000 => 16_000,
        100_000..200_000 => 32_000,
        200_000.. => 64_000,
    };
    share(window, ONE).min(usize::try_from(tier).unwrap_or(usize::MAX)).max(LEAST)
}

/// Characters all results of one step may have together.
#[must_use]
pub fn step_chars(window: u64) -> usize {
    share(window, STEP).max(LEAST)
}

fn share(window: u64, percent: u64) -> usize {
    usize::try_from(window.saturating_mul(CHARS_PER_TOKEN) / 100 * percent).unwrap_or(usize::MAX)
}

/// `text` in at most about `limit` characters: its head and, when that says how it ended, its tail.
#[must_use]
pub fn cut(text: String, limit: usize) -> String {
    let limit = limit.max(LEAST);
    let total = text.chars().count();
    if total <= limit {
        return text;
    }
    let tail_room = if ends_with_news(&text) { (limit * 3 / 10).min(MOST_TAIL) } else { 0 };
    let head = head(&text, limit - tail_room);
    let tail = tail(&text, tail_room);
    let left_out = total - head.chars().count() - tail.chars().count();
    format!("{head}\n[… {left_out} of {total} characters left out …]\n{tail}").trim_end().to_owned()
}

/// The first `room` characters, up to a line end that is near.
fn head(text: &str, room: usize) -> &str {
    let end = text.char_indices().nth(room).map_or(text.len(), |(at, _)| at);
    let head = &text[..end];
    match head.rfind('\n') {
        Some(line) if head[line..].chars().count() <= NEAR => &head[..line],
        Some(_) | None => head,
    }
}

/// The last `room` characters, from a line start that is near.
fn tail(text: &str, room: usize) -> &str {
    if room == 0 {
        return "";
    }
    let start = text.char_indices().rev().nth(room - 1).map_or(0, |(at, _)| at);
    let tail = &text[start..];
    match tail.find('\n') {
        Some(line) if tail[..line].chars().count() <= NEAR => &tail[line + 1..],
        Some(_) | None => tail,
    }
}

/// True when the end of a text says how something went: an error, an exit code, the end of a JSON value.
fn ends_with_news(text: &str) -> bool {
    let end = tail(text, 600).trim_end().to_lowercase();
    let words = ["error", "failed", "failure", "panic", "exception", "exit code", "exited", "traceback", "fatal"];
    end.ends_with(['}', ']']) || words.iter().any(|word| end.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_room_grows_with_the_window() {
        for (window, one, step) in
            [(8_000, 9_600, 16_000), (32_000, 16_000, 64_000), (128_000, 32_000, 256_000), (200_000, 64_000, 400_000)]
        {
            assert_eq!((result_chars(window), step_chars(window)), (one, step), "{window}");
        }
        assert_eq!(result_chars(0), LEAST);
    }

    #[test]
    fn a_tail_that_says_how_it_ended_is_kept() {
        let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let plain = cut(lines.clone(), 4_000);
        assert!(plain.starts_with("line 0\n") && plain.ends_with("left out …]"), "{plain}");
        let failed = cut(format!("{lines}error: it broke\nexit code 1\n"), 4_000);
        assert!(failed.ends_with("error: it broke\nexit code 1"), "{failed}");
        assert!(failed.contains("characters left out"));
        let json = cut(format!("{}{{\"last\": 1}}]", "[{\"a\": 1},\n".repeat(1000)), 4_000);
        assert!(json.ends_with("{\"last\": 1}]"));
    }

    proptest! {
        #[test]
        fn nothing_grows_and_short_texts_stay(text in "(\\PC|\n){0,6000}", limit in 0_usize..8_000) {
            let limit = limit.max(LEAST);
            let total = text.chars().count();
            let cut = cut(text.clone(), limit);
            if total <= limit {
                prop_assert_eq!(cut, text);
            } else {
                prop_assert!(cut.chars().count() <= limit + 80);
                prop_assert!(cut.contains("characters left out"));
            }
        }
    }
}

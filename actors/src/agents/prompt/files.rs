//! The files of a workspace that go into the prompt: which, in which order, and how much of each. Pure.

use super::audience::Audience;

/// Characters of `USER.md`, whatever the configuration allows.
const USER_CHARS: usize = 4000;
/// A file that would get less than this is left out: a stump says nothing.
const LEAST_CHARS: usize = 200;

/// A file that may be in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its name in the workspace.
    pub name: &'static str,
    /// A marker stands for it when it is missing.
    pub is_required: bool,
    audience: Shown,
}

/// Where a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Everywhere, sub-agents included.
    Everywhere,
    /// Everywhere but to sub-agents.
    NotToSubAgents,
    /// As before, but not to scheduled jobs.
    ToPeople,
    /// Only where the owner or one person reads.
    Private,
}

/// In the order of the prompt. What a file is for is its owner's business.
pub const KNOWN: &[Known] = &[
    Known { name: "AGENTS.md", is_required: true, audience: Shown::Everywhere },
    Known { name: "SOUL.md", is_required: false, audience: Shown::NotToSubAgents },
    Known { name: "IDENTITY.md", is_required: false, audience: Shown::NotToSubAgents },
    Known { name: "USER.md", is_required: false, audience: Shown::NotToSubAgents },
    Known { name: "TOOLS.md", is_required: false, audience: Shown::ToPeople },
    Known { name: "BOOTSTRAP.md", is_required: false, audience: Shown::ToPeople },
    Known { name: "MEMORY.md", is_required: false, audience: Shown::Private },
    Known { name: "WORKING.md", is_required: false, audience: Shown::Private },
];

/// The files that `audience` may see, in order.
pub fn visible(audience: Audience) -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(move |known| match known.audience {
        Shown::Everywhere => true,
        Shown::NotToSubAgents => audience != Audience::SubAgent,
        Shown::ToPeople => !matches!(audience, Audience::SubAgent | Audience::Cron),
        Shown::Private => audience.is_private(),
    })
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Its name.
    pub name: &'static str,
    /// Its text; none when it is missing.
    pub text: Option<String>,
    /// See [`Known::is_required`].
    pub is_required: bool,
}

/// A file as it goes into the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FittedFile {
    /// Its name.
    pub name: &'static str,
    /// Its text, cut to its limit. Empty when there was no room, or nothing in it.
    pub text: String,
    /// Characters of the file.
    pub raw_chars: usize,
    /// True when something was left out.
    pub is_truncated: bool,
    /// True when there is no such file.
    pub is_missing: bool,
}

/// Cuts the files to `each` characters, and all together to `total`. Earlier files go first. A file that is missing and
/// not required is left out.
#[must_use]
pub fn fit_files(files: &[WorkspaceFile], each: usize, total: usize) -> Vec<FittedFile> {
    let mut left = total;
    let mut fitted = Vec::with_capacity(files.len());
    for file in files {
        let Some(text) = &file.text else {
            if file.is_required {
                fitted.push(missing(file.name));
            }
            continue;
        };
        let text = text.trim_end();
        let raw_chars = text.chars().count();
        let limit = if file.name == "USER.md" { each.min(USER_CHARS) } else { each }.min(left);
        let kept = if raw_chars <= limit {
            text.to_owned()
        } else if limit < LEAST_CHARS {
            String::new()
        } else if file.name == "AGENTS.md" {
            cut_rules(text, limit)
        } else {
            cut_middle(text, limit, 75)
        };
        left -= kept.chars().count().min(left);
        fitted.push(FittedFile {
            name: file.name,
            raw_chars,
            is_truncated: raw_chars > limit,
            is_missing: false,
            text: kept,
        });
    }
    fitted
}

fn missing(name: &'static str) -> FittedFile {
    let text = format!("[there is no {name} in the workspace]");
    FittedFile { name, text, raw_chars: 0, is_truncated: false, is_missing: true }
}

/// Head and tail of a text, `head` percent of `limit` before the gap.
fn cut_middle(text: &str, limit: usize, head: usize) -> String {
    let marker = format!("\n[… cut here: {} characters in all …]\n", text.chars().count());
    let room = limit.saturating_sub(marker.chars().count());
    let first = room * head / 100;
    format!("{}{marker}{}", head_of(text, first), tail_of(text, room - first))
}

/// An operating manual that is too long: its beginning, the lines of the rest that read like rules, its end.
fn cut_rules(text: &str, limit: usize) -> String {
    let note = format!("\n[… cut here: {} characters in all; rules from the part left out: …]\n", text.chars().count());
    let end = "\n[… end of the cut …]\n";
    let room = limit.saturating_sub(note.chars().count() + end.chars().count());
    let (head, tail) = (head_of(text, room * 45 / 100), tail_of(text, room * 15 / 100));
    let middle = &text[head.len()..text.len() - tail.len()];
    let mut left = room - head.chars().count() - tail.chars().count();
    let mut rules = String::new();
    for line in middle.lines().filter(|line| is_rule(line)) {
        let cost = line.chars().count() + 1;
        if cost > left {
            break;
        }
        left -= cost;
        rules.push_str(line);
        rules.push('\n');
    }
    format!("{head}{note}{}{end}{tail}", rules.trim_end())
}

/// A heading, a list item, or a line with a word that commands.
fn is_rule(line: &str) -> bool {
    let line = line.trim_start();
    let listed = line.starts_with(['#', '-', '*', '+', '>'])
        || line.split_once(['.', ')']).is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    let lower = line.to_lowercase();
    let commands = ["must", "never", "always", "do not", "don't", "should", "only", "required", "important", "avoid"];
    listed
        || lower.split(|c: char| !c.is_alphanumeric() && c != '\'').any(|word| commands.contains(&word))
        || lower.contains("do not")
}

/// The first `chars` characters.
fn head_of(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// The last `chars` characters.
fn tail_of(text: &str, chars: usize) -> &str {
    if chars == 0 {
        return "";
    }
    text.char_indices().rev().nth(chars - 1).map_or(text, |(start, _)| &text[start..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(name: &'static str, text: Option<&str>) -> WorkspaceFile {
        let is_required = KNOWN.iter().any(|known| known.name == name && known.is_required);
        WorkspaceFile { name, text: text.map(str::to_owned), is_required }
    }

    fn names(audience: Audience) -> Vec<&'static str> {
        visible(audience).map(|known| known.name).collect()
    }

    #[test]
    fn each_audience_sees_its_files_in_the_order_of_the_prompt() {
        let all =
            ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md", "BOOTSTRAP.md", "MEMORY.md", "WORKING.md"];
        assert_eq!(names(Audience::Main), all);
        assert_eq!(names(Audience::Direct), all);
        assert_eq!(names(Audience::Group), all[..6]);
        assert_eq!(names(Audience::Everybody), all[..6]);
        assert_eq!(names(Audience::Hook), all[..6]);
        assert_eq!(names(Audience::Cron), all[..4]);
        assert_eq!(names(Audience::SubAgent), all[..1]);
    }

    #[test]
    fn a_missing_file_has_a_marker_only_if_it_is_required() {
        let fitted = fit_files(&[file("AGENTS.md", None), file("SOUL.md", None)], 100, 1000);
        assert_eq!(fitted.len(), 1);
        assert!(fitted[0].is_missing && fitted[0].text.contains("AGENTS.md"));
    }

    #[test]
    fn a_long_file_keeps_its_head_and_its_tail() {
        let text = format!("{}{}{}", "a".repeat(5000), "b".repeat(5000), "c".repeat(5000));
        let fitted = &fit_files(&[file("SOUL.md", Some(&text))], 1000, 10_000)[0];
        assert!(fitted.is_truncated && fitted.text.chars().count() <= 1000);
        assert_eq!(fitted.raw_chars, 15_000);
        let (a, c) = (fitted.text.matches('a').count(), fitted.text.matches('c').count());
        assert!(a > 2 * c && c > 100, "{a} {c}");
        assert!(fitted.text.starts_with('a') && fitted.text.ends_with('c'));
    }

    #[test]
    fn a_long_manual_keeps_the_rules_of_its_middle() {
        let filler = "Some words about nothing in particular.\n".repeat(200);
        let text = format!("# Manual\n{filler}- You must never delete the archive.\n{filler}The end.");
        let fitted = &fit_files(&[file("AGENTS.md", Some(&text))], 2000, 10_000)[0];
        assert!(fitted.text.contains("never delete the archive"));
        assert!(fitted.text.starts_with("# Manual") && fitted.text.ends_with("The end."));
        assert!(fitted.text.chars().count() <= 2000);
    }

    #[test]
    fn what_is_known_of_the_user_has_a_limit_of_its_own() {
        let fitted = &fit_files(&[file("USER.md", Some(&"u".repeat(9000)))], 20_000, 60_000)[0];
        assert!(fitted.text.chars().count() <= USER_CHARS && fitted.is_truncated);
    }

    proptest! {
        #[test]
        fn limits_hold_for_any_files(
            texts in prop::collection::vec("(\\PC|\n){0,900}", 1..6), each in 1..700_usize, total in 1..1500_usize,
        ) {
            let names = ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md", "MEMORY.md"];
            let files: Vec<WorkspaceFile> =
                texts.iter().zip(names).map(|(text, name)| file(name, Some(text))).collect();
            let fitted = fit_files(&files, each, total);
            prop_assert_eq!(fitted.len(), files.len());
            let mut sum = 0;
            for (fitted, file) in fitted.iter().zip(&files) {
                let chars = fitted.text.chars().count();
                prop_assert!(chars <= each, "{} > {each}", chars);
                sum += chars;
                let whole = file.text.as_deref().unwrap().trim_end();
                prop_assert_eq!(fitted.is_truncated, fitted.text != whole);
            }
            prop_assert!(sum <= total);
        }
    }
}

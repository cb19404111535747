//! Patches as models write them: a list of files to add, delete or update, the updates as hunks found by their text.
//!
//! Pure: text in, plan out. What a hunk replaces is looked for from where the hunk before ended; lines that do not fit to
//! the letter may differ in white space at their ends, then at both ends, then in the spelling of quotes and dashes.

use super::text::plain;

/// What is to become of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A new file.
    Add { path: String, content: String },
    /// No file any more.
    Delete { path: String },
    /// Another content, and perhaps another path.
    Update { path: String, to: Option<String>, hunks: Vec<Hunk> },
}

impl Change {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Add { path, .. } | Self::Delete { path } | Self::Update { path, .. } => path,
        }
    }
}

/// One place of an update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// Lines that stand somewhere before the place, in their order.
    anchors: Vec<String>,
    lines: Vec<Line>,
    /// The place is the end of the file.
    at_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Keep(String),
    Remove(String),
    Add(String),
}

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const END_OF_FILE: &str = "*** End of File";

/// Reads a patch.
///
/// # Errors
/// What is wrong with it, with the number of the line.
pub(super) fn parse(text: &str) -> Result<Vec<Change>, String> {
    let mut lines = text.trim().lines().enumerate().map(|(at, line)| (at + 1, line.trim_end_matches('\r'))).peekable();
    if lines.next().is_none_or(|(_, line)| line.trim() != BEGIN) {
        return Err(format!("input must begin with the line {BEGIN:?}"));
    }
    let mut changes: Vec<Change> = Vec::new();
    loop {
        let Some((number, line)) = lines.next() else {
            return Err(format!("input must end with the line {END:?}"));
        };
        let change = if line.trim() == END {
            break;
        } else if let Some(path) = line.strip_prefix(ADD) {
            let mut content = String::new();
            while let Some((_, added)) = lines.next_if(|(_, line)| line.starts_with('+')) {
                content.push_str(&added[1..]);
                content.push('\n');
            }
            Change::Add { path: path.trim().to_owned(), content }
        } else if let Some(path) = line.strip_prefix(DELETE) {
            Change::Delete { path: path.trim().to_owned() }
        } else if let Some(path) = line.strip_prefix(UPDATE) {
            let moved = lines.next_if(|(_, line)| line.starts_with(MOVE));
            let to = moved.map(|(_, line)| line[MOVE.len()..].trim().to_owned());
            let mut body = Vec::new();
            while let Some(line) = lines.next_if(|(_, line)| !line.starts_with("*** ") || *line == END_OF_FILE) {
                body.push(line);
            }
            let hunks = hunks(&body)?;
            if hunks.is_empty() && to.is_none() {
                return Err(format!("line {number}: the update of {path} changes nothing"));
            }
            Change::Update { path: path.trim().to_owned(), to, hunks }
        } else if line.trim().is_empty() {
            continue;
        } else {
            return Err(format!("line {number}: {line:?} is neither {ADD:?}, {DELETE:?} nor {UPDATE:?} with a path"));
        };
        if change.path().is_empty() {
            return Err(format!("line {number}: the path is missing"));
        }
        if changes.iter().any(|earlier| earlier.path() == change.path()) {
            return Err(format!("line {number}: {} is changed twice; make it one change", change.path()));
        }
        changes.push(change);
    }
    match (changes.is_empty(), lines.next()) {
        (true, _) => Err(String::from("the patch changes nothing")),
        (false, Some((number, _))) => Err(format!("line {number}: there is something behind {END:?}")),
        (false, None) => Ok(changes),
    }
}

fn hunks(body: &[(usize, &str)]) -> Result<Vec<Hunk>, String> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut current: Option<Hunk> = None;
    let close = |hunk: Option<Hunk>, hunks: &mut Vec<Hunk>| hunks.extend(hunk.filter(|hunk| !hunk.lines.is_empty()));
    for &(number, line) in body {
        if let Some(anchor) = line.strip_prefix("@@") {
            // Several headers in a row narrow the place down step by step.
            let narrows = current.as_ref().is_some_and(|hunk| hunk.lines.is_empty());
            if !narrows {
                close(current.take(), &mut hunks);
            }
            let hunk = current.get_or_insert_default();
            let anchor = anchor.trim();
            if !anchor.is_empty() {
                hunk.anchors.push(anchor.to_owned());
            }
            continue;
        }
        if line == END_OF_FILE {
            let Some(hunk) = current.as_mut().filter(|hunk| !hunk.lines.is_empty()) else {
                return Err(format!("line {number}: {END_OF_FILE:?} stands behind no lines"));
            };
            hunk.at_end = true;
            close(current.take(), &mut hunks);
            continue;
        }
        let hunk = current.get_or_insert_default();
        let mut chars = line.chars();
        hunk.lines.push(match chars.next() {
            None => Line::Keep(String::new()),
            Some(' ') => Line::Keep(chars.as_str().to_owned()),
            Some('-') => Line::Remove(chars.as_str().to_owned()),
            Some('+') => Line::Add(chars.as_str().to_owned()),
            Some(_) => {
                return Err(format!("line {number}: {line:?} begins with none of \"+\", \"-\", \" \" and \"@@\""));
            }
        });
    }
    close(current, &mut hunks);
    Ok(hunks)
}

/// The text after the hunks.
///
/// # Errors
/// Which place was not found.
pub(super) fn apply(before: &str, hunks: &[Hunk]) -> Result<String, String> {
    let crlf = super::text::has_crlf(before);
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let bodies: Vec<&str> = lines.iter().map(|line| body(line)).collect();
    let (mut after, mut done) = (String::with_capacity(before.len()), 0);
    for (at, hunk) in hunks.iter().enumerate() {
        let place = place(&bodies, done, hunk).map_err(|why| format!("hunk {}: {why}", at + 1))?;
        lines[done..place].iter().for_each(|line| after.push_str(line));
        done = place;
        for line in &hunk.lines {
            match line {
                Line::Keep(_) => {
                    after.push_str(lines.get(done).copied().unwrap_or_default());
                    done += 1;
                }
                Line::Remove(_) => done += 1,
                Line::Add(text) => {
                    // What is added behind a last line without an end gives that line one.
                    if !after.is_empty() && !after.ends_with('\n') {
                        after.push_str(if crlf { "\r\n" } else { "\n" });
                    }
                    after.push_str(text);
                    after.push_str(if crlf { "\r\n" } else { "\n" });
                }
            }
        }
    }
    lines[done.min(lines.len())..].iter().for_each(|line| after.push_str(line));
    let open_end = !before.is_empty() && !before.ends_with('\n');
    if open_end && done >= lines.len() && after.ends_with('\n') {
        after.truncate(body(&after).len());
    }
    Ok(after)
}

/// A line, or a text, without the line end it ends with.
fn body(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// The line at which a hunk begins, at `from` or behind it.
fn place(lines: &[&str], from: usize, hunk: &Hunk) -> Result<usize, String> {
    let mut from = from;
    for anchor in &hunk.anchors {
        from = find(lines, from, &[anchor], false).map(|at| at + 1).ok_or_else(|| format!("no line {anchor:?}"))?;
    }
    let old: Vec<&str> = hunk
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Keep(text) | Line::Remove(text) => Some(text.as_str()),
            Line::Add(_) => None,
        })
        .collect();
    if old.is_empty() {
        // Nothing says where, so it is behind the header, or at the end.
        let is_placed = !hunk.anchors.is_empty() && !hunk.at_end;
        return Ok(if is_placed { from } else { lines.len() });
    }
    let missing = || format!("these lines are not in the file there: {}", old.join("\\n"));
    find(lines, from, &old, hunk.at_end).ok_or_else(missing)
}

fn find(lines: &[&str], from: usize, wanted: &[&str], at_end: bool) -> Option<usize> {
    let last = lines.len().checked_sub(wanted.len())?;
    let first = if at_end { last.max(from) } else { from };
    let same: [fn(&str, &str) -> bool; 4] = [
        |a, b| a == b,
        |a, b| a.trim_end() == b.trim_end(),
        |a, b| a.trim() == b.trim(),
        |a, b| a.trim().chars().map(plain).eq(b.trim().chars().map(plain)),
    ];
    same.iter().find_map(|same| {
        (first..=last).find(|at| lines[*at..].iter().zip(wanted).all(|(line, wanted)| same(line, wanted)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn updated(before: &str, body: &str) -> Result<String, String> {
        let patch = format!("*** Begin Patch\n*** Update File: a\n{body}\n*** End Patch");
        match parse(&patch)?.remove(0) {
            Change::Update { hunks, .. } => apply(before, &hunks),
            other @ (Change::Add { .. } | Change::Delete { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_kinds_of_changes_are_read() {
        let patch = "*** Begin Patch\n*** Add File: new.txt\n+one\n+\n+two\n*** Delete File: old.txt\n\
                     *** Update File: a.txt\n*** Move to: b.txt\n@@ fn main\n-x\n+y\n*** End of File\n*** End Patch\n";
        let changes = parse(patch).unwrap();
        assert_eq!(changes[0], Change::Add { path: "new.txt".into(), content: "one\n\ntwo\n".into() });
        assert_eq!(changes[1], Change::Delete { path: "old.txt".into() });
        let Change::Update { to, hunks, .. } = &changes[2] else { panic!("{changes:?}") };
        assert_eq!(to.as_deref(), Some("b.txt"));
        assert!(hunks[0].at_end && hunks[0].anchors == ["fn main"] && hunks[0].lines.len() == 2);
    }

    #[test]
    fn what_is_no_patch_is_told_with_its_line() {
        for (patch, words) in [
            ("hello", "input must begin with"),
            ("*** Begin Patch\n*** Add File: a\n+x", "input must end with"),
            ("*** Begin Patch\n*** End Patch", "the patch changes nothing"),
            ("*** Begin Patch\nhello\n*** End Patch", "line 2: \"hello\" is neither"),
            ("*** Begin Patch\n*** Update File: a\n*** End Patch", "line 2: the update of a changes nothing"),
            ("*** Begin Patch\n*** Update File: a\n@@\n?x\n*** End Patch", "line 4: \"?x\" begins with none"),
            ("*** Begin Patch\n*** Delete File: a\n*** Delete File: a\n*** End Patch", "line 3: a is changed twice"),
            ("*** Begin Patch\n*** Delete File: \n*** End Patch", "line 2: "),
            ("*** Begin Patch\n*** Delete File: a\n*** End Patch\nx", "line 4: there is something behind"),
        ] {
            let error = parse(patch).unwrap_err();
            assert!(error.starts_with(words), "{patch}: {error}");
        }
    }

    #[test]
    fn hunks_are_found_in_order_behind_their_headers() {
        let before = "fn a\n  x\nfn b\n  x\nfn c\n  x\n";
        assert_eq!(updated(before, "@@ fn b\n-  x\n+  y").unwrap(), "fn a\n  x\nfn b\n  y\nfn c\n  x\n");
        assert_eq!(updated(before, "@@\n-  x\n+  y\n@@\n-  x\n+  z").unwrap(), "fn a\n  y\nfn b\n  z\nfn c\n  x\n");
        assert_eq!(updated(before, "@@\n-  x\n+  y\n*** End of File").unwrap(), "fn a\n  x\nfn b\n  x\nfn c\n  y\n");
        assert_eq!(updated(before, "@@ fn a\n+  w").unwrap(), "fn a\n  w\n  x\nfn b\n  x\nfn c\n  x\n");
        assert_eq!(updated(before, "+end").unwrap(), format!("{before}end\n"));
        let missing = updated(before, "@@ fn d\n-  x").unwrap_err();
        assert_eq!(missing, "hunk 1: no line \"fn d\"");
        assert!(updated(before, "-  q").unwrap_err().starts_with("hunk 1: these lines are not in the file there"));
        assert!(updated(before, "@@ fn c\n-fn a").is_err(), "a hunk is not looked for before its header");
    }

    #[test]
    fn lines_keep_their_ends_and_white_space_may_differ() {
        assert_eq!(updated("a\r\nb  \r\nc\r\n", " a\n-b\n+B").unwrap(), "a\r\nB\r\nc\r\n");
        assert_eq!(updated("a\nb", "-b\n+B").unwrap(), "a\nB");
        assert_eq!(updated("a\nb", "+c").unwrap(), "a\nb\nc");
        assert_eq!(updated("say \u{201c}x\u{201d}\n", "-say \"x\"\n+said").unwrap(), "said\n");
        assert_eq!(updated("", "+first").unwrap(), "first\n");
    }

    proptest! {
        #[test]
        fn nothing_a_model_writes_panics(text in "(\\*\\*\\* (Begin Patch|End Patch|Add File: a|Update File: b|End of File|Move to: c)|@@ ?x?|[-+ ]?[xy]{0,2}|\r|\n){0,30}", file in "([xy \r]{0,3}\n?){0,6}") {
            if let Ok(changes) = parse(&text) {
                for change in changes {
                    if let Change::Update { hunks, .. } = change {
                        drop(apply(&file, &hunks));
                    }
                }
            }
        }

        #[test]
        fn a_hunk_that_replaces_a_line_changes_that_line_alone(lines in proptest::collection::vec("[a-z]{0,5}", 1..12), at in 0_usize..12) {
            let at = at % lines.len();
            let numbered: Vec<String> = lines.iter().enumerate().map(|(n, line)| format!("{n} {line}")).collect();
            let before = numbered.join("\n") + "\n";
            let mut expected = numbered.clone();
            expected[at] = "new".into();
            prop_assert_eq!(updated(&before, &format!("-{}\n+new", numbered[at])).unwrap(), expected.join("\n") + "\n");
        }
    }
}

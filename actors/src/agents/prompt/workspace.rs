//! The folder of an agent: made when it is first used, read at the start of each turn. Blocking; a few small files.
//!
//! Nothing that exists is changed, and a folder that somebody else began is left as it is.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::files::{Known, WorkspaceFile};

/// Largest file that is read, in bytes: more than any limit in characters that can be asked for.
const MAX_BYTES: u64 = 4 << 20;

/// Files of a new workspace: name, whether a person may do without, text.
const STARTERS: &[(&str, bool, &str)] = &[
    ("AGENTS.md", false, AGENTS),
    ("BOOTSTRAP.md", false, BOOTSTRAP),
    ("SOUL.md", true, SOUL),
    ("IDENTITY.md", true, IDENTITY),
    ("USER.md", true, USER),
];

const AGENTS: &str = "\
# How to work here

- This folder is yours. What you want to remember goes into a file: what you only think is gone after the conversation.
- Notes of the day go to `memory/YYYY-MM-DD.md`, a few lines each; what stays true goes to `MEMORY.md`, kept short.
- Look before you change a file, and change as little as needed.
- Ask before you delete something, spend money or write to people.
- In a group you are a guest: answer when you are asked, and tell nothing of the owner.
";

const BOOTSTRAP: &str = "\
# First conversation

You have just been set up and know nobody yet. In your own words, and one thing at a time:

1. Say hello, and ask what the person wants to be called and what you are for.
2. Agree on a name and a manner for yourself.
3. Write down what you learned: `USER.md`, `IDENTITY.md`, `SOUL.md`.
4. Delete this file. It is meant to be read once.
";

const SOUL: &str = "\
# Manner

Helpful without flourish. Honest about what you do not know. Has opinions when asked for them.
";

const IDENTITY: &str = "\
# Who I am

- Name:
- Manner:
- Sign:
";

const USER: &str = "\
# Who I work for

- Name:
- Language and time zone:
- What matters to them:
";

/// Makes a workspace that does not exist yet, or is empty. True when it was made.
///
/// # Errors
/// When the folder or a file can't be written.
pub fn create(folder: &Path, skip_optional: &[String]) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Ok(false);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(folder)?,
        Err(error) => return Err(error),
    }
    for (name, is_optional, text) in STARTERS {
        if !(*is_optional && skip_optional.iter().any(|skipped| skipped == name)) {
            write_new(&folder.join(name), text)?;
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Writes a file unless somebody was faster.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads the files. What can't be read counts as missing; what is no text is read as well as it can be.
#[must_use]
pub fn read<'a>(folder: &Path, known: impl IntoIterator<Item = &'a Known>) -> Vec<WorkspaceFile> {
    known
        .into_iter()
        .map(|known| WorkspaceFile {
            name: known.name,
            text: read_file(&folder.join(known.name), MAX_BYTES),
            is_required: known.is_required,
        })
        .collect()
}

/// The notes of these days (`YYYY-MM-DD`, the newest first), each cut to `chars` characters, all together to `total`. Days
/// without notes are left out.
#[must_use]
pub fn notes(folder: &Path, days: &[String], bytes: u64, chars: usize, total: usize) -> String {
    let memory = folder.join("memory");
    // A link could lead out of the workspace.
    if !fs::symlink_metadata(&memory).is_ok_and(|found| found.is_dir()) {
        return String::new();
    }
    let (mut text, mut left) = (String::new(), total);
    for day in days {
        let Some(found) = read_file(&memory.join(format!("{day}.md")), bytes) else { continue };
        let kept: String = found.trim().chars().take(chars.min(left)).collect();
        if kept.is_empty() {
            continue;
        }
        left -= kept.chars().count();
        text += &format!("### {day}\n{kept}\n");
    }
    text
}

/// The text of a regular file. Links are not followed: a link could show a group what lies outside the workspace.
fn read_file(path: &Path, most: u64) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    if !found.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
        Ok(_) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a workspace file can't be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::prompt::audience::Audience;
    use crate::agents::prompt::files::visible;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_workspace_gets_its_first_files_and_an_old_one_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/workspace");
        assert!(create(&folder, &[]).unwrap());
        assert_eq!(names(&folder), ["AGENTS.md", "BOOTSTRAP.md", "IDENTITY.md", "SOUL.md", "USER.md"]);
        fs::remove_file(folder.join("BOOTSTRAP.md")).unwrap();
        assert!(!create(&folder, &[]).unwrap());
        assert!(!folder.join("BOOTSTRAP.md").exists(), "what was deleted does not come back");
    }

    #[test]
    fn optional_files_can_be_left_out() {
        let home = tempfile::tempdir().unwrap();
        create(home.path(), &[String::from("SOUL.md"), String::from("AGENTS.md")]).unwrap();
        assert_eq!(names(home.path()), ["AGENTS.md", "BOOTSTRAP.md", "IDENTITY.md", "USER.md"]);
    }

    #[test]
    fn notes_of_the_last_days_are_cut_to_their_limits() {
        let home = tempfile::tempdir().unwrap();
        let days = ["2026-11-21", "2026-11-20", "2026-11-19"].map(String::from);
        assert_eq!(notes(home.path(), &days, 100, 100, 100), "");
        fs::create_dir(home.path().join("memory")).unwrap();
        fs::write(home.path().join("memory/2026-11-21.md"), "t".repeat(50)).unwrap();
        fs::write(home.path().join("memory/2026-11-19.md"), "o".repeat(50)).unwrap();
        let text = notes(home.path(), &days, 1000, 30, 40);
        assert!(text.starts_with("### 2026-11-21\nttt") && !text.contains("11-20"), "{text}");
        let (today, older) = text.split_once("### 2026-11-19").unwrap();
        let counts = (today.matches('t').count(), older.matches('o').count());
        assert_eq!(counts, (30, 10));
    }

    #[test]
    fn only_regular_files_are_read() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("AGENTS.md"), [b'h', b'i', 0xff]).unwrap();
        fs::create_dir(home.path().join("SOUL.md")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/hostname", home.path().join("USER.md")).unwrap();
        let files = read(home.path(), visible(Audience::Main));
        let text = |name: &str| files.iter().find(|file| file.name == name).unwrap().text.clone();
        assert_eq!(text("AGENTS.md").as_deref(), Some("hi\u{fffd}"));
        for name in ["SOUL.md", "USER.md", "MEMORY.md"] {
            assert_eq!(text(name), None, "{name}");
        }
    }
}

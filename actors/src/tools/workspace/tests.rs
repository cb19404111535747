use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A state directory with a workspace, and things around it that nobody may reach.
struct Home(TempDir);

const SECRET: &str = "secret";

impl Home {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("workspace")).unwrap();
        fs::create_dir_all(home.path().join("agents/main")).unwrap();
        for file in ["openclaw.json", "agents/main/auth.json", "workspace-twin"] {
            fs::write(home.path().join(file), SECRET).unwrap();
        }
        Self(home)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("workspace")
    }

    fn places(&self) -> WorkspacePlaces {
        WorkspacePlaces {
            root: self.root(),
            state_dir: self.0.path().to_owned(),
            config_files: [self.0.path().join("openclaw.json")].into(),
        }
    }

    fn open(&self) -> Workspace {
        Workspace::open(&self.places()).unwrap()
    }
}

fn content(opened: Opened) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut { opened.file }, &mut text).unwrap();
    text
}

/// Everything below a folder but the workspace, with its content.
fn outside(home: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == home.join("workspace") {
                continue;
            }
            let kind = fs::symlink_metadata(&path).unwrap();
            found.push((path.clone(), kind.is_file().then(|| fs::read(&path).unwrap())));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn paths_are_relative_or_below_the_root() {
    let home = Home::new();
    fs::create_dir(home.root().join("a")).unwrap();
    fs::write(home.root().join("a/Grüße 🦞.txt"), "x").unwrap();
    let workspace = home.open();
    let absolute = home.root().join("a/Grüße 🦞.txt").display().to_string();
    for path in ["a/Grüße 🦞.txt", "./a//Grüße 🦞.txt", "a/../a/Grüße 🦞.txt", &absolute] {
        assert_eq!(content(workspace.open_file(path).unwrap()), "x", "{path}");
        assert_eq!(workspace.find(path, false).unwrap().path, Path::new("a/Grüße 🦞.txt"));
    }
    assert_eq!(workspace.find(".", false).unwrap().kind, Kind::Folder);
    assert_eq!(workspace.find("a/..", false).unwrap().path, Path::new(""));
}

#[test]
fn nothing_leads_out() {
    let home = Home::new();
    let workspace = home.open();
    let twin = home.0.path().join("workspace-twin").display().to_string();
    let sneaky = format!("{}/../openclaw.json", home.root().display());
    for path in ["..", "../openclaw.json", "a/../../openclaw.json", "/etc/passwd", "/", "~/x", "~", &twin, &sneaky] {
        fs::create_dir_all(home.root().join("a")).unwrap();
        let error = workspace.open_file(path).unwrap_err();
        assert!(matches!(error, FileError::Outside(_)), "{path}: {error}");
        assert!(workspace.replace(path, b"x", None).is_err(), "{path}");
        assert!(workspace.create(path, b"x", None).is_err(), "{path}");
        assert!(workspace.remove(path, None).is_err(), "{path}");
    }
    for path in ["", "a\0b"] {
        assert!(matches!(workspace.open_file(path).unwrap_err(), FileError::NotAPath(_)), "{path:?}");
    }
}

#[test]
fn links_are_followed_inside_and_refused_when_they_lead_out() {
    let home = Home::new();
    let root = home.root();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/file"), "inside").unwrap();
    symlink("real", root.join("relative")).unwrap();
    symlink(root.join("real"), root.join("absolute")).unwrap();
    symlink("relative/file", root.join("chain")).unwrap();
    symlink("..", root.join("real/up")).unwrap();
    symlink("../openclaw.json", root.join("out")).unwrap();
    symlink(home.0.path(), root.join("out-folder")).unwrap();
    symlink("/etc/passwd", root.join("out-absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("../../openclaw.json", root.join("real/out")).unwrap();
    let workspace = home.open();
    for path in ["relative/file", "absolute/file", "chain", "real/up/real/file", "relative/up/chain"] {
        assert_eq!(content(workspace.open_file(path).unwrap()), "inside", "{path}");
    }
    for path in ["out", "out-folder/openclaw.json", "out-folder/workspace/real/file", "out-absolute", "relative/out"] {
        let error = workspace.open_file(path).unwrap_err();
        assert!(matches!(error, FileError::Outside(_)), "{path}: {error}");
        assert!(workspace.replace(path, b"x", None).is_err(), "{path}");
    }
    assert!(matches!(workspace.open_file("loop").unwrap_err(), FileError::Loop(_)));
    // Writing through a link changes what it leads to and leaves the link.
    workspace.replace("chain", b"changed", None).unwrap();
    assert_eq!(fs::read_to_string(root.join("real/file")).unwrap(), "changed");
    assert!(fs::symlink_metadata(root.join("chain")).unwrap().is_symlink());
    // One that leads nowhere inside makes what it leads to; one that leads nowhere outside makes nothing.
    symlink("real/new", root.join("dangling")).unwrap();
    symlink(home.0.path().join("new"), root.join("dangling-out")).unwrap();
    workspace.replace("dangling", b"made", None).unwrap();
    assert_eq!(fs::read_to_string(root.join("real/new")).unwrap(), "made");
    assert!(workspace.replace("dangling-out", b"made", None).is_err());
    assert!(!home.0.path().join("new").exists());
}

#[test]
fn what_belongs_to_the_gateway_is_refused_even_inside() {
    let home = TempDir::new().unwrap();
    let (root, state) = (home.path().to_owned(), home.path().join(".openclaw"));
    fs::create_dir_all(state.join("agents")).unwrap();
    fs::create_dir(root.join("conf")).unwrap();
    fs::write(state.join("agents/x"), SECRET).unwrap();
    fs::write(root.join("conf/included.json"), SECRET).unwrap();
    fs::hard_link(root.join("conf/included.json"), root.join("innocent")).unwrap();
    symlink(".openclaw/agents/x", root.join("link")).unwrap();
    let places = WorkspacePlaces {
        root: root.clone(),
        state_dir: state.clone(),
        config_files: [root.join("conf/included.json"), root.join("openclaw.json")].into(),
    };
    let workspace = Workspace::open(&places).unwrap();
    for path in [".openclaw/agents/x", "link", "conf/included.json", "conf/../conf/included.json", "innocent"] {
        let error = workspace.open_file(path).unwrap_err();
        assert!(matches!(error, FileError::Refused(_)), "{path}: {error}");
        assert!(matches!(workspace.replace(path, b"{}", None), Err(FileError::Refused(_))), "{path}");
        assert!(workspace.remove(path, None).is_err(), "{path}");
    }
    for path in ["openclaw.json", "conf/../OpenClaw.json", ".openclaw/new", ".openclaw/deep/new"] {
        assert!(matches!(workspace.replace(path, b"{}", None), Err(FileError::Refused(_))), "{path}");
    }
    assert!(!root.join("openclaw.json").exists());
    assert_eq!(fs::read_to_string(root.join("conf/included.json")).unwrap(), SECRET);

    for root in [state.clone(), state.join("agents"), state.join("agents/main/ws"), state.join("openclawd/x")] {
        let places = WorkspacePlaces { root, state_dir: state.clone(), config_files: [].into() };
        assert!(matches!(Workspace::open(&places), Err(FileError::Workspace(_))), "{places:?}");
    }
}

#[test]
fn only_regular_files_are_read_and_nothing_waits_for_a_pipe() {
    let home = Home::new();
    let pipe = home.root().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let socket = std::os::unix::net::UnixListener::bind(home.root().join("socket")).unwrap();
    fs::create_dir(home.root().join("folder")).unwrap();
    let workspace = home.open();
    for path in ["pipe", "socket"] {
        assert!(matches!(workspace.open_file(path), Err(FileError::Special(_))), "{path}");
        assert!(matches!(workspace.replace(path, b"x", None), Err(FileError::Special(_))), "{path}");
    }
    assert!(matches!(workspace.open_file("folder"), Err(FileError::IsAFolder(_))));
    assert!(matches!(workspace.open_folder("pipe"), Err(FileError::NotAFolder(_))));
    assert!(matches!(workspace.open_file("pipe/x"), Err(FileError::NotAFolder(_))));
    drop(socket);
}

#[test]
fn a_write_is_whole_keeps_permissions_and_leaves_nothing_behind() {
    let home = Home::new();
    let workspace = home.open();
    assert_eq!(workspace.replace("a/b/c.sh", b"one", None).unwrap(), Written::Created);
    let path = home.root().join("a/b/c.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
    assert_eq!(workspace.replace("a/b/c.sh", b"one", None).unwrap(), Written::Unchanged);
    let before = Stamp::of(&fs::metadata(&path).unwrap());
    assert_eq!(workspace.replace("a/b/c.sh", b"two!", Some(before)).unwrap(), Written::Replaced);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o751);
    assert_eq!(fs::read(&path).unwrap(), b"two!");
    assert!(matches!(workspace.replace("a/b/c.sh", b"three", Some(before)), Err(FileError::Changed(_))));
    assert!(matches!(workspace.remove("a/b/c.sh", Some(before)), Err(FileError::Changed(_))));
    assert!(matches!(workspace.create("a/b/c.sh", b"x", None), Err(FileError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"two!");
    let (names, _) = Workspace::list(workspace.open_folder("a/b").unwrap().folder(), 100).unwrap();
    assert_eq!(names, [Listed { name: "c.sh".into(), kind: Kind::File }]);
    workspace.remove("a/b/c.sh", None).unwrap();
    assert!(!path.exists());
}

/// What may happen to a workspace while paths are tried.
#[derive(Debug, Clone)]
enum Move {
    Read(String),
    Write(String),
    Create(String),
    Remove(String),
    List(String),
    Link { at: String, to: String },
    Folder(String),
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::from("..")),
        Just(String::from(".")),
        Just(String::from("a")),
        Just(String::from("b")),
        Just(String::from("ü")),
        Just(String::from("openclaw.json")),
        Just(String::from("agents")),
        Just(String::from("workspace")),
        Just(String::from("workspace-twin")),
    ]
}

/// Paths of a few parts; `%WORK%` and `%STATE%` stand for the real folders.
fn path() -> impl Strategy<Value = String> {
    let start = prop_oneof![3 => Just(""), 1 => Just("%WORK%/"), 1 => Just("%STATE%/"), 1 => Just("/")];
    (start, proptest::collection::vec(part(), 1..5)).prop_map(|(start, parts)| format!("{start}{}", parts.join("/")))
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        path().prop_map(Move::Read),
        path().prop_map(Move::Write),
        path().prop_map(Move::Create),
        path().prop_map(Move::Remove),
        path().prop_map(Move::List),
        (prop_oneof![Just("a"), Just("b"), Just("a/b"), Just("b/a"), Just("ü")], path())
            .prop_map(|(at, to)| Move::Link { at: at.to_owned(), to }),
        prop_oneof![Just("a"), Just("b"), Just("a/b")].prop_map(|at| Move::Folder(at.to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_path_ever_reads_or_writes_outside(moves in proptest::collection::vec(a_move(), 1..25)) {
        let home = Home::new();
        let real = |path: &str| {
            path.replace("%WORK%", &home.root().display().to_string())
                .replace("%STATE%", &home.0.path().display().to_string())
        };
        // Links and folders are the world's doing; it may reach anywhere, tools may not.
        let mut before = outside(home.0.path());
        let workspace = home.open();
        for step in moves {
            match step {
                Move::Read(path) => {
                    if let Ok(opened) = workspace.open_file(&real(&path)) {
                        prop_assert_ne!(content(opened), SECRET, "{}", path);
                    }
                }
                Move::Write(path) => drop(workspace.replace(&real(&path), b"written", None)),
                Move::Create(path) => drop(workspace.create(&real(&path), b"created", None)),
                Move::Remove(path) => drop(workspace.remove(&real(&path), None)),
                Move::List(path) => {
                    if let Ok(found) = workspace.open_folder(&real(&path)) {
                        let number = |metadata: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&metadata);
                        let listed = number(found.folder().metadata().unwrap());
                        for folder in ["", "agents", "agents/main"] {
                            prop_assert_ne!(listed, number(fs::metadata(home.0.path().join(folder)).unwrap()), "{}", path);
                        }
                    }
                }
                Move::Link { at, to } => {
                    symlink(real(&to), home.root().join(at)).ok();
                    before = outside(home.0.path());
                }
                Move::Folder(at) => {
                    fs::create_dir_all(home.root().join(at)).ok();
                    before = outside(home.0.path());
                }
            }
            prop_assert_eq!(&outside(home.0.path()), &before);
        }
        prop_assert!(home.root().is_dir());
    }
}

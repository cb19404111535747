//! A disk that forgets: what files and folders would hold if the power went now.
//!
//! As strict as the rules allow: bytes and lengths survive up to the last `fsync` or `fdatasync` of their file that had
//! begun behind them, names up to the last `fsync` of their folder. Nothing else does.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::trace::Call;

type Inode = usize;

/// A file, or a folder with its names.
#[derive(Debug, Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    names: BTreeMap<String, Inode>,
    is_folder: bool,
    /// How it was at each of the calls that changed it, since the last sync that counts.
    changes: Vec<(usize, Box<Node>)>,
    /// How it would be found.
    durable: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    inode: Inode,
    position: usize,
    appends: bool,
}

/// The part of the file system below one folder.
pub(crate) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    open: HashMap<i64, Open>,
    at: usize,
}

impl Disk {
    /// Below `root`, which is there and empty.
    pub(crate) fn new(root: &Path) -> Self {
        let folder = Node { is_folder: true, ..Node::default() };
        let root_node = Node { durable: Some(Box::new(folder.clone())), ..folder };
        Self { root: root.to_owned(), nodes: vec![root_node], open: HashMap::new(), at: 0 }
    }

    /// Does what a call did.
    pub(crate) fn apply(&mut self, call: &Call) {
        self.at += 1;
        match call.name.as_str() {
            "openat" => self.opened(call),
            "mkdir" => {
                self.made(&call.path(0), true);
            }
            "rename" | "renameat" | "renameat2" => {
                let moved = self.taken_out(&call.path(0));
                let (folder, name) = self.place(&call.path(1)).filter(|_| moved.is_some()).unzip();
                if let (Some(folder), Some(name), Some(inode)) = (folder, name, moved) {
                    self.change(folder, |node| {
                        node.names.insert(name, inode);
                    });
                }
            }
            "link" | "linkat" => {
                let from = self.find(&call.path(0));
                if let (Some(inode), Some((folder, name))) = (from, self.place(&call.path(1))) {
                    self.change(folder, |node| {
                        node.names.insert(name, inode);
                    });
                }
            }
            "unlink" | "unlinkat" | "rmdir" => {
                self.taken_out(&call.path(0));
            }
            "write" | "writev" => self.written(call, None),
            "pwrite64" | "pwritev" => self.written(call, call.last_number()),
            "ftruncate" => {
                let length = usize::try_from(call.last_number().unwrap()).unwrap();
                if let Some(open) = self.open.get(&call.number(0).unwrap()) {
                    self.change(open.inode, |node| node.bytes.resize(length, 0));
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&call.number(0).unwrap()) {
                    let inode = open.inode;
                    self.synced(inode, call.began);
                }
            }
            "close" => {
                self.open.remove(&call.number(0).unwrap());
            }
            "dup" | "dup2" | "dup3" => self.doubled(call),
            "fcntl" if call.has("F_DUPFD") || call.has("F_DUPFD_CLOEXEC") => self.doubled(call),
            _ => {}
        }
    }

    fn doubled(&mut self, call: &Call) {
        if let Some(open) = self.open.get(&call.number(0).unwrap()).copied() {
            self.open.insert(call.result, open);
        }
    }

    fn opened(&mut self, call: &Call) {
        let path = call.path(0);
        self.open.remove(&call.result);
        let inode = match self.find(&path) {
            Some(inode) => inode,
            None if call.has("O_CREAT") => match self.made(&path, false) {
                Some(inode) => inode,
                None => return,
            },
            None => return,
        };
        if call.has("O_TRUNC") {
            self.change(inode, |node| node.bytes.clear());
        }
        self.open.insert(call.result, Open { inode, position: 0, appends: call.has("O_APPEND") });
    }

    fn written(&mut self, call: &Call, offset: Option<i64>) {
        let number = call.number(0).unwrap();
        let Some(open) = self.open.get(&number).copied() else { return };
        let bytes = call.written();
        let start = match offset {
            Some(offset) => usize::try_from(offset).unwrap(),
            None if open.appends => self.nodes[open.inode].bytes.len(),
            None => open.position,
        };
        self.change(open.inode, |node| {
            let end = start + bytes.len();
            if node.bytes.len() < end {
                node.bytes.resize(end, 0);
            }
            node.bytes[start..end].copy_from_slice(&bytes);
        });
        if offset.is_none() {
            self.open.get_mut(&number).unwrap().position = start + bytes.len();
        }
    }

    fn change(&mut self, inode: Inode, change: impl FnOnce(&mut Node)) {
        let at = self.at;
        let node = &mut self.nodes[inode];
        change(node);
        let seen = node.seen();
        node.changes.push((at, Box::new(seen)));
    }

    /// What had happened before the call began is on disk.
    fn synced(&mut self, inode: Inode, began: usize) {
        let node = &mut self.nodes[inode];
        let covered = node.changes.partition_point(|(at, _)| *at <= began);
        if let Some((_, seen)) = node.changes.drain(..covered).next_back() {
            node.durable = Some(seen);
        } else if node.durable.is_none() && node.changes.is_empty() {
            node.durable = Some(Box::new(node.seen()));
        }
    }

    fn place(&self, path: &Path) -> Option<(Inode, String)> {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((self.find(path.parent()?)?, name))
    }

    fn find(&self, path: &Path) -> Option<Inode> {
        let inside = path.strip_prefix(&self.root).ok()?;
        inside.iter().try_fold(0, |inode, name| self.nodes[inode].names.get(name.to_str()?).copied())
    }

    fn made(&mut self, path: &Path, is_folder: bool) -> Option<Inode> {
        let (folder, name) = self.place(path)?;
        let inode = self.nodes.len();
        self.nodes.push(Node { is_folder, ..Node::default() });
        self.change(folder, |node| {
            node.names.insert(name, inode);
        });
        Some(inode)
    }

    fn taken_out(&mut self, path: &Path) -> Option<Inode> {
        let (folder, name) = self.place(path)?;
        let inode = self.find(path)?;
        self.change(folder, |node| {
            node.names.remove(&name);
        });
        Some(inode)
    }

    /// Writes down what would be found.
    pub(crate) fn find_after_power_cut(&self, to: &Path) {
        self.lay_out(0, to);
    }

    fn lay_out(&self, inode: Inode, to: &Path) {
        let node = &self.nodes[inode];
        let found = node.durable.as_deref().cloned().unwrap_or_default();
        if !node.is_folder {
            return std::fs::write(to, found.bytes).unwrap();
        }
        std::fs::create_dir_all(to).unwrap();
        for (name, child) in found.names {
            self.lay_out(child, &to.join(name));
        }
    }
}

impl Node {
    /// Its content alone.
    fn seen(&self) -> Node {
        let Node { bytes, names, is_folder, .. } = self;
        Node { bytes: bytes.clone(), names: names.clone(), is_folder: *is_folder, ..Node::default() }
    }
}

#[test]
fn only_what_was_synced_is_found() {
    let disk = |lines: &[&str]| {
        let mut disk = Disk::new(Path::new("/d"));
        super::trace::read(&lines.join("\n")).iter().for_each(|call| disk.apply(call));
        let folder = tempfile::tempdir().unwrap();
        disk.find_after_power_cut(folder.path());
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
        let mut found: Vec<(String, String)> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        found.sort();
        found
    };
    let a = r#"1 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_WRONLY|O_CREAT, 0600) = 3"#;
    let write = |text: &str| format!("1 write(3, \"\\x{:02x}\", 1) = 1", text.as_bytes()[0]);
    let (x, y) = (write("x"), write("y"));
    let root = r#"1 openat(AT_FDCWD, "\x2f\x64", O_RDONLY) = 4"#;
    let (sync, sync_root) = ("1 fdatasync(3) = 0", "1 fsync(4) = 0");
    let rename = r#"1 rename("\x2f\x64\x2f\x61", "\x2f\x64\x2f\x62") = 0"#;
    let named = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    assert_eq!(disk(&[a, &x, sync]), [], "the name is not on disk");
    assert_eq!(disk(&[a, &x, root, sync_root]), named("a", ""));
    assert_eq!(disk(&[a, &x, sync, &y, root, sync_root]), named("a", "x"));
    assert_eq!(disk(&[a, &x, sync, root, sync_root, rename]), named("a", "x"));
    assert_eq!(disk(&[a, &x, sync, root, sync_root, rename, sync_root]), named("b", "x"));
    // A write that ended after the sync began is not covered by it.
    let (began, ended) = ("2 fdatasync(3 <unfinished ...>", "2 <... fdatasync resumed>) = 0");
    assert_eq!(disk(&[a, &x, root, sync_root, began, &y, ended]), named("a", "x"));
}

//! Walking a path part by part, and opening what is at its end.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::places::{Identity, Refusals, real_root};
use super::{FileError, WorkspacePlaces};

/// Symbolic links on one way; more is a circle (Linux: 40).
const MAX_LINKS: u32 = 40;
/// Folders in each other.
const MAX_DEPTH: usize = 256;

/// A workspace that is open.
#[derive(Debug)]
pub struct Workspace {
    root: File,
    real_root: PathBuf,
    given_root: PathBuf,
    refusals: Refusals,
}

/// What stands at the end of a path.
#[derive(Debug)]
pub struct Found {
    /// The folder it is in; the folder itself when there is no name.
    pub(super) folder: File,
    /// Its name there.
    pub(super) name: Option<OsString>,
    /// What it is.
    pub kind: Kind,
    /// Its path below the root, without links.
    pub path: PathBuf,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link; met in listings only.
    Link,
    /// A device, a pipe, a socket.
    Special,
    /// Nothing yet.
    Nothing,
}

/// A file that is open for reading.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its facts when it was opened.
    pub metadata: Metadata,
    /// Its path below the root.
    pub path: PathBuf,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

enum Step {
    Up,
    Into(OsString),
}

/// The way from the root to where a walk stands.
struct Way {
    folders: Vec<(File, OsString)>,
}

impl Workspace {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// When it can't be made or opened, or when it is a place of the gateway.
    pub fn open(places: &WorkspacePlaces) -> Result<Self, FileError> {
        let real_root = real_root(places)?;
        let root = File::open(&real_root).map_err(|error| FileError::io("the workspace", error))?;
        Ok(Self { root, real_root, given_root: places.root.clone(), refusals: Refusals::of(places) })
    }

    /// What is at `path`, at the end of all links. Missing folders before its last part are an error, unless `make` says
    /// to make them.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn find(&self, path: &str, make: bool) -> Result<Found, FileError> {
        let mut steps: VecDeque<Step> = self.steps(path)?.into();
        let mut way = Way { folders: Vec::new() };
        let mut links = 0;
        while let Some(step) = steps.pop_front() {
            let Step::Into(name) = step else {
                way.folders.pop().ok_or_else(|| FileError::Outside(path.to_owned()))?;
                continue;
            };
            let folder = way.top(&self.root);
            let kind = kind_at(folder, &name).map_err(|error| FileError::io(path, error))?;
            match kind {
                Kind::Link => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(FileError::Loop(path.to_owned()));
                    }
                    let target = rustix::fs::readlinkat(folder, name.as_os_str(), Vec::new())
                        .map_err(|error| FileError::io(path, error))?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    let (from_root, more) = self.link_steps(&target, path)?;
                    if from_root {
                        way.folders.clear();
                    }
                    more.into_iter().rev().for_each(|step| steps.push_front(step));
                }
                Kind::Folder => self.enter(&mut way, name, path)?,
                Kind::File | Kind::Special if steps.is_empty() => return self.end(&way, name, kind, path),
                Kind::File | Kind::Special => return Err(FileError::NotAFolder(path.to_owned())),
                Kind::Nothing if steps.is_empty() => return self.end(&way, name, kind, path),
                Kind::Nothing if make => {
                    if self.refuses_name(folder, &name)? {
                        return Err(FileError::Refused(path.to_owned()));
                    }
                    make_folder(folder, &name).map_err(|error| FileError::io(path, error))?;
                    self.enter(&mut way, name, path)?;
                }
                Kind::Nothing => return Err(FileError::Missing(path.to_owned())),
            }
        }
        let folder = way.top(&self.root).try_clone().map_err(|error| FileError::io(path, error))?;
        Ok(Found { folder, name: None, kind: Kind::Folder, path: way.path() })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn open_file(&self, path: &str) -> Result<Opened, FileError> {
        let found = self.find(path, false)?;
        match (found.kind, &found.name) {
            (Kind::File, Some(name)) => self.open_at(&found.folder, name, found.path.clone(), path),
            (Kind::Folder, _) => Err(FileError::IsAFolder(path.to_owned())),
            (Kind::Nothing, _) => Err(FileError::Missing(path.to_owned())),
            (Kind::Special | Kind::Link | Kind::File, _) => Err(FileError::Special(path.to_owned())),
        }
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn open_folder(&self, path: &str) -> Result<Found, FileError> {
        let found = self.find(path, false)?;
        match found.kind {
            Kind::Folder => Ok(found),
            Kind::Nothing => Err(FileError::Missing(path.to_owned())),
            Kind::File | Kind::Special | Kind::Link => Err(FileError::NotAFolder(path.to_owned())),
        }
    }

    /// Opens the regular file `name` of a folder that is open. Links are not followed.
    ///
    /// # Errors
    /// When it is no regular file (any more) or out of bounds. `shown` is its path in errors.
    pub(super) fn open_at(&self, folder: &File, name: &OsStr, path: PathBuf, shown: &str) -> Result<Opened, FileError> {
        // Opening a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::LOOP | Errno::NXIO) => return Err(FileError::Special(shown.to_owned())),
            Err(Errno::NOENT) => return Err(FileError::Missing(shown.to_owned())),
            Err(error) => return Err(FileError::io(shown, error)),
        };
        let file = File::from(fd);
        let metadata = file.metadata().map_err(|error| FileError::io(shown, error))?;
        if self.refusals.has(Identity::of(&metadata)) {
            return Err(FileError::Refused(shown.to_owned()));
        }
        if !metadata.is_file() {
            return Err(FileError::Special(shown.to_owned()));
        }
        Ok(Opened { file, metadata, path })
    }

    /// Opens the folder `name` of a folder that is open. Links are not followed; `None` when it may not be entered.
    pub(crate) fn subfolder(&self, folder: &File, name: &OsStr) -> Option<File> {
        let folder = open_folder(folder.as_fd(), name).ok()?;
        let identity = Identity::of(&folder.metadata().ok()?);
        (!self.refusals.has(identity)).then_some(folder)
    }

    /// Opens the regular file `name` of a folder that is open, if it is one and may be read.
    pub(crate) fn file_in(&self, folder: &File, name: &OsStr, path: PathBuf) -> Option<Opened> {
        self.open_at(folder, name, path, "").ok()
    }

    /// What is in a folder, at most `limit` names, sorted. The flag says that there is more.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list(folder: &File, limit: usize) -> io::Result<(Vec<Listed>, bool)> {
        let mut names = Vec::new();
        let mut is_cut = false;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == limit {
                is_cut = true;
                break;
            }
            // Some file systems do not say it in the listing.
            let told = entry.file_type();
            let kind = if told == FileType::Unknown { kind_at(folder, &name)? } else { kind_of(told) };
            names.push(Listed { name, kind });
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((names, is_cut))
    }

    /// The root without links, as it is told to a model.
    #[must_use]
    pub fn real_root(&self) -> &Path {
        &self.real_root
    }

    pub(super) fn refuses(&self, identity: Identity) -> bool {
        self.refusals.has(identity)
    }

    /// Parts of a path a model gave.
    fn steps(&self, path: &str) -> Result<Vec<Step>, FileError> {
        if path.contains('\0') || path.is_empty() {
            return Err(FileError::NotAPath(path.to_owned()));
        }
        // No shell expands it here, and a folder of that name would surprise everybody.
        if path == "~" || path.starts_with("~/") {
            return Err(FileError::Outside(path.to_owned()));
        }
        let given = Path::new(path);
        let below = if given.is_absolute() { self.below_root(given, path)? } else { given };
        steps(below).ok_or_else(|| FileError::Outside(path.to_owned()))
    }

    /// Steps of a link, and whether they begin at the root.
    fn link_steps(&self, target: &Path, path: &str) -> Result<(bool, Vec<Step>), FileError> {
        let from_root = target.is_absolute();
        let below = if from_root { self.below_root(target, path)? } else { target };
        steps(below).map(|steps| (from_root, steps)).ok_or_else(|| FileError::Outside(path.to_owned()))
    }

    fn below_root<'p>(&self, absolute: &'p Path, shown: &str) -> Result<&'p Path, FileError> {
        absolute
            .strip_prefix(&self.real_root)
            .or_else(|_| absolute.strip_prefix(&self.given_root))
            .map_err(|_| FileError::Outside(shown.to_owned()))
    }

    fn enter(&self, way: &mut Way, name: OsString, path: &str) -> Result<(), FileError> {
        if way.folders.len() == MAX_DEPTH {
            return Err(FileError::NotAPath(path.to_owned()));
        }
        let folder = match open_folder(way.top(&self.root).as_fd(), &name) {
            Ok(folder) => folder,
            // It became something else since it was looked at.
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(FileError::Changed(path.to_owned())),
            Err(error) => return Err(FileError::io(path, error)),
        };
        let metadata = folder.metadata().map_err(|error| FileError::io(path, error))?;
        if self.refusals.has(Identity::of(&metadata)) {
            return Err(FileError::Refused(path.to_owned()));
        }
        way.folders.push((folder, name));
        Ok(())
    }

    fn end(&self, way: &Way, name: OsString, kind: Kind, path: &str) -> Result<Found, FileError> {
        let folder = way.top(&self.root);
        if self.refuses_name(folder, &name)? {
            return Err(FileError::Refused(path.to_owned()));
        }
        let folder = folder.try_clone().map_err(|error| FileError::io(path, error))?;
        let below = way.path().join(&name);
        Ok(Found { folder, name: Some(name), kind, path: below })
    }

    fn refuses_name(&self, folder: &File, name: &OsStr) -> Result<bool, FileError> {
        let metadata = folder.metadata().map_err(|error| FileError::io("the workspace", error))?;
        Ok(self.refusals.has_name(Identity::of(&metadata), name))
    }
}

impl Found {
    /// The folder that was found.
    #[must_use]
    pub fn folder(&self) -> &File {
        &self.folder
    }
}

impl Way {
    fn top<'w>(&'w self, root: &'w File) -> &'w File {
        self.folders.last().map_or(root, |(folder, _)| folder)
    }

    fn path(&self) -> PathBuf {
        self.folders.iter().map(|(_, name)| name).collect()
    }
}

/// Parts of a path below the root. `None` for one that begins elsewhere.
fn steps(path: &Path) -> Option<Vec<Step>> {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| match part {
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::ParentDir => Some(Step::Up),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn open_folder(folder: std::os::fd::BorrowedFd<'_>, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    Ok(File::from(fd))
}

/// Makes a folder that lasts; one that is there by now is fine.
fn make_folder(folder: &File, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => rustix::fs::fsync(folder),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn kind_at(folder: &File, name: &OsStr) -> Result<Kind, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(kind_of(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(Kind::Nothing),
        Err(error) => Err(error),
    }
}

fn kind_of(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
            Kind::Special
        }
    }
}

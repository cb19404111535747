//! Changing files: whole and lasting, or not at all.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::FileError;
use super::places::Identity;
use super::walk::{Found, Kind, Workspace};

/// Permissions of a file, without its type.
const PERMISSIONS: u32 = 0o7777;

/// A state of a file, to notice that somebody else changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    identity: Identity,
    size: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    /// The state these facts are of.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanos: metadata.mtime_nsec(),
        }
    }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A file that was not there.
    Created,
    /// Another content.
    Replaced,
    /// Nothing: the content was there already.
    Unchanged,
}

impl Workspace {
    /// Makes the content of `path` this, whole or not at all, and keeps its permissions. Folders that are missing are made.
    /// With `expected`, only if nobody changed the file since.
    ///
    /// # Errors
    /// See [`FileError`]; the file is as it was then.
    pub fn replace(&self, path: &str, content: &[u8], expected: Option<Stamp>) -> Result<Written, FileError> {
        let found = self.find(path, true)?;
        let name = self.name_of_file(&found, path)?;
        let before = match found.kind {
            Kind::Nothing => None,
            Kind::File | Kind::Folder | Kind::Link | Kind::Special => {
                Some(self.open_at(&found.folder, name, found.path.clone(), path)?)
            }
        };
        if let Some(expected) = expected
            && before.as_ref().map(|before| Stamp::of(&before.metadata)) != Some(expected)
        {
            return Err(FileError::Changed(path.to_owned()));
        }
        let Some(mut before) = before else {
            self.put(&found, name, content, None, path)?;
            return Ok(Written::Created);
        };
        if before.metadata.len() == content.len() as u64 && same(&mut before.file, content) {
            return Ok(Written::Unchanged);
        }
        self.put(&found, name, content, Some(&before.metadata), path)?;
        Ok(Written::Replaced)
    }

    /// Makes a file that is not there. Folders that are missing are made.
    ///
    /// # Errors
    /// See [`FileError`]; [`FileError::Exists`] when there is something.
    pub fn create(&self, path: &str, content: &[u8], like: Option<&Metadata>) -> Result<(), FileError> {
        let found = self.find(path, true)?;
        let (Kind::Nothing, Some(name)) = (found.kind, found.name.as_deref()) else {
            return Err(FileError::Exists(path.to_owned()));
        };
        let temporary = temporary(&found.folder, content, like).map_err(|error| FileError::io(path, error))?;
        // A link, unlike a rename, never replaces.
        let linked = rustix::fs::linkat(&found.folder, temporary.as_str(), &found.folder, name, AtFlags::empty());
        let removed = rustix::fs::unlinkat(&found.folder, temporary.as_str(), AtFlags::empty());
        match linked.and(removed).and_then(|()| rustix::fs::fsync(&found.folder)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(FileError::Exists(path.to_owned())),
            Err(error) => Err(FileError::io(path, error)),
        }
    }

    /// Removes a file, if nobody changed it since `expected`.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn remove(&self, path: &str, expected: Option<Stamp>) -> Result<(), FileError> {
        let found = self.find(path, false)?;
        let name = self.name_of_file(&found, path)?;
        let opened = self.open_at(&found.folder, name, found.path.clone(), path)?;
        if expected.is_some_and(|expected| expected != Stamp::of(&opened.metadata)) {
            return Err(FileError::Changed(path.to_owned()));
        }
        rustix::fs::unlinkat(&found.folder, name, AtFlags::empty())
            .and_then(|()| rustix::fs::fsync(&found.folder))
            .map_err(|error| FileError::io(path, error))
    }

    fn name_of_file<'f>(&self, found: &'f Found, path: &str) -> Result<&'f OsStr, FileError> {
        match (found.kind, found.name.as_deref()) {
            (Kind::File | Kind::Nothing, Some(name)) => Ok(name),
            (Kind::Folder, _) | (_, None) => Err(FileError::IsAFolder(path.to_owned())),
            (Kind::Link | Kind::Special, Some(_)) => Err(FileError::Special(path.to_owned())),
        }
    }

    fn put(
        &self,
        found: &Found,
        name: &OsStr,
        content: &[u8],
        like: Option<&Metadata>,
        path: &str,
    ) -> Result<(), FileError> {
        if like.is_some_and(|like| self.refuses(Identity::of(like))) {
            return Err(FileError::Refused(path.to_owned()));
        }
        let temporary = temporary(&found.folder, content, like).map_err(|error| FileError::io(path, error))?;
        rustix::fs::renameat(&found.folder, temporary.as_str(), &found.folder, name)
            .inspect_err(|_| discard(&found.folder, &temporary))
            .and_then(|()| rustix::fs::fsync(&found.folder))
            .map_err(|error| FileError::io(path, error))
    }
}

/// Writes `content` to a new file of the folder, to the disk, with the permissions of `like`; its name.
fn temporary(folder: &File, content: &[u8], like: Option<&Metadata>) -> Result<String, std::io::Error> {
    let name = format!(".openclawd-{}.tmp", uuid::Uuid::new_v4().simple());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = like.map_or(0o666, |_| 0o600);
    let fd = rustix::fs::openat(folder, name.as_str(), flags, Mode::from_raw_mode(mode))?;
    let mut file = File::from(fd);
    let write = |file: &mut File| {
        file.write_all(content)?;
        if let Some(like) = like {
            rustix::fs::fchmod(&*file, Mode::from_raw_mode((like.mode() & PERMISSIONS) as rustix::fs::RawMode))?;
        }
        file.sync_all()
    };
    match write(&mut file) {
        Ok(()) => Ok(name),
        Err(error) => {
            discard(folder, &name);
            Err(error)
        }
    }
}

/// Removes a new file that is not wanted after all; what fails again only leaves it behind.
fn discard(folder: &File, name: &str) {
    rustix::fs::unlinkat(folder, name, AtFlags::empty()).ok();
}

/// True when the rest of `file` is `content`.
fn same(file: &mut File, content: &[u8]) -> bool {
    let mut rest = content;
    let mut buffer = [0; 16 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return rest.is_empty(),
            Ok(read) => match rest.strip_prefix(&buffer[..read]) {
                Some(after) => rest = after,
                None => return false,
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

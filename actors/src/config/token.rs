//! The generated gateway token: `openclawd/token` in the state directory, readable by its owner only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::write::{create_private_dir, remove, sync_dir, write_temp};
use crate::secret::Secret;

/// Shortest token that is accepted from the file.
const MIN_LENGTH: usize = 16;
/// Random bytes in a new one.
const BYTES: usize = 32;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something else lies there.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file holds no usable token.
    #[error("{} holds no token of at least {MIN_LENGTH} characters; remove it and a new one is made", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// Where the token lies.
#[must_use]
pub fn token_path(state_dir: &Path) -> PathBuf {
    state_dir.join("openclawd").join("token")
}

/// The token, made on first use. Two processes that make one at the same time end with the same.
///
/// # Errors
/// When the file cannot be read or made, or holds no token.
pub fn load_or_create(state_dir: &Path) -> Result<Secret, TokenError> {
    let path = token_path(state_dir);
    if let Some(token) = read(&path)? {
        return Ok(token);
    }
    let fail = |source| TokenError::Io { path: path.clone(), source };
    let folder = state_dir.join("openclawd");
    create_private_dir(&folder).map_err(fail)?;
    let mut bytes = [0u8; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| TokenError::Random)?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let temp = write_temp(&path, format!("{text}\n").as_bytes()).map_err(fail)?;
    // A hard link never replaces: whoever comes second reads what the first one made.
    let linked = fs::hard_link(&temp, &path);
    remove(&temp);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        Ok(()) | Err(_) => {}
    }
    sync_dir(&folder).map_err(fail)?;
    read(&path)?.ok_or(TokenError::Unusable { path })
}

/// The token, if there is one.
///
/// # Errors
/// When something is there that is no token.
pub fn read(path: &Path) -> Result<Option<Secret>, TokenError> {
    let fail = |source| TokenError::Io { path: path.to_path_buf(), source };
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    if !meta.is_file() {
        return Err(TokenError::NotAFile { path: path.to_path_buf() });
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if meta.permissions().mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "token file was open to others, closed again");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
        }
    }
    let text = fs::read_to_string(path).map_err(fail)?;
    let token = text.trim();
    if token.len() < MIN_LENGTH || token.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TokenError::Unusable { path: path.to_path_buf() });
    }
    Ok(Some(Secret::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        assert_eq!(first.expose().len(), 2 * BYTES);
        assert!(load_or_create(dir.path()).unwrap().matches(first.expose()));
        assert_eq!(fs::read_dir(dir.path().join("openclawd")).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&token_path(dir.path())), 0o600);
            assert_eq!(mode(&dir.path().join("openclawd")), 0o700);
            fs::set_permissions(token_path(dir.path()), fs::Permissions::from_mode(0o644)).unwrap();
            load_or_create(dir.path()).unwrap();
            assert_eq!(mode(&token_path(dir.path())), 0o600);
        }
    }

    #[test]
    fn a_hand_made_token_is_taken_and_rubbish_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("openclawd")).unwrap();
        fs::write(token_path(dir.path()), " my-own-long-token-42 \n").unwrap();
        assert!(load_or_create(dir.path()).unwrap().matches("my-own-long-token-42"));
        for text in ["", "short", "two words in one file"] {
            fs::write(token_path(dir.path()), text).unwrap();
            assert!(matches!(load_or_create(dir.path()), Err(TokenError::Unusable { .. })), "{text:?}");
        }
        fs::remove_file(token_path(dir.path())).unwrap();
        fs::create_dir(token_path(dir.path())).unwrap();
        assert!(matches!(load_or_create(dir.path()), Err(TokenError::NotAFile { .. })));
    }
}

//! Where an agent's credentials lie on disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::profile::{ProfileError, ProfileFile};
use crate::ids::AgentId;

/// Larger files are no credentials.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The folder of an agent's credentials.
fn folder(state_dir: &Path, agent: &AgentId) -> PathBuf {
    state_dir.join("agents").join(agent.as_str()).join("agent")
}

/// Reads the stored profiles of `agent`. Read at each lease, so that an edit counts at once; a file that can't be
/// understood is reported and left out, since keys from other places may still do.
pub(super) async fn stored(state_dir: &Path, agent: &AgentId) -> ProfileFile {
    let folder = folder(state_dir, agent);
    let mut file = match text(&folder.join("auth-profiles.json")).await {
        Ok(Some(text)) => ProfileFile::parse(&text).unwrap_or_else(|error| complain("auth-profiles.json", &error)),
        Ok(None) => return ProfileFile::default(),
        Err(error) => complain("auth-profiles.json", &error),
    };
    let state = match text(&folder.join("auth-state.json")).await {
        Ok(Some(text)) => file.add_state(&text),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = state {
        complain::<()>("auth-state.json", &error);
    }
    file
}

fn complain<T: Default>(name: &'static str, error: &ProfileError) -> T {
    tracing::warn!(file = name, %error, source = ?std::error::Error::source(error).map(ToString::to_string), "file left out");
    T::default()
}

async fn text(path: &Path) -> Result<Option<String>, ProfileError> {
    let meta = match tokio::fs::metadata(path).await {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ProfileError::Io(error)),
    };
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(ProfileError::Io(ErrorKind::InvalidInput.into()));
    }
    keep_private(path, &meta).await;
    tokio::fs::read_to_string(path).await.map(Some).map_err(ProfileError::Io)
}

/// Keys are for their owner's eyes: a file others may read is made private.
async fn keep_private(path: &Path, meta: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    if meta.permissions().mode() & 0o077 == 0 {
        return;
    }
    let private = std::fs::Permissions::from_mode(0o600);
    match tokio::fs::set_permissions(path, private).await {
        Ok(()) => tracing::warn!("a credential file was readable by others and is now private"),
        Err(error) => tracing::warn!(%error, "a credential file is readable by others"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::auth_profiles::profile::{ProfileSource, candidates};

    #[tokio::test]
    async fn an_agents_file_is_read_and_made_private() {
        let home = tempfile::tempdir().unwrap();
        let agent = AgentId::normalised("main");
        let folder = folder(home.path(), &agent);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("auth-profiles.json");
        std::fs::write(&path, r#"{"profiles":{"p:a":{"type":"api_key","provider":"p","key":"k"}}}"#).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let file = stored(home.path(), &agent).await;
        assert_eq!(candidates("p", &ProfileSource::default(), &file, &|_| None).len(), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn missing_and_broken_files_are_no_profiles() {
        let home = tempfile::tempdir().unwrap();
        let agent = AgentId::normalised("main");
        let none = |file: &ProfileFile| candidates("p", &ProfileSource::default(), file, &|_| None).is_empty();
        assert!(none(&stored(home.path(), &agent).await));
        std::fs::create_dir_all(folder(home.path(), &agent)).unwrap();
        std::fs::write(folder(home.path(), &agent).join("auth-profiles.json"), "{ nonsense").unwrap();
        assert!(none(&stored(home.path(), &agent).await));
    }
}

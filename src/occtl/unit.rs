//! The systemd user unit of the gateway, as text.
//!
//! Secrets are not in it: they stay in the configuration file or in an environment file that only its owner reads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::locate::Places;

/// Name of the unit.
pub(crate) const NAME: &str = "openclawd.service";

/// What the unit depends on.
pub(crate) struct Unit<'a> {
    /// The daemon's binary.
    pub(crate) binary: &'a Path,
    /// Where its state and configuration are.
    pub(crate) places: &'a Places,
    /// The person's home folder, which systemd knows as `%h`.
    pub(crate) home: &'a Path,
}

impl Unit<'_> {
    /// The file's text.
    ///
    /// The numbers: 78 is a refused configuration and 5 in a row are a crash loop, neither of which another start mends.
    /// Stopping takes as long as the daemon's own budget and a little more.
    pub(crate) fn text(&self) -> String {
        let mut environment = String::new();
        let usual = self.home.join(".openclaw");
        if self.places.state != usual {
            writeln!(environment, "Environment={}", quoted(&assignment("OPENCLAW_STATE_DIR", &self.places.state)))
                .unwrap_or_default();
        }
        if self.places.config != self.places.state.join("openclaw.json") {
            writeln!(environment, "Environment={}", quoted(&assignment("OPENCLAW_CONFIG_PATH", &self.places.config)))
                .unwrap_or_default();
        }
        let env_file = self.places.state.join("openclawd").join("gateway.env");
        format!(
            "[Unit]\n\
             Description=openclawd assistant gateway\n\
             After=network-online.target\n\
             Wants=network-online.target\n\
             Conflicts=openclaw-gateway.service\n\
             StartLimitIntervalSec=300\n\
             StartLimitBurst=10\n\
             \n\
             [Service]\n\
             Type=simple\n\
             ExecStart={}\n\
             {environment}\
             EnvironmentFile=-{}\n\
             Restart=always\n\
             RestartSec=5\n\
             RestartPreventExitStatus=78\n\
             SuccessExitStatus=0 143\n\
             TimeoutStartSec=30\n\
             TimeoutStopSec=330\n\
             KillMode=mixed\n\
             OOMPolicy=continue\n\
             UMask=0077\n\
             NoNewPrivileges=true\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n",
            quoted(&self.binary.display().to_string()),
            escaped(&env_file.display().to_string()),
        )
    }
}

/// Where user units are.
pub(crate) fn folder(home: &Path, xdg_config: Option<String>) -> PathBuf {
    xdg_config.map_or_else(|| home.join(".config"), PathBuf::from).join("systemd").join("user")
}

fn assignment(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// systemd reads `%` as a specifier.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word as systemd reads it: in quotes when it holds more than plain characters.
fn quoted(text: &str) -> String {
    let text = escaped(text);
    if text.chars().all(|c| c.is_alphanumeric() || "/._-=+:@%".contains(c)) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(binary: &str, state: &str) -> String {
        let places = Places { state: state.into(), config: Path::new(state).join("openclaw.json") };
        Unit { binary: Path::new(binary), places: &places, home: Path::new("/home/me") }.text()
    }

    #[test]
    fn the_usual_state_folder_is_not_spelled_out() {
        let text = text("/usr/bin/openclawd", "/home/me/.openclaw");
        assert!(
            text.contains(
                "\nExecStart=/usr/bin/openclawd\nEnvironmentFile=-/home/me/.openclaw/openclawd/gateway.env\n"
            )
        );
        assert!(!text.contains("OPENCLAW_STATE_DIR"));
    }

    #[test]
    fn odd_paths_are_quoted() {
        let text = text("/opt/my tools/100%/openclawd", "/srv/a\"b");
        assert!(text.contains("ExecStart=\"/opt/my tools/100%%/openclawd\"\n"));
        assert!(text.contains("Environment=\"OPENCLAW_STATE_DIR=/srv/a\\\"b\"\n"));
    }

    #[test]
    fn a_refused_configuration_is_not_tried_again() {
        assert!(text("/x", "/s").contains("RestartPreventExitStatus=78"));
    }
}

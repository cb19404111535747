//! The texts a device signs. Both sides build them here, so they cannot disagree.

use super::connect::ConnectParams;

/// Largest difference between a signature's time and our clock.
pub const MAX_SKEW_MS: i64 = 120_000;

/// What a device says when it signs.
#[derive(Debug, Clone)]
pub struct Statement<'a> {
    /// Device id.
    pub device_id: &'a str,
    /// Client id.
    pub client_id: &'a str,
    /// Client mode.
    pub client_mode: &'a str,
    /// Effective role.
    pub role: &'a str,
    /// Scopes in the order they are sent.
    pub scopes: &'a [String],
    /// Epoch milliseconds.
    pub signed_at: i64,
    /// First present token, else empty.
    pub token: &'a str,
    /// The challenge's nonce.
    pub nonce: &'a str,
    /// Platform, as sent.
    pub platform: &'a str,
    /// Device family, as sent; empty when absent.
    pub device_family: &'a str,
}

impl<'a> Statement<'a> {
    /// What the device of `params` says. `None` when there is no device.
    #[must_use]
    pub fn of(params: &'a ConnectParams) -> Option<Self> {
        let device = params.device.as_ref()?;
        Some(Self {
            device_id: &device.id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: params.role_name(),
            scopes: params.requested_scopes(),
            signed_at: device.signed_at,
            token: params.auth.as_ref().map_or("", |auth| auth.signed_token()),
            nonce: &device.nonce,
            platform: &params.client.platform,
            device_family: params.client.device_family.as_deref().unwrap_or(""),
        })
    }

    /// The second version of the text.
    #[must_use]
    pub fn v2(&self) -> String {
        self.text("v2")
    }

    /// The third version: platform and device family are signed too.
    #[must_use]
    pub fn v3(&self) -> String {
        format!("{}|{}|{}", self.text("v3"), plain(self.platform), plain(self.device_family))
    }

    fn text(&self, version: &str) -> String {
        [
            version,
            self.device_id,
            self.client_id,
            self.client_mode,
            self.role,
            &self.scopes.join(","),
            &self.signed_at.to_string(),
            self.token,
            self.nonce,
        ]
        .join("|")
    }
}

/// Platform and family as they are signed and pinned: trimmed, ASCII lower case.
#[must_use]
pub fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_published_vector() {
        let scopes = ["operator.read".to_owned(), "operator.write".to_owned()];
        let id = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
        let statement = Statement {
            device_id: id,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &scopes,
            signed_at: 1_737_264_000_000,
            token: "<TOKEN>",
            nonce: "11111111-2222-3333-4444-555555555555",
            platform: " Linux",
            device_family: "linux ",
        };
        let common =
            "|cli|cli|operator|operator.read,operator.write|1737264000000|<TOKEN>|11111111-2222-3333-4444-555555555555";
        assert_eq!(statement.v2(), format!("v2|{id}{common}"));
        assert_eq!(statement.v3(), format!("v3|{id}{common}|linux|linux"));
    }
}

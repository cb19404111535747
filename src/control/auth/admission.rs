//! The decision about a `connect`: everything known goes in, accept or refuse comes out.
//!
//! Order: version, role, origin, device proof, credentials, pairing. The proof comes before the credentials are final,
//! so a bad signature hides whether the token was right.

use std::time::Duration;

use actors::clock::EpochMs;
use serde_json::json;

use crate::protocol::connect::{CONTROL_UI, ConnectAuth};
use crate::protocol::{Close, ConnectParams, DetailCode, ErrorCode, ErrorShape, Role, close, device, scope, version};

use super::credentials::{AuthConfig, AuthFault, AuthMethod, AuthMode, check_shared, filled};
use super::grants;
use super::locality::{Locality, UpgradeFacts};
use super::origin;
use super::pairing;
use super::proof::{self, ProvenDevice};
use super::rate_limit::{Credential, LimitKey, RateLimiter};
use super::registry::{ApprovedVia, Change, DeviceRecord, DeviceRegistry, PendingPairing};
use super::tokens::Fresh;

mod verdict;

pub use verdict::{Accepted, Decision, Effect, Outcome, Refusal};

/// Everything known about a `connect`.
#[expect(missing_debug_implementations, reason = "holds a source of secrets and is only ever borrowed for a call")]
pub struct Attempt<'a> {
    /// What the HTTP upgrade said.
    pub upgrade: &'a UpgradeFacts,
    /// Validated parameters.
    pub params: &'a ConnectParams,
    /// The nonce of the challenge.
    pub nonce: &'a str,
    /// What the configuration says.
    pub config: &'a AuthConfig,
    /// Paired devices.
    pub devices: &'a DeviceRegistry,
    /// Failures so far.
    pub limiter: &'a RateLimiter,
    /// The time.
    pub now: EpochMs,
    /// For tokens and request ids.
    pub fresh: &'a dyn Fresh,
}

/// Decides about a `connect` whose parameters were valid.
#[must_use]
pub fn decide(attempt: &Attempt<'_>) -> Decision {
    let mut effects = Vec::new();
    let mut delay = Duration::ZERO;
    let outcome = match attempt.judge(&mut effects, &mut delay) {
        Ok(accepted) => Outcome::Accept(Box::new(accepted)),
        Err(refusal) => Outcome::Refuse(refusal),
    };
    Decision { outcome, effects, delay }
}

/// Parameters that were not valid: told, then closed.
#[must_use]
pub fn refuse_params(error: ErrorShape) -> Refusal {
    Refusal::policy(error)
}

/// How the credentials were judged.
type Credentials = Result<AuthMethod, AuthFault>;

impl Attempt<'_> {
    fn judge(&self, effects: &mut Vec<Effect>, delay: &mut Duration) -> Result<Accepted, Box<Refusal>> {
        self.check_version()?;
        let role = self.role()?;
        origin::check(self.upgrade, &self.params.client.id, self.config).map_err(|fault| policy(fault.error()))?;
        let device = proof::check(self.params, self.nonce, self.now).map_err(|fault| policy(fault.error()))?;
        let Some(device) = device else {
            return self.judge_without_device(role, effects, delay);
        };
        let method = self.limited(effects, delay, |auth| self.judge_credentials(auth, &device, role))?;
        self.judge_pairing(role, method, &device, effects)
    }

    fn check_version(&self) -> Result<(), Box<Refusal>> {
        let versions = self.params.versions();
        if versions.is_accepted(self.params.leniency()) {
            return Ok(());
        }
        let error = ErrorShape::invalid_request("protocol mismatch").with_details(json!({
            "code": DetailCode::ProtocolMismatch.as_str(),
            "clientMinProtocol": versions.min,
            "clientMaxProtocol": versions.max,
            "expectedProtocol": version::CURRENT,
            "minimumProbeProtocol": version::MINIMUM_PROBE,
        }));
        let close = Close::new(close::PROTOCOL_MISMATCH, &error.message);
        Err(Box::new(Refusal { error: Some(error), close }))
    }

    fn role(&self) -> Result<Role, Box<Refusal>> {
        let client = &self.params.client;
        if self.params.role_name() == "worker" || client.mode == "worker" || client.id == "openclaw-worker" {
            // Workers have a path of their own, which we do not serve.
            return Err(Box::new(Refusal { error: None, close: Close::policy("invalid-handshake") }));
        }
        Role::parse(self.params.role_name()).ok_or_else(|| policy(ErrorShape::invalid_request("invalid role")))
    }

    /// Judges credentials under the rate limit, and counts the outcome.
    fn limited(
        &self,
        effects: &mut Vec<Effect>,
        delay: &mut Duration,
        judge: impl FnOnce(&ConnectAuth) -> Credentials,
    ) -> Result<AuthMethod, Box<Refusal>> {
        let auth = self.params.credentials();
        let refuse = |fault: AuthFault| policy(fault.error(self.params));
        let Some(key) = self.limit_key(&auth) else { return judge(&auth).map_err(refuse) };
        if let Some(wait) = self.limiter.locked_for(&key, self.now) {
            return Err(refuse(AuthFault::RateLimited(wait)));
        }
        match judge(&auth) {
            Ok(method) => {
                effects.push(Effect::AuthSucceeded(key));
                Ok(method)
            }
            Err(fault) => {
                if fault.is_wrong_guess() {
                    *delay = self.limiter.delay(&key, &self.config.rate, self.now);
                    effects.push(Effect::AuthFailed(key));
                }
                Err(refuse(fault))
            }
        }
    }

    /// What is being guessed at; `None` when nothing was sent or nothing is needed.
    fn limit_key(&self, auth: &ConnectAuth) -> Option<LimitKey> {
        if self.config.mode == AuthMode::None {
            return None;
        }
        let credential = if filled(auth.token.as_ref()).or(filled(auth.password.as_ref())).is_some() {
            Credential::SharedSecret
        } else if filled(auth.device_token.as_ref()).is_some() {
            Credential::DeviceToken
        } else if filled(auth.bootstrap_token.as_ref()).is_some() {
            Credential::Bootstrap
        } else {
            return None;
        };
        Some(LimitKey::of(self.upgrade, credential))
    }

    fn judge_without_device(
        &self,
        role: Role,
        effects: &mut Vec<Effect>,
        delay: &mut Duration,
    ) -> Result<Accepted, Box<Refusal>> {
        let auth = self.params.credentials();
        let has_secret = filled(auth.token.as_ref()).or(filled(auth.password.as_ref())).is_some();
        let is_vouched_for = self.config.mode == AuthMode::TrustedProxy && self.upgrade.proxy_user.is_some();
        if self.params.client.id == CONTROL_UI && !is_vouched_for {
            let message = "control ui requires device identity (open it on localhost or over https)";
            return Err(policy(
                ErrorShape::invalid_request(message)
                    .with_details(json!({ "code": DetailCode::ControlUiDeviceIdentityRequired.as_str() })),
            ));
        }
        let needs_no_secret = is_vouched_for
            || (self.config.mode == AuthMode::None && grants::is_backend_helper(self.upgrade, self.params));
        if !has_secret && !needs_no_secret {
            return Err(device_required());
        }
        let method = self.limited(effects, delay, |auth| check_shared(self.upgrade, auth, self.config))?;
        let is_enough = method != AuthMethod::None || grants::is_backend_helper(self.upgrade, self.params);
        if !is_enough || role == Role::Node {
            return Err(device_required());
        }
        Ok(Accepted {
            role,
            scopes: grants::without_device(self.upgrade, self.params, method),
            method,
            locality: Locality::of(self.upgrade, method.is_shared_secret()),
            device_id: None,
            device_token: None,
        })
    }

    /// The shared secret, or a token of this very device in either field.
    fn judge_credentials(&self, auth: &ConnectAuth, device: &ProvenDevice, role: Role) -> Credentials {
        let shared = check_shared(self.upgrade, auth, self.config);
        let fault = match shared {
            Ok(method) => return Ok(method),
            Err(fault) => fault,
        };
        let own_field = filled(auth.device_token.as_ref());
        if let Some(sent) = own_field.or(filled(auth.token.as_ref())) {
            match self.check_device_token(sent, device, role) {
                Err(AuthFault::DeviceTokenMismatch) if own_field.is_none() => {}
                judged => return judged,
            }
        }
        if filled(auth.bootstrap_token.as_ref()).is_some() {
            return Err(AuthFault::BootstrapTokenInvalid);
        }
        Err(fault)
    }

    fn check_device_token(&self, sent: &str, device: &ProvenDevice, role: Role) -> Credentials {
        let record = self.devices.device(&device.id).ok_or(AuthFault::DeviceTokenMismatch)?;
        let token = record.tokens.iter().find(|token| token.token.matches(sent));
        let token = token.ok_or(AuthFault::DeviceTokenMismatch)?;
        let asked = match role {
            Role::Operator => self.params.requested_scopes(),
            Role::Node => &[],
        };
        if token.role != role || scope::first_uncovered(&token.scopes, asked).is_some() {
            return Err(AuthFault::ScopeMismatch);
        }
        Ok(AuthMethod::DeviceToken)
    }

    fn judge_pairing(
        &self,
        role: Role,
        method: AuthMethod,
        device: &ProvenDevice,
        effects: &mut Vec<Effect>,
    ) -> Result<Accepted, Box<Refusal>> {
        let known = self.devices.device(&device.id);
        let record = match (pairing::reason(self.params, role, known), known) {
            (None, Some(known)) => self.welcome_back(known, role, method, effects),
            (reason, _) => {
                let reason = reason.unwrap_or(pairing::PairingReason::NotPaired);
                let request = self.request(device, role, known.is_some());
                if !pairing::is_silent(reason, self.upgrade, self.params, method, self.config) {
                    return Err(self.wait_for_approval(reason, request, known, effects));
                }
                let mut record = self.devices.granted(&request, ApprovedVia::Silent, self.now, self.fresh);
                record.last_seen_at_ms = Some(self.now);
                record.last_seen_reason = Some("connect".to_owned());
                effects.push(Effect::Devices(Change::Put(Box::new(record.clone()))));
                record
            }
        };
        Ok(Accepted {
            role,
            scopes: grants::with_device(self.upgrade, self.params, role, method),
            method,
            locality: Locality::of(self.upgrade, method.is_shared_secret()),
            device_id: Some(device.id.clone()),
            device_token: record.token(role).map(|token| (token.token.clone(), token.issued_at_ms())),
        })
    }

    fn welcome_back(
        &self,
        known: &DeviceRecord,
        role: Role,
        method: AuthMethod,
        effects: &mut Vec<Effect>,
    ) -> DeviceRecord {
        let mut record = known.clone();
        // A token with fewer scopes than approved was narrowed on purpose: only a missing one is issued.
        if record.token(role).is_none() && record.ensure_token(role, self.now, self.fresh) {
            effects.push(Effect::Devices(Change::Put(Box::new(record.clone()))));
        }
        let reason = if method == AuthMethod::DeviceToken { "device-token-auth" } else { "connect" };
        effects.push(Effect::Devices(Change::Seen {
            device_id: record.device_id.clone(),
            at_ms: self.now,
            reason: reason.to_owned(),
        }));
        record
    }

    fn wait_for_approval(
        &self,
        reason: pairing::PairingReason,
        request: PendingPairing,
        known: Option<&DeviceRecord>,
        effects: &mut Vec<Effect>,
    ) -> Box<Refusal> {
        let (changes, request, is_new) = self.devices.ask(request, self.now);
        effects.extend(changes.into_iter().map(Effect::Devices));
        let error = reason.error(&request, known);
        let close = Close::policy(&format!("{} (requestId: {})", error.message, request.request_id));
        if is_new {
            effects.push(Effect::PairRequested(Box::new(request)));
        }
        Box::new(Refusal { error: Some(error), close })
    }

    fn request(&self, proven: &ProvenDevice, role: Role, is_repair: bool) -> PendingPairing {
        let client = &self.params.client;
        let scopes = match role {
            Role::Operator => self.params.requested_scopes().to_vec(),
            Role::Node => Vec::new(),
        };
        PendingPairing {
            request_id: self.fresh.request_id(),
            device_id: proven.id.clone(),
            public_key: proven.public_key.clone(),
            display_name: client.display_name.clone(),
            platform: client.platform.clone(),
            device_family: client.device_family.clone().filter(|family| !device::plain(family).is_empty()),
            client_id: client.id.clone(),
            client_mode: client.mode.clone(),
            role,
            roles: vec![role],
            scopes,
            remote_ip: (!self.upgrade.is_local_peer()).then(|| self.upgrade.remote.to_string()),
            silent: false,
            is_repair,
            ts: self.now,
        }
    }
}

fn policy(error: ErrorShape) -> Box<Refusal> {
    Box::new(Refusal::policy(error))
}

fn device_required() -> Box<Refusal> {
    policy(
        ErrorShape::new(ErrorCode::NotPaired, "device identity required")
            .with_details(json!({ "code": DetailCode::DeviceIdentityRequired.as_str() })),
    )
}

#[cfg(test)]
mod tests;

//! `device.pair.*` and `device.token.*`.

use std::collections::HashSet;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Answer, Call, Handled, Method};
use crate::control::auth::registry::DeviceRecord;
use crate::control::connection::context::ConnContext;
use crate::protocol::close::Close;
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::devices::{
    ApproveParams, ListParams, RejectParams, RemoveParams, RenameParams, RevokeParams, RotateParams, RotateResult,
};
use crate::protocol::scope::{Role, Scope};

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("device.pair.list", Scope::Pairing, ListParams::SHAPE, list),
    Method::new("device.pair.approve", Scope::Pairing, ApproveParams::SHAPE, approve),
    Method::new("device.pair.reject", Scope::Pairing, RejectParams::SHAPE, reject),
    Method::new("device.pair.remove", Scope::Pairing, RemoveParams::SHAPE, remove),
    Method::new("device.pair.rename", Scope::Pairing, RenameParams::SHAPE, rename),
    Method::new("device.token.rotate", Scope::Pairing, RotateParams::SHAPE, rotate),
    Method::new("device.token.revoke", Scope::Pairing, RevokeParams::SHAPE, revoke),
];

fn list(call: Call) -> Handled {
    async move {
        let devices = call.services.devices.list().await?;
        let here: HashSet<String> =
            call.services.broadcast.connections().iter().filter_map(|one| one.device_id.clone()).collect();
        let paired: Vec<Value> = devices
            .paired
            .iter()
            .map(|device| {
                let mut shown = shown(device);
                shown["connected"] = json!(here.contains(&device.device_id));
                shown
            })
            .collect();
        Ok(Answer::One(json!({ "pending": devices.pending, "paired": paired })))
    }
    .boxed()
}

/// A record without the tokens themselves.
fn shown(device: &DeviceRecord) -> Value {
    let mut value = json!(device);
    for token in value["tokens"].as_array_mut().into_iter().flatten() {
        if let Some(token) = token.as_object_mut() {
            token.remove("token");
        }
    }
    value
}

fn approve(call: Call) -> Handled {
    async move {
        let ApproveParams { request_id } = call.parse()?;
        let device = call.services.devices.approve(request_id.clone(), call.conn.scopes.clone()).await?;
        call.services.broadcast.settle().await;
        Ok(Answer::One(json!({ "requestId": request_id, "device": shown(&device) })))
    }
    .boxed()
}

fn reject(call: Call) -> Handled {
    async move {
        let RejectParams { request_id } = call.parse()?;
        let device_id = call.services.devices.reject(request_id.clone()).await?;
        call.services.broadcast.settle().await;
        Ok(Answer::One(json!({ "requestId": request_id, "deviceId": device_id })))
    }
    .boxed()
}

fn remove(call: Call) -> Handled {
    async move {
        let RemoveParams { device_id } = call.parse()?;
        call.services.devices.remove(device_id.clone()).await?;
        let answer = json!({ "deviceId": device_id });
        Ok(sent_away(&call, answer, "device removed", |one| one.device_id.as_ref() == Some(&device_id)))
    }
    .boxed()
}

fn rename(call: Call) -> Handled {
    async move {
        let RenameParams { device_id, label } = call.parse()?;
        call.services.devices.rename(device_id.clone(), label.clone()).await?;
        call.services.broadcast.settle().await;
        Ok(Answer::One(json!({ "deviceId": device_id, "label": label })))
    }
    .boxed()
}

fn rotate(call: Call) -> Handled {
    async move {
        let params: RotateParams = call.parse()?;
        let (device_id, role) = (params.device_id, role(&params.role)?);
        let token = call.services.devices.rotate(device_id.clone(), role, params.scopes).await?;
        // The new token goes to nobody but the device itself, and only if it showed the old one.
        let is_own = call.conn.device_id.as_ref() == Some(&device_id) && call.conn.is_by_device_token();
        let result = RotateResult {
            device_id: device_id.clone(),
            role,
            scopes: token.scopes.clone(),
            rotated_at_ms: token.issued_at_ms(),
            token_delivery: if is_own { "returned" } else { "withheld-cross-device" }.to_owned(),
            token: is_own.then(|| token.token.expose().to_owned()),
        };
        call.services.broadcast.close_where(&Close::invalidated("device token rotated"), |one| {
            one.is_by_device_token() && is_of(one, &device_id, role) && one.conn_id != call.conn.conn_id
        });
        Ok(Answer::One(json!(result)))
    }
    .boxed()
}

fn revoke(call: Call) -> Handled {
    async move {
        let RevokeParams { device_id, role: name } = call.parse()?;
        let role = role(&name)?;
        call.services.devices.revoke(device_id.clone(), role).await?;
        let answer = json!({ "deviceId": device_id, "role": role, "revokedAtMs": call.services.clock.now_ms() });
        Ok(sent_away(&call, answer, "device token revoked", |one| is_of(one, &device_id, role)))
    }
    .boxed()
}

fn is_of(connection: &ConnContext, device_id: &str, role: Role) -> bool {
    connection.device_id.as_deref() == Some(device_id) && connection.role == role
}

/// Closes the connections that `which` picks; the caller's own only after its answer.
fn sent_away(call: &Call, answer: Value, reason: &str, which: impl Fn(&ConnContext) -> bool) -> Answer {
    let close = Close::invalidated(reason);
    call.services.broadcast.close_where(&close, |one| one.conn_id != call.conn.conn_id && which(one));
    if which(&call.conn) { Answer::Last(answer, close) } else { Answer::One(answer) }
}

fn role(name: &str) -> Result<Role, ErrorShape> {
    Role::parse(name).ok_or_else(|| ErrorShape::invalid_request(format!("unknown role: {name}")))
}

//! Wakes the lane of an account when something was put into its outbox.

use crate::delivery::contract::LaneId;
use crate::delivery::handle::DeliveryHandle;
use crate::ids::{AccountId, ChannelId};
use crate::sessions::directory::DeliveryPort;

/// The way from an outbox to its lane.
#[derive(Debug, Clone)]
pub struct Deliveries(pub DeliveryHandle);

impl DeliveryPort for Deliveries {
    fn wake(&self, channel: &str, account: &str) {
        self.0.wake(&LaneId { channel: ChannelId::new(channel), account: AccountId::normalised(account) });
    }
}

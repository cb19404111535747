//! Lanes from the outside: one per account that runs, woken when there is something to send.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use supervision::{Address, AdminError, CallError, CastError, ChildId, Slot, SupervisorHandle};

use crate::channels::handle::settled;
use crate::channels::registry::AccountSetup;
use crate::delivery::contract::{ChatKey, LaneId, LaneStatus};
use crate::delivery::lane::{self, DeliveryPorts, LaneArgs, LaneMessage};

/// How long a lane may take to say how it fares.
const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// One lane. Cheap to clone; outlives its restarts.
#[derive(Debug, Clone)]
pub struct LaneHandle {
    address: Address<LaneMessage>,
}

impl LaneHandle {
    /// Something was put into the outbox. Costs nothing when the lane is awake.
    pub fn wake(&self) {
        match self.address.try_cast(LaneMessage::Wake) {
            // A full mailbox holds a wake already; a lane that is down asks the outbox when it comes up.
            Ok(()) | Err(CastError::Busy(_) | CastError::NoProc(_)) => {}
        }
    }

    /// Shows "is typing" in a chat for a few seconds, if the channel can.
    pub fn typing(&self, chat: ChatKey) {
        // A courtesy: not worth waiting for.
        drop(self.address.try_cast(LaneMessage::Typing(chat)));
    }

    /// What the lane did since it was started.
    ///
    /// # Errors
    /// When the lane is down or does not answer.
    pub async fn status(&self) -> Result<LaneStatus, CallError> {
        self.address.call(|reply| LaneMessage::Status { reply }, STATUS_DEADLINE).await
    }

    /// Returns when everything that may be sent now is sent. What waits for its time is not waited for.
    ///
    /// # Errors
    /// When the lane is down or this takes longer than `budget`.
    pub async fn drain(&self, budget: Duration) -> Result<(), CallError> {
        self.address.call(|reply| LaneMessage::Drain { reply }, budget).await
    }

    /// Begins nothing new and returns when nothing is on its way any more. For the way down: a restart takes it back.
    ///
    /// # Errors
    /// When the lane is down or what is on its way takes longer than `budget`.
    pub async fn quiesce(&self, budget: Duration) -> Result<(), CallError> {
        self.address.call(|reply| LaneMessage::Quiesce { reply }, budget).await
    }
}

/// The lanes and their supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeliveryHandle {
    supervisor: SupervisorHandle,
    ports: DeliveryPorts,
    lanes: Arc<ArcSwap<BTreeMap<LaneId, Lane>>>,
}

#[derive(Debug, Clone)]
struct Lane {
    /// Read at each start of its actor.
    setup: Arc<ArcSwap<AccountSetup>>,
    slot: Slot<LaneMessage>,
}

impl DeliveryHandle {
    /// A handle on the lanes under `supervisor`, of which none is started yet.
    #[must_use]
    pub fn new(supervisor: SupervisorHandle, ports: DeliveryPorts) -> Self {
        Self { supervisor, ports, lanes: Arc::default() }
    }

    /// Makes what runs what is `wanted`: a lane for each account that is to run. The same for boot, reload and after the
    /// supervisor itself was restarted. One caller at a time.
    ///
    /// # Errors
    /// When the supervisor can't be asked or refuses; what was done before stays done.
    pub async fn converge(&self, wanted: &[AccountSetup]) -> Result<(), AdminError> {
        let running: Vec<ChildId> = self.supervisor.which_children().await?.into_iter().map(|child| child.id).collect();
        let before = self.lanes.load_full();
        let mut lanes = BTreeMap::new();
        let mut kept: Vec<ChildId> = Vec::new();
        for setup in wanted.iter().filter(|setup| setup.is_wanted()) {
            let key = LaneId { channel: setup.channel.clone(), account: setup.account.clone() };
            let id = ChildId::from(key.to_string().as_str());
            let known = before.get(&key);
            let changed = known.is_some_and(|lane| lane.setup.load().differs_from(setup));
            let lane = known
                .cloned()
                .unwrap_or_else(|| Lane { setup: Arc::new(ArcSwap::from_pointee(setup.clone())), slot: Slot::new() });
            lane.setup.store(Arc::new(setup.clone()));
            if !running.contains(&id) {
                settled(self.supervisor.start_child(self.spec(&key, &lane)).await)?;
            } else if changed {
                settled(self.supervisor.cycle_child(&id).await)?;
            }
            lanes.insert(key, lane);
            kept.push(id);
        }
        for id in running.into_iter().filter(|id| !kept.contains(id)) {
            self.supervisor.terminate_child(&id).await?;
            self.supervisor.delete_child(&id).await?;
        }
        self.lanes.store(Arc::new(lanes));
        Ok(())
    }

    /// The lane of an account, if it runs.
    #[must_use]
    pub fn lane(&self, id: &LaneId) -> Option<LaneHandle> {
        self.lanes.load().get(id).map(|lane| LaneHandle { address: lane.slot.address() })
    }

    /// Wakes the lane of an account. A lane that does not run yet asks the outbox when it starts.
    pub fn wake(&self, id: &LaneId) {
        if let Some(lane) = self.lane(id) {
            lane.wake();
        }
    }

    /// All lanes that run.
    #[must_use]
    pub fn lanes(&self) -> Vec<(LaneId, LaneHandle)> {
        let lanes = self.lanes.load();
        lanes.iter().map(|(id, lane)| (id.clone(), LaneHandle { address: lane.slot.address() })).collect()
    }

    /// Waits until every lane has sent what may be sent now, each for `budget` at most. Returns the lanes that were not
    /// done in time.
    pub async fn drain(&self, budget: Duration) -> Vec<LaneId> {
        let lanes = self.lanes().into_iter().map(|(id, lane)| async move {
            match lane.drain(budget).await {
                // A lane that is down sends nothing; its messages are kept.
                Ok(()) | Err(CallError::NoProc) => None,
                Err(_) => Some(id),
            }
        });
        futures_util::future::join_all(lanes).await.into_iter().flatten().collect()
    }

    /// Waits until no lane has anything on its way, each for `budget` at most, and lets none begin anything new. For the
    /// way down: what is cut off while being sent has an unknown outcome. Returns the lanes that were not done in time.
    pub async fn quiesce(&self, budget: Duration) -> Vec<LaneId> {
        let lanes = self.lanes().into_iter().map(|(id, lane)| async move {
            match lane.quiesce(budget).await {
                // A lane that is down has nothing on its way.
                Ok(()) | Err(CallError::NoProc) => None,
                Err(_) => Some(id),
            }
        });
        futures_util::future::join_all(lanes).await.into_iter().flatten().collect()
    }

    fn spec(&self, key: &LaneId, lane: &Lane) -> supervision::ChildSpec {
        let (id, setup, ports) = (key.clone(), lane.setup.clone(), self.ports.clone());
        let make = move || LaneArgs { id: id.clone(), setup: setup.load_full(), ports: ports.clone() };
        lane::child_spec(&key.to_string(), &lane.slot, make)
    }
}

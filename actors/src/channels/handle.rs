//! Starts, stops and shows accounts: the desired state meets the running one here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use supervision::tree::NodeState;
use supervision::{AdminError, BackoffPolicy, ChildId, ChildInfo, ChildSpec, Slot, SupervisorHandle};

use crate::channels::account::{self, AccountArgs, AccountMessage, ChannelPorts};
use crate::channels::registry::AccountSetup;
use crate::channels::status::{AccountSnapshot, Board};
use crate::ids::{AccountId, ChannelId};

/// The accounts and their supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChannelsHandle {
    supervisor: SupervisorHandle,
    ports: ChannelPorts,
    backoff: BackoffPolicy,
    accounts: Arc<ArcSwap<BTreeMap<String, Account>>>,
}

/// An account that the configuration names.
#[derive(Debug, Clone)]
struct Account {
    /// Read at each start of its actor.
    setup: Arc<ArcSwap<AccountSetup>>,
    board: Board,
    slot: Slot<AccountMessage>,
}

/// What converging did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Converged {
    /// Accounts that were started.
    pub started: Vec<String>,
    /// Accounts that run with new settings.
    pub restarted: Vec<String>,
    /// Accounts that were stopped.
    pub stopped: Vec<String>,
}

/// What is said of an account.
#[derive(Debug, Clone)]
pub struct AccountStatus {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub account: AccountId,
    /// How it fares.
    pub snapshot: Arc<AccountSnapshot>,
}

/// An account as its supervisor sees it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) id: ChildId,
    pub(super) state: NodeState,
    pub(super) snapshot: Arc<AccountSnapshot>,
}

impl ChannelsHandle {
    /// A handle on the accounts under `supervisor`, of which none is started yet.
    #[must_use]
    pub fn new(supervisor: SupervisorHandle, ports: ChannelPorts) -> Self {
        Self { supervisor, ports, backoff: account::ladder(), accounts: Arc::default() }
    }

    /// The same with another ladder of restarts.
    #[must_use]
    pub fn with_backoff(mut self, backoff: BackoffPolicy) -> Self {
        self.backoff = backoff;
        self
    }

    /// Makes what runs what is `wanted`: starts, restarts with new settings, stops. The same for boot, reload and
    /// after the supervisor itself was restarted. An account that failed is started again only if it changed. One caller
    /// at a time.
    ///
    /// # Errors
    /// When the supervisor can't be asked or refuses; what was done before stays done.
    pub async fn converge(&self, wanted: Vec<AccountSetup>) -> Result<Converged, AdminError> {
        let running = self.supervisor.which_children().await?;
        let mut done = Converged::default();
        let mut accounts = BTreeMap::new();
        let before = self.accounts.load_full();
        for setup in wanted {
            let key = setup.child_id();
            let id = ChildId::from(key.as_str());
            let known = before.get(&key);
            let changed = known.is_some_and(|account| account.setup.load().differs_from(&setup));
            let account = Account::of(known, setup);
            accounts.insert(key.clone(), account.clone());
            // Shown before it starts, so that it can be seen to start.
            self.accounts.rcu(|old| with(old, &key, &account));
            let child = running.iter().find(|child| child.id == id);
            match (account.setup.load().is_wanted(), child) {
                (true, None) => {
                    settled(self.supervisor.start_child(self.spec(&key, &account)).await)?;
                    done.started.push(key);
                }
                // One that was stopped by hand stays so, and has its new settings when it is started.
                (true, Some(child)) if changed && child.state != NodeState::Exited => {
                    settled(self.supervisor.cycle_child(&id).await)?;
                    done.restarted.push(key);
                }
                (true, Some(_)) | (false, None) => {}
                (false, Some(_)) => {
                    self.remove(&id).await?;
                    done.stopped.push(key);
                }
            }
        }
        for id in running.into_iter().map(|child| child.id).filter(|id| !accounts.contains_key(id.as_str())) {
            self.remove(&id).await?;
            done.stopped.push(id.as_str().to_owned());
        }
        self.accounts.store(Arc::new(accounts));
        Ok(done)
    }

    /// All accounts, in the order of channel and account.
    #[must_use]
    pub fn status(&self) -> Vec<AccountStatus> {
        let status = |account: &Account| {
            let setup = account.setup.load();
            AccountStatus {
                channel: setup.channel.clone(),
                account: setup.account.clone(),
                snapshot: account.board.read(),
            }
        };
        self.accounts.load().values().map(status).collect()
    }

    /// One account.
    #[must_use]
    pub fn snapshot(&self, channel: &ChannelId, account: &AccountId) -> Option<Arc<AccountSnapshot>> {
        self.accounts.load().get(&format!("{channel}:{account}")).map(|account| account.board.read())
    }

    /// Starts an account that was stopped, failed, was given up or waits for a retry; its ladder begins anew. One that is
    /// up stays up.
    ///
    /// # Errors
    /// When there is no such account or the supervisor refuses.
    pub async fn start(&self, channel: &ChannelId, account: &AccountId) -> Result<(), AdminError> {
        match self.supervisor.start_now(&child_id(channel, account)).await {
            Err(AdminError::Running | AdminError::AlreadyStarted(_)) => Ok(()),
            other => other,
        }
    }

    /// Stops an account, if it is up, and starts it again; its ladder begins anew.
    ///
    /// # Errors
    /// When there is no such account or the supervisor refuses.
    pub async fn restart(&self, channel: &ChannelId, account: &AccountId) -> Result<(), AdminError> {
        self.supervisor.cycle_child(&child_id(channel, account)).await
    }

    /// Stops an account until it is started by hand.
    ///
    /// # Errors
    /// When there is no such account or the supervisor refuses.
    pub async fn stop(&self, channel: &ChannelId, account: &AccountId) -> Result<(), AdminError> {
        self.supervisor.terminate_child(&child_id(channel, account)).await
    }

    /// Stops all accounts: nothing more comes in. For the way down; what was not confirmed stays with the platforms.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub async fn stop_all(&self) -> Result<(), AdminError> {
        let stops = self.supervisor.which_children().await?.into_iter().map(|child| {
            let supervisor = &self.supervisor;
            async move {
                if let Err(error) = supervisor.terminate_child(&child.id).await {
                    tracing::debug!(account = %child.id, %error, "account not stopped");
                }
            }
        });
        futures_util::future::join_all(stops).await;
        Ok(())
    }

    /// What the supervisor says of each account, with its snapshot.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub(super) async fn standing(&self) -> Result<Vec<Standing>, AdminError> {
        let children = self.supervisor.which_children().await?;
        let accounts = self.accounts.load();
        let standing = |child: ChildInfo| {
            let snapshot = accounts.get(child.id.as_str())?.board.read();
            Some(Standing { id: child.id, state: child.state, snapshot })
        };
        Ok(children.into_iter().filter_map(standing).collect())
    }

    /// Starts an account again whatever it is doing.
    pub(super) async fn cycle(&self, id: &ChildId) -> Result<(), AdminError> {
        settled(self.supervisor.cycle_child(id).await)
    }

    async fn remove(&self, id: &ChildId) -> Result<(), AdminError> {
        self.supervisor.terminate_child(id).await?;
        self.supervisor.delete_child(id).await
    }

    fn spec(&self, key: &str, account: &Account) -> ChildSpec {
        let (setup, board, ports) = (account.setup.clone(), account.board.clone(), self.ports.clone());
        let label = setup.load().name.clone();
        let make = move || AccountArgs { setup: setup.load_full(), ports: ports.clone(), board: board.clone() };
        let spec = account::child_spec(key, &account.slot, self.backoff.clone(), make);
        match label {
            Some(label) => spec.label(label),
            None => spec,
        }
    }
}

fn child_id(channel: &ChannelId, account: &AccountId) -> ChildId {
    ChildId::from(format!("{channel}:{account}"))
}

/// A child that is isolated and did not start is its own policy's business, and shows in the tree.
pub(crate) fn settled<T>(outcome: Result<T, AdminError>) -> Result<(), AdminError> {
    match outcome {
        Err(AdminError::StartFailed(reason)) => {
            tracing::error!(%reason, "not started");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn with(accounts: &BTreeMap<String, Account>, key: &str, account: &Account) -> BTreeMap<String, Account> {
    let mut accounts = accounts.clone();
    accounts.insert(key.to_owned(), account.clone());
    accounts
}

impl Account {
    /// The account with its settings of now; board and address stay what they were.
    fn of(known: Option<&Self>, setup: AccountSetup) -> Self {
        let account = known.cloned().unwrap_or_else(|| {
            let board = Board::new(AccountSnapshot::new(setup.account.as_str(), setup.name.clone(), setup.mode));
            Self { setup: Arc::new(ArcSwap::from_pointee(setup.clone())), board, slot: Slot::new() }
        });
        account.board.update(|snapshot| {
            snapshot.name.clone_from(&setup.name);
            snapshot.enabled = setup.enabled;
            snapshot.configured = setup.problem.is_none();
            if let Some(problem) = &setup.problem {
                snapshot.last_error = Some(problem.clone());
            }
        });
        account.setup.store(Arc::new(setup));
        account
    }
}

//! How many sockets of one address may be unauthenticated at the same time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts unauthenticated sockets by address. Outlives the listener that fills it.
#[derive(Debug, Clone)]
pub(crate) struct PreauthSlots {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// One unauthenticated socket; dropped when it is authenticated or gone.
#[derive(Debug)]
pub(crate) struct PreauthSlot {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    ip: IpAddr,
}

impl PreauthSlots {
    /// At most `most` per address.
    pub(crate) fn new(most: usize) -> Self {
        Self { counts: Arc::default(), most }
    }

    /// Takes a slot for `ip`; `None` when all are taken.
    pub(crate) fn take(&self, ip: IpAddr) -> Option<PreauthSlot> {
        let ip = ip.to_canonical();
        let mut counts = lock(&self.counts);
        let count = counts.entry(ip).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(PreauthSlot { counts: Arc::clone(&self.counts), ip })
    }
}

impl Drop for PreauthSlot {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

fn lock(counts: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn slots_are_per_address_and_come_back() {
        let slots = PreauthSlots::new(1);
        let first = slots.take(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(slots.take(Ipv4Addr::LOCALHOST.into()).is_none());
        assert!(slots.take(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()).is_none());
        let other = slots.take(Ipv6Addr::LOCALHOST.into());
        assert!(other.is_some());
        drop(first);
        assert!(slots.take(Ipv4Addr::LOCALHOST.into()).is_some());
    }
}

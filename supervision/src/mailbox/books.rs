//! A stable queue's books: what waits, what is in hand, what is set aside, and who takes.

use std::sync::Arc;

use crate::mailbox::lane::{Item, ItemId, Lane, LaneState};
use crate::mailbox::quarantine::{Quarantine, Quarantined};

/// An item being worked on. It stays in the queue's books until it is done or put back.
#[derive(Debug)]
#[must_use = "it stays in hand until it is done or put back"]
pub struct InHand<T> {
    /// Its name.
    pub id: ItemId,
    /// The lane it came from.
    pub lane: usize,
    /// The item.
    pub item: Arc<T>,
    /// In how many crashes it was in hand.
    pub crashes: u32,
    /// Which taking of it this is: a leftover of an earlier one has no say.
    pub(super) turn: u64,
}

/// What a new incarnation finds.
#[derive(Debug)]
pub struct Recovered<T> {
    /// How many items went back to their places.
    pub returned: usize,
    /// Items that were set aside just now.
    pub quarantined: Vec<Quarantined<T>>,
}

/// Sends the consumer a wake; false if it is gone.
pub(super) type Wake = Arc<dyn Fn() -> bool + Send + Sync>;

/// The consumer.
pub(super) struct Consumer {
    pub(super) wake: Wake,
    /// A wake is on its way.
    pub(super) pending: bool,
}

pub(super) struct Held<T> {
    turn: u64,
    lane: usize,
    pub(super) item: Item<T>,
}

/// The books.
pub(super) struct Books<T> {
    pub(super) lanes: Vec<LaneState<T>>,
    pub(super) in_hand: Vec<Held<T>>,
    pub(super) quarantine: Quarantine<T>,
    pub(super) next_id: u64,
    next_turn: u64,
    /// Counts the consumers there have been, so that an old one takes nothing from a new one.
    pub(super) epoch: u64,
    pub(super) consumer: Option<Consumer>,
}

impl<T> Books<T> {
    pub(super) fn new(lanes: Vec<Lane>, quarantine_bound: usize) -> Self {
        Self {
            lanes: lanes.into_iter().map(LaneState::new).collect(),
            in_hand: Vec::new(),
            quarantine: Quarantine::new(quarantine_bound),
            next_id: 0,
            next_turn: 0,
            epoch: 0,
            consumer: None,
        }
    }

    /// What is in hand goes back to its place, or is set aside if it crashed alone too often. Gives also what there was
    /// no room for aside.
    pub(super) fn put_all_back(&mut self, crashed: bool, quarantine_after: u32) -> (Recovered<T>, Vec<Item<T>>) {
        let mut recovered = Recovered { returned: 0, quarantined: Vec::new() };
        let mut given_up = Vec::new();
        let held = std::mem::take(&mut self.in_hand);
        let alone = held.len() == 1;
        for Held { lane, mut item, .. } in held {
            self.lanes[lane].in_hand -= 1;
            item.crashes += u32::from(crashed);
            item.strikes += u32::from(crashed && alone);
            if crashed && alone && item.strikes >= quarantine_after {
                recovered.quarantined.push(Quarantined::of(lane, &item));
                given_up.extend(self.quarantine.push(lane, item));
            } else {
                self.lanes[lane].insert(item);
                recovered.returned += 1;
            }
        }
        (recovered, given_up)
    }

    pub(super) fn at(&self, lane: usize) -> usize {
        lane.min(self.lanes.len() - 1)
    }

    /// The lane to take from next, if anything may be taken at all.
    pub(super) fn choose(&self, hands: usize) -> Option<usize> {
        let alone = |item: &Item<T>| item.crashes > 0;
        if self.in_hand.len() >= hands || self.in_hand.iter().any(|held| alone(&held.item)) {
            return None;
        }
        let has_credit = |lane: &LaneState<T>| lane.credit > 0;
        let mut waiting = self.lanes.iter().enumerate().filter(|(_, lane)| lane.front().is_some());
        let (at, lane) = waiting.clone().find(|(_, lane)| has_credit(lane)).or_else(|| waiting.next())?;
        let free = self.in_hand.is_empty() || !lane.front().is_some_and(alone);
        free.then_some(at)
    }

    pub(super) fn take(&mut self, hands: usize) -> Option<InHand<T>> {
        let at = self.choose(hands)?;
        if self.lanes[at].credit == 0 {
            self.lanes.iter_mut().for_each(|lane| lane.credit = lane.rules.weight);
        }
        let lane = &mut self.lanes[at];
        let item = lane.pop_front()?;
        lane.credit -= 1;
        lane.in_hand += 1;
        let turn = self.next_turn;
        self.next_turn += 1;
        let taken = InHand { id: item.id, lane: at, item: Arc::clone(&item.item), crashes: item.crashes, turn };
        self.in_hand.push(Held { turn, lane: at, item });
        Some(taken)
    }

    /// Takes an item out of the hands, `turn` given only if it is still that taking of it.
    pub(super) fn let_go(&mut self, id: ItemId, turn: Option<u64>) -> Option<(usize, Item<T>)> {
        let is_it = |held: &Held<T>| held.item.id == id && turn.is_none_or(|turn| held.turn == turn);
        let at = self.in_hand.iter().position(is_it)?;
        let Held { lane, item, .. } = self.in_hand.remove(at);
        self.lanes[lane].in_hand -= 1;
        Some((lane, item))
    }
}

//! A stable queue against a naive model of it, and against a consumer that is struck at random.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use supervision::mailbox::{Depth, InHand, ItemId, Lane, LanePolicy, ReleaseError, StableQueueOptions};
use supervision::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Push(usize),
    Coalesce(usize, u8),
    Take,
    Done(usize),
    PutBack(usize),
    Remove(usize),
    Crash,
    CleanEnd,
    Release(usize),
    Discard(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let nth = 0..40usize;
    prop_oneof![
        6 => (0..4usize).prop_map(Op::Push),
        4 => (0..4usize, 0..3u8).prop_map(|(lane, key)| Op::Coalesce(lane, key)),
        8 => Just(Op::Take),
        4 => nth.clone().prop_map(Op::Done),
        2 => nth.clone().prop_map(Op::PutBack),
        2 => nth.clone().prop_map(Op::Remove),
        3 => Just(Op::Crash),
        1 => Just(Op::CleanEnd),
        1 => nth.clone().prop_map(Op::Release),
        1 => nth.prop_map(Op::Discard),
    ]
}

fn rules() -> impl Strategy<Value = (Vec<Lane>, usize, u32, usize)> {
    let lane = (1..6usize, 1..4u32, any::<bool>()).prop_map(|(bound, weight, drops)| Lane {
        bound,
        weight,
        policy: if drops { LanePolicy::DropOldest } else { LanePolicy::Reject },
    });
    (prop::collection::vec(lane, 1..4), 1..4usize, 1..4u32, 0..4usize)
}

#[derive(Clone, Debug)]
struct Item {
    id: u64,
    lane: usize,
    key: Option<u8>,
    parts: Vec<u32>,
    crashes: u32,
    strikes: u32,
}

/// What a queue does, said as plainly as possible: lists, searched from end to end.
struct Model {
    lanes: Vec<Lane>,
    hands: usize,
    quarantine_after: u32,
    quarantine_bound: usize,
    credit: Vec<u32>,
    waiting: Vec<Item>,
    in_hand: Vec<Item>,
    quarantine: Vec<Item>,
    pushed: u64,
}

impl Model {
    fn new(lanes: &[Lane], hands: usize, quarantine_after: u32, quarantine_bound: usize) -> Self {
        Self {
            lanes: lanes.to_vec(),
            hands,
            quarantine_after,
            quarantine_bound,
            credit: lanes.iter().map(|lane| lane.weight).collect(),
            waiting: Vec::new(),
            in_hand: Vec::new(),
            quarantine: Vec::new(),
            pushed: 0,
        }
    }

    fn held(&self, lane: usize) -> usize {
        self.waiting.iter().chain(&self.in_hand).filter(|item| item.lane == lane).count()
    }

    fn oldest(&self, lane: usize) -> Option<Item> {
        self.waiting.iter().filter(|item| item.lane == lane).min_by_key(|item| item.id).cloned()
    }

    /// The id it got and what it displaced; `None` if it was refused.
    fn push(&mut self, lane: usize, key: Option<u8>, part: u32) -> Option<(u64, Option<u64>)> {
        let lane = lane.min(self.lanes.len() - 1);
        let of_key = self.waiting.iter_mut().filter(|item| key.is_some() && item.key == key && item.lane == lane);
        if let Some(item) = of_key.max_by_key(|item| item.id) {
            item.parts.push(part);
            return Some((item.id, None));
        }
        let mut dropped = None;
        if self.held(lane) >= self.lanes[lane].bound {
            if self.lanes[lane].policy == LanePolicy::Reject {
                return None;
            }
            let oldest = self.oldest(lane)?.id;
            self.waiting.retain(|item| item.id != oldest);
            dropped = Some(oldest);
        }
        let id = self.pushed;
        self.pushed += 1;
        self.waiting.push(Item { id, lane, key, parts: vec![part], crashes: 0, strikes: 0 });
        Some((id, dropped))
    }

    fn take(&mut self) -> Option<Item> {
        if self.in_hand.len() >= self.hands || self.in_hand.iter().any(|item| item.crashes > 0) {
            return None;
        }
        let full: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.oldest(*lane).is_some()).collect();
        let lane = *full.iter().find(|lane| self.credit[**lane] > 0).or_else(|| full.first())?;
        let item = self.oldest(lane)?;
        if item.crashes > 0 && !self.in_hand.is_empty() {
            return None;
        }
        if self.credit[lane] == 0 {
            self.credit = self.lanes.iter().map(|lane| lane.weight).collect();
        }
        self.credit[lane] -= 1;
        self.waiting.retain(|other| other.id != item.id);
        self.in_hand.push(item.clone());
        Some(item)
    }

    fn end(&mut self, crash: bool) -> (usize, Vec<u64>) {
        let alone = self.in_hand.len() == 1;
        let (mut returned, mut aside) = (0, Vec::new());
        for mut item in std::mem::take(&mut self.in_hand) {
            item.crashes += u32::from(crash);
            item.strikes += u32::from(crash && alone);
            if crash && item.strikes >= self.quarantine_after {
                aside.push(item.id);
                self.quarantine.push(item);
                if self.quarantine.len() > self.quarantine_bound {
                    self.quarantine.remove(0);
                }
            } else {
                returned += 1;
                self.waiting.push(item);
            }
        }
        (returned, aside)
    }
}

type Numbered = BTreeMap<u64, ItemId>;

fn check_books(queue: &StableQueue<Vec<u32>>, model: &Model, ids: &Numbered) {
    for (at, lane) in model.lanes.iter().enumerate() {
        let depth = queue.lane_depth(at).unwrap();
        assert!(depth.waiting + depth.in_hand <= lane.bound, "lane {at} is beyond its bound");
        assert_eq!(depth.waiting + depth.in_hand, model.held(at));
        assert_eq!(depth.oldest.is_some(), model.oldest(at).is_some());
    }
    let Depth { waiting, in_hand, .. } = queue.depth();
    assert_eq!((waiting, in_hand), (model.waiting.len(), model.in_hand.len()));
    let aside: Vec<(ItemId, u32)> = queue.quarantined().iter().map(|item| (item.id, item.crashes)).collect();
    assert_eq!(aside, model.quarantine.iter().map(|item| (ids[&item.id], item.crashes)).collect::<Vec<_>>());
    for item in model.waiting.iter().chain(&model.in_hand) {
        assert_eq!(queue.crashes(ids[&item.id]), item.crashes);
    }
}

fn nth<T>(all: &[T], n: usize) -> Option<usize> {
    n.checked_rem(all.len())
}

/// Does to both what the program says and compares all that can be seen.
fn run(lanes: Vec<Lane>, hands: usize, quarantine_after: u32, quarantine_bound: usize, program: Vec<Op>) {
    let mut model = Model::new(&lanes, hands, quarantine_after, quarantine_bound);
    let queue = StableQueue::new(StableQueueOptions {
        lanes,
        hands,
        quarantine_after,
        quarantine_bound,
        ..StableQueueOptions::default()
    });
    let mut ids = Numbered::new();
    let mut taken: Vec<InHand<Vec<u32>>> = Vec::new();
    for (part, op) in (0u32..).zip(program) {
        match op {
            Op::Push(lane) => {
                let expected = model.push(lane, None, part);
                compare_push(queue.push(lane, vec![part]).ok(), expected, &mut ids);
            }
            Op::Coalesce(lane, key) => {
                let merge = |old: &Vec<u32>, new: Vec<u32>| [old.as_slice(), &new].concat();
                let pushed = queue.push_coalesce(lane, key.to_string(), vec![part], merge).ok();
                compare_push(pushed, model.push(lane, Some(key), part), &mut ids);
            }
            Op::Take => {
                let expected = model.take();
                let got = queue.take();
                let shown = got.as_ref().map(|got| (got.id, got.lane, (*got.item).clone(), got.crashes));
                assert_eq!(shown, expected.map(|item| (ids[&item.id], item.lane, item.parts, item.crashes)));
                taken.extend(got);
            }
            Op::Done(n) => {
                let Some(at) = nth(&taken, n) else { continue };
                let one = taken.remove(at);
                let held = model.in_hand.iter().position(|item| ids[&item.id] == one.id);
                assert_eq!(queue.done(one), held.map(|held| model.in_hand.remove(held)).is_some());
            }
            Op::PutBack(n) => {
                let Some(at) = nth(&taken, n) else { continue };
                let one = taken.remove(at);
                let held = model.in_hand.iter().position(|item| ids[&item.id] == one.id);
                model.waiting.extend(held.map(|held| model.in_hand.remove(held)));
                assert_eq!(queue.put_back(one), held.is_some());
            }
            Op::Remove(n) => {
                let Some((number, id)) = ids.iter().nth_back(n) else { continue };
                let known = model.waiting.iter().chain(&model.in_hand).any(|item| item.id == *number);
                model.waiting.retain(|item| item.id != *number);
                model.in_hand.retain(|item| item.id != *number);
                assert_eq!(queue.remove(*id).is_some(), known);
            }
            Op::Crash | Op::CleanEnd => {
                let clean = ExitReason::Normal;
                let crash = matches!(op, Op::Crash);
                let recovered = queue.recover((!crash).then_some(&clean));
                let (returned, aside) = model.end(crash);
                assert_eq!(recovered.returned, returned);
                let set_aside: Vec<ItemId> = recovered.quarantined.iter().map(|item| item.id).collect();
                assert_eq!(set_aside, aside.iter().map(|id| ids[id]).collect::<Vec<_>>());
                // What the old incarnation still holds of them has no say any more.
                taken.drain(..).for_each(|one| assert!(!queue.done(one)));
            }
            Op::Release(n) => {
                let Some(at) = nth(&model.quarantine, n) else { continue };
                let lane = model.quarantine[at].lane;
                if model.held(lane) >= model.lanes[lane].bound {
                    assert_eq!(queue.release(ids[&model.quarantine[at].id]), Err(ReleaseError::Full));
                    continue;
                }
                let mut item = model.quarantine.remove(at);
                item.strikes = 0;
                assert_eq!(queue.release(ids[&item.id]), Ok(()));
                model.waiting.push(item);
            }
            Op::Discard(n) => {
                let Some(at) = nth(&model.quarantine, n) else { continue };
                let item = model.quarantine.remove(at);
                assert_eq!(queue.discard(ids[&item.id]).as_deref(), Some(&item.parts));
            }
        }
        check_books(&queue, &model, &ids);
    }
}

fn compare_push(
    pushed: Option<supervision::mailbox::Pushed<Vec<u32>>>,
    expected: Option<(u64, Option<u64>)>,
    ids: &mut Numbered,
) {
    assert_eq!(pushed.is_some(), expected.is_some());
    let (Some(pushed), Some((id, dropped))) = (pushed, expected) else { return };
    assert_eq!(*ids.entry(id).or_insert(pushed.id), pushed.id);
    assert_eq!(pushed.dropped.map(|(id, _)| id), dropped.map(|dropped| ids[&dropped]));
}

proptest! {
    #![proptest_config(super::config(200))]

    #[test]
    fn a_queue_does_what_a_naive_model_of_it_does(
        (lanes, hands, after, bound) in rules(),
        program in prop::collection::vec(op(), 0..120),
    ) {
        run(lanes, hands, after, bound, program);
    }
}

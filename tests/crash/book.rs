//! What was offered to the daemon, what it took, and what it said of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

use crate::record::{Chat, Kind, Offered, Source, Told};

/// Messages of a key that wait for their answer at once.
const WINDOW: usize = 2;
/// Messages between two that begin a new conversation. One that is never begun anew would make every call of the model
/// longer than the last.
const RESETS: std::ops::Range<usize> = 4..25;

/// The book. What is offered follows from the seed and from how often was asked.
#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Pages {
    dice: StdRng,
    offered: Vec<Offered>,
    count: BTreeMap<String, usize>,
    /// The update with which the platform brought a message.
    updates: BTreeMap<String, i64>,
    /// Answers the platform has begun to get, by chat.
    answered: BTreeMap<Chat, usize>,
    refused: Vec<String>,
    /// Messages of a key until it begins a new conversation.
    until_reset: BTreeMap<String, usize>,
}

impl Book {
    pub(crate) fn new(seed: u64) -> Self {
        let pages = Pages {
            dice: StdRng::seed_from_u64(seed),
            offered: Vec::new(),
            count: BTreeMap::new(),
            updates: BTreeMap::new(),
            answered: BTreeMap::new(),
            refused: Vec::new(),
            until_reset: BTreeMap::new(),
        };
        Self { pages: Mutex::new(pages), changes: watch::Sender::new(0) }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The next message of a key.
    pub(crate) fn offer(&self, key: &str, source: &Source) -> Offered {
        let kind = self.pages().kind(key, source);
        self.offer_of(key, source, kind)
    }

    /// The next message of a key, of this kind.
    pub(crate) fn offer_of(&self, key: &str, source: &Source, kind: Kind) -> Offered {
        let mut pages = self.pages();
        let count = pages.count.entry(key.to_owned()).or_default();
        *count += 1;
        let offered = Offered {
            id: format!("{key}-{count}"),
            key: key.to_owned(),
            source: source.clone(),
            kind,
            accepted: false,
            told: None,
        };
        pages.offered.push(offered.clone());
        offered
    }

    /// The platform brings this message with this update.
    pub(crate) fn brought(&self, id: &str, update: i64) {
        self.pages().updates.insert(id.to_owned(), update);
    }

    /// The daemon has it.
    pub(crate) fn accepted(&self, id: &str) {
        if let Some(offered) = self.pages().offered.iter_mut().rev().find(|offered| offered.id == id) {
            offered.accepted = true;
        }
        self.changed();
    }

    /// The platform's offset moved: what came before it is accepted.
    pub(crate) fn moved(&self, lane: &str, offset: i64) {
        let mut pages = self.pages();
        let Pages { offered, updates, .. } = &mut *pages;
        let mut of_lane = offered.iter_mut().filter(|offered| !offered.accepted);
        for offered in of_lane.by_ref() {
            let here = matches!(&offered.source, Source::Chat(chat) if chat.lane == lane);
            offered.accepted = here && updates.get(&offered.id).is_some_and(|update| *update < offset);
        }
        drop(pages);
        self.changed();
    }

    /// A client was told how a run ended.
    pub(crate) fn told(&self, id: &str, told: Told) {
        if let Some(offered) = self.pages().offered.iter_mut().rev().find(|offered| offered.id == id) {
            offered.told = Some(told);
        }
        self.changed();
    }

    /// The platform has got so many answers in this chat.
    pub(crate) fn answered(&self, chat: &Chat, count: usize) {
        self.pages().answered.insert(chat.clone(), count);
        self.changed();
    }

    /// The daemon said no.
    pub(crate) fn refused(&self, what: String) {
        self.pages().refused.push(what);
        self.changed();
    }

    /// Messages of a client that the daemon has not said to have, in order.
    pub(crate) fn unaccepted(&self, key: &str) -> Vec<Offered> {
        let pages = self.pages();
        pages.offered.iter().filter(|offered| offered.key == key && !offered.accepted).cloned().collect()
    }

    /// Messages of clients that the daemon has, and whose end nobody was told.
    pub(crate) fn untold(&self) -> Vec<Offered> {
        let pages = self.pages();
        let open = |offered: &&Offered| offered.source == Source::Client && offered.accepted && offered.told.is_none();
        pages.offered.iter().filter(open).cloned().collect()
    }

    /// Whether a key may get another message: a few at a time, and one that begins a new conversation, which would abort
    /// what is open, alone.
    pub(crate) fn has_room(&self, key: &str) -> bool {
        let pages = self.pages();
        let resets = pages.until_reset.get(key) == Some(&0);
        pages.open(key) < if resets { 1 } else { WINDOW }
    }

    /// Messages that have no answer yet.
    pub(crate) fn all_open(&self) -> usize {
        let pages = self.pages();
        pages.count.keys().map(|key| pages.open(key)).sum()
    }

    /// What was offered and refused so far.
    pub(crate) fn read(&self) -> (Vec<Offered>, Vec<String>) {
        let pages = self.pages();
        (pages.offered.clone(), pages.refused.clone())
    }
}

impl Pages {
    fn kind(&mut self, key: &str, source: &Source) -> Kind {
        let roll = self.dice.random_range(0..100);
        let next = self.dice.random_range(RESETS);
        let until = self.until_reset.entry(key.to_owned()).or_insert(next);
        if *until == 0 {
            *until = next;
            return Kind::Reset;
        }
        *until -= 1;
        match (roll, source) {
            (..30, _) => Kind::Change,
            (30..45, _) => Kind::Look,
            (45..52, Source::Client) => Kind::Big,
            (45..50, Source::Chat(_)) => Kind::Long,
            (_, _) => Kind::Plain,
        }
    }

    fn open(&self, key: &str) -> usize {
        let of_key = || self.offered.iter().filter(|offered| offered.key == key);
        match of_key().next().map(|first| &first.source) {
            None => 0,
            Some(Source::Client) => of_key().filter(|offered| offered.told.is_none()).count(),
            Some(Source::Chat(chat)) => of_key().count().saturating_sub(self.answered.get(chat).copied().unwrap_or(0)),
        }
    }
}

//! A home for the daemon, and the scripted world around it, which outlives it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::testing::fake_models::FakeModelServer;
use actors::testing::telegram::FakeTelegram;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::book::Book;
use crate::mind::{self, Mind};
use crate::process::{Line, Process, TOKEN};
use crate::record::{Chat, Delivered, Kill, Life, Offered, Record, Source, Talk};
use crate::snapshot;

/// Keys that clients talk to.
pub(crate) const CLIENT_KEYS: [&str; 3] = ["u", "v", "w"];
/// Chats: account, and who writes.
const CHATS: [(&str, i64); 4] = [("a", 7), ("a", 8), ("b", 7), ("b", 8)];

/// How a chat is told that there is no answer.
const FAILURE: &str = "I could not answer";

/// See the module.
pub(crate) struct Rig {
    folder: TempDir,
    pub(crate) models: FakeModelServer,
    pub(crate) mind: Arc<Mind>,
    pub(crate) platforms: BTreeMap<&'static str, FakeTelegram>,
    pub(crate) book: Arc<Book>,
    pub(crate) since: Instant,
    pub(crate) life: Life,
    pub(crate) kills: Vec<Kill>,
    /// When each life began, and when it could be talked to, both since the first.
    pub(crate) starts: Vec<(Duration, Option<Duration>)>,
    delivered: Vec<Delivered>,
    /// Failures that a chat is told once more, because a kill left open whether it had been.
    told_again: BTreeMap<Chat, usize>,
    /// Messages of each platform that are in `delivered`.
    seen: BTreeMap<&'static str, usize>,
}

/// The key of a chat.
pub(crate) fn chat_key(chat: &Chat) -> String {
    format!("{}{}", chat.lane, chat.to)
}

/// Every chat.
pub(crate) fn chats() -> impl Iterator<Item = Chat> {
    CHATS.into_iter().map(|(lane, user)| Chat { lane: lane.to_owned(), to: user.to_string() })
}

impl Rig {
    pub(crate) async fn new(seed: u64) -> Self {
        let since = Instant::now();
        let (models, mind) = (FakeModelServer::start().await.unwrap(), Arc::new(Mind::new(since)));
        models.set_mind(mind.clone());
        let mut platforms = BTreeMap::new();
        for (lane, token) in [("a", "4242:a"), ("b", "4242:b")] {
            let platform = FakeTelegram::start().await;
            platform.set_token(token);
            platforms.insert(lane, platform);
        }
        let rig = Self {
            folder: TempDir::new().unwrap(),
            models,
            mind,
            platforms,
            book: Arc::new(Book::new(seed)),
            since,
            life: 0,
            kills: Vec::new(),
            starts: Vec::new(),
            delivered: Vec::new(),
            told_again: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        rig.furnish();
        rig
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn furnish(&self) {
        std::fs::create_dir(self.home()).unwrap();
        std::fs::create_dir(self.workspace()).unwrap();
        let keys = CLIENT_KEYS.map(str::to_owned).into_iter().chain(chats().map(|chat| chat_key(&chat)));
        for key in keys {
            let (name, text) = mind::mark_file(&key);
            std::fs::write(self.workspace().join(name), text).unwrap();
        }
        std::fs::write(self.home().join("openclaw.json"), self.config().to_string()).unwrap();
    }

    fn config(&self) -> Value {
        let account = |lane: &str| {
            let platform = &self.platforms[lane];
            json!({"botToken": platform.token(), "apiRoot": platform.api_root()})
        };
        json!({
            "gateway": {"auth": {"mode": "token", "token": TOKEN}},
            "models": {"providers": {"box": {
                "baseUrl": self.models.base_url(), "apiKey": "key", "api": "openai-completions",
                "models": [{"id": "script", "name": "script"}],
            }}},
            "agents": {"defaults": {"model": {"primary": "box/script"}, "workspace": self.workspace()}},
            "session": {"dmScope": "per-account-channel-peer"},
            "messages": {"queue": {"mode": "followup"}},
            "channels": {"telegram": {"allowFrom": ["7", "8"], "accounts": {"a": account("a"), "b": account("b")}}},
        })
    }

    /// Starts the next life.
    pub(crate) fn start(&mut self, failpoint: Option<&str>) -> Process {
        self.mind.begins(self.life);
        let process = Process::start(&self.home(), failpoint);
        self.starts.push((self.since.elapsed(), None));
        process
    }

    /// Waits until the daemon can be talked to; none: it died before.
    pub(crate) async fn connect(&mut self, process: &mut Process) -> Option<Line> {
        let line = process.connect().await?;
        if let Some((_, ready)) = self.starts.last_mut() {
            *ready = Some(self.since.elapsed());
        }
        Some(line)
    }

    /// As [`Rig::connect`], of a daemon that has no reason to die.
    pub(crate) async fn must_connect(&mut self, process: &mut Process) -> Line {
        match self.connect(process).await {
            Some(line) => line,
            None => {
                let log = std::fs::read_to_string(self.home().with_extension("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(30).collect();
                panic!("life {}: it died by itself, newest first: {last:#?}", self.life)
            }
        }
    }

    /// The process is dead: waits until nothing of it is left, and writes down what it leaves.
    pub(crate) async fn buried(&mut self, how: String) {
        self.models.settled().await.unwrap();
        for platform in self.platforms.values() {
            platform.settled().await.unwrap();
        }
        self.note_delivered();
        let open = snapshot::of(&self.home());
        for sending in open.sending.iter().filter(|sending| sending.text.starts_with(FAILURE)) {
            let last = self.delivered.iter().rev().find(|delivered| delivered.chat == sending.chat);
            if last.is_some_and(|last| last.life == self.life && last.text == sending.text) {
                *self.told_again.entry(sending.chat.clone()).or_default() += 1;
            }
        }
        self.kills.push(Kill { life: self.life, how, unanswered: self.book.all_open(), open });
        self.life += 1;
    }

    fn note_delivered(&mut self) {
        for (lane, platform) in &self.platforms {
            let (sent, seen) = (platform.sent(), self.seen.entry(lane).or_default());
            for sent in &sent[*seen..] {
                let chat = Chat { lane: (*lane).to_owned(), to: sent.chat_id.to_string() };
                self.delivered.push(Delivered { life: self.life, chat, text: sent.visible.clone() });
            }
            *seen = sent.len();
        }
    }

    /// What the platforms know by now: how far they were read, how many answers they got.
    pub(crate) fn look_at_platforms(&self) {
        for (lane, platform) in &self.platforms {
            self.book.moved(lane, platform.offset());
            let sent = platform.sent();
            for chat in chats().filter(|chat| chat.lane == *lane) {
                let of_chat = sent.iter().filter(|sent| sent.chat_id.to_string() == chat.to);
                let mut answered: Vec<&str> = Vec::new();
                for sent in of_chat {
                    // A failure is told without saying of what: it is counted as often as it comes.
                    match mind::answered(&sent.visible) {
                        Some(id) if answered.contains(&id) => {}
                        Some(id) => answered.push(id),
                        None if sent.visible.starts_with(FAILURE) => answered.push(""),
                        None => {}
                    }
                }
                let again = self.told_again.get(&chat).copied().unwrap_or(0);
                self.book.answered(&chat, answered.len().saturating_sub(again));
            }
        }
    }

    /// A person writes the next message of a chat.
    pub(crate) fn write(&self, chat: &Chat) {
        let offered = self.book.offer(&chat_key(chat), &Source::Chat(chat.clone()));
        self.bring(chat, &offered);
    }

    /// The platform has this message for the daemon.
    pub(crate) fn bring(&self, chat: &Chat, offered: &Offered) {
        let text = mind::message(&offered.id, offered.kind);
        let update = self.platforms[chat.lane.as_str()].say(chat.to.parse().unwrap(), &text);
        self.book.brought(&offered.id, update);
    }

    /// Everything that was seen. The daemon has ended.
    pub(crate) fn record(&mut self) -> Record {
        self.look_at_platforms();
        self.note_delivered();
        let (offered, refused) = self.book.read();
        Record {
            offered,
            refused,
            asked: self.mind.log(),
            delivered: self.delivered.clone(),
            kills: self.kills.clone(),
            talks: self.talks(),
            effects: self.effects(),
        }
    }

    fn talks(&self) -> Vec<Talk> {
        let folder = self.home().join("agents/main/sessions");
        let mut talks: Vec<(String, Talk)> = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.contains(".jsonl") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            // Made for a conversation whose first commit a kill came before: no row knows it.
            if text.is_empty() {
                continue;
            }
            let header: Value = serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_default();
            talks.push((header["timestamp"].as_str().unwrap_or_default().to_owned(), Talk { name, text }));
        }
        talks.sort_by(|(a, _), (b, _)| a.cmp(b));
        talks.into_iter().map(|(_, talk)| talk).collect()
    }

    /// Marks of the changing tool.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(self.workspace()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("marks-") {
                found.extend(mind::marks_in(&std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
        found
    }

    /// Where the daemon's log is kept when a test fails.
    pub(crate) fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

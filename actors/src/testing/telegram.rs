//! A Bot API server on loopback: true wire JSON over HTTP/1.1, long polls, offsets, and faults on command.
//!
//! It refuses what Telegram refuses: empty and over-long messages, markup that does not parse, two polls at a time. Every
//! request is recorded in order, so that tests can say "exactly one `sendMessage`" and "this offset only after that".

mod answer;
mod http;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use world::Shared;

/// The token the fake answers to unless told otherwise. Any other token is `401`.
pub const TOKEN: &str = "4242:fake-token-for-tests";
/// The bot's id.
pub const BOT_ID: i64 = 4242;

/// The path of [`FakeTelegram::settled`]'s own request.
const PROBE: &str = "/settled";

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `401 Unauthorized`.
    Unauthorized,
    /// `409 Conflict`: somebody else polls.
    Conflict,
    /// `429` with `retry_after` in seconds.
    TooManyRequests(u64),
    /// `502` with an HTML page, as a proxy sends it.
    BadGateway,
    /// The Bot API's own answer of this code with this description.
    Refuse(u16, String),
    /// The connection is cut before the request is carried out.
    CutBefore,
    /// The connection is cut after the request was carried out and before it is answered.
    CutAfter,
    /// The answer stops in its middle; the request was carried out.
    Truncate,
    /// The answer comes that much later; the request is carried out at once.
    Late(Duration),
}

/// A request as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Grows by one with each request.
    pub index: u64,
    /// The method in lower case.
    pub method: String,
    /// Its parameters.
    pub body: Value,
}

/// A message that the bot sent and the fake took.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The chat.
    pub chat_id: i64,
    /// The text as sent, with markup.
    pub text: String,
    /// The text as a reader sees it.
    pub visible: String,
    /// `HTML`, or nothing for plain text.
    pub parse_mode: Option<String>,
    /// The message's id.
    pub message_id: i64,
    /// The message it answers.
    pub reply_to: Option<i64>,
}

/// The server. Dropping it closes every connection.
#[derive(Debug)]
pub struct FakeTelegram {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl FakeTelegram {
    /// Starts on a free port of loopback.
    ///
    /// # Panics
    /// When loopback can't be listened on: no test can go on then.
    #[expect(clippy::expect_used, reason = "a test without its server cannot go on")]
    pub async fn start() -> Self {
        Self::try_start().await.expect("loopback can be listened on")
    }

    async fn try_start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(TOKEN));
        let acceptor = world::spawn(http::accept(listener, shared.clone()));
        Ok(Self { address, shared, acceptor })
    }

    /// What goes into `apiRoot`.
    #[must_use]
    pub fn api_root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token it answers to.
    #[must_use]
    pub fn token(&self) -> String {
        self.shared.world().token.clone()
    }

    /// Answers to another token from now on: the old one is revoked.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.shared.world().token);
    }

    /// A person writes to the bot in their direct chat. Returns the update's id.
    pub fn say(&self, user_id: i64, text: &str) -> i64 {
        self.message(user_id, json!({ "text": text }))
    }

    /// A person sends the bot a message with these members in their direct chat.
    pub fn message(&self, user_id: i64, members: Value) -> i64 {
        let mut message = json!({
            "message_id": self.shared.next_message_id(),
            "from": {"id": user_id, "is_bot": false, "first_name": "User", "username": format!("user{user_id}")},
            "chat": {"id": user_id, "type": "private", "first_name": "User"},
            "date": 1_700_000_000,
        });
        merge(&mut message, members);
        self.update(json!({ "message": message }))
    }

    /// A person writes in a group that the bot is in.
    pub fn say_in_group(&self, user_id: i64, group_id: i64, text: &str) -> i64 {
        self.message(user_id, json!({ "text": text, "chat": {"id": group_id, "type": "supergroup", "title": "Group"} }))
    }

    /// Any update; `update_id` is added unless it has one. Returns the id.
    pub fn update(&self, update: Value) -> i64 {
        self.shared.push_update(update)
    }

    /// Puts an update that was confirmed or not into the queue once more, with its old id.
    pub fn repeat(&self, update_id: i64) {
        self.shared.repeat(update_id);
    }

    /// The next call of `method` (any case; `*` for any method) goes wrong. Faults of one method line up.
    pub fn fail_next(&self, method: &str, fault: Fault) {
        self.shared.world().faults.push_back((method.to_ascii_lowercase(), fault));
        self.shared.changed();
    }

    /// While on, every call of `method` (`*` for any) goes wrong in this way; none to end it.
    pub fn fail_always(&self, method: &str, fault: Option<Fault>) {
        let method = method.to_ascii_lowercase();
        let mut world = self.shared.world();
        world.lasting.retain(|(name, _)| *name != method);
        world.lasting.extend(fault.map(|fault| (method, fault)));
        drop(world);
        self.shared.changed();
    }

    /// Cuts the polls that are waiting right now.
    pub fn cut_polls(&self) {
        self.shared.cut_polls();
    }

    /// Waits until nothing is left of the clients there were: for after a client's process has died. What they sent is
    /// carried out; a poll of theirs is cut.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn settled(&self) -> io::Result<()> {
        self.shared.world().settling = true;
        self.shared.changed();
        // Connections are taken in their order: once this one is, all before it are.
        let mut probe = TcpStream::connect(self.address).await?;
        probe.write_all(format!("GET {PROBE} HTTP/1.1\r\n\r\n").as_bytes()).await?;
        probe.read_to_end(&mut Vec::new()).await?;
        self.shared.wait_until(|world| world.open == 0).await;
        self.shared.world().settling = false;
        Ok(())
    }

    /// Waits until something changes: a request, a message, an update.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.subscribe()
    }

    /// The bot can't write to this chat any more: `403`.
    pub fn block(&self, chat_id: i64) {
        self.shared.world().blocked.insert(chat_id);
    }

    /// The messages the bot sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.shared.world().sent.clone()
    }

    /// Waits until the bot has sent `count` messages, and returns them all.
    pub async fn wait_sent(&self, count: usize) -> Vec<Sent> {
        self.shared.wait_until(|world| world.sent.len() >= count).await;
        self.sent()
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.world().requests.clone()
    }

    /// How many times `method` was called.
    #[must_use]
    pub fn calls(&self, method: &str) -> usize {
        let method = method.to_ascii_lowercase();
        self.shared.world().requests.iter().filter(|request| request.method == method).count()
    }

    /// Waits until `method` was called `count` times in all.
    pub async fn wait_calls(&self, method: &str, count: usize) {
        let method = method.to_ascii_lowercase();
        self.shared
            .wait_until(|world| world.requests.iter().filter(|request| request.method == method).count() >= count)
            .await;
    }

    /// The offset of the last poll: updates below it are confirmed.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.shared.world().offset
    }

    /// Waits until a poll has asked for `offset` or more.
    pub async fn wait_offset(&self, offset: i64) {
        self.shared.wait_until(|world| world.offset >= offset).await;
    }

    /// Updates that were not confirmed yet.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.shared.world().queue.len()
    }
}

impl Drop for FakeTelegram {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.shared.close();
    }
}

fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}

#[cfg(test)]
mod tests;

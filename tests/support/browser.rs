//! A headless Chromium for tests, driven over its DevTools protocol.
//!
//! One [`Browser`] is one process with one page and a fresh profile. Nothing runs in the background: events are read
//! while a call waits for its answer, so a test that drives a page and serves it in the same task needs no other one.
//! Waiting is done inside the page by an observer of its document, never by polling from here.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The longest a browser may take for anything; far above what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where the browser is looked for when `CHROMIUM` does not name it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a machine without a browser is told.
const MISSING: &str = "no Chromium on this machine: install the package `chromium`, or name a binary in CHROMIUM";

/// Silent, alone, and without a word to anybody outside.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// One browser process with one page.
pub(crate) struct Browser {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    next_id: u64,
    loaded: bool,
    errors: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the browser and opens its page. A machine without one fails the test: what was not looked at does not pass.
    pub(crate) async fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("browser-").tempdir().unwrap();
        let mut process = Command::new(binary().expect(MISSING))
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address =
            tokio::time::timeout(DEADLINE, devtools_address(&mut log)).await.expect("browser did not come up");
        let (socket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
        let mut browser = Self {
            process,
            log,
            socket,
            session: String::new(),
            next_id: 0,
            loaded: false,
            errors: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser.viewport(1400, 900, false).await;
        browser
    }

    /// Ends the browser and waits until it is gone.
    pub(crate) async fn close(mut self) {
        let _answer = self.try_call("Browser.close", json!({})).await;
        if tokio::time::timeout(Duration::from_secs(5), self.process.wait()).await.is_err() {
            self.process.kill().await.unwrap();
        }
    }

    /// Opens an address and waits until the page and its modules have loaded.
    pub(crate) async fn navigate(&mut self, url: &str) {
        self.loaded = false;
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(answer.get("errorText").is_none(), "navigation to {url}: {answer}");
        if answer.get("loaderId").is_some() {
            tokio::time::timeout(DEADLINE, self.until_loaded()).await.expect("page did not load");
        }
    }

    /// The value of an expression; a promise is awaited. Panics with the page's own error.
    #[track_caller]
    pub(crate) fn evaluate<'a>(&'a mut self, expression: &str) -> impl Future<Output = Value> + use<'a> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let from = std::panic::Location::caller();
        async move {
            let answer = self.call("Runtime.evaluate", params).await;
            if let Some(thrown) = answer.get("exceptionDetails") {
                let text = thrown["exception"]["description"].as_str().or(thrown["text"].as_str()).unwrap_or("?");
                panic!("{from}: {text}");
            }
            answer["result"].get("value").cloned().unwrap_or(Value::Null)
        }
    }

    /// Waits until an expression is truthy, looking again whenever the document changes. Gives its value.
    #[track_caller]
    pub(crate) fn wait_for<'a>(&'a mut self, expression: &str) -> impl Future<Output = Value> + use<'a> {
        let script = format!(
            "new Promise((resolve, reject) => {{
                const look = () => {{ try {{ return ({expression}); }} catch {{ return false; }} }};
                const first = look();
                if (first) {{ resolve(first); return; }}
                const observer = new MutationObserver(() => {{
                    const found = look();
                    if (found) {{ observer.disconnect(); clearTimeout(timer); resolve(found); }}
                }});
                const timer = setTimeout(() => {{
                    observer.disconnect();
                    reject(new Error('never true: ' + {quoted} + '\\n--- page ---\\n' + document.body.innerText));
                }}, {deadline});
                observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
            }})",
            quoted = json!(expression),
            deadline = DEADLINE.as_millis() / 2,
        );
        self.evaluate(&script)
    }

    /// The text of the first element that matches, once there is one.
    #[track_caller]
    pub(crate) fn text<'a>(&'a mut self, selector: &str) -> impl Future<Output = String> + use<'a> {
        let found = self.wait_for(&format!("document.querySelector({0})?.textContent.trim()", json!(selector)));
        async move { found.await.as_str().unwrap_or_default().to_owned() }
    }

    /// Clicks with the mouse in the middle of the first element that matches, wherever it has to be scrolled to.
    pub(crate) async fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{
                const found = [...document.querySelectorAll({0})].find((element) => element.checkVisibility());
                found?.scrollIntoView({{ block: 'nearest', behavior: 'instant' }});
                const box = found?.getBoundingClientRect();
                return box?.width > 0 && {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
            }})()",
            json!(selector)
        );
        let at = self.wait_for(&script).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Types into whatever has the focus.
    pub(crate) async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses and releases one key, named as in `KeyboardEvent.key`.
    pub(crate) async fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => other.chars().next().map_or(0, |first| u32::from(first.to_ascii_uppercase())),
        };
        let text = match key {
            "Enter" => Some("\r"),
            single if single.chars().count() == 1 => Some(single),
            _ => None,
        };
        let mut down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up).await;
    }

    /// Sets the size of the page, as a phone would have it if `mobile`.
    pub(crate) async fn viewport(&mut self, width: u32, height: u32, mobile: bool) {
        let scale = if mobile { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Asks for dark or light colours, and for no motion, so that no picture is taken half way.
    pub(crate) async fn dark(&mut self, dark: bool) {
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme, still] })).await;
    }

    /// Writes what the page shows as a PNG; gives its size in bytes.
    pub(crate) async fn screenshot(&mut self, path: &Path) -> usize {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, &bytes).unwrap();
        bytes.len()
    }

    /// What the page complained about so far: thrown errors, `console.error`, refused resources and policy breaches.
    pub(crate) fn console_errors(&self) -> &[String] {
        &self.errors
    }

    async fn until_loaded(&mut self) {
        while !self.loaded {
            let frame = self.read().await.expect("browser went away");
            self.note(&frame);
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        match self.try_call(method, params).await {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    async fn try_call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.next_id += 1;
        let id = self.next_id;
        let mut frame = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() && !method.starts_with("Browser.") {
            frame["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(frame.to_string())).await.map_err(|error| error.to_string())?;
        let answer = async {
            loop {
                let frame = self.read().await?;
                if frame["id"] == id {
                    return match frame.get("error") {
                        Some(error) => Err(error.to_string()),
                        None => Ok(frame["result"].clone()),
                    };
                }
                self.note(&frame);
            }
        };
        tokio::time::timeout(DEADLINE, answer).await.map_err(|_| "no answer from the browser".to_owned())?
    }

    /// The next frame. The browser's own log is emptied meanwhile, or a full pipe would stop it.
    async fn read(&mut self) -> Result<Value, String> {
        let mut logging = true;
        loop {
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).map_err(|error| error.to_string()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err("the browser closed the connection".to_owned()),
                },
                line = self.log.next_line(), if logging => logging = matches!(line, Ok(Some(_))),
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown") => {
                let thrown = &params["exceptionDetails"];
                self.errors.push(thrown["exception"]["description"].as_str().unwrap_or("exception").to_owned());
            }
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                let words: Vec<String> =
                    params["args"].as_array().into_iter().flatten().map(Value::to_string).collect();
                self.errors.push(words.join(" "));
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.errors.push(format!("{} {}", params["entry"]["text"], params["entry"]["url"]));
            }
            Some(_) | None => {}
        }
    }
}

impl Drop for Browser {
    /// A failed test must not leave the helper processes of its browser behind.
    fn drop(&mut self) {
        if let Some(leader) = self.process.id() {
            let group = format!("-{leader}");
            let _status =
                std::process::Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
    }
}

/// The browser's binary: `CHROMIUM`, or the first known name on the path.
fn binary() -> Option<std::path::PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

async fn devtools_address(log: &mut Lines<BufReader<ChildStderr>>) -> String {
    let mut said = Vec::new();
    while let Ok(Some(line)) = log.next_line().await {
        if let Some(address) = line.strip_prefix("DevTools listening on ") {
            return address.trim().to_owned();
        }
        said.push(line);
    }
    panic!("the browser ended before it was up:\n{}", said.join("\n"));
}

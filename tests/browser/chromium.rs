//! A headless Chromium, driven through its own protocol on a pair of pipes. It is the browser that people use, and needs
//! neither a driver nor a port.
//!
//! The protocol is <https://chromedevtools.github.io/devtools-protocol/>: JSON messages, each ended by a zero byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The names that distributions give it.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page. It ends when it is dropped: its pipes close.
pub(super) struct Browser {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    session: String,
    number: u64,
    _profile: tempfile::TempDir,
}

/// A screen.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) phone: bool,
    pub(super) dark: bool,
}

fn program() -> Result<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| NAMES.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file());
    named.or(found).context("no Chromium is installed, and the pages are tested in one: run `make browser`")
}

impl Browser {
    /// Starts it, with an empty page.
    pub(super) fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        // The protocol is on the descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "chromium"])
            .arg(program()?)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .args([
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting Chromium")?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut browser =
            Self { child, orders, answers, session: String::new(), number: 0, _profile: profile };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", &attached)?;
        session["sessionId"].as_str().context("no session")?.clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// The answer to an order. Events that come before it are passed over.
    pub(super) fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.number += 1;
        let mut order = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            order["sessionId"] = self.session.as_str().into();
        }
        let orders = self.orders.as_mut().context("Chromium has ended")?;
        orders.write_all(format!("{order}\0").as_bytes())?;
        orders.flush()?;
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message)?;
            ensure!(message.pop() == Some(0), "Chromium has ended before it answered {method}");
            let message: Value = serde_json::from_slice(&message)?;
            if message["id"] == self.number {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message["result"].clone());
            }
        }
    }

    /// Shows pages as this screen does.
    pub(super) fn use_screen(&mut self, screen: Screen) -> Result<()> {
        let Screen { width, height, phone, dark } = screen;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.ask("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// Opens an address, and waits until it is loaded.
    pub(super) fn open(&mut self, address: &str) -> Result<()> {
        let opened = self.ask("Page.navigate", &json!({"url": address}))?;
        ensure!(opened.get("errorText").is_none(), "{address}: {}", opened["errorText"]);
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")
    }

    /// The value of an expression in the page. A promise is waited for.
    pub(super) fn value(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", &asked)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{expression}: {thrown}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true. The page itself waits, so nothing is asked in vain. If a page gives way to another
    /// meanwhile, that one is asked.
    pub(super) fn until(&mut self, expression: &str) -> Result<()> {
        let waits = format!(
            "new Promise((held, missed) => {{ const end = Date.now() + 30000; const look = () => {{ if ({expression}) held(true); \
             else if (Date.now() > end) missed(new Error('it never held')); else setTimeout(look, 20); }}; look(); }})"
        );
        loop {
            match self.value(&waits) {
                Err(error) if error.to_string().contains("Inspected target navigated") => {}
                other => return other.map(drop),
            }
        }
    }

    /// Types a text into the focused field, as a keyboard does.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        self.ask("Input.insertText", &json!({"text": text})).map(drop)
    }

    /// Presses a key.
    pub(super) fn press(&mut self, key: &str, code: u32) -> Result<()> {
        // A key without a letter gives none. Enter gives the one that presses buttons.
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask("Input.dispatchKeyEvent", &event)?;
        }
        Ok(())
    }

    /// A picture of the page in a file below the build folder.
    pub(super) fn picture(&mut self, name: &str) -> Result<()> {
        let shot =
            self.ask("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}))?;
        Self::keep(name, &shot["data"])
    }

    /// The page as it is printed.
    pub(super) fn print(&mut self, name: &str) -> Result<usize> {
        let printed = self.ask("Page.printToPDF", &json!({"printBackground": false}))?;
        Self::keep(name, &printed["data"])?;
        Ok(printed["data"].as_str().map_or(0, str::len))
    }

    fn keep(name: &str, data: &Value) -> Result<()> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder)?;
        let bytes = BASE64_STANDARD.decode(data.as_str().context("no data")?)?;
        std::fs::write(folder.join(name), bytes).context("keeping a picture")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipes are closed.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

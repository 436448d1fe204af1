//! The pages in a real browser: what a person sees, with keyboard and telephone, in light and dark, and on paper.
//!
//! Pictures are left in `target/tmp/pages`. They are for people; the tests look at the page itself.

mod chromium;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use chromium::{Browser, Screen};
use serde_json::Value;

use crate::cluster::dashboard::Dashboard;
use crate::cluster::gate::Gate;
use crate::cluster::jobs::{fitting, hopeless};

const DESK: Screen = Screen { width: 1280, height: 900, phone: false, dark: false };
const NIGHT: Screen = Screen { dark: true, ..DESK };
const PHONE: Screen = Screen { width: 375, height: 812, phone: true, dark: false };
const TAB: u32 = 9;
const ENTER: u32 = 13;

/// The letters that are hard to read: text whose contrast with what lies behind it is below 4.5 (WCAG 2.2, 1.4.3).
const TOO_FAINT: &str = r"
(() => {
  const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const faint = [];
  for (const e of document.querySelectorAll('p, td, th, h1, h2, h3, strong, label, legend, dt, dd, a, button, input, select, summary, svg text')) {
    if (!e.getClientRects().length || !e.textContent.trim()) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(rgb(e.tagName === 'text' ? style.fill : style.color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(e.tagName + ' ' + e.textContent.slice(0, 40) + ' ' + contrast.toFixed(2));
  }
  return faint;
})()";

/// Elements that a screen reader cannot name.
const NAMELESS: &str = r"
[...document.querySelectorAll('input, select, textarea, button, svg[role=img]')]
  .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
  .map((e) => e.outerHTML.slice(0, 80))";

fn weighbridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weighbridge"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn is_readable(browser: &mut Browser) -> Result<()> {
    for (what, expression) in [("too faint", TOO_FAINT), ("without a name", NAMELESS)] {
        let found = browser.value(expression)?;
        ensure!(found.as_array().is_some_and(Vec::is_empty), "{what}: {found}");
    }
    let wide = browser.value("document.documentElement.scrollWidth - innerWidth")?;
    ensure!(wide.as_i64().is_some_and(|wide| wide <= 0), "the page is {wide} pixels too wide");
    Ok(())
}

#[test]
fn the_report_is_readable_in_light_and_dark_on_a_telephone_and_on_paper() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.html");
    let output = weighbridge().args(["check", "examples/", "-o", "html"]).output()?;
    ensure!(output.status.code() == Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&file, &output.stdout)?;
    let mut browser = Browser::start()?;
    for (name, screen) in
        [("report-light.png", DESK), ("report-dark.png", NIGHT), ("report-phone.png", PHONE)]
    {
        browser.use_screen(screen)?;
        browser.open(&format!("file://{}", file.display()))?;
        is_readable(&mut browser).context(name)?;
        browser.picture(name)?;
    }
    let drawn = browser.value("document.querySelectorAll('svg rect').length")?;
    ensure!(drawn.as_u64().is_some_and(|drawn| drawn > 20), "{drawn} bars are drawn");
    for heading in
        ["Memory during a step", "Memory and disk of the pod", "Days against GPUs", "What would fit"]
    {
        let there =
            format!("[...document.querySelectorAll('h3')].some((e) => e.textContent === '{heading}')");
        ensure!(browser.value(&there)? == true, "{heading} is not shown");
    }
    let requests = browser.value("performance.getEntriesByType('resource').length")?;
    ensure!(requests == 0, "the report loads {requests} files");
    ensure!(browser.print("report.pdf")? > 10_000, "nothing is printed");
    Ok(())
}

/// `weighbridge calculator`. It ends when it is dropped.
struct Calculator {
    child: Child,
    address: String,
}

impl Calculator {
    fn start() -> Result<Self> {
        let mut child = weighbridge().args(["calculator", "--port", "0"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
        let address =
            line.split_whitespace().find(|word| word.starts_with("http://")).context(line.clone())?;
        Ok(Self { child, address: address.to_owned() })
    }
}

impl Drop for Calculator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the page has answered what is in its form now.
fn answered(browser: &mut Browser) -> Result<()> {
    browser.until("document.body.dataset.answered && waiting_is_over()")
}

const OVER: &str =
    "window.waiting_is_over = () => !document.getElementById('answer').classList.contains('waiting')";

#[test]
fn the_calculator_answers_by_keyboard_and_keeps_the_question_in_its_address() -> Result<()> {
    let calculator = Calculator::start()?;
    let mut browser = Browser::start()?;
    browser.use_screen(DESK)?;
    browser.open(&calculator.address)?;
    browser.value(OVER)?;
    let verdict = "document.querySelector('#answer .verdict')?.textContent";
    for (field, text) in [
        ("model", "llama-2-70b"),
        ("tokens", "2T"),
        ("gpu-type", "A800-80GB"),
        ("accelerator-count", "1024"),
        ("tensor-parallel", "4"),
        ("pipeline-parallel", "4"),
        ("micro-batch-size", "1"),
        ("global-batch-size", "1024"),
        ("sequence-length", "4096"),
    ] {
        browser.value(&format!("document.getElementById('{field}').focus()"))?;
        browser.write(text)?;
    }
    for (field, word) in [
        ("framework", "megatron"),
        ("sharding", "ddp"),
        ("recompute", "selective"),
        ("attention", "flash"),
        ("precision", "bf16"),
        ("sequence-parallel", "true"),
    ] {
        browser.value(&format!(
            "(() => {{ const e = document.getElementById('{field}'); e.value = '{word}'; e.dispatchEvent(new Event('input', \
             {{bubbles: true}})); }})()"
        ))?;
    }
    browser.until(&format!("{verdict} === 'OutOfMemory'"))?;
    answered(&mut browser)?;
    is_readable(&mut browser)?;
    browser.picture("calculator-light.png")?;

    // The first change that fits is taken over with the keyboard alone.
    browser.value("document.querySelector('#advice button').focus()")?;
    browser.press("Enter", ENTER)?;
    browser.until(&format!("{verdict} === 'Fits'"))?;
    let address = browser.value("location.href")?;
    let address = address.as_str().context("no address")?.to_owned();
    ensure!(address.contains('#') && address.contains("model=llama-2-70b"), "{address}");

    // The same address, opened again, is the same question.
    browser.open("about:blank#")?;
    browser.use_screen(NIGHT)?;
    browser.open(&address)?;
    browser.value(OVER)?;
    browser.until(&format!("{verdict} === 'Fits'"))?;
    is_readable(&mut browser)?;
    browser.picture("calculator-dark.png")?;
    let taken = browser.value("document.getElementById('annotations').value")?;
    ensure!(
        taken.as_str().is_some_and(|taken| taken.contains("weighbridge.dev/model: llama-2-70b")),
        "{taken}"
    );

    // A misspelt value is explained where it stands.
    browser.value("document.getElementById('tokens').select()")?;
    browser.value("document.getElementById('tokens').focus()")?;
    browser.write("many")?;
    browser.until("document.getElementById('tokens').getAttribute('aria-invalid') === 'true'")?;
    let wrong = browser.value("document.getElementById('tokens-wrong').textContent")?;
    ensure!(wrong.as_str().is_some_and(|wrong| wrong.contains("many")), "{wrong}");
    Ok(())
}

#[test]
fn the_calculator_puts_the_layouts_first_and_takes_one_over_whole() -> Result<()> {
    let calculator = Calculator::start()?;
    let mut browser = Browser::start()?;
    browser.use_screen(DESK)?;
    let question = "#model=llama-2-70b&tokens=2T&gpu-type=A800-80GB&days=90&modle=x";
    browser.open(&format!("{}{question}", calculator.address))?;
    browser.value(OVER)?;
    browser.until("document.querySelector('#layouts h3').textContent === 'Choose a layout'")?;
    answered(&mut browser)?;
    let first =
        "document.getElementById('answer').compareDocumentPosition(document.getElementById('layouts'))";
    ensure!(browser.value(first)? == 2, "the layouts are not before the figures");
    let notes = browser.value("document.getElementById('notes').textContent")?;
    ensure!(notes.as_str().is_some_and(|notes| notes.contains("the field modle is not known")), "{notes}");
    let cost =
        browser.value("getComputedStyle(document.querySelector('#layouts [data-part=cost]')).display")?;
    ensure!(cost == "none", "the column cost is empty and shown");
    browser.picture("calculator-layouts.png")?;

    browser.value("document.querySelector('#layouts button').click()")?;
    browser.until("document.querySelector('#answer .verdict')?.textContent === 'Fits'")?;
    browser.until("document.activeElement.id === 'answer'")?;
    let top = browser.value("Math.abs(document.getElementById('answer').getBoundingClientRect().top)")?;
    ensure!(top.as_f64().is_some_and(|top| top < 20.0), "the verdict is {top} pixels away");
    let address = browser.value("location.href")?;
    ensure!(address.as_str().is_some_and(|address| address.contains("sequence-length=4096")), "{address}");

    // A field that cannot be read leaves the last answer, which says so.
    browser.value("document.getElementById('tokens').select()")?;
    browser.value("document.getElementById('tokens').focus()")?;
    browser.write("many")?;
    browser.until("document.getElementById('told').classList.contains('stale')")?;
    let notes = browser.value("document.getElementById('notes').textContent")?;
    let told = "Not updated: 1 field cannot be read: tokens.";
    ensure!(notes.as_str().is_some_and(|notes| notes.contains(told)), "{notes}");
    browser.picture("calculator-stale.png")
}

#[test]
fn the_calculator_works_on_a_telephone_and_asks_no_other_address() -> Result<()> {
    let calculator = Calculator::start()?;
    let mut browser = Browser::start()?;
    browser.use_screen(PHONE)?;
    let question = "#model=llama-3-8b&method=lora&gpu-type=A100-80GB&accelerator-count=8&tokens=300M&pipeline-parallel=1";
    browser.open(&format!("{}{question}", calculator.address))?;
    browser.value(OVER)?;
    browser.until("document.querySelector('#answer svg') !== null")?;
    answered(&mut browser)?;
    is_readable(&mut browser)?;
    browser.picture("calculator-phone.png")?;
    let cut = browser.value(
        "[...document.querySelectorAll('#layouts button, #layouts td')].filter((e) => e.getBoundingClientRect().right > innerWidth).length",
    )?;
    ensure!(cut == 0, "{cut} cells and buttons of the layouts are cut");
    let high = browser.value(
        "Math.max(...[...document.querySelectorAll('#layouts tbody tr')].map((e) => e.offsetHeight))",
    )?;
    ensure!(high.as_f64().is_some_and(|high| high < 160.0), "a layout is {high} pixels high");
    // Every field is reached in order with the tabulator, and shows its explanation.
    browser.value("document.getElementById('model').focus()")?;
    browser.press("Tab", TAB)?;
    let focused = browser.value("document.activeElement.id")?;
    ensure!(focused == "parameters", "{focused}");
    let hint = browser.value("getComputedStyle(document.getElementById('parameters-hint')).display")?;
    ensure!(hint == "block", "{hint}");
    let elsewhere: Value = browser.value(
        "performance.getEntriesByType('resource').map((e) => e.name).filter((name) => !name.startsWith(location.origin))",
    )?;
    ensure!(elsewhere.as_array().is_some_and(Vec::is_empty), "{elsewhere}");
    Ok(())
}

#[tokio::test]
async fn the_dashboard_shows_the_jobs_of_a_namespace_and_a_page_for_each() -> Result<()> {
    let gate = Gate::shared().await?;
    let yard = gate.yard_in_mode(Some("warn")).await?;
    for (name, job) in [("fits", fitting("fits")?), ("runs-out", hopeless("runs-out")?)] {
        yard.admitted(&job).await?;
        yard.estimate(&format!("pytorchjob-{name}")).await?;
    }
    let dashboard = Dashboard::start(&gate.control_plane.kubeconfig(), &[yard.name()])?;
    let mut browser = Browser::start()?;
    for (name, screen) in
        [("dashboard-light.png", DESK), ("dashboard-dark.png", NIGHT), ("dashboard-phone.png", PHONE)]
    {
        browser.use_screen(screen)?;
        browser.open(&dashboard.address())?;
        is_readable(&mut browser).context(name)?;
        browser.picture(name)?;
    }
    let first = browser.value("document.querySelector('.jobs a').textContent")?;
    ensure!(first == "pytorchjob-runs-out", "the fullest job is first, not {first}");
    ensure!(browser.value("document.scripts.length")? == 0, "it has a script");
    browser.value("document.querySelector('.jobs a').click()")?;
    browser.until("document.readyState === 'complete' && document.querySelector('h1').textContent === 'pytorchjob-runs-out'")?;
    is_readable(&mut browser)?;
    browser.picture("dashboard-job.png")?;
    browser.value("document.querySelector('a').click()")?;
    browser.until(
        "document.readyState === 'complete' && document.querySelector('h1').textContent === 'Training jobs'",
    )?;
    Ok(())
}

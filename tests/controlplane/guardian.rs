//! Programs that never outlive the test process, however it ends.
//!
//! A destructor runs when a test passes or panics; nothing of ours runs when the process is killed, and
//! the destructors of statics do not even run when it ends well. The kernel's parent-death signal would
//! fire as soon as the *thread* that started the program ends, and in a test harness that is the end of
//! one test. So a small shell, the guardian, holds the reading end of a pipe whose writing end only the
//! test process has. The kernel closes that end however the process goes, and then the guardian kills
//! every process group it was told of and removes the folders.
//!
//! A program is started in two steps, so that there is no moment in which it runs unguarded: its process
//! waits on its standard input, the guardian learns its id, and only then is it told to become the
//! program. If we are killed in between, it reads the end of its input and is gone.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use super::wait::wait_for;

/// How many lines of a log an error quotes.
const TAIL: usize = 30;

const GUARDIAN: &str = r#"
# An interrupt from the keyboard is for the tests; their end is what counts here.
trap '' INT TERM HUP
groups=' '
folders=
newline='
'
while read -r verb what; do
    case $verb in
    guard) groups="$groups$what " ;;
    forget)
        case $groups in *" $what "*) groups="${groups%% $what *} ${groups#* $what }" ;; esac
        ;;
    remove) folders="$folders$what$newline" ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group" 2>/dev/null
done
IFS=$newline
set -f
for folder in $folders; do
    # What was killed may still be finishing a write: then the folder is not empty at the first try.
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf -- "$folder" 2>/dev/null && break
        sleep 0.2
    done
done
"#;

/// Waits for the word, then becomes the program.
const LAUNCHER: &str = r#"read -r word && exec "$@" </dev/null"#;

struct Guardian {
    orders: Mutex<ChildStdin>,
}

impl Guardian {
    /// The one of this process.
    fn of_this_process() -> Result<&'static Self> {
        static GUARDIAN_PROCESS: OnceLock<Result<Guardian, String>> = OnceLock::new();
        let guardian = GUARDIAN_PROCESS.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        guardian.as_ref().map_err(|error| anyhow!("the guardian of the test programs: {error}"))
    }

    fn start() -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", GUARDIAN, "weighbridge-test-guardian"])
            .current_dir("/")
            .stdin(Stdio::piped())
            // A reader of the tests' output must not wait for the guardian.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of what a terminal or a runner sends to the tests' process group.
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        let orders = child.stdin.take().context("sh has no standard input")?;
        Ok(Self { orders: Mutex::new(orders) })
    }

    /// Returns when the order is in the pipe: the guardian reads it there even if we are gone by then.
    fn order(&self, verb: &str, what: &str) -> Result<()> {
        let mut orders = self.orders.lock().map_err(|_| anyhow!("a thread died while it gave an order"))?;
        writeln!(orders, "{verb} {what}").context("the guardian of the test programs is gone")
    }
}

/// Has a folder removed when this process is gone, if it is still there.
pub(super) fn remove_in_the_end(folder: &Path) -> Result<()> {
    Guardian::of_this_process()?.order("remove", &folder.display().to_string())
}

/// A program that runs until it is killed, dropped, or this process ends.
pub struct Guarded {
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
    id: u32,
}

impl Guarded {
    /// Starts the program in a process group of its own, with its output in the log file and nothing on
    /// its standard input. Of `command` the program, arguments, changed variables and folder count.
    pub fn spawn(command: &Command, log: &Path) -> Result<Self> {
        Self::spawn_with_errors(command, log, None)
    }

    /// The same with another standard error than the log file.
    pub fn spawn_with_errors(command: &Command, log: &Path, errors: Option<File>) -> Result<Self> {
        let program = command.get_program();
        let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let output = File::create(log).with_context(|| log.display().to_string())?;

        let mut launcher = Command::new("sh");
        launcher.args(["-c", LAUNCHER, &name]).arg(program).args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => launcher.env(variable, value),
                None => launcher.env_remove(variable),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            launcher.current_dir(folder);
        }
        launcher
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(errors.unwrap_or(output))
            .process_group(0);

        let guardian = Guardian::of_this_process()?;
        let mut child = launcher.spawn().with_context(|| format!("cannot start {name}"))?;
        let id = child.id();
        let word = child.stdin.take();
        let started = Self { name, log: log.to_owned(), child: Mutex::new(child), id };
        guardian.order("guard", &id.to_string())?;
        word.context("sh has no standard input")?.write_all(b"go\n")?;
        Ok(started)
    }

    /// The file name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, which is also that of the process group.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The file that holds its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(TAIL)).copied().collect::<Vec<_>>().join("\n")
    }

    /// How it ended, or nothing while it runs.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        let status = self.child()?.try_wait()?;
        if status.is_some() {
            // Its id is free for another process from now on.
            Guardian::of_this_process()?.order("forget", &self.id.to_string())?;
        }
        Ok(status)
    }

    /// Waits until it ends by itself.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let ended =
            wait_for(&format!("{} to end", self.name), deadline, || async { self.exit_status() }).await;
        ended.with_context(|| format!("the end of its log:\n{}", self.log_tail()))
    }

    /// Asks it to stop, as a kubelet does: SIGTERM to the process itself.
    pub fn terminate(&self) -> Result<()> {
        signal("TERM", &self.id.to_string())
    }

    /// Stops it where it is, as a machine does that has no time for it.
    pub fn pause(&self) -> Result<()> {
        signal("STOP", &self.id.to_string())
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        signal("CONT", &self.id.to_string())
    }

    /// Ends it and everything in its process group at once, and returns when it is gone.
    pub fn kill(&self) -> Result<ExitStatus> {
        let mut child = self.child()?;
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        signal("KILL", &format!("-{}", self.id))?;
        Guardian::of_this_process()?.order("forget", &self.id.to_string())?;
        Ok(child.wait()?)
    }

    fn child(&self) -> Result<std::sync::MutexGuard<'_, Child>> {
        self.child.lock().map_err(|_| anyhow!("a thread died while it handled {}", self.name))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The guardian is left for whatever cannot be done here.
        let _ = self.kill();
    }
}

/// `Child::kill` knows only SIGKILL and only the process itself; every shell knows the others.
fn signal(name: &str, target: &str) -> Result<()> {
    let script = r#"kill -s "$1" -- "$2""#;
    let output = Command::new("sh").args(["-c", script, "sh", name, target]).output()?;
    anyhow::ensure!(
        output.status.success(),
        "kill -s {name} {target}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

//! The built binary as a process: its output is read while it runs, and it is killed when a test lets go of it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// After this long a test is a failure. Nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for something that will come.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come within {PATIENCE:?}"))
}

/// Looks again and again until something holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    patiently(what, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The binary, to be run in a folder with nothing of this process's environment but its `PATH`.
pub fn quotagraph(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quotagraph"));
    // Nobody balances here, so that nobody needs the time to notice the end.
    command.env_clear().env("QUOTAGRAPH_SERVER__DRAIN_DELAY", "0s");
    command.args(args).current_dir(folder).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end.
pub async fn run(command: Command) -> Finished {
    Running::start(command).end().await
}

/// What a process that has ended leaves.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one line on stderr of a command that failed as commands do.
    pub fn sentence(&self) -> &str {
        assert_eq!((self.code, self.stderr.lines().count()), (Some(1), 1), "{self:?}");
        self.stderr.trim_end().strip_prefix("quotagraph: ").unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// A process that runs.
pub struct Running {
    child: Child,
    pub stdout: Output,
    pub stderr: Output,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Output::of(child.stdout.take().unwrap());
        let stderr = Output::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub async fn end(mut self) -> Finished {
        let status = patiently("the end of the process", self.child.wait()).await.unwrap();
        Finished { code: status.code(), stdout: self.stdout.whole().await, stderr: self.stderr.whole().await }
    }
}

/// What a process prints, as far as it has come.
pub struct Output {
    text: watch::Receiver<String>,
    reading: JoinHandle<()>,
}

impl Output {
    fn of(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, text) = watch::channel(String::new());
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                bytes.extend_from_slice(&buffer[..count]);
                sender.send_modify(|text| {
                    text.clear();
                    text.push_str(&String::from_utf8_lossy(&bytes));
                });
            }
        });
        Self { text, reading }
    }

    /// What came until now.
    pub fn text(&self) -> String {
        self.text.borrow().clone()
    }

    /// Waits until the whole text holds to something, and gives the text.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let waited = patiently(what, self.text.wait_for(|text| holds(text))).await.map(|text| text.clone());
        waited.unwrap_or_else(|_| panic!("the process ended without {what}: {}", *self.text.borrow()))
    }

    /// Waits for the first whole line that holds `part`.
    pub async fn line(&mut self, part: &str) -> String {
        let find =
            |text: &str| text.split_inclusive('\n').find(|line| line.contains(part) && line.ends_with('\n')).map(str::to_owned);
        find(&self.until(&format!("a line with {part:?}"), |text| find(text).is_some()).await).unwrap()
    }

    async fn whole(self) -> String {
        self.reading.await.unwrap();
        self.text.borrow().clone()
    }
}

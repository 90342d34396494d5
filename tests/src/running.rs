//! A command under way.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Done;

/// How long a test waits for what must come, before it fails: long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Killed when it is dropped, so that a test that fails leaves nothing running.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        Self {
            command: format!("{command:?}"),
            child,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `done`. Returns whether that came before the command ended.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if done() {
                return true;
            }
            if self.ended().is_some() {
                return done();
            }
            assert!(begun.elapsed() < PATIENCE, "{what} never came: {self:#?}");
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits until the metrics of the run in `run` hold `lines` lines.
    #[track_caller]
    pub fn wait_for_lines(&mut self, run: &Path, lines: usize) -> bool {
        let metrics = run.join("metrics.jsonl");
        self.wait_until(&format!("line {lines} of the metrics"), || {
            let text = fs::read(&metrics).unwrap_or_default();
            text.iter().filter(|&&byte| byte == b'\n').count() >= lines
        })
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// SIGKILL, and waits for the end. Whether it was still running.
    pub fn kill(mut self) -> bool {
        let running = self.ended().is_none();
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
        running
    }

    /// Waits for the end.
    pub fn end(self) -> Done {
        let mut this = self;
        let read = |stream: Option<&mut dyn std::io::Read>| {
            let mut bytes = Vec::new();
            if let Some(stream) = stream {
                stream.read_to_end(&mut bytes).expect("a pipe can be read");
            }
            bytes
        };
        let mut stderr = this.child.stderr.take();
        let stderr = thread::spawn(move || read(stderr.as_mut().map(|s| s as _)));
        let stdout = read(this.child.stdout.take().as_mut().map(|s| s as _));
        let status = this.child.wait().expect("a child can be waited for");
        let output = std::process::Output {
            status,
            stdout,
            stderr: stderr.join().expect("the reader does not panic"),
        };
        Done::from_output(this.command.clone(), output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

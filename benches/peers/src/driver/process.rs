//! A program that was started, and what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use aqueduct_peers::Outcome;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A running program; killed when it is no longer needed.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts a program of this package.
    pub(crate) fn start(program: &str, words: &[String]) -> Outcome<Self> {
        let path = path(program)?;
        let mut child = Command::new(&path)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let output = child.stdout.take().ok_or("no pipe from the program")?;
        let mut errors = child.stderr.take().ok_or("no pipe from the program")?;
        let (sender, lines) = channel();
        // Threads, so that a program that hangs does not hang us.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is good enough.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self {
            child,
            lines,
            complaints: Some(complaints),
        })
    }

    /// Waits for the next line that the program prints.
    pub(crate) fn line(&mut self, deadline: Instant) -> Outcome<String> {
        let patience = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err("hung".into()),
            Err(RecvTimeoutError::Disconnected) => Err(self.complaint().into()),
        }
    }

    /// Tells the program to go on.
    pub(crate) fn go_on(&mut self) -> Outcome<()> {
        let input = self.child.stdin.as_mut().ok_or("no pipe to the program")?;
        Ok(writeln!(input)?)
    }

    /// The last thing that a program said that has ended.
    fn complaint(&mut self) -> String {
        let text = self
            .complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty() && !line.starts_with("note:"));
        format!("ended: {}", last.unwrap_or("without a word"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Programs are built into the directory of this one.
fn path(program: &str) -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(program))
}

/// Lets the programs open as many files as the system allows: some have two for each connection, and more.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it fails, the cells with many peers do.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

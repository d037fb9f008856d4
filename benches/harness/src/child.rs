//! Processes that this program starts of itself, and their reports.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::Outcome;

/// What a worker reports when it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) messages: u64,
    /// When the first message was about to be sent, or the last was received.
    pub(crate) moment: u64,
    /// CPU time used meanwhile, in nanoseconds.
    pub(crate) cpu: u64,
    /// The middle one of the round trips, in nanoseconds, and the one that 99 of 100 do not exceed.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

impl Report {
    /// Tells the parent process.
    pub(crate) fn print(&self) {
        let Self {
            messages,
            moment,
            cpu,
            p50,
            p99,
        } = self;
        println!("{messages} {moment} {cpu} {p50} {p99}");
    }

    fn parse(line: &str) -> Outcome<Self> {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [messages, moment, cpu, p50, p99] = numbers[..] else {
            return Err(format!("not a report: {line}").into());
        };
        Ok(Self {
            messages,
            moment,
            cpu,
            p50,
            p99,
        })
    }
}

/// A worker process; killed when it is no longer needed.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a worker with these words on its command line.
    pub(crate) fn start(words: &[&str]) -> Outcome<Self> {
        Self::run(&mut Command::new(std::env::current_exe()?), words)
    }

    /// Starts a worker with another program around it, which has these words on its command line.
    pub(crate) fn start_under(program: &[&str], words: &[&str]) -> Outcome<Self> {
        let (name, arguments) = program.split_first().ok_or("no program")?;
        let mut command = Command::new(name);
        command.args(arguments).arg(std::env::current_exe()?);
        Self::run(&mut command, words)
    }

    fn run(command: &mut Command, words: &[&str]) -> Outcome<Self> {
        let mut process = command
            .arg("worker")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("no pipe to the worker")?;
        let (sender, lines) = channel();
        // A thread, so that a worker that hangs does not hang us.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, lines })
    }

    /// Waits for the next line that the worker prints.
    pub(crate) fn line(&self, patience: Duration) -> Outcome<String> {
        self.lines
            .recv_timeout(patience)
            .map_err(|_| "a worker did not answer in time, or ended".into())
    }

    pub(crate) fn report(&self, patience: Duration) -> Outcome<Report> {
        Report::parse(&self.line(patience)?)
    }

    /// Tells the worker to go on.
    pub(crate) fn go_on(&mut self) -> Outcome<()> {
        let input = self.process.stdin.as_mut().ok_or("no pipe to the worker")?;
        Ok(writeln!(input)?)
    }

    /// Waits until the worker has ended by itself.
    pub(crate) fn finish(mut self) -> Outcome<()> {
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a worker ended with {status}").into())
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits, in a worker, until the parent says go on.
pub(crate) fn wait_for_parent() -> Outcome<()> {
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Ends this process when its parent is gone: for a worker that never ends by itself.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            drop(line);
        }
        std::process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_printed() {
        let report = Report {
            messages: 1,
            moment: 2,
            cpu: 3,
            p50: 4,
            p99: 5,
        };
        assert_eq!(Report::parse("1 2 3 4 5").ok(), Some(report));
        assert!(Report::parse("1 2 3").is_err());
    }
}

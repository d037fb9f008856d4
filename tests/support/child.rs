//! A process of its own for a part of a test that no process would share: few descriptors, signals, standing still.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{LONG, eventually};

/// Set in the process that is a part of a test.
const CHILD: &str = "AQUEDUCT_TEST_CHILD";

/// Tells, in a test that is ignored, whether it was started by another one as a process of its own.
pub(crate) fn is_child() -> bool {
    let yes = std::env::var_os(CHILD).is_some();
    if yes {
        // The test harness may have printed the beginning of a line.
        println!();
    }
    yes
}

/// Waits, in that process, until it is to end, and ends it.
pub(crate) fn end_with_parent() -> ! {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    std::process::exit(0);
}

/// A test that runs as a process of its own and tells what it has to tell in lines.
pub(crate) struct ChildTest {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl ChildTest {
    /// Starts an ignored test of the calling file. `way` is what the shell puts before the command: `exec`, at least.
    pub(crate) fn start(test: &str, way: &str) -> Self {
        let script = format!("{way} \"$0\" --exact --ignored --nocapture {test}");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The rest of the next line that begins so.
    pub(crate) fn hear(&self, start: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(LONG)
                .unwrap_or_else(|_| panic!("the child did not say {start:?}"));
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// Gives it a line to read.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// What the system tells about it after its name, beginning with its state.
    pub(crate) fn status(&self) -> Vec<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().map(str::to_owned).collect()
    }

    /// Makes it stand still.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        eventually("the child stands still", || self.status()[0] == "T");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success(), "{script}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Lets it come to its end, which must be a good one.
    pub(crate) fn end(mut self) {
        self.input.take();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for ChildTest {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

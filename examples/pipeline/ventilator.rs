//! The ventilator: runs the other processes, sends the lines, waits until they are counted, and checks the result.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use aqueduct::{Endpoint, Message, PeerStats, Pull, Push, RecvError, SendError, SocketStats};

use crate::counts::Counts;
use crate::report::{Ledger, Report};
use crate::sink::END;
use crate::text::Text;
use crate::{IDLE, Job, NAME, Outcome, PATIENCE};

/// Progress is shown so many times.
const STEPS: u64 = 10;

/// Lines after which the ventilator looks for reports, so that the sink never waits for it.
const LINES_PER_LOOK: u64 = 4096;

/// How long nobody takes a line before the user is told.
const STUCK: Duration = Duration::from_secs(2);

/// The ventilator's side of the pipeline.
struct Ventilator {
    lines: Push,
    /// What the sink says.
    reports: Pull,
    /// What the sink is told.
    orders: Push,
    sink: Child,
    workers: Vec<Child>,
    /// The command that adds a worker.
    invitation: String,
    /// Lines that are counted, by worker.
    counted: BTreeMap<String, u64>,
    tables: u64,
}

pub(crate) fn run(job: &Job) -> Outcome<ExitCode> {
    let text = Text::read(&job.files)?;
    let mut ventilator = Ventilator::start(job.workers)?;
    let begun = Instant::now();
    ventilator.send_all(&text, job.lines)?;
    let stats = ventilator.wait_until_counted()?;
    let time = begun.elapsed();
    let (counts, counted, tables) = ventilator.finish()?;

    let begun = Instant::now();
    let plain = text.count(job.lines);
    let report = Report {
        ledger: Ledger::new(&stats.total, job.lines, counted.values().sum()),
        text: (text.files(), text.lines().count() as u64),
        time,
        counted,
        tables,
        counts,
        plain,
        plain_time: begun.elapsed(),
    };
    report.print();
    Ok(report.exit_code())
}

impl Ventilator {
    /// Brings up the sink, then the workers.
    fn start(workers: usize) -> Outcome<Self> {
        let lines = Push::new();
        let lines_at = lines.bind("tcp://127.0.0.1:0")?;
        let reports = Pull::new();
        let reports_at = reports.bind("tcp://127.0.0.1:0")?;
        let sink = run_self(&["sink", &reports_at.to_string()])?;
        let results_at: Endpoint = reports.recv_timeout(PATIENCE)?[0].as_str()?.parse()?;
        let orders = Push::new();
        orders.connect(&results_at)?;

        let arguments = ["worker", &lines_at.to_string(), &results_at.to_string()];
        let workers = (0..workers)
            .map(|_| run_self(&arguments))
            .collect::<Outcome<Vec<_>>>()?;
        let invitation = format!(
            "cargo run --release --example pipeline -- {}",
            arguments.join(" ")
        );
        let names = workers
            .iter()
            .map(|worker| worker.id().to_string())
            .collect::<Vec<_>>();
        eprintln!(
            "workers: {}; to add one from another terminal:\n  {invitation}",
            names.join(", ")
        );
        // So that each of them gets a share: the first to come would be given everything until the next one comes.
        lines.wait_for_peers(workers.len(), PATIENCE)?;
        Ok(Self {
            lines,
            reports,
            orders,
            sink,
            workers,
            invitation,
            counted: BTreeMap::new(),
            tables: 0,
        })
    }

    fn send_all(&mut self, text: &Text, lines: u64) -> Outcome<()> {
        let step = lines.div_ceil(STEPS).max(1);
        for (sent, line) in (1..).zip(text.repeated(lines)) {
            self.send(Message::from(line))?;
            if sent % LINES_PER_LOOK == 0 {
                self.take_reports()?;
            }
            if sent % step == 0 {
                let counted = self.counted.values().sum::<u64>();
                eprintln!("{sent} of {lines} lines sent, {counted} counted");
            }
        }
        Ok(())
    }

    /// Sends one line, however long it takes.
    fn send(&mut self, mut line: Message) -> Outcome<()> {
        loop {
            match self.lines.send_timeout(line, STUCK) {
                Ok(()) => return Ok(()),
                Err(SendError::Timeout(back)) => line = back,
                Err(error @ SendError::Closed(_)) => return Err(error.into()),
            }
            self.take_reports()?;
            eprintln!("no worker takes any line now; to add one:\n  {}", self.invitation);
        }
    }

    /// Waits until every worker that is still there has handed in all that was sent to it.
    ///
    /// Nobody need be told that it is over, and a worker that was killed is not waited for.
    fn wait_until_counted(&mut self) -> Outcome<SocketStats> {
        loop {
            let stats = self.lines.stats();
            let is_done = |peer: &PeerStats| {
                let name = peer
                    .info
                    .as_ref()
                    .and_then(|info| info.property(NAME))
                    .unwrap_or_default();
                let counted = self
                    .counted
                    .get(&*String::from_utf8_lossy(name))
                    .copied()
                    .unwrap_or(0);
                peer.traffic.queued == 0 && peer.traffic.handed.messages == counted
            };
            if stats.peers.iter().all(is_done) {
                return Ok(stats);
            }
            self.take_reports()?;
            match self.reports.recv_timeout(IDLE) {
                Ok(report) => self.note(&report)?,
                Err(RecvError::Timeout) => {}
                Err(error @ RecvError::Closed) => return Err(error.into()),
            }
        }
    }

    /// Takes what the sink has reported so far, and makes sure that it is there.
    fn take_reports(&mut self) -> Outcome<()> {
        while let Ok(report) = self.reports.try_recv() {
            self.note(&report)?;
        }
        match self.sink.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the sink has gone: {status}").into()),
        }
    }

    fn note(&mut self, report: &Message) -> Outcome<()> {
        let [name, lines] = report.frames() else {
            return Err("this is not a report".into());
        };
        *self.counted.entry(name.as_str()?.to_owned()).or_default() += lines.as_str()?.parse::<u64>()?;
        self.tables += 1;
        Ok(())
    }

    /// Gets the result, lets the others go, and returns what was counted, by whom, and in how many tables.
    fn finish(mut self) -> Outcome<(Counts, BTreeMap<String, u64>, u64)> {
        self.orders.send(END)?;
        let mut counts = Counts::default();
        loop {
            let report = self.reports.recv_timeout(PATIENCE)?;
            match report.as_single() {
                Some(result) => break counts.merge(result)?,
                None => self.note(&report)?,
            }
        }
        // With the connection goes the reason for a worker to be there.
        let report = self.lines.close();
        assert!(report.total.adds_up(), "every line is in one bucket: {report:?}");
        for child in self.workers.iter_mut().chain([&mut self.sink]) {
            let status = child.wait()?;
            if !status.success() {
                eprintln!("process {} ended with {status}", child.id());
            }
        }
        Ok((counts, self.counted, self.tables))
    }
}

/// Runs this program in another process.
fn run_self(arguments: &[&str]) -> Outcome<Child> {
    Ok(Command::new(std::env::current_exe()?).args(arguments).spawn()?)
}

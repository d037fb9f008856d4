//! Beside hostile peers: what an honest pair loses of its throughput and its round trips while somebody plays the scripts
//! of the hostile suite to one of its sockets, again and again.
//!
//! The scripts are those of `tests/hostile/table`, row by row. Quiet spells and hostile ones take turns, so that a ratio is
//! of neighbours in time. The one who plays is another process, and comes so often a second and no more: what it costs to
//! play is its own, but on few cores everybody's loss.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{Dealer, Router};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, Spread};
use aqueduct_bench_shared::zmtp;
use rustix::net::sockopt::set_socket_linger;

use crate::Outcome;
use crate::child::Child;
use crate::honest::{Asking, Streaming, ended};

#[allow(
    clippy::unwrap_used,
    reason = "the table belongs to the tests, where a wrong row fails by panicking"
)]
#[path = "../../../tests/hostile/table/mod.rs"]
mod table;

use table::{End, Script, Step};

/// How long whoever plays waits for the end that a script should have.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a greeting is.
const GREETING: usize = 64;

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let rounds: usize = arguments.option("--rounds", 5)?;
    let spell = Duration::from_millis(arguments.option("--spell", 250)?);
    let plays: u32 = arguments.option("--plays", 10)?;
    let only: String = arguments.option("--only", String::new())?;
    arguments.finish(crate::USAGE)?;
    println!("{}; {plays} plays a second.\n", figures::machine());
    println!("| row | plays | throughput | p50 | p99 |\n|---|--:|--:|--:|--:|");
    for (number, row) in rows().iter().enumerate().filter(|(_, row)| row.contains(&only)) {
        let part = Part {
            number: number.to_string(),
            plays: plays.to_string(),
            rounds,
            spell,
        };
        println!("| {row} | {}", part.measure()?);
    }
    Ok(())
}

/// The rows that have scripts, in the order of the table.
fn rows() -> Vec<&'static str> {
    let mut rows: Vec<_> = table::scripts("PUSH").iter().map(|script| script.row).collect();
    rows.dedup();
    rows
}

/// One row to be measured.
struct Part {
    number: String,
    plays: String,
    rounds: usize,
    spell: Duration,
}

impl Part {
    /// Measures throughput and then round trips, each quiet and not, turn by turn.
    fn measure(&self) -> Outcome<String> {
        let streaming = Streaming::start()?;
        let mut player = self.player("PUSH", &streaming.endpoint)?;
        let mut ratios = Vec::new();
        // The first turn is for warming up.
        for _ in 0..=self.rounds {
            let quiet = streaming.rate(self.spell)?;
            player.go_on()?;
            let hostile = streaming.rate(self.spell)?;
            player.go_on()?;
            ratios.push(hostile / quiet);
        }
        let mut played = ended(&streaming.pull.stats());
        drop((player, streaming));
        let throughput = Spread::of(ratios.drain(1..)).ok_or("no rounds")?;

        let asking = Asking::start(Router::builder(), Dealer::builder())?;
        let mut player = self.player("DEALER", &asking.endpoint)?;
        let (mut quiet, mut hostile) = (Vec::new(), Vec::new());
        asking.ask(self.spell, &mut Vec::new())?;
        for _ in 0..self.rounds {
            asking.ask(self.spell, &mut quiet)?;
            player.go_on()?;
            asking.ask(self.spell, &mut hostile)?;
            player.go_on()?;
        }
        played += ended(&asking.router.stats());
        let at = |share| figures::percentile(&mut hostile, share) / figures::percentile(&mut quiet, share);
        let [p50, p99] = [50, 99].map(at);
        let show = |ratio: f64| format!("{ratio:.2}");
        Ok(format!(
            "{played} | {} | {} | {} |",
            throughput.show(show),
            show(p50),
            show(p99)
        ))
    }

    fn player(&self, theirs: &str, endpoint: &str) -> Outcome<Child> {
        Child::start(&["play", theirs, &self.number, &self.plays, endpoint])
    }
}

// ── the other process ──

/// Plays the scripts of a row in turn; each line from the parent starts it, or stops it.
pub(crate) fn play(mut arguments: Arguments) -> Outcome<()> {
    let theirs = arguments.word().unwrap_or_default();
    let row: usize = arguments.parse()?;
    let plays: u32 = arguments.parse()?;
    let address = zmtp::tcp_address(&arguments.word().unwrap_or_default())?;
    let row = *rows().get(row).ok_or("no such row")?;
    let scripts = table::scripts(&theirs)
        .into_iter()
        .filter(|script| script.row == row);
    let scripts: Vec<_> = scripts.collect();
    let pause = Duration::from_secs(1) / plays.max(1);
    let plays = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&plays);
    thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            switch.fetch_xor(true, Ordering::Relaxed);
        }
        std::process::exit(0);
    });
    for script in scripts.iter().cycle() {
        while !plays.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        // It may be hung up on at any step, as most are meant to be.
        let _ = perform(script, address);
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }
    Ok(())
}

fn perform(script: &Script, address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut heard = Vec::new();
    for step in &script.steps {
        match step {
            Step::Send(bytes) => stream.write_all(bytes)?,
            Step::Drip(bytes) => bytes.chunks(1).try_for_each(|byte| stream.write_all(byte))?,
            Step::Expect(frame) => hear(&mut stream, &mut heard, |heard| {
                heard.windows(frame.len()).any(|window| window == frame)
            })?,
            Step::Finish => stream.shutdown(Shutdown::Write)?,
            Step::Reset => set_socket_linger(&stream, Some(Duration::ZERO))?,
        }
    }
    match script.end {
        End::Closes(_) | End::ClosesAfter(..) | End::Refuses(_) => hear(&mut stream, &mut heard, |_| false),
        // Where it is let stay, it leaves when it has been greeted.
        End::Stays(_) | End::Ignores(..) | End::Leaves(_) => {
            hear(&mut stream, &mut heard, |heard| heard.len() >= GREETING)
        }
    }
}

/// Reads until it is enough, or the end.
fn hear(stream: &mut TcpStream, heard: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    while !enough(heard) {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        heard.extend_from_slice(&bytes[..count]);
    }
    Ok(())
}

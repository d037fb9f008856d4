//! A million topics on one XPUB: what they take in memory, and how long it takes to match a message, beside libzmq.
//!
//! Each contender has a process of its own. This one is the subscriber of each: a bare socket that subscribes to every
//! topic over tcp, and then reads nothing, so that its queue at the publisher is full soon. A message that is for it is
//! matched and dropped, one that is not is matched and dropped as well, and neither waits for a transport; what is timed is
//! one `send` call for each message, the making of the message included.

mod form;
mod publisher;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::Outcome;
use crate::child::Child;
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, Spread, thousands};
use aqueduct_bench_shared::zmtp;

use form::Form;
pub(crate) use publisher::worker;

/// Topics that are anything like names may take so many times their own bytes.
const MOST_OVERHEAD: f64 = 4.0;

/// What is collected before it is written to the publisher.
const WRITE: usize = 64 * 1024;

const PATIENCE: Duration = Duration::from_secs(120);

names! {
    Contender { Libzmq = "libzmq", Aqueduct = "aqueduct" }
}

/// Whose XPUB it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Libzmq,
    Aqueduct,
}

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let count: usize = arguments.option("--count", 1_000_000)?;
    let rounds: usize = arguments.option("--rounds", 5)?;
    let write = arguments.flag("--write");
    arguments.finish(crate::USAGE)?;
    if count == 0 || rounds == 0 || (write && (count < 1_000_000 || rounds < 5)) {
        return Err("figures to keep come from a million topics or more, and 5 rounds or more".into());
    }
    let mut text = format!(
        "{} topics of one subscriber, {rounds} rounds for each kind, libzmq and aqueduct turn by turn; medians of a \
         `send` in nanoseconds, with the lowest and the highest round in brackets.\n\n\
         | topics, as they begin | | bytes of topics | resident memory | times the topics | counted heap, times the topics | \
         ns, a match | ns, no match |\n|---|---|--:|--:|--:|--:|--:|--:|\n",
        thousands(count as f64)
    );
    for form in Form::ALL {
        let mut both = [Contender::Libzmq, Contender::Aqueduct]
            .map(|contender| Publisher::start(contender, form, count));
        for _ in 0..rounds {
            for publisher in &mut both {
                publisher.as_mut().map_err(|error| error.to_string())?.time()?;
            }
        }
        for publisher in both {
            text += &publisher?.row(form, count)?;
        }
    }
    let text = text.trim_end();
    println!("{text}");
    if write {
        figures::write("docs/BENCHMARKS.md", "topics", text)?;
    }
    Ok(())
}

/// A process with an XPUB, and what it has told.
struct Publisher {
    contender: Contender,
    process: Child,
    resident: f64,
    /// Of aqueduct alone: the other allocates elsewhere.
    heap: f64,
    hits: Vec<f64>,
    misses: Vec<f64>,
    /// The subscriber's side, kept open.
    _stream: TcpStream,
}

impl Publisher {
    /// Starts one and subscribes to all topics.
    fn start(contender: Contender, form: Form, count: usize) -> Outcome<Self> {
        let words = [contender.to_string(), form.to_string(), count.to_string()];
        let mut process = Child::start(&["topics", &words[0], &words[1], &words[2]])?;
        let endpoint = process.line(PATIENCE)?;
        let mut stream = zmtp::connect(zmtp::tcp_address(&endpoint)?, "SUB")?;
        process.go_on()?;
        process.line(PATIENCE)?;
        let mut batch = Vec::new();
        for number in 0..count {
            let topic = form.topic(number);
            zmtp::put_header(topic.len() + 1, &mut batch);
            batch.push(1);
            batch.extend_from_slice(&topic);
            if batch.len() >= WRITE || number + 1 == count {
                stream.write_all(&batch)?;
                batch.clear();
            }
        }
        let [resident, heap] = numbers(&process)?;
        Ok(Self {
            contender,
            process,
            resident,
            heap,
            hits: Vec::new(),
            misses: Vec::new(),
            _stream: stream,
        })
    }

    /// One round.
    fn time(&mut self) -> Outcome<()> {
        self.process.go_on()?;
        let [hit, miss] = numbers(&self.process)?;
        self.hits.push(hit);
        self.misses.push(miss);
        Ok(())
    }

    fn row(&self, form: Form, count: usize) -> Outcome<String> {
        let bytes: usize = (0..count).map(|number| form.topic(number).len()).sum();
        let times = |memory: f64| format!("{:.2}", memory / bytes as f64);
        let heap = match self.contender {
            Contender::Libzmq => "–".to_owned(),
            Contender::Aqueduct if form != Form::Random && self.heap > MOST_OVERHEAD * bytes as f64 => {
                return Err(format!("{form}: {} bytes of heap for {bytes} of topics", self.heap).into());
            }
            Contender::Aqueduct => times(self.heap),
        };
        let show = |figures: &[f64]| Spread::of(figures.iter().copied()).map(|spread| spread.show(thousands));
        Ok(format!(
            "| `{}` | {} | {} | {} | {} | {heap} | {} | {} |\n",
            form.example(),
            self.contender,
            thousands(bytes as f64),
            thousands(self.resident),
            times(self.resident),
            show(&self.hits).unwrap_or_default(),
            show(&self.misses).unwrap_or_default(),
        ))
    }
}

/// The two numbers that a worker prints next.
fn numbers(process: &Child) -> Outcome<[f64; 2]> {
    let line = process.line(PATIENCE)?;
    let (first, second) = line.split_once(' ').ok_or("two numbers are missing")?;
    Ok([first.parse()?, second.parse()?])
}

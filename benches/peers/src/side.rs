//! The loops that are timed, the same for every library.
//!
//! Before them, those that send say hello, so that the witness knows when all are connected. Where one side has many
//! sockets, one thread or task goes round them and gives each a turn of [`TURN`] messages.

use aqueduct_bench_shared::clock;
use aqueduct_bench_shared::payload::{Checker, Payload};

use crate::gate::Gate;
use crate::numbered::{self, HELLO, Numbered, check};
use crate::report::{self, Report};
use crate::{Executor, Kind, Library, Outcome, Pattern, Role, Socket, Task};

/// How many messages one of many sockets sends or receives in its turn. Less than a queue holds, so that no two wait for
/// each other.
const TURN: u64 = 100;

/// Round trips before those that are timed.
const WARM_UP: u64 = 100;

/// How many requests are under way in [`Pattern::Routed`].
const WINDOW: u64 = 64;

/// Does what the command line says, and prints a report.
pub fn run<L: Library>(
    executor: &impl Executor,
    library: impl FnOnce() -> Outcome<L>,
    task: &Task,
) -> Outcome<()> {
    let report = executor.block_on(async {
        let library = library()?;
        match task.role {
            Role::Both => both(executor, &library, task).await,
            role => one(&library, task, role).await,
        }
    })?;
    report.print();
    // What the libraries would tidy up is nobody's concern.
    std::process::exit(0);
}

/// One side's words with the other.
#[derive(Clone)]
struct Words {
    /// Where the starter waits until all are connected.
    start: Gate,
    /// Where a side waits until both are done.
    stop: Gate,
    /// Whether the other side is in this process.
    inside: bool,
}

impl Words {
    fn ready(&self) {
        if self.inside {
            self.start.open();
        } else {
            println!("{}", report::READY);
        }
    }

    fn done(&self) {
        if !self.inside {
            println!("{}", report::DONE);
        }
    }
}

async fn one<L: Library>(library: &L, task: &Task, role: Role) -> Outcome<Report> {
    let gate = Gate::of_standard_input();
    let words = Words {
        start: gate.clone(),
        stop: gate,
        inside: false,
    };
    let sockets = open(library, task, role).await?;
    side(sockets, task.clone(), role, words).await
}

async fn both<L: Library>(executor: &impl Executor, library: &L, task: &Task) -> Outcome<Report> {
    let words = Words {
        start: Gate::default(),
        stop: Gate::default(),
        inside: true,
    };
    let far = open(library, task, Role::Bind).await?;
    let near = open(library, task, Role::Connect).await?;
    let far = executor.spawn(side(far, task.clone(), Role::Bind, words.clone()));
    let before = clock::cpu();
    let near = side(near, task.clone(), Role::Connect, words).await?;
    let report = near.merge(far.await??);
    Ok(Report {
        cpu: clock::cpu() - before,
        peak: report::peak_memory(),
        ..report
    })
}

/// Opens all sockets of one side.
async fn open<L: Library>(library: &L, task: &Task, role: Role) -> Outcome<Vec<L::Socket>> {
    let (bound, connected) = match task.pattern {
        Pattern::Throughput | Pattern::Curve | Pattern::Shared | Pattern::FanIn => (Kind::Pull, Kind::Push),
        Pattern::Latency => (Kind::Rep, Kind::Req),
        Pattern::Publish => (Kind::Pub, Kind::Sub),
        Pattern::Routed => (Kind::Router, Kind::Dealer),
    };
    if role == Role::Bind {
        return Ok(vec![library.bind(bound, task).await?]);
    }
    let mut sockets = Vec::new();
    for _ in 0..task.peers {
        sockets.push(library.connect(connected, task).await?);
    }
    Ok(sockets)
}

async fn side<S: Socket>(mut sockets: Vec<S>, task: Task, role: Role, words: Words) -> Outcome<Report> {
    greet(&mut sockets, &task, role, &words).await?;
    if role == task.pattern.witness() {
        words.ready();
    }
    if role == task.pattern.starter() && task.pattern != Pattern::Publish {
        words.start.pass().await;
    }
    let before = clock::cpu();
    let mut report = traffic(&mut sockets, &task, role).await?;
    if role == task.pattern.witness() {
        words.done();
    }
    if !words.inside {
        words.stop.pass().await;
    }
    report.cpu = clock::cpu() - before;
    report.peak = report::peak_memory();
    Ok(report)
}

/// Finds out that everybody is connected.
async fn greet<S: Socket>(sockets: &mut [S], task: &Task, role: Role, words: &Words) -> Outcome<()> {
    let bound = role == Role::Bind;
    match task.pattern {
        Pattern::Throughput | Pattern::Curve | Pattern::Shared | Pattern::FanIn if bound => {
            for _ in 0..task.peers {
                hello(&mut sockets[0]).await?;
            }
        }
        Pattern::Throughput | Pattern::Curve | Pattern::Shared | Pattern::FanIn => {
            for socket in sockets {
                socket.send(HELLO).await?;
                socket.flush().await?;
            }
        }
        // A publisher cannot tell who listens, so it says hello until the witness has heard it on every socket.
        Pattern::Publish if bound => loop {
            sockets[0].send(HELLO).await?;
            sockets[0].flush().await?;
            if words.start.pass_soon().await {
                break;
            }
        },
        Pattern::Publish => {
            for socket in sockets {
                hello(socket).await?;
            }
        }
        Pattern::Latency | Pattern::Routed if bound => {
            for _ in 0..WARM_UP {
                sockets[0].echo(|_| ()).await?;
            }
        }
        Pattern::Latency | Pattern::Routed => {
            for _ in 0..WARM_UP {
                sockets[0].send(HELLO).await?;
                hello(&mut sockets[0]).await?;
            }
        }
    }
    Ok(())
}

async fn hello<S: Socket>(socket: &mut S) -> Outcome<()> {
    if socket.recv(|body| body == HELLO).await? {
        return Ok(());
    }
    Err("something else came before hello".into())
}

async fn traffic<S: Socket>(sockets: &mut [S], task: &Task, role: Role) -> Outcome<Report> {
    let bound = role == Role::Bind;
    match task.pattern {
        Pattern::Throughput | Pattern::Curve if bound => receive(&mut sockets[0], task).await,
        Pattern::Throughput | Pattern::Curve => send(&mut sockets[0], task).await,
        Pattern::Shared if bound => receive_shared(&mut sockets[0], task).await,
        Pattern::Shared => send_shared(&mut sockets[0], task).await,
        Pattern::Publish if bound => send(&mut sockets[0], task).await,
        Pattern::Publish => receive_on_all(sockets, task).await,
        Pattern::FanIn if bound => receive_from_all(&mut sockets[0], task).await,
        Pattern::FanIn => send_on_all(sockets, task).await,
        Pattern::Latency | Pattern::Routed if bound => answer(&mut sockets[0], task).await,
        Pattern::Latency => ask(&mut sockets[0], task).await,
        Pattern::Routed => keep_asking(&mut sockets[0], task).await,
    }
}

fn sent(first: u64, messages: u64) -> Outcome<Report> {
    Ok(Report {
        messages,
        first,
        ..Report::default()
    })
}

fn received(messages: u64) -> Outcome<Report> {
    Ok(Report {
        messages,
        last: clock::now(),
        ..Report::default()
    })
}

async fn send<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut bodies = Numbered::new(task.size);
    let first = clock::now();
    socket.send_many(&mut bodies, 0..task.count).await?;
    socket.flush().await?;
    sent(first, task.count)
}

async fn receive<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut number = 0;
    while number < task.count {
        let look = |body: &[u8]| {
            check(body, task.size, number)?;
            number += 1;
            Ok(())
        };
        socket.recv_many(look).await?;
    }
    received(number)
}

/// Sends windows into one long body, which cannot hold numbers but differ from their neighbours.
async fn send_shared<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut bodies = Payload::new(task.size);
    let first = clock::now();
    for _ in 0..task.count {
        socket.send_shared(bodies.next_body().shared()).await?;
    }
    socket.flush().await?;
    sent(first, task.count)
}

async fn receive_shared<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut checker = Checker::new(task.size);
    for _ in 0..task.count {
        socket.recv(|body| checker.check(body)).await??;
    }
    received(checker.received())
}

/// The turns of messages `0..count`.
fn turns(count: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..count.div_ceil(TURN)).map(move |turn| turn * TURN..count.min((turn + 1) * TURN))
}

async fn send_on_all<S: Socket>(sockets: &mut [S], task: &Task) -> Outcome<Report> {
    let each = task.count / u64::from(task.peers);
    let mut bodies = Numbered::new(task.size);
    let first = clock::now();
    for turn in turns(each) {
        for (sender, socket) in (0..task.peers).zip(&mut *sockets) {
            for nth in turn.clone() {
                socket.send(bodies.body(numbered::number(sender, nth))).await?;
            }
        }
    }
    for socket in sockets {
        socket.flush().await?;
    }
    sent(first, each * u64::from(task.peers))
}

async fn receive_from_all<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let each = task.count / u64::from(task.peers);
    let total = each * u64::from(task.peers);
    let mut next = vec![0; usize::from(task.peers)];
    for _ in 0..total {
        let look = |body: &[u8]| -> Outcome<()> {
            let sender = numbered::sender(body).ok_or("a body without a number")?;
            let next = next.get_mut(usize::from(sender)).ok_or("a body of nobody")?;
            check(body, task.size, numbered::number(sender, *next))?;
            *next += 1;
            Ok(())
        };
        socket.recv(look).await??;
    }
    received(total)
}

async fn receive_on_all<S: Socket>(sockets: &mut [S], task: &Task) -> Outcome<Report> {
    // The publisher may have said hello more than once.
    for socket in &mut *sockets {
        let mut hello = true;
        while hello {
            let look = |body: &[u8]| {
                hello = body == HELLO;
                if hello { Ok(()) } else { check(body, task.size, 0) }
            };
            socket.recv(look).await??;
        }
    }
    for turn in turns(task.count - 1) {
        for socket in &mut *sockets {
            for nth in turn.clone() {
                socket.recv(|body| check(body, task.size, nth + 1)).await??;
            }
        }
    }
    received(task.count * u64::from(task.peers))
}

async fn answer<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    for number in 0..task.count {
        socket.echo(|body| check(body, task.size, number)).await??;
    }
    socket.flush().await?;
    Ok(Report {
        messages: task.count,
        ..Report::default()
    })
}

async fn ask<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut bodies = Numbered::new(task.size);
    let mut times = Vec::with_capacity(usize::try_from(task.count)?);
    let first = clock::now();
    let mut before = first;
    for number in 0..task.count {
        socket.send(bodies.body(number)).await?;
        socket.recv(|body| check(body, task.size, number)).await??;
        let after = clock::now();
        times.push(u32::try_from(after - before).unwrap_or(u32::MAX));
        before = after;
    }
    let round_trips = report::quantiles(times);
    Ok(Report {
        messages: task.count,
        first,
        last: before,
        round_trips,
        ..Report::default()
    })
}

async fn keep_asking<S: Socket>(socket: &mut S, task: &Task) -> Outcome<Report> {
    let mut bodies = Numbered::new(task.size);
    let first = clock::now();
    for number in 0..WINDOW.min(task.count) {
        socket.send(bodies.body(number)).await?;
    }
    for number in 0..task.count {
        socket.recv(|body| check(body, task.size, number)).await??;
        if number + WINDOW < task.count {
            socket.send(bodies.body(number + WINDOW)).await?;
        }
    }
    Ok(Report {
        messages: task.count,
        first,
        last: clock::now(),
        ..Report::default()
    })
}

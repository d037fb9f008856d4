//! What the project asks of itself, beside what was measured.

use std::fmt::Write;

use super::contenders::{Contender, OURS, RAW, Way};
use super::results::{Record, Results, Run};
use super::table::{NOTHING, name};

/// One thing that is asked of one of our modes in some cells.
struct Asked {
    /// Of which line of the list.
    line: u8,
    /// One of our modes.
    who: &'static str,
    what: What,
    to: To,
    bound: Bound,
    cells: &'static [&'static str],
}

/// Which figure.
#[derive(Clone, Copy)]
enum What {
    /// The rate, or the median of round trips.
    Figure,
    P99,
    Cpu,
}

/// To what its ratio is asked.
#[derive(Clone, Copy)]
enum To {
    Contender(&'static str),
    /// The best rival with one call for each message.
    Rival,
    /// The best of those and of those that spin.
    SpinningRival,
    AsyncRival,
    /// To nothing: the figure itself.
    Itself,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};
use To::{AsyncRival, Itself, Rival, SpinningRival};
use What::{Cpu, Figure, P99};

const BARE: To = To::Contender(RAW);

macro_rules! asked {
    ($($line:literal $who:literal $what:ident $to:expr, $bound:ident $by:literal: $($cell:literal)*;)*) => {
        /// Everything, line by line.
        const ALL: &[Asked] = &[$(Asked {
            line: $line, who: $who, what: $what, to: $to, bound: $bound($by), cells: &[$($cell),*],
        }),*];
    };
}

asked! {
    1 "aqueduct" Figure BARE, AtLeast 0.38: "thr/tcp/64" "thr/ipc/64";
    1 "aqueduct" Figure Rival, AtLeast 2.5: "thr/tcp/64" "thr/ipc/64";
    1 "aqueduct" Figure Rival, AtLeast 2.0: "thr/tcp/16" "thr/tcp/256" "thr/ipc/16" "thr/ipc/256";
    1 "aqueduct" Figure Rival, AtLeast 1.0: "thr/tcp/1024" "thr/tcp/8192" "thr/tcp/65536" "thr/tcp/1048576";
    1 "aqueduct" Figure Rival, AtLeast 1.0: "thr/ipc/1024" "thr/ipc/8192" "thr/ipc/65536" "thr/ipc/1048576";
    1 "aqueduct" Figure BARE, AtLeast 0.85: "thr/tcp/65536" "thr/tcp/1048576" "thr/ipc/65536" "thr/ipc/1048576";
    2 "aqueduct" Figure BARE, AtMost 1.05: "lat/tcp/64" "lat/ipc/64";
    2 "aqueduct" P99 BARE, AtMost 1.15: "lat/tcp/64" "lat/ipc/64";
    2 "aqueduct-spin" Figure BARE, AtMost 0.5: "lat/tcp/64" "lat/ipc/64";
    2 "aqueduct-spin" Figure SpinningRival, AtMost 1.0: "lat/tcp/64" "lat/ipc/64";
    3 "aqueduct" Figure Rival, AtLeast 1.5: "thr/inproc/64" "thr/inproc/8192";
    3 "aqueduct" Figure BARE, AtMost 1.15: "lat/inproc/64";
    3 "aqueduct-tokio" Figure Itself, AtMost 1.0: "lat/inproc/64";
    3 "aqueduct-smol" Figure Itself, AtMost 1.0: "lat/inproc/64";
    3 "aqueduct-own" Figure Itself, AtMost 1.0: "lat/inproc/64";
    4 "aqueduct" Figure Rival, AtLeast 2.0: "pub/tcp/64/8" "pub/tcp/64/64" "pub/tcp/64/1000";
    4 "aqueduct" Figure Rival, AtLeast 2.0: "fanin/tcp/64/8" "fanin/tcp/64/64";
    4 "aqueduct" Figure Rival, AtLeast 1.3: "rtr/tcp/64";
    4 "aqueduct" Figure BARE, AtLeast 0.8: "rtr/tcp/64";
    5 "aqueduct-tokio" Figure To::Contender(OURS), AtLeast 0.5: "thr/tcp/64" "thr/tcp/1024" "thr/tcp/65536";
    5 "aqueduct-smol" Figure To::Contender(OURS), AtLeast 0.5: "thr/tcp/64" "thr/tcp/1024" "thr/tcp/65536";
    5 "aqueduct-tokio" Figure AsyncRival, AtLeast 1.0: "thr/tcp/64" "thr/tcp/1024" "thr/tcp/65536";
    5 "aqueduct-smol" Figure AsyncRival, AtLeast 1.0: "thr/tcp/64" "thr/tcp/1024" "thr/tcp/65536";
    5 "aqueduct-tokio" Figure AsyncRival, AtMost 1.0: "lat/tcp/64" "lat/ipc/64";
    5 "aqueduct-smol" Figure AsyncRival, AtMost 1.0: "lat/tcp/64" "lat/ipc/64";
    6 "aqueduct" Cpu To::Contender("libzmq"), AtMost 0.4: "thr/tcp/64";
    6 "aqueduct" Cpu To::Contender("libzmq-64k"), AtMost 0.4: "thr/tcp/64";
}

impl Asked {
    /// What was measured in one cell; nothing if it was not, or if there is nobody to compare to.
    fn measured(&self, results: &Results) -> Option<f64> {
        let of = match self.what {
            What::Figure => Run::figure,
            What::P99 => Run::p99,
            What::Cpu => Run::cpu,
        };
        let ours = results.of(self.who)?;
        let to: &Record = match self.to {
            To::Itself => return Some(ours.spread(of)?.median),
            To::Contender(name) => results.of(name)?,
            To::Rival => results.best_rival(Way::Blocking)?,
            To::SpinningRival => results.best_rival(Way::Spin)?,
            To::AsyncRival => {
                results.best(|contender: &Contender| contender.is_rival() && contender.way == Way::Async)?
            }
        };
        Some(ours.ratio(to, of)?.median)
    }

    fn question(&self) -> String {
        let what = match self.what {
            What::Figure => "",
            What::P99 => ", p99",
            What::Cpu => ", CPU time of each message",
        };
        let to = match self.to {
            To::Contender(name) => format!("to {name}"),
            To::Rival => "to the best rival".to_owned(),
            To::SpinningRival => "to the best rival, spinning ones included".to_owned(),
            To::AsyncRival => "to the best async rival".to_owned(),
            To::Itself => "in µs".to_owned(),
        };
        format!("{}{what}, {to}", self.who)
    }
}

impl Bound {
    fn allows(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }

    fn show(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {least}"),
            Self::AtMost(most) => format!("at most {most}"),
        }
    }
}

/// A line for each thing that is asked, with what was measured in each of its cells.
pub(crate) fn table(all: &[Results]) -> String {
    let mut text = String::from("| line | of | asked | measured | met |\n|--:|---|---|---|---|\n");
    for asked in ALL {
        let mut met = Some(true);
        let figures = asked.cells.iter().map(|cell| {
            let results = all.iter().find(|results| results.cell.to_string() == *cell);
            let figure = results.and_then(|results| asked.measured(results));
            met = met
                .zip(figure)
                .map(|(met, figure)| met && asked.bound.allows(figure));
            let cell = results.map_or((*cell).to_owned(), |results| name(results.cell));
            let figure = figure.map_or(NOTHING.to_owned(), |figure| format!("{figure:.2}"));
            format!("{cell}: {figure}")
        });
        let figures: Vec<String> = figures.collect();
        let verdict = met.map_or(NOTHING, |met| if met { "yes" } else { "**no**" });
        let pattern = asked.cells.first().and_then(|cell| cell.split('/').next());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | `{}` {} | {} | {} | {verdict} |",
            asked.line,
            pattern.unwrap_or_default(),
            asked.question(),
            asked.bound.show(),
            figures.join("; ")
        );
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cells;
    use crate::driver::contenders;

    #[test]
    fn what_is_asked_is_measured() {
        let cells = cells::all();
        for asked in ALL {
            let contenders: Vec<Contender> = contenders::ALL
                .into_iter()
                .filter(|contender| match asked.to {
                    To::Contender(name) => contender.name == name,
                    _ => contender.name == asked.who,
                })
                .collect();
            for name in asked.cells {
                let cell = cells.iter().find(|cell| cell.to_string() == *name).unwrap();
                assert!(contenders[0].takes_part(*cell), "{name}");
            }
        }
    }

    #[test]
    fn a_bound_allows_itself_and_not_the_other_side() {
        assert!(AtLeast(2.0).allows(2.0) && AtMost(2.0).allows(2.0));
        assert!(!AtLeast(2.0).allows(1.9) && !AtMost(2.0).allows(2.1));
        assert!(!AtMost(2.0).allows(f64::NAN));
    }
}

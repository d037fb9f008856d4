//! The budget: how many instructions a message may cost in each scene, and by which compiler that was counted.

use std::fmt::Write as _;
use std::process::Command;

use crate::Outcome;

/// How far a count may be from the budget, in percent. Counts repeat exactly where nothing but the code decides, and to
/// about one percent where the system's answers do.
const TOLERANCE: u64 = 3;

/// The same if the compiler is another one, which makes a few instructions more or less of the same code. What these
/// guards are there for, an allocation for each message, a second copy, one more wake-up, is more than that.
const TOLERANCE_OTHER_COMPILER: u64 = 25;

/// Instructions that are nothing to speak of, however small the budget.
const SLACK: u64 = 4;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

const HEADER: &str = "\
# Instructions per message, counted by callgrind under the compiler in the next line. CONTRIBUTING.md says how to check
# them, and how to set them anew.";

/// Counts with the names of their scenes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) compiler: String,
    pub(crate) counted: Vec<(String, u64)>,
}

/// A scene with what it may cost, and what it does.
#[derive(Debug)]
pub(crate) struct Found {
    scene: String,
    before: Option<u64>,
    now: Option<u64>,
    pub(crate) verdict: Verdict,
}

/// What a count means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Over,
    /// It has become better, and shall not become worse again unnoticed.
    Under,
    /// There is no budget for it.
    New,
    /// There is a budget for it, and nothing to count.
    Gone,
}

impl Budget {
    pub(crate) fn read() -> Outcome<Self> {
        let text = std::fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{FILE}: not a budget; set it anew with --update").into())
    }

    pub(crate) fn write(&self) -> Outcome<()> {
        Ok(std::fs::write(FILE, self.print())?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next()?.to_owned();
        let counted = lines.map(|line| {
            let (count, scene) = line.trim_start().split_once(' ')?;
            Some((scene.trim_start().to_owned(), count.parse().ok()?))
        });
        Some(Self {
            compiler,
            counted: counted.collect::<Option<_>>()?,
        })
    }

    fn print(&self) -> String {
        let mut text = format!("{HEADER}\n{}\n", self.compiler);
        for (scene, count) in &self.counted {
            let _ = writeln!(text, "{count:>6}  {scene}");
        }
        text
    }

    /// Holds counts that were made by a compiler against the budget.
    pub(crate) fn compare(&self, counted: &[(String, u64)], compiler: &str) -> Vec<Found> {
        let tolerance = if compiler == self.compiler {
            TOLERANCE
        } else {
            TOLERANCE_OTHER_COMPILER
        };
        let found = |scene: &String, before: Option<u64>, now: Option<u64>| Found {
            scene: scene.clone(),
            before,
            now,
            verdict: judge(before, now, tolerance),
        };
        let gone = self
            .counted
            .iter()
            .filter(|(scene, _)| value(counted, scene).is_none());
        let present = counted
            .iter()
            .map(|(scene, now)| found(scene, value(&self.counted, scene), Some(*now)));
        present
            .chain(gone.map(|(scene, before)| found(scene, Some(*before), None)))
            .collect()
    }
}

fn value(counted: &[(String, u64)], scene: &str) -> Option<u64> {
    let (_, count) = counted.iter().find(|(other, _)| other == scene)?;
    Some(*count)
}

fn judge(before: Option<u64>, now: Option<u64>, tolerance: u64) -> Verdict {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, _) => return Verdict::New,
        (_, None) => return Verdict::Gone,
    };
    if now.abs_diff(before) <= (before * tolerance / 100).max(SLACK) {
        Verdict::Good
    } else if now > before {
        Verdict::Over
    } else {
        Verdict::Under
    }
}

/// The compiler and the processor for which it compiles.
pub(crate) fn compiler() -> Outcome<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    Ok(format!("{}, {}", version.trim(), std::env::consts::ARCH))
}

/// Before and now, side by side.
pub(crate) fn table(found: &[Found]) -> String {
    let show = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
    let mut text = format!(
        "{:40} {:>8} {:>8} {:>8}\n",
        "instructions per message", "budget", "now", ""
    );
    for Found {
        scene,
        before,
        now,
        verdict,
    } in found
    {
        let change = match (before, now) {
            (Some(before), Some(now)) if *before > 0 => {
                format!("{:+.1} %", 100.0 * (*now as f64 / *before as f64 - 1.0))
            }
            _ => String::new(),
        };
        let remark = match verdict {
            Verdict::Good => "",
            Verdict::Over => "OVER",
            Verdict::Under => "UNDER: set it anew",
            Verdict::New => "NEW: set it anew",
            Verdict::Gone => "GONE: set it anew",
        };
        let line = format!(
            "{scene:40} {:>8} {:>8} {change:>8}  {remark}",
            show(*before),
            show(*now)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
        counts
            .iter()
            .map(|(scene, count)| ((*scene).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_budget_is_read_as_it_was_written() {
        let budget = Budget {
            compiler: "rustc 1.2.3, x86_64".to_owned(),
            counted: counted(&[("tcp, send alone", 123_456), ("b", 7)]),
        };
        assert_eq!(Budget::parse(&budget.print()), Some(budget));
        assert_eq!(Budget::parse("rustc\nnone a"), None);
    }

    #[test]
    fn what_leaves_the_tolerance_is_told_whichever_way() {
        fn verdicts(compiler: &str, now: &[(&str, u64)]) -> Vec<Verdict> {
            let budget = Budget {
                compiler: "this".to_owned(),
                counted: counted(&[("a", 1000)]),
            };
            budget
                .compare(&counted(now), compiler)
                .iter()
                .map(|found| found.verdict)
                .collect()
        }
        for (count, this, other) in [
            (1030, Verdict::Good, Verdict::Good),
            (1031, Verdict::Over, Verdict::Good),
            (1251, Verdict::Over, Verdict::Over),
            (969, Verdict::Under, Verdict::Good),
            (749, Verdict::Under, Verdict::Under),
        ] {
            assert_eq!(verdicts("this", &[("a", count)]), [this]);
            assert_eq!(verdicts("other", &[("a", count)]), [other]);
        }
        assert_eq!(verdicts("this", &[("b", 1)]), [Verdict::New, Verdict::Gone]);
    }
}

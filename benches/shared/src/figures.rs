//! Medians with their bounds, numbers for people, and the way of tables into documents.

use std::path::{Path, PathBuf};

use crate::Outcome;

/// The middle of some numbers, and their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of no numbers there is none.
    pub fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let (below, above) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Self {
            median: f64::midpoint(below, above),
            min,
            max,
        })
    }

    /// Shows all three.
    pub fn show(self, number: impl Fn(f64) -> String) -> String {
        format!(
            "{} ({}–{})",
            number(self.median),
            number(self.min),
            number(self.max)
        )
    }
}

/// What so many of a hundred numbers do not exceed; not a number, if there are none.
pub fn percentile(numbers: &mut [f64], share: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    numbers.get(last * share / 100).copied().unwrap_or(f64::NAN)
}

/// Shows a number with its digits in groups of three.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Reads a setting of Linux.
fn setting(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
    Some(text.trim().to_owned())
}

/// Says what machine this is.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    // It decides how much a loopback holds, and so whether large messages stay in the cache.
    let congestion =
        setting("net/ipv4/tcp_congestion_control").map_or(String::new(), |name| format!(", tcp with {name}"));
    // The same for the pages that the system copies messages through; zero says that nobody has set it.
    let pages = setting("vm/percpu_pagelist_high_fraction")
        .filter(|fraction| fraction != "0")
        .map_or(String::new(), |fraction| {
            format!(", vm.percpu_pagelist_high_fraction {fraction}")
        });
    format!("{cores} cores of {model}, {system} {architecture}{congestion}{pages}")
}

/// Puts text between the markers of this name in a file, or at its end if there are none.
pub fn write(file: &str, name: &str, text: &str) -> Outcome<()> {
    let old = std::fs::read_to_string(in_project(file)).map_err(|error| format!("{file}: {error}"))?;
    write_file(file, &replace_block(&old, name, text))
}

/// Writes a file of the project that is all figures.
pub fn write_file(file: &str, text: &str) -> Outcome<()> {
    std::fs::write(in_project(file), text).map_err(|error| format!("{file}: {error}"))?;
    eprintln!("{file}: figures written");
    Ok(())
}

fn in_project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

fn replace_block(old: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let block = format!("{begin}\n\n{text}\n\n{end}");
    let parts = old
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{block}{after}"),
        None => format!("{}\n\n{block}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter());
        assert_eq!(
            spread,
            Some(Spread {
                median: 2.5,
                min: 1.0,
                max: 4.0
            })
        );
    }

    #[test]
    fn percentiles_are_of_the_sorted_numbers() {
        let mut numbers = [3.0, 1.0, 2.0];
        assert_eq!(
            [0, 50, 99].map(|share| percentile(&mut numbers, share)),
            [1.0, 2.0, 2.0]
        );
        assert!(percentile(&mut [], 50).is_nan());
    }

    #[test]
    fn digits_come_in_groups() {
        assert_eq!(
            ["7", "999", "1,000", "1,234,567"],
            [7.0, 999.0, 1e3, 1_234_567.0].map(thousands)
        );
    }

    #[test]
    fn a_block_is_replaced_and_nothing_else() {
        let once = replace_block("# Title\n", "a", "one");
        assert_eq!(once, "# Title\n\n<!-- a:begin -->\n\none\n\n<!-- a:end -->\n");
        let twice = replace_block(&(once.clone() + "rest\n"), "a", "two");
        assert_eq!(twice, once.replace("one", "two") + "rest\n");
    }
}

//! Charts, as SVG. Their colours can be read on light and on dark ground.

use std::fmt::Write;

use aqueduct_peers::Pattern;
use aqueduct_peers::report::QUANTILES;

use super::cells::{Cell, Transport};
use super::contenders::{Contender, OURS, RAW};
use super::results::{Record, Results, Run};
use super::table::short;

/// Of text, axes and grids.
const INK: &str = "#848d97";

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;

/// Around the plot: for numbers at the left, the names of lines at the right, and a title above.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;

/// Names of lines are kept so far apart.
const LINE: f64 = 15.0;

/// The height of a bar, with the space below it.
const BAR: f64 = 20.0;

/// The libraries of the lines, in the order of drawing: ours on top.
const LIBRARIES: [&str; 6] = [RAW, "zeromq", "rzmq", "omq", "libzmq", OURS];

/// A chart, and where it goes.
pub(crate) struct Chart {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) svg: String,
}

/// All charts for which there are figures.
pub(crate) fn all(all: &[Results]) -> Vec<Chart> {
    [throughput(all), latency(all), cpu(all)]
        .into_iter()
        .flatten()
        .collect()
}

fn color(library: &str) -> &'static str {
    match library {
        OURS => "#2f81f7",
        "libzmq" => "#d4574e",
        "omq" => "#b9851a",
        "rzmq" => "#9a6ad6",
        "zeromq" => "#2f9e6e",
        _ => INK,
    }
}

/// Says whether a contender stands for its library: of ours, the calls that block; of rivals, the best mode counts.
fn stands_for(library: &str) -> impl Fn(&Contender) -> bool {
    move |contender| {
        if library == OURS {
            contender.name == OURS
        } else {
            contender.library == library && contender.is_single()
        }
    }
}

/// One line: whose it is, and where it is at each place of the axis.
struct Curve {
    library: &'static str,
    points: Vec<(usize, f64)>,
}

fn throughput(all: &[Results]) -> Option<Chart> {
    let cells: Vec<&Results> = all
        .iter()
        .filter(|results| {
            results.cell.pattern == Pattern::Throughput && results.cell.transport == Transport::Tcp
        })
        .collect();
    let places: Vec<String> = cells.iter().map(|results| size(results.cell.size)).collect();
    let curves = LIBRARIES.map(|library| Curve {
        library,
        points: (0..)
            .zip(&cells)
            .filter_map(|(at, results)| Some((at, results.best(stands_for(library))?.median()?)))
            .collect(),
    });
    let cell = cells.first()?.cell;
    let title = "PUSH → PULL over tcp, messages per second by size of the body";
    let svg = lines(title, &places, &curves, |rate| short(cell, rate))?;
    Some(Chart {
        file: "throughput.svg",
        title,
        svg,
    })
}

fn latency(all: &[Results]) -> Option<Chart> {
    let results = all.iter().find(|results| {
        results.cell.pattern == Pattern::Latency && results.cell.transport == Transport::Tcp
    })?;
    let places = QUANTILES.map(|thousandths| format!("{} %", thousandths as f64 / 10.0));
    let curves = LIBRARIES.map(|library| Curve {
        library,
        points: results
            .best(stands_for(library))
            .map(quantiles)
            .unwrap_or_default(),
    });
    let title = "REQ and REP over tcp, 64 B: so many of the round trips take at most so many µs";
    let svg = lines(title, &places, &curves, |time| format!("{time:.0}"))?;
    Some(Chart {
        file: "latency.svg",
        title,
        svg,
    })
}

/// The medians of each quantile over the rounds.
fn quantiles(record: &Record) -> Vec<(usize, f64)> {
    let at = |at: usize| record.spread(|run| run.round_trips.get(at).copied().unwrap_or(f64::NAN));
    let medians = (0..QUANTILES.len()).filter_map(|index| Some((index, at(index)?.median)));
    medians.filter(|(_, median)| median.is_finite()).collect()
}

fn size(bytes: usize) -> String {
    match bytes {
        1_048_576.. => format!("{} MiB", bytes >> 20),
        1024.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// The beginning of a picture: its size and title.
fn opening(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>{title}</title>\n<text x=\"8\" y=\"18\" font-size=\"13\" font-weight=\"bold\">{title}</text>\n"
    )
}

/// A chart of lines, whose heights are logarithms.
fn lines(title: &str, places: &[String], curves: &[Curve], number: impl Fn(f64) -> String) -> Option<String> {
    let values = || {
        curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|&(_, value)| value))
    };
    let low = values().min_by(f64::total_cmp)?.log10();
    let high = values().max_by(f64::total_cmp)?.log10();
    let steps = places.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + at as f64 / steps * (WIDTH - LEFT - RIGHT);
    let scale = (HEIGHT - TOP - BOTTOM) / (high - low).max(0.1);
    let y = |value: f64| HEIGHT - BOTTOM - (value.log10() - low) * scale;
    let mut svg = opening(title, HEIGHT);
    grid(&mut svg, low, high, &y, &number);
    for (at, place) in places.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{place}</text>",
            x(at),
            HEIGHT - BOTTOM + 18.0
        );
    }
    for Curve { library, points } in curves.iter().filter(|curve| !curve.points.is_empty()) {
        let path: Vec<String> = points
            .iter()
            .map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value)))
            .collect();
        let width = if *library == OURS { 3 } else { 2 };
        let dashes = if *library == RAW {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"{dashes}/>",
            path.join(" "),
            color(library)
        );
    }
    names(&mut svg, curves, &y);
    Some(svg + "</svg>\n")
}

/// Lines across at 1, 2 and 5 of each power of ten, as far as there is room.
fn grid(svg: &mut String, low: f64, high: f64, y: &impl Fn(f64) -> f64, number: &impl Fn(f64) -> String) {
    let digits: &[f64] = if high - low > 2.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let powers = (low.floor() as i32..=high.ceil() as i32).map(|power| 10f64.powi(power));
    let marks = powers.flat_map(|power| digits.iter().map(move |digit| digit * power));
    for mark in marks.filter(|mark| (low..=high).contains(&mark.log10())) {
        let (at, right) = (y(mark), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"{INK}\" stroke-opacity=\".3\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            number(mark)
        );
    }
}

/// Whose line is whose: beside their ends, moved down where they would stand on each other.
fn names(svg: &mut String, curves: &[Curve], y: &impl Fn(f64) -> f64) {
    let ends = curves
        .iter()
        .filter_map(|curve| Some((curve.library, y(curve.points.last()?.1))));
    let mut ends: Vec<(&str, f64)> = ends.collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    // As many as there are have room above the bottom.
    let room = |after: usize| HEIGHT - BOTTOM - after as f64 * LINE;
    let mut above = 0.0;
    let count = ends.len();
    for (at, (library, end)) in ends.into_iter().enumerate() {
        let end = end.min(room(count - 1 - at)).max(above);
        above = end + LINE;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" fill=\"{}\">{library}</text>",
            WIDTH - RIGHT + 8.0,
            end + 4.0,
            color(library)
        );
    }
}

fn cpu(all: &[Results]) -> Option<Chart> {
    let is_shown = |cell: Cell| {
        cell.pattern == Pattern::Throughput && cell.transport == Transport::Tcp && cell.size == 64
    };
    let results = all.iter().find(|results| is_shown(results.cell))?;
    let costs = results
        .records
        .iter()
        .filter(|record| record.contender.is_single());
    let costs = costs.filter_map(|record| Some((record.contender, record.spread(Run::cpu)?.median)));
    let costs: Vec<(Contender, f64)> = costs.collect();
    let most = costs.iter().map(|&(_, cost)| cost).max_by(f64::total_cmp)?;
    let title = "PUSH → PULL over tcp, 64 B: CPU time per message of both sides, in µs";
    let mut svg = opening(title, TOP + BAR * costs.len() as f64 + 8.0);
    let left = LEFT + 64.0;
    for (row, (contender, cost)) in costs.into_iter().enumerate() {
        let top = TOP + row as f64 * BAR;
        let width = cost / most * (WIDTH - left - RIGHT);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{cost:.3}</text>",
            left - 8.0,
            top + 11.0,
            contender.name,
            color(contender.library),
            left + width + 6.0,
            top + 11.0
        );
    }
    let svg = svg + "</svg>\n";
    Some(Chart {
        file: "cpu.svg",
        title,
        svg,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::driver::cells;
    use crate::driver::contenders;
    use crate::driver::results::Origin;

    /// Every contender with some figures in every cell.
    fn made_up() -> Vec<Results> {
        let run = |factor: f64| Run {
            figure: 1e6 / factor,
            cpu: factor / 10.0,
            peak: 5.0,
            round_trips: (0..QUANTILES.len())
                .map(|at| 10.0 * factor * (at + 1) as f64)
                .collect(),
        };
        let record = |(nth, contender)| Record {
            contender,
            runs: vec![Some(run(1.0 + f64::from(nth)))],
            reason: None,
        };
        let results = |cell: Cell| Results {
            cell,
            records: (0..).zip(contenders::ALL).map(record).collect(),
            origin: Origin {
                commit: String::new(),
                date: String::new(),
                rounds: 1,
                seconds: 1.0,
            },
        };
        cells::all().into_iter().map(results).collect()
    }

    #[test]
    fn charts_name_everybody_and_end_what_they_begin() {
        let pictures = all(&made_up());
        assert_eq!(pictures.len(), 3);
        let names: BTreeSet<&str> = LIBRARIES.into_iter().collect();
        for Chart {
            file, svg: picture, ..
        } in pictures
        {
            assert!(
                names.iter().all(|name| picture.contains(&format!(">{name}<"))),
                "{file}"
            );
            assert!(
                picture.ends_with("</svg>\n") && !picture.contains("NaN") && !picture.contains("inf"),
                "{file}"
            );
            let tags = |tag: &str| picture.matches(tag).count();
            assert_eq!(tags("<text"), tags("</text>"), "{file}");
        }
    }

    #[test]
    fn no_figures_make_no_charts() {
        assert!(all(&[]).is_empty());
    }
}

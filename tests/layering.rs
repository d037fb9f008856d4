//! The layers meet only where they may, and the house rules hold: read from the sources themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file that a reader should have to face.
const MAX_LINES: usize = 700;

/// Plain data that every layer may know.
const VALUES: [&str; 10] = [
    "message", "queue", "endpoint", "options", "peer", "error", "keys", "security", "stats", "monitor",
];

/// Tools without a layer of their own: shared memory, stores of buffers, a bucket of tokens, a table, the locks (std's, or
/// loom's), and a way to write bytes.
const TOOLS: [&str; 7] = ["allowance", "pool", "rate", "recycle", "slab", "sync", "z85"];

/// Which module may use which others, beside itself and the values.
const MAY_USE: [(&str, &[&str]); 24] = [
    ("message", &["pool", "recycle"]),
    ("pool", &[]),
    ("allowance", &[]),
    ("rate", &[]),
    ("recycle", &[]),
    ("queue", &["pool", "recycle"]),
    ("endpoint", &[]),
    ("options", &[]),
    ("peer", &[]),
    ("error", &[]),
    ("keys", &["z85"]),
    ("security", &[]),
    ("stats", &[]),
    ("monitor", &[]),
    ("slab", &[]),
    ("sync", &[]),
    ("z85", &[]),
    ("zap", &["zmtp"]),
    ("zmtp", &["recycle"]),
    ("pipe", &["allowance", "sync"]),
    ("pattern", &["pipe", "slab"]),
    ("transport", &["pipe", "sync"]),
    (
        "reactor",
        &["zmtp", "pipe", "transport", "allowance", "rate", "slab", "sync"],
    ),
    ("context", &["reactor", "transport", "slab", "sync"]),
];

/// The top of the house, what comes ready-made for it, what shows its insides to the benchmarks, the simulation, and the guide, which is prose, may use
/// everything below.
const TOP: [&str; 5] = ["allow_list", "bench_internals", "guide", "simulation", "socket"];

/// What does without a clock, threads, `mio` or sockets of the system.
const PURE: [&str; 15] = [
    "rate", "message", "queue", "endpoint", "options", "peer", "keys", "security", "stats", "monitor", "z85",
    "zap", "zmtp", "pipe", "pattern",
];

const IMPURE: [&str; 7] = [
    "mio::",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "thread::spawn",
    "TcpStream",
    "socket2::",
];

struct Source {
    path: String,
    /// The module of the crate that the file belongs to.
    module: String,
    text: String,
}

impl Source {
    /// The lines of code that are compiled into the library: without tests and without comments.
    fn code(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return Vec::new();
        }
        let lines = self.text.lines().enumerate();
        let body =
            lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]") || self.goes_on_after(line));
        let code = body.filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.map(|(at, line)| (at + 1, line)).collect()
    }

    /// Tests stand at the end of a file, so the first that is a module with a body ends the code.
    fn goes_on_after(&self, line: &str) -> bool {
        let after = &self.text[line.as_ptr() as usize - self.text.as_ptr() as usize + line.len()..];
        let item = after
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with("#["));
        item.is_none_or(|item| !item.trim_end().ends_with('{'))
    }

    fn is_test(&self) -> bool {
        let ends = ["tests.rs", "fuzzing.rs", "loom_model.rs"];
        ends.iter().any(|end| self.path.ends_with(end))
            || self.path.contains("/tests/")
            || self.path.starts_with("simulation/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    assert!(paths.len() > 30, "the sources were not found");
    let source = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        Source {
            path: inside.to_str().unwrap().to_owned(),
            module: first.trim_end_matches(".rs").to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        }
    };
    paths.into_iter().map(source).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// The names after each `crate::` of some code, braces opened up.
fn crate_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` in a macro names what the user of the macro sees, which is checked all the same.
        let rest = &code[at + "crate::".len()..];
        let heads = match rest.strip_prefix('{') {
            Some(list) => top_level_items(list),
            None => vec![rest],
        };
        let heads = heads.into_iter().map(|head| {
            let end = head.find(|c: char| !c.is_alphanumeric() && c != '_');
            head[..end.unwrap_or(head.len())].to_owned()
        });
        names.extend(heads.filter(|name| !name.is_empty()));
    }
    names
}

/// The items of a `{…}` list whose opening brace is gone; nested lists stay closed.
fn top_level_items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items
}

/// The modules behind the names that the crate's front page re-exports.
fn re_exports(front_page: &str) -> BTreeMap<String, String> {
    let mut homes = BTreeMap::new();
    for item in front_page.split("pub use ").skip(1) {
        let item = item.split(';').next().unwrap();
        let (module, names) = item.split_once("::").unwrap();
        let names = names.trim_start_matches('{').trim_end_matches('}');
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            homes.insert(name.to_owned(), module.to_owned());
        }
    }
    homes
}

#[test]
fn layers_use_only_what_is_below_them() {
    let sources = sources();
    let front_page = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    let homes = re_exports(&front_page.text);
    assert_eq!(
        homes.get("Push").map(String::as_str),
        Some("socket"),
        "the re-exports are understood"
    );
    let allowed: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.module != "lib") {
        if TOP.contains(&source.module.as_str()) {
            continue;
        }
        let Some(may_use) = allowed.get(source.module.as_str()) else {
            wrong.push(format!(
                "{}: a module without a place in the table above",
                source.path
            ));
            continue;
        };
        let code: Vec<_> = source.code().into_iter().map(|(_, line)| line).collect();
        for name in crate_names(&code.join("\n")) {
            let home = homes.get(&name).unwrap_or(&name).as_str();
            let fine = home == source.module || VALUES.contains(&home) || may_use.contains(&home);
            if !fine {
                wrong.push(format!("{} uses {name} of {home}", source.path));
            }
        }
    }
    assert_none("uses across or up the layers", &wrong);
}

#[test]
fn every_module_has_its_place() {
    let known: BTreeSet<_> = MAY_USE.iter().map(|(module, _)| *module).chain(TOP).collect();
    let modules: BTreeSet<_> = sources().into_iter().map(|source| source.module).collect();
    let modules: BTreeSet<_> = modules
        .iter()
        .map(String::as_str)
        .filter(|module| *module != "lib")
        .collect();
    assert_eq!(
        known.difference(&modules).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "places without a module"
    );
    assert_eq!(
        modules.difference(&known).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "modules without a place"
    );
    assert!(VALUES.iter().chain(&TOOLS).all(|module| known.contains(module)));
}

#[test]
fn the_lower_layers_know_no_clock_thread_or_socket() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| PURE.contains(&source.module.as_str()))
    {
        for (at, line) in source.code() {
            let uses = IMPURE.iter().filter(|name| line.contains(*name));
            // An address is a value; everything else in `std::net` is the system.
            let net = line.contains("std::net") && !line.contains("Addr");
            wrong.extend(uses.map(|name| format!("{}:{at} uses {name}", source.path)));
            wrong.extend(net.then(|| format!("{}:{at} uses std::net", source.path)));
        }
    }
    assert_none("not pure", &wrong);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none("files that do not open with a `//!` line", &silent);
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.text.lines().count() > MAX_LINES)
        .map(|source| format!("{}: {} lines", source.path, source.text.lines().count()))
        .collect();
    assert_none("files of more than 700 lines", &long);
}

#[test]
fn nothing_panics_and_nothing_is_unsafe() {
    let panics = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
    ];
    let mut wrong = Vec::new();
    for source in &sources() {
        for (at, line) in source.code() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe") {
                wrong.push(format!("{}:{at} is unsafe", source.path));
            }
            let uses = panics.iter().filter(|call| line.contains(*call));
            wrong.extend(uses.map(|call| format!("{}:{at} calls {call}", source.path)));
        }
    }
    assert_none("outside of tests", &wrong);
}

#[test]
fn the_reader_of_sources_reads_rightly() {
    let names = crate_names("use crate::{Endpoint, zmtp::{A, B}, pipe};\nlet x = crate::slab::Slab;");
    let expected = ["Endpoint", "pipe", "slab", "zmtp"].map(str::to_owned);
    assert_eq!(names, expected.into_iter().collect());
    let source = |text: &str| Source {
        path: "x.rs".to_owned(),
        module: "x".to_owned(),
        text: text.to_owned(),
    };
    let inner = source("a\n#[cfg(test)]\nmod tests;\n// b\nc\n#[cfg(test)]\nmod more {\n    d\n}\n");
    let code: Vec<_> = inner.code().into_iter().map(|(_, line)| line).collect();
    assert_eq!(code, ["a", "#[cfg(test)]", "mod tests;", "c"]);
}

//! The documents keep up with the code: links lead somewhere, and each example is in the README and is run by the gate.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn entries(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The names and targets of the links that stand on lines of their own.
fn definitions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    parts.filter(|(name, _)| !name.contains(']'))
}

#[test]
fn the_links_of_the_guide_lead_somewhere_on_both_ways_to_read_it() {
    let in_the_documentation = read("src/guide/links.md");
    let known: BTreeSet<_> = definitions(&in_the_documentation).map(|(name, _)| name).collect();
    let mut pages = 0;
    for path in entries("src/guide") {
        if path.extension().is_none_or(|extension| extension != "md") || path.ends_with("links.md") {
            continue;
        }
        pages += 1;
        let page = fs::read_to_string(&path).unwrap();
        for (name, target) in definitions(&page) {
            assert!(
                known.contains(name),
                "{name} of {} is not in links.md",
                path.display()
            );
            assert!(
                path.with_file_name(target).exists(),
                "{target} of {}",
                path.display()
            );
        }
    }
    assert!(pages > 5, "the guide was not found");
}

#[test]
fn each_picture_is_shown() {
    let (page, gallery) = (read("src/guide/which_socket.rs"), read("docs/pictures/README.md"));
    let pictures = entries("docs/pictures");
    let pictures = pictures
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"));
    let mut count = 0;
    for path in pictures {
        count += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            page.contains(name) && gallery.contains(name),
            "{name} is not shown"
        );
        // Markdown would take a blank line for the end of the picture.
        assert!(
            !fs::read_to_string(path).unwrap().contains("\n\n"),
            "{name} has a blank line"
        );
    }
    assert!(count > 5, "the pictures were not found");
}

#[test]
fn each_example_is_in_the_readme_and_in_the_gate() {
    let (readme, gate) = (read("README.md"), read(".ci/run"));
    let examples = gate
        .split_once("EXAMPLES=(")
        .unwrap()
        .1
        .split_once(')')
        .unwrap()
        .0;
    let run: BTreeSet<_> = examples.split_whitespace().collect();
    let mut found = BTreeSet::new();
    for path in entries("examples") {
        // A directory is a program of several pages, with a stage of its own.
        if path.is_file() {
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in &run {
        assert!(found.contains(*name), "{name} is run, and is not there");
    }
    for name in found {
        // One that needs a feature is run by a line of its own.
        assert!(
            run.contains(name.as_str()) || gate.contains(&format!("--example {name}\n")),
            "{name} is not run"
        );
        assert!(
            readme.contains(&format!("| [`{name}`](examples/{name}.rs) |")),
            "{name} is not in the README"
        );
    }
}

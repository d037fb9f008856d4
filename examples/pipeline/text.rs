//! The text whose words are counted: some files, or the documents and sources of this repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::counts::Counts;

/// Where the default text is. These are real files with real lines, and everybody who can build this has them.
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const DOCUMENTS: [&str; 3] = ["README.md", "docs", "src"];

pub(crate) struct Text {
    files: Vec<Vec<u8>>,
}

impl Text {
    pub(crate) fn read(files: &[PathBuf]) -> Outcome<Self> {
        let mut paths = files.to_vec();
        if paths.is_empty() {
            for document in DOCUMENTS {
                collect(&Path::new(REPOSITORY).join(document), &mut paths)?;
            }
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let files = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let text = Self { files };
        if text.lines().next().is_none() {
            return Err("there is no line in these files".into());
        }
        Ok(text)
    }

    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// The lines of all files, once.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.files
            .iter()
            .filter(|file| !file.is_empty())
            .flat_map(|file| {
                // The last line ends with a line break, too; nothing comes after it.
                let text = file.strip_suffix(b"\n").unwrap_or(file);
                text.split(|byte| *byte == b'\n')
            })
    }

    /// The text over and over, until there are so many lines.
    pub(crate) fn repeated(&self, lines: u64) -> impl Iterator<Item = &[u8]> {
        let limit = usize::try_from(lines).unwrap_or(usize::MAX);
        self.lines().cycle().take(limit)
    }

    /// Counts the words of so many lines right here.
    pub(crate) fn count(&self, lines: u64) -> Counts {
        let mut counts = Counts::default();
        self.repeated(lines).for_each(|line| counts.count(line));
        counts
    }
}

/// Finds the files under a path, in an order that does not change.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    let failed = |error| format!("{}: {error} (name some files instead?)", path.display());
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>();
    let mut paths: Vec<_> = entries.map_err(failed)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    paths.iter().try_for_each(|path| collect(path, files))
}

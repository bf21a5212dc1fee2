//! Lines of the file, with those of `include_dir` in their place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::problem::Problems;
use super::super::tree::Origin;

/// Largest file, in bytes: a wrong path is noticed before memory is.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A directive with its value, as it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub directive: String,
    pub value: String,
    pub origin: Origin,
}

/// All lines that say something.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in lines_of(path, problems) {
        if line.directive == "include_dir" {
            let files = included(&line, problems);
            lines.extend(files.iter().flat_map(|file| lines_of(file, problems)));
        } else {
            lines.push(line);
        }
    }
    lines
}

fn lines_of(path: &Path, problems: &mut Problems) -> Vec<Line> {
    let text = match read_file(path) {
        Ok(text) => text,
        Err(reason) => {
            problems.push(Origin::CommandLine(path.display().to_string()), "", format!("cannot read: {reason}"));
            return Vec::new();
        }
    };
    let path = Arc::new(path.to_path_buf());
    let parse = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (directive, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let origin = Origin::File { path: path.clone(), line: index + 1, column: 1 };
        Some(Line { directive: directive.to_owned(), value: value.trim().to_owned(), origin })
    };
    text.lines().enumerate().filter_map(parse).collect()
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it has {length} bytes, expected at most {FILE_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The files of a folder whose names end in `.conf`, in the order of their names.
fn included(line: &Line, problems: &mut Problems) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(&line.value) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(line.origin.clone(), "include_dir", format!("cannot read {}: {error}", line.value));
            return Vec::new();
        }
    };
    let is_conf = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_conf).collect();
    files.sort();
    files
}

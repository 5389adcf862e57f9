//! Checks what no linter does: the width of comments, and the program that two pages show.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::workspace_root;

/// The most columns of a line of a comment.
const MAX_COLUMNS: usize = 100;

/// All Rust sources below a folder, without what a build leaves there.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the workspace");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_comment_is_wider_than_the_code() {
    let files = sources(&workspace_root());
    assert!(files.len() > 200, "only {} sources are found", files.len());
    let mut wide = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source in UTF-8");
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim_start().starts_with("//") && line.chars().count() > MAX_COLUMNS {
                wide.push(format!("{}:{number}", file.display()));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:?}");
}

/// The first program that a page shows.
fn first_program(page: &str) -> String {
    let page = fs::read_to_string(workspace_root().join(page)).expect("the page");
    let (_, program) = page.split_once("```rust,no_run\n").expect("the page shows a program");
    let (program, _) = program.split_once("```").expect("the program ends");
    program.to_owned()
}

#[test]
fn both_pages_show_the_same_smallest_program() {
    let program = first_program("README.md");
    assert!(program.contains("NetcodePlugin"), "{program}");
    assert_eq!(first_program("netcode/README.md"), program);
}

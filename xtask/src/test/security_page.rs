//! Checks that the tests and test files that SECURITY.md names for its promises exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cargo::workspace_root;

/// The words between backticks that look like the name of a test: at least four, joined by
/// underscores.
fn test_names(page: &str) -> BTreeSet<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.split('_').count() >= 4 && !word.contains(' ')).collect()
}

/// The test files that the page names, each with the folder of its crate. The crate is named before
/// the file in the same line, or else in the heading of the table's column.
fn test_files(page: &str) -> Vec<(&'static str, &str)> {
    let mut files = Vec::new();
    let mut crate_folder = None;
    for line in page.lines() {
        if line.contains("Shown by") || line.starts_with('#') {
            crate_folder = None;
        }
        let mut named = crate_folder;
        for word in line.split('`').skip(1).step_by(2) {
            match word {
                "signaling" => named = Some("signaling"),
                "netcode" => named = Some("netcode"),
                "e2e" => named = Some("tests"),
                file if file.ends_with(".rs") => {
                    files.push((named.expect("a crate is named before its file"), file));
                }
                _ => {}
            }
        }
        if line.contains("Shown by") {
            crate_folder = named;
        }
    }
    files
}

/// Appends all sources below a folder to `text`.
fn sources(folder: &Path, text: &mut String) {
    let entries = fs::read_dir(folder).expect("a folder of the workspace");
    for entry in entries.map(|entry| entry.expect("a readable folder").path()) {
        if entry.is_dir() {
            sources(&entry, text);
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&entry).expect("a source in UTF-8"));
        }
    }
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = workspace_root();
    let page = fs::read_to_string(root.join("SECURITY.md")).expect("the page");
    let mut text = String::new();
    for folder in
        ["netcode/src", "netcode/tests", "signaling/src", "signaling/tests", "tests/tests"]
    {
        sources(&root.join(folder), &mut text);
    }
    let names = test_names(&page);
    assert!(names.len() > 50, "the page is read as it is written: {names:?}");
    let missing: Vec<_> =
        names.into_iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_file_that_the_security_page_names_exists_and_has_tests() {
    let root = workspace_root();
    let page = fs::read_to_string(root.join("SECURITY.md")).expect("the page");
    let files = test_files(&page);
    assert!(files.len() > 10, "the page is read as it is written: {files:?}");
    let has_tests = |(crate_folder, file): &(&str, &str)| {
        let file = Path::new(file);
        // Unit tests are named by their module.
        [root.join(crate_folder).join(file), root.join(crate_folder).join("src").join(file)]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .any(|text| text.contains("#[test]") || text.contains("#[tokio::test"))
    };
    let missing: Vec<_> = files.iter().filter(|file| !has_tests(file)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_file_belongs_to_the_crate_that_is_named_before_it() {
    let page = "| Shown by (`netcode`) |\n| `a.rs`; `e2e` `b.rs`, `c.rs` |\n| `d.rs` |\n\n\
                ## Next\n`signaling` `e.rs`";
    let expected = [
        ("netcode", "a.rs"),
        ("tests", "b.rs"),
        ("tests", "c.rs"),
        ("netcode", "d.rs"),
        ("signaling", "e.rs"),
    ];
    assert_eq!(test_files(page), expected);
}

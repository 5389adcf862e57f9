//! SECURITY.md names a test for each promise: whether there is one of that name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cargo::workspace_root;

/// Words that look like the name of a test: four or more, joined by underscores, between backticks.
fn test_names(page: &str) -> BTreeSet<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.split('_').count() >= 4 && !word.contains(' ')).collect()
}

/// The sources below a folder, one after the other.
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

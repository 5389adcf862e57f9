//! Checks what no linter does: that two pages show the same program.

use std::fs;

use crate::cargo::workspace_root;

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

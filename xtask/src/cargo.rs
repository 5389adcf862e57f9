//! Calls to cargo: always for this workspace, always with cargo's own progress on the terminal.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::{DuringExt, Outcome, fail};
use crate::process;

/// The one feature set of the native builds without a renderer. Another set would compile Bevy once
/// more.
pub(crate) const HEADLESS_FEATURES: &[&str] = &[
    "--workspace",
    "--no-default-features",
    "--features",
    "netcode/testing,netcode/webrtc,signaling/server",
];

/// The browser's target.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The workspace's folder.
pub(crate) fn workspace_root() -> PathBuf {
    // Read at run time: one target folder may serve several checkouts.
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), Path::to_path_buf)
}

/// Cargo in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(workspace_root());
    // `cargo run` describes xtask's package in these variables; build scripts of other packages
    // must not see them.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Outcome<PathBuf> {
    let metadata =
        process::output_of(cargo().args(["metadata", "--no-deps", "--format-version", "1"]));
    let metadata: Option<Value> = metadata.and_then(|text| serde_json::from_str(&text).ok());
    match metadata.as_ref().and_then(|m| m["target_directory"].as_str()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => fail("`cargo metadata` fails here: is this a checkout of the workspace?"),
    }
}

/// The programs that one build produced.
pub(crate) struct Artifacts {
    files: Vec<(String, PathBuf)>,
}

impl Artifacts {
    /// The program called `name`.
    pub(crate) fn program(&self, name: &str) -> Outcome<&Path> {
        match self.files.iter().find(|(target, _)| target == name) {
            Some((_, file)) => Ok(file),
            None => fail(format!("cargo built no program called {name}")),
        }
    }
}

/// Builds with cargo's progress on the terminal.
pub(crate) fn build(arguments: &[&str]) -> Outcome<Artifacts> {
    build_with(arguments, |_| ())
}

/// Like [`build`], with further settings for the call to cargo.
pub(crate) fn build_with(arguments: &[&str], set: impl FnOnce(&mut Command)) -> Outcome<Artifacts> {
    let mut command = cargo();
    command.arg("build").args(arguments).arg("--message-format=json-render-diagnostics");
    set(&mut command);
    let mut files = Vec::new();
    let status = process::run_with_lines(&mut command, |line| files.extend(program_in(line)))?;
    if !status.success() {
        return fail(format!("`cargo build {}` failed", arguments.join(" ")));
    }
    Ok(Artifacts { files })
}

/// Installs the browser's standard library for the pinned toolchain if it is missing.
pub(crate) fn ensure_wasm_target() -> Outcome {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(workspace_root()).args(["--print", "target-libdir", "--target", WASM_TARGET]);
    let is_there =
        process::output_of(&mut rustc).is_some_and(|folder| Path::new(folder.trim()).is_dir());
    if is_there {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(workspace_root()).args(["target", "add", WASM_TARGET]);
    println!("> {}", process::line_of(&rustup));
    if process::run(&mut rustup).is_ok_and(|status| status.success()) {
        return Ok(());
    }
    fail(format!(
        "Rust's {WASM_TARGET} target is missing: install rustup (https://rustup.rs), then run this again"
    ))
}

/// Creates a folder with its parents.
pub(crate) fn create_folder(folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder).during(format!("cannot create {}", folder.display()))
}

/// The program that a line of cargo's JSON messages announces.
fn program_in(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let target = &message["target"];
    let is_program = target["kind"].as_array()?.iter().any(|kind| kind == "bin");
    if !is_program {
        return None;
    }
    // Cargo names no executable for a browser program: its file is the one that ends in `.wasm`.
    let executable = message["executable"].as_str();
    let file = executable.or_else(|| {
        let mut files = message["filenames"].as_array()?.iter();
        files.find_map(|file| file.as_str().filter(|file| file.ends_with(".wasm")))
    })?;
    Some((target["name"].as_str()?.to_owned(), PathBuf::from(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let native = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"demo-game"},"executable":"/t/demo-game","filenames":["/t/demo-game"]}"#;
        let wasm = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"demo-game"},"executable":null,"filenames":["/t/demo-game.d","/t/demo-game.wasm"]}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"netcode"},"executable":null,"filenames":["/t/libnetcode.rlib"]}"#;
        assert_eq!(
            program_in(native),
            Some(("demo-game".to_owned(), PathBuf::from("/t/demo-game")))
        );
        assert_eq!(
            program_in(wasm).map(|(_, file)| file),
            Some(PathBuf::from("/t/demo-game.wasm"))
        );
        assert_eq!(program_in(library), None);
        assert_eq!(program_in("no JSON"), None);
    }
}

//! `cargo xtask web`: compiles the game for the browser and hands the module to `web-pack`, which
//! makes a page from it.

use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser};

use crate::GivenFlags;
use crate::cargo::{self, WASM_TARGET};
use crate::failure::{Outcome, fail};
use crate::packages;
use crate::private_paths::PrivatePaths;
use crate::process::{self, is_installed, line_of};

/// The program of Binaryen that makes modules smaller.
const OPTIMISER: &str = "wasm-opt";

/// How to build; the default is what players get.
#[derive(Default)]
pub(crate) struct Options {
    /// Compile with the dev profile: quick to rebuild, large and slow.
    pub(crate) is_dev: bool,
    /// Skip the slow steps that only make the files smaller.
    pub(crate) is_unoptimised: bool,
}

/// Runs the command.
pub(crate) fn run(mut arguments: Parser) -> Outcome {
    let mut options = Options::default();
    let mut given = GivenFlags::default();
    while let Some(argument) = arguments.next()? {
        given.note(&argument)?;
        match argument {
            Arg::Long("dev") => options.is_dev = true,
            Arg::Long("no-opt") => options.is_unoptimised = true,
            other => {
                crate::is_help(other, HELP)?;
                return Ok(());
            }
        }
    }
    build(&options).map(drop)
}

/// Installs the tool that makes the page small, if it is missing and can be installed from here.
///
/// # Errors
///
/// If it is still missing; the message says how to install it.
pub(crate) fn ensure_optimiser() -> Outcome {
    if !is_installed(OPTIMISER) {
        packages::ensure(packages::WEB)?;
    }
    if is_installed(OPTIMISER) {
        return Ok(());
    }
    fail(format!(
        "{OPTIMISER}, which makes the page small, is missing: install Binaryen (https://github.com/WebAssembly/binaryen; \
         the package is called binaryen), or build without it with --no-opt"
    ))
}

/// Builds the browser version and returns the folder to serve.
pub(crate) fn build(options: &Options) -> Outcome<PathBuf> {
    cargo::ensure_wasm_target()?;
    let is_small = !options.is_dev && !options.is_unoptimised;
    if is_small {
        // A missing tool is noticed here, not after minutes of building.
        ensure_optimiser()?;
    }
    println!(
        "Building the browser version. The first time takes 10 to 15 minutes; after that, a minute or two."
    );
    let profile = if options.is_dev { "dev" } else { "web" };
    let private = PrivatePaths::of_this_machine()?;
    let built = cargo::build_with(
        &["--package", "demo-game", "--target", WASM_TARGET, "--profile", profile],
        |cargo| private.hide_in(cargo),
    )?;
    let folder = cargo::target_dir()?.join("web-dist");
    pack(built.program("demo-game")?, &folder, &private, is_small)?;
    Ok(folder)
}

fn pack(module: &Path, folder: &Path, private: &PrivatePaths, is_small: bool) -> Outcome {
    let mut command = cargo::cargo();
    command
        .args(["run", "--quiet", "--package", "xtask", "--features", "web"])
        .args(["--bin", "web-pack", "--"])
        .arg("--module")
        .arg(module)
        .arg("--page")
        .arg(cargo::workspace_root().join("demo-game").join("web"))
        .arg("--out")
        .arg(folder);
    for path in private.iter() {
        command.arg("--private").arg(path);
    }
    if is_small {
        command.arg("--small");
    }
    if process::run(&mut command)?.success() {
        return Ok(());
    }
    fail(format!("`{}` failed", line_of(&command)))
}

const HELP: &str = "\
Usage: cargo xtask web [flags]

Builds the browser version into the target folder's web-dist and prints its size.

  --no-opt   skip wasm-opt and compress quickly
  --dev      compile with the dev profile, and skip the same steps";

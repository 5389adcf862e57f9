//! `web-pack`, the second half of `cargo xtask web`: a compiled wasm module in, a folder to serve
//! out.
//!
//! wasm-bindgen writes the glue, wasm-opt makes the module smaller, and the page gets the module's
//! size and hash. No file may name a folder of this machine. Every file gets a `.br` and a `.gz`
//! beside it, and the sizes are printed. Nothing is done twice: if the module, the page and the
//! flags are those of the last run, the folder stays as it is.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the terminal"
)]

mod private;
mod sections;
mod tables;

use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use lexopt::{Arg, Parser};
use wasm_bindgen_cli_support::Bindgen;

/// The glue is `demo-game.js`, the module `demo-game_bg.wasm`.
const NAME: &str = "demo-game";

/// Marks that the page may contain: they are replaced by the module's size in bytes and by a hash
/// that changes with the module.
const SIZE_MARK: &str = "{{wasm_bytes}}";
const HASH_MARK: &str = "{{wasm_hash}}";

/// The section in which the compiler lists the features of WebAssembly that it used, for
/// wasm-bindgen to read.
const FEATURES_SECTION: &str = "target_features";

/// Optimise for size, and accept the features that rustc's wasm target uses, which wasm-opt refuses
/// by default.
const WASM_OPT_FLAGS: &[&str] = &[
    "-Os",
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
    // wasm-bindgen has read that section by then, and browsers ignore it.
    "--strip-target-features",
];

/// Packing failures are for the person at the terminal; nothing handles them by kind.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

struct Flags {
    module: PathBuf,
    page: PathBuf,
    out: PathBuf,
    /// Folders whose names must not appear in what is served.
    private: Vec<PathBuf>,
    is_small: bool,
}

fn main() -> ExitCode {
    match parse().and_then(|flags| pack(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Outcome<Flags> {
    let mut arguments = Parser::from_env();
    let (mut module, mut page, mut out, mut is_small) = (None, None, None, false);
    let mut private = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("module") => module = Some(PathBuf::from(arguments.value()?)),
            Arg::Long("page") => page = Some(PathBuf::from(arguments.value()?)),
            Arg::Long("out") => out = Some(PathBuf::from(arguments.value()?)),
            Arg::Long("private") => private.push(PathBuf::from(arguments.value()?)),
            Arg::Long("small") => is_small = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Flags {
        module: module.ok_or("--module is missing")?,
        page: page.ok_or("--page is missing")?,
        out: out.ok_or("--out is missing")?,
        private,
        is_small,
    })
}

fn pack(flags: &Flags) -> Outcome {
    let stamp_file = flags.out.with_extension("stamp");
    let stamp = stamp_of(flags)?;
    if fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
        println!("{} is up to date.", flags.out.display());
        return print_sizes(&flags.out);
    }
    // Removed first, so that a run that stops half-way leaves nothing that looks finished.
    let _ = fs::remove_file(&stamp_file);
    if flags.out.exists() {
        fs::remove_dir_all(&flags.out)?;
    }
    fs::create_dir_all(&flags.out)?;
    let module = timed("wasm-bindgen", || bind(&flags.module, &flags.out))?;
    if flags.is_small {
        timed("wasm-opt", || optimise(&module))?;
    }
    copy_page(&flags.page, &flags.out, &fs::read(&module)?)?;
    private::check(&files_in(&flags.out)?, &flags.private)?;
    timed("compression", || compress_all(&flags.out, flags.is_small))?;
    print_sizes(&flags.out)?;
    fs::write(stamp_file, stamp)?;
    Ok(())
}

/// A hash of everything that the folder is made from.
fn stamp_of(flags: &Flags) -> Outcome<String> {
    let mut hasher = DefaultHasher::new();
    fs::read(&flags.module)?.hash(&mut hasher);
    for file in files_in(&flags.page)? {
        file.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    // A wasm-opt installed since the last run, or another packer, changes the result.
    (flags.is_small, &flags.private, wasm_opt_version()).hash(&mut hasher);
    fs::read(std::env::current_exe()?)?.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Writes the glue and the module; returns the module's path.
fn bind(module: &Path, out: &Path) -> Outcome<PathBuf> {
    if !sections::has_custom(&fs::read(module)?, FEATURES_SECTION) {
        // Without the section wasm-bindgen would guess, with a warning.
        return Err(format!(
            "the module has no section `{FEATURES_SECTION}`: strip no more than debug information from it \
             (`strip = \"debuginfo\"` in its profile)"
        )
        .into());
    }
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    let mut output = bindgen.generate_output()?;
    // A C library that was compiled in by mistake imports its functions from `env`, and the browser
    // would refuse the module.
    let stray: Vec<&str> = output
        .wasm()
        .imports
        .iter()
        .filter(|import| import.module == "env")
        .map(|import| import.name.as_str())
        .collect();
    if !stray.is_empty() {
        return Err(format!("the module imports from `env`: {}", stray.join(", ")).into());
    }
    output.emit(out)?;
    Ok(out.join(format!("{NAME}_bg.wasm")))
}

fn wasm_opt_version() -> Option<Vec<u8>> {
    let output = Command::new("wasm-opt").arg("--version").output().ok()?;
    Some(output.stdout)
}

/// Makes the module smaller in place.
fn optimise(module: &Path) -> Outcome {
    let smaller = module.with_extension("smaller");
    let status = Command::new("wasm-opt")
        .arg(module)
        .arg("-o")
        .arg(&smaller)
        .args(WASM_OPT_FLAGS)
        .status()
        .map_err(|error| format!("wasm-opt (package binaryen) does not run: {error}"))?;
    if !status.success() {
        return Err(
            "wasm-opt failed on the module: this version of wasm-opt may be too old for it".into(),
        );
    }
    let mut content = fs::read(&smaller)?;
    fs::remove_file(smaller)?;
    if tables::mend_export(&mut content).is_none() {
        println!("The module has no table of JavaScript values that could be checked.");
    }
    fs::write(module, content)?;
    Ok(())
}

/// Copies the page's files, and puts the module's size and hash into the text files.
fn copy_page(page: &Path, out: &Path, module: &[u8]) -> Outcome {
    let mut hasher = DefaultHasher::new();
    module.hash(&mut hasher);
    let hash = format!("{:016x}", hasher.finish());
    for file in files_in(page)? {
        let to = out.join(file.strip_prefix(page)?);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let content = fs::read(&file)?;
        match String::from_utf8(content) {
            Ok(text) => fs::write(
                to,
                text.replace(SIZE_MARK, &module.len().to_string()).replace(HASH_MARK, &hash),
            )?,
            Err(binary) => fs::write(to, binary.into_bytes())?,
        }
    }
    Ok(())
}

/// All files under `folder`, in an order that is the same everywhere.
fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes `.br` and `.gz` beside every file. Only these two run in parallel, since the module
/// dwarfs all other files.
fn compress_all(out: &Path, is_small: bool) -> Outcome {
    for file in files_in(out)? {
        let content = fs::read(&file)?;
        thread::scope(|scope| {
            let gzip = scope.spawn(|| write_gzip(&file, &content));
            write_brotli(&file, &content, is_small)?;
            gzip.join().map_err(|_| "the gzip thread panicked")?
        })?;
    }
    Ok(())
}

fn write_gzip(file: &Path, content: &[u8]) -> Outcome {
    let to = fs::File::create(beside(file, "gz"))?;
    let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish()?;
    Ok(())
}

fn write_brotli(file: &Path, content: &[u8], is_small: bool) -> Outcome {
    // 11 is the highest and takes about a second per megabyte; 5 is as good as gzip and takes next
    // to no time. A window of 2^24 bytes is the largest that every browser accepts.
    let quality = if is_small { 11 } else { 5 };
    let to = fs::File::create(beside(file, "br"))?;
    let mut encoder = brotli::CompressorWriter::new(to, 1 << 16, quality, 24);
    encoder.write_all(content)?;
    encoder.flush()?;
    Ok(())
}

/// `page.html` → `page.html.br`.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn print_sizes(out: &Path) -> Outcome {
    println!("\n{:<28}{:>14}{:>14}{:>14}", "file", "raw", "gzip", "brotli");
    let mut sums = [0; 3];
    for file in files_in(out)? {
        if file.extension().is_some_and(|ending| ending == "br" || ending == "gz") {
            continue;
        }
        let sizes = [
            fs::metadata(&file)?.len(),
            fs::metadata(beside(&file, "gz"))?.len(),
            fs::metadata(beside(&file, "br"))?.len(),
        ];
        print_row(&file.strip_prefix(out)?.to_string_lossy(), sizes);
        for (sum, size) in sums.iter_mut().zip(sizes) {
            *sum += size;
        }
    }
    print_row("all", sums);
    println!("\nReady to serve: {}", out.display());
    Ok(())
}

fn print_row(name: &str, sizes: [u64; 3]) {
    let [raw, gzip, brotli] = sizes.map(|bytes| {
        // The sizes are far below the point where an f64 loses a byte.
        format!("{:.2} MB", bytes as f64 / 1e6)
    });
    println!("{name:<28}{raw:>14}{gzip:>14}{brotli:>14}");
}

fn timed<T>(what: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("{what} ...");
    let start = Instant::now();
    let result = work()?;
    println!("{what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

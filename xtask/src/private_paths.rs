//! Private folders of this machine. Compilers write their paths into the panic messages of the
//! programs that they build, where the paths would tell players who built the game, and nothing
//! useful.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::failure::Outcome;
use crate::process;

/// Separates the flags in cargo's variable, since a flag may contain spaces.
const SEPARATOR: &str = "\u{1f}";

/// Folders of this machine whose names must not appear in anything that is served.
pub(crate) struct PrivatePaths {
    /// Folders, each with the stand-in that programs name instead. A folder comes after the one
    /// that contains it, because rustc takes the last match.
    remapped: Vec<(PathBuf, &'static str)>,
    /// The workspace. It needs no remapping, because cargo gives rustc the sources of a workspace
    /// by relative paths; and flags that named it would compile all dependencies again in each
    /// clone that shares a target folder.
    workspace: PathBuf,
}

impl PrivatePaths {
    /// Finds the folders of the compiler, of the sources, and of the person who builds.
    pub(crate) fn of_this_machine() -> Outcome<Self> {
        let home = env::home_dir();
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| Some(home.as_ref()?.join(".cargo")));
        let mut rustc = Command::new("rustc");
        rustc.current_dir(cargo::workspace_root()).args(["--print", "sysroot"]);
        let sysroot = process::output_of(&mut rustc).map(|path| PathBuf::from(path.trim()));
        let found = [
            (home, "/home"),
            (cargo_home, "/cargo"),
            (sysroot, "/rust"),
            (Some(cargo::target_dir()?), "/target"),
        ];
        let mut remapped = Vec::new();
        for (path, instead) in found {
            // The root folder reveals nobody.
            let Some(path) = path.filter(|path| path.is_absolute() && path.parent().is_some())
            else {
                continue;
            };
            // Compilers may write the path as it was given, or as it is without links. A folder
            // that has the name of its stand-in, as in a container, reveals nothing.
            let real = path.canonicalize().ok().filter(|real| *real != path);
            let both = [Some(path), real].into_iter().flatten();
            let telling = both.filter(|path| path != Path::new(instead));
            remapped.extend(telling.map(|path| (path, instead)));
        }
        remapped.sort_by_key(|(path, _)| path.components().count());
        Ok(Self { remapped, workspace: cargo::workspace_root() })
    }

    /// All folders.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Path> {
        let remapped = self.remapped.iter().map(|(path, _)| path.as_path());
        remapped.chain([self.workspace.as_path()])
    }

    /// Makes a call to cargo keep the folders out of what it builds. Flags for rustc in the
    /// caller's environment stay.
    pub(crate) fn hide_in(&self, cargo: &mut Command) {
        let mut flags: Vec<OsString> = Vec::new();
        if let Some(encoded) = env::var_os("CARGO_ENCODED_RUSTFLAGS") {
            flags.extend(Some(encoded).filter(|flags| !flags.is_empty()));
        } else if let Ok(plain) = env::var("RUSTFLAGS") {
            flags.extend(plain.split_whitespace().map(OsString::from));
        }
        flags.extend(self.flags());
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR.as_ref()));
    }

    fn flags(&self) -> impl Iterator<Item = OsString> {
        self.remapped.iter().map(|(path, instead)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(path);
            flag.push("=");
            flag.push(instead);
            flag
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process;

    use super::*;

    /// A program whose messages name its source, compiled with these flags.
    fn compiled(folder: &Path, flags: &[OsString]) -> Vec<u8> {
        let (source, object) = (folder.join("source.rs"), folder.join("object"));
        fs::write(&source, "pub fn first(of: &[u8]) -> u8 { of[0] }").unwrap();
        let status = Command::new("rustc")
            .args(["--edition=2024", "--crate-type=lib", "--emit=obj", "-o"])
            .arg(&object)
            .args(flags)
            .arg(&source)
            .status()
            .unwrap();
        assert!(status.success());
        fs::read(object).unwrap()
    }

    fn has(content: &[u8], text: &str) -> bool {
        content.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_built_file_names_the_stand_in_of_the_innermost_folder() {
        let outer = env::temp_dir().join(format!("private-paths-{}", process::id()));
        let inner = outer.join("with a space");
        fs::create_dir_all(&inner).unwrap();
        let plain = compiled(&inner, &[]);
        let remapped = vec![(outer.clone(), "/outer"), (inner.clone(), "/inner")];
        let paths = PrivatePaths { remapped, workspace: outer.clone() };
        let remapped = compiled(&inner, &paths.flags().collect::<Vec<_>>());
        fs::remove_dir_all(&outer).unwrap();

        let name = outer.to_str().unwrap();
        assert!(has(&plain, name), "else there would be nothing to hide");
        assert!(!has(&remapped, name));
        assert!(has(&remapped, "/inner") && !has(&remapped, "/outer"));
    }

    #[test]
    fn a_folder_comes_after_the_one_that_contains_it() {
        let PrivatePaths { remapped: paths, .. } = PrivatePaths::of_this_machine().ok().unwrap();
        assert!(!paths.is_empty());
        for (index, (path, _)) in paths.iter().enumerate() {
            assert!(
                paths[index + 1..]
                    .iter()
                    .all(|(other, _)| !path.starts_with(other) || path == other)
            );
        }
    }
}

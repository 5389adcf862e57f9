//! A last check of what is served: it must not name any folder of the builder's machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

/// Bytes that are shown after the name of a folder: enough to recognise the message that contains
/// it.
const CONTEXT_BYTES: usize = 80;

/// Fails if one of the files contains a path into one of the folders.
pub(crate) fn check(files: &[PathBuf], folders: &[PathBuf]) -> Outcome {
    for file in files {
        let content = fs::read(file)?;
        for folder in folders {
            if let Some(found) = find(&content, folder) {
                return Err(format!(
                    "{} names {}, a folder of this machine: …{found}…. Is there a path that `cargo xtask web` does not hide?",
                    file.display(),
                    folder.display()
                )
                .into());
            }
        }
    }
    Ok(())
}

/// A path into the folder, with the bytes that follow it.
fn find(content: &[u8], folder: &Path) -> Option<String> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let at = content.windows(folder.len() + 1).position(|window| {
        let (start, end) = window.split_at(folder.len());
        start == folder && matches!(end, b"/" | b"\\")
    })?;
    let end = content.len().min(at + folder.len() + CONTEXT_BYTES);
    Some(String::from_utf8_lossy(&content[at..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_into_a_private_folder_is_found_and_its_neighbours_are_not() {
        let folder = Path::new("/home/ann");
        for (content, is_found) in [
            (&b"\0/home/ann/.cargo/registry/src/x.rs\0"[..], true),
            (b"/home/ann/", true),
            (b"/home/ann", false),
            (b"/home/anna/x", false),
            (b"/home/x", false),
            (b"", false),
        ] {
            assert_eq!(find(content, folder).is_some(), is_found, "{content:?}");
        }
        let found = find(b"at /home/ann/x.rs:1", folder);
        assert_eq!(found.as_deref(), Some("/home/ann/x.rs:1"));
    }

    #[test]
    fn a_file_that_names_a_folder_fails_the_packing() {
        let folder = std::env::temp_dir().join(format!("web-pack-private-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = ["good", "bad"].map(|name| folder.join(name));
        fs::write(&files[0], "panicked at /cargo/registry/x.rs").unwrap();
        fs::write(&files[1], "panicked at /home/ann/x.rs").unwrap();
        let folders = [PathBuf::from("/work"), PathBuf::from("/home/ann")];
        let good = check(&files[..1], &folders);
        let bad = check(&files, &folders);
        fs::remove_dir_all(&folder).unwrap();
        assert!(good.is_ok());
        let words = bad.unwrap_err().to_string();
        assert!(words.contains("bad") && words.contains("/home/ann/x.rs"), "{words}");
    }
}

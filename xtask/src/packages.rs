//! System packages: installed on Debian and Ubuntu, spelled out as the exact line to run where that may not be done.

use std::process::{Command, Stdio};

use crate::failure::{Outcome, fail};
use crate::process::{self, is_installed, line_of};

/// What Bevy's window, sound and gamepads need, to build and to run.
pub(crate) const WINDOW: &[&str] = &[
    "gcc",
    "libasound2-dev",
    "libudev-dev",
    "libvulkan1",
    "libx11-6",
    "libxcursor1",
    "libxi6",
    "libxkbcommon-x11-0",
    "libxrandr2",
    "mesa-vulkan-drivers",
    "pkg-config",
];

/// What a build without a window needs: a linker.
pub(crate) const HEADLESS: &[&str] = &["gcc"];

/// What makes the browser version smaller. Not required.
pub(crate) const WEB: &[&str] = &["binaryen"];

/// What the browser tests drive.
pub(crate) const BROWSER: &[&str] = &["chromium", "chromium-driver"];

/// Installs the packages that are missing, or says which line does.
///
/// # Errors
///
/// When packages are missing and cannot be installed from here; the sentence holds the line to run. On systems without
/// apt nothing is known to be missing, so nothing fails: the build will tell.
pub(crate) fn ensure(packages: &[&str]) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    if !is_installed("dpkg-query") || !is_installed("apt-get") {
        println!(
            "This system has no apt. If the build misses something, install what these Debian packages hold: {}",
            packages.join(" ")
        );
        return Ok(());
    }
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !is_package_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("sudo {}", install_line(&missing));
    let Some(prefix) = privilege() else {
        return fail(format!(
            "system packages are missing. Run this line, then again:\n\n    {by_hand}"
        ));
    };
    println!("Installing system packages: {}", missing.join(" "));
    let mut update = apt(&prefix, &["update"]);
    println!("> {}", line_of(&update));
    // A mirror that is partly out of reach fails the update and still serves the packages: the install decides.
    let _ = process::run(&mut update)?;
    let mut install = apt(&prefix, &["install", "-y", "--no-install-recommends"]);
    install.args(&missing);
    println!("> {}", line_of(&install));
    if process::run(&mut install)?.success() {
        return Ok(());
    }
    fail(format!(
        "apt-get could not install the packages. Run this line, then again:\n\n    {by_hand}"
    ))
}

/// The line that installs the packages, less the `sudo`.
fn install_line(packages: &[&str]) -> String {
    format!("apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let mut words = prefix.iter().chain(&["apt-get"]);
    let mut command = Command::new(words.next().expect("the chain holds apt-get at least"));
    command.args(words).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What goes before `apt-get`: nothing for root, sudo where it works, `None` where it may not.
fn privilege() -> Option<Vec<&'static str>> {
    let user = process::output_of(Command::new("id").arg("-u"))?;
    if user.trim() == "0" {
        return Some(Vec::new());
    }
    if !is_installed("sudo") {
        return None;
    }
    // With a terminal sudo may ask for the password; without one it must work by itself.
    let asks = std::io::IsTerminal::is_terminal(&std::io::stdin());
    let works_silently = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (asks || works_silently).then(|| vec!["sudo"])
}

fn is_package_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    query.stderr(Stdio::null());
    process::output_of(&mut query).is_some_and(|status| status == "installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_line_is_the_exact_line() {
        assert_eq!(
            install_line(&["gcc", "libudev-dev"]),
            "apt-get install -y --no-install-recommends gcc libudev-dev"
        );
    }

    #[test]
    fn apt_goes_through_sudo_only_when_it_must() {
        assert_eq!(line_of(&apt(&[], &["update"])), "apt-get update");
        assert_eq!(line_of(&apt(&["sudo"], &["update"])), "sudo apt-get update");
    }
}

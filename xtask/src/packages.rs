//! System packages: installed on Debian and Ubuntu, or printed as the exact line to run where
//! installing is not possible.

use std::process::{Command, Stdio};

use crate::failure::{Outcome, fail};
use crate::process::{self, is_installed, line_of};

/// The packages that one purpose needs, by their names in each distribution.
pub(crate) struct SystemPackages {
    apt: &'static [&'static str],
    dnf: &'static str,
    pacman: &'static str,
    zypper: &'static str,
}

/// What Bevy's windows, sound and gamepads need, to build and to run.
pub(crate) const WINDOW: &SystemPackages = &SystemPackages {
    apt: &[
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
    ],
    dnf: "gcc pkgconf-pkg-config alsa-lib-devel systemd-devel libX11 libXcursor libXi libXrandr libxkbcommon-x11 vulkan-loader mesa-vulkan-drivers",
    pacman: "gcc pkgconf alsa-lib systemd libx11 libxcursor libxi libxrandr libxkbcommon-x11 vulkan-icd-loader",
    zypper: "gcc pkgconf alsa-devel libudev-devel libX11-6 libXcursor1 libXi6 libXrandr2 libxkbcommon-x11-0 libvulkan1",
};

/// What a build without a window needs: a linker.
pub(crate) const HEADLESS: &SystemPackages =
    &SystemPackages { apt: &["gcc"], dnf: "gcc", pacman: "gcc", zypper: "gcc" };

/// The tool that makes the browser version small.
pub(crate) const WEB: &SystemPackages =
    &SystemPackages { apt: &["binaryen"], dnf: "binaryen", pacman: "binaryen", zypper: "binaryen" };

/// What the browser tests drive.
pub(crate) const BROWSER: &SystemPackages = &SystemPackages {
    apt: &["chromium", "chromium-driver"],
    dnf: "chromium chromedriver",
    pacman: "chromium",
    zypper: "chromium chromedriver",
};

/// What the tests on bad networks need to set up namespaces.
pub(crate) const NAMESPACES: &SystemPackages =
    &SystemPackages { apt: &["iproute2"], dnf: "iproute", pacman: "iproute2", zypper: "iproute2" };

/// The TURN server through which the tests play.
pub(crate) const TURN: &SystemPackages =
    &SystemPackages { apt: &["coturn"], dnf: "coturn", pacman: "coturn", zypper: "coturn" };

/// The Redis through which server processes share rooms in the tests.
pub(crate) const REDIS: &SystemPackages =
    &SystemPackages { apt: &["redis-server"], dnf: "redis", pacman: "redis", zypper: "redis" };

/// Installs the packages that are missing.
///
/// # Errors
///
/// If packages are missing and cannot be installed from here; the message contains the line to run.
/// On systems without apt nothing is known to be missing, so this never fails there: the build will
/// show what is missing.
pub(crate) fn ensure(packages: &SystemPackages) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    if !is_installed("dpkg-query") || !is_installed("apt-get") {
        println!("{}", line_without_apt(packages, is_installed));
        return Ok(());
    }
    let missing: Vec<&str> =
        packages.apt.iter().copied().filter(|package| !is_package_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = as_root(&install_line(&missing), is_installed("sudo"));
    let Some(prefix) = privilege() else {
        return fail(format!(
            "system packages are missing. Run this line, then try again:\n\n    {by_hand}"
        ));
    };
    println!("Installing system packages: {}", missing.join(" "));
    let mut update = apt(&prefix, &["update"]);
    println!("> {}", line_of(&update));
    // The update fails if a mirror is only partly reachable, and the packages may still be
    // available: the install decides.
    let _ = process::run(&mut update)?;
    let mut install = apt(&prefix, &["install", "-y", "--no-install-recommends"]);
    install.args(&missing);
    println!("> {}", line_of(&install));
    if process::run(&mut install)?.success() {
        return Ok(());
    }
    fail(format!(
        "apt-get could not install the packages. Run this line, then try again:\n\n    {by_hand}"
    ))
}

/// The advice on a system without apt, for the package manager that is installed there.
fn line_without_apt(packages: &SystemPackages, is_installed: impl Fn(&str) -> bool) -> String {
    let managers = [
        ("dnf", "dnf install", packages.dnf),
        ("pacman", "pacman -S --needed", packages.pacman),
        ("zypper", "zypper install", packages.zypper),
    ];
    match managers.into_iter().find(|(manager, ..)| is_installed(manager)) {
        Some((_, install, names)) => {
            let line = as_root(&format!("{install} {names}"), is_installed("sudo"));
            format!("If the build lacks something, run this line, then try again:\n\n    {line}\n")
        }
        None => format!(
            "If the build lacks something, install the equivalents of these Debian packages: {}",
            packages.apt.join(" ")
        ),
    }
}

/// The line as a user who is not root runs it.
fn as_root(line: &str, has_sudo: bool) -> String {
    if has_sudo { format!("sudo {line}") } else { format!("su -c '{line}'") }
}

/// The line that installs the packages, for root.
fn install_line(packages: &[&str]) -> String {
    format!("apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let mut words = prefix.iter().chain(&["apt-get"]);
    let mut command = Command::new(words.next().expect("the chain holds apt-get at least"));
    command.args(words).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What goes before `apt-get`: nothing for root, sudo where it works. `None` if this user may not
/// install packages.
fn privilege() -> Option<Vec<&'static str>> {
    let user = process::output_of(Command::new("id").arg("-u"))?;
    if user.trim() == "0" {
        return Some(Vec::new());
    }
    if !is_installed("sudo") {
        return None;
    }
    // With a terminal, sudo may ask for the password; without one, it must work without asking.
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
    fn other_systems_get_the_line_of_their_own_package_manager() {
        let on = |there: &'static [&'static str]| {
            line_without_apt(HEADLESS, move |program: &str| there.contains(&program))
        };
        assert!(on(&["dnf", "sudo"]).contains("\n    sudo dnf install gcc\n"));
        assert!(on(&["pacman"]).contains("\n    su -c 'pacman -S --needed gcc'\n"));
        assert!(on(&[]).contains("Debian packages: gcc"));
    }

    #[test]
    fn apt_goes_through_sudo_only_when_it_must() {
        assert_eq!(line_of(&apt(&[], &["update"])), "apt-get update");
        assert_eq!(line_of(&apt(&["sudo"], &["update"])), "sudo apt-get update");
    }
}

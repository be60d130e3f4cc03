//! What the commands need beyond Rust and a C compiler, and how it is had: through the ordinary package managers.
//!
//! Debian packages are installed when we are root on a machine with `apt-get`; cargo's tools and npm's packages need no
//! special right. Nothing is installed under `--no-install`.

use std::path::{Path, PathBuf};

use crate::shell::{self, Failure, Outcome};

/// A cargo subcommand that is itself a crate.
pub(crate) enum Tool {
    /// Runs the tests, each in a process of its own.
    Nextest,
    /// Licences, bans, sources and advisories of the dependencies.
    Deny,
    /// libFuzzer's driver.
    Fuzz,
}

/// Whether installing is allowed; the person at the keyboard decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    /// Whatever is missing may be installed.
    Allowed,
    /// Missing is missing.
    Forbidden,
}

impl Tool {
    fn name(&self) -> &'static str {
        match self {
            Self::Nextest => "cargo-nextest",
            Self::Deny => "cargo-deny",
            Self::Fuzz => "cargo-fuzz",
        }
    }

    /// True if the tool is there, or has just been installed.
    pub(crate) fn provide(&self, install: Install) -> bool {
        shell::find_program(self.name()).is_some()
            || install == Install::Allowed
                && shell::run(&mut shell::cargo(&["install", "--locked", self.name()])).is_ok()
    }
}

/// A program or file that comes in a Debian package.
pub(crate) struct Debian {
    pub(crate) package: &'static str,
    pub(crate) present: fn() -> bool,
    pub(crate) needed_for: &'static str,
}

/// What the interop tests call, answer and drive.
pub(crate) const INTEROP_PEERS: &[Debian] = &[
    Debian { package: "sip-tester", present: || has("sipp"), needed_for: "SIPp's scenarios" },
    KAMAILIO,
    Debian {
        package: "kamailio-tls-modules",
        present: || shell::find_program("kamailio").is_some() && kamailio_module("tls.so").is_some(),
        needed_for: "Kamailio over TLS",
    },
    Debian { package: "baresip-core", present: || has("baresip"), needed_for: "calls with a baresip phone" },
    Debian { package: "chromium", present: || has("chromium"), needed_for: "calls from JsSIP and SIP.js in a browser" },
    Debian { package: "nodejs", present: || has("node"), needed_for: "driving the browser" },
    Debian { package: "npm", present: || has("npm"), needed_for: "installing JsSIP and SIP.js" },
    Debian {
        package: "python3-venv",
        present: || has("python3") && python_module("ensurepip"),
        needed_for: "PJSUA2, which comes as a Python wheel",
    },
    Debian {
        package: "openssl",
        present: || has("openssl"),
        needed_for: "an independent TLS client, and certificates",
    },
];

/// The yardstick of the benchmarks and a neighbour in the interop tests.
pub(crate) const KAMAILIO: Debian = Debian {
    package: "kamailio",
    present: || has("kamailio"),
    needed_for: "a proxy and registrar that we did not write",
};

/// The yardstick of calls with audio.
pub(crate) const RTPENGINE: Debian = Debian {
    package: "rtpengine-daemon",
    present: || has("rtpengine"),
    needed_for: "a relay for RTP that we did not write",
};

/// libFuzzer is C++.
pub(crate) const CPLUSPLUS: Debian = Debian {
    package: "g++",
    present: || has("c++") || std::env::var_os("CXX").is_some(),
    needed_for: "building libFuzzer",
};

/// Installs what is missing if it may, and returns what is missing still.
pub(crate) fn debian(wanted: &'static [Debian], install: Install) -> Vec<&'static Debian> {
    let missing = || -> Vec<&Debian> { wanted.iter().filter(|one| !(one.present)()).collect() };
    let lacking = missing();
    if lacking.is_empty() || install == Install::Forbidden || !may_apt_get() {
        return lacking;
    }
    let packages: Vec<&str> = lacking.iter().map(|one| one.package).collect();
    let quiet_services = NoServices::begin();
    // One name that this release of Debian lacks must not keep the others out.
    let _ = shell::run(apt_get().arg("update"));
    if shell::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&packages)).is_err() {
        for package in packages {
            let _ = shell::run(apt_get().args(["install", "-y", "--no-install-recommends", package]));
        }
    }
    drop(quiet_services);
    missing()
}

/// Browser-side SIP stacks and the driver of the browser, pinned; returns the folder that holds `node_modules`.
///
/// playwright-core drives Debian's Chromium: it downloads no browser of its own.
pub(crate) fn npm(install: Install) -> Outcome<PathBuf> {
    // The browser tests' own list.
    const PACKAGES: &str = include_str!("../../tests/interop/browser/package.json");
    let folder = shell::target_folder().join("interop").join("npm");
    let manifest = folder.join("package.json");
    // The tests look at this copy of the list, and install by themselves when it is another one: not where they run
    // without a network.
    let installed = folder.join("installed.json");
    let complete = std::fs::read_to_string(&installed).is_ok_and(|text| text == PACKAGES);
    if complete {
        return Ok(folder);
    }
    if install == Install::Forbidden {
        return Err(Failure::new("the npm packages of the browser tests are not installed"));
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::write(&manifest, PACKAGES)?;
    shell::run(
        shell::program("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder),
    )?;
    std::fs::write(&installed, PACKAGES)?;
    Ok(folder)
}

/// PJSUA2 as a Python wheel, in a virtual environment of our own; returns its interpreter.
pub(crate) fn python(install: Install) -> Outcome<PathBuf> {
    const REQUIREMENTS: &str = include_str!("../../tests/interop/pjsua2/requirements.txt");
    let folder = shell::target_folder().join("interop").join("python");
    let interpreter = folder.join("bin").join("python");
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(interpreter);
    }
    if install == Install::Forbidden {
        return Err(Failure::new("the Python wheel of PJSUA2 is not installed"));
    }
    shell::run(shell::program("python3").args(["-m", "venv"]).arg(&folder))?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    shell::run(
        shell::program(&interpreter)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r"])
            .arg(&requirements),
    )?;
    std::fs::write(&installed, REQUIREMENTS)?;
    Ok(interpreter)
}

fn has(program: &str) -> bool {
    shell::find_program(program).is_some()
}

fn python_module(name: &str) -> bool {
    let import = format!("import {name}");
    std::process::Command::new("python3").args(["-c", &import]).output().is_ok_and(|output| output.status.success())
}

fn kamailio_module(name: &str) -> Option<PathBuf> {
    std::fs::read_dir("/usr/lib")
        .ok()?
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("kamailio/modules").join(name))
        .find(|path| path.is_file())
}

fn may_apt_get() -> bool {
    has("apt-get") && shell::output(shell::program("id").arg("-u")).is_ok_and(|user| user.trim() == "0")
}

fn apt_get() -> std::process::Command {
    let mut command = shell::program("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While this lives, Debian's packages start no service: a test peer is started by the test that wants it.
struct NoServices {
    ours: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Self {
        let ours = !Path::new(Self::POLICY).exists()
            && std::fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && shell::succeeds(shell::program("chmod").args(["755", Self::POLICY]));
        Self { ours }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(Self::POLICY);
        }
    }
}

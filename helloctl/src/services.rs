//! What each program that asks through PAM would ask for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::text::{cell, columns};

/// A service as hellod tells it: its name, `password`, `pin` or `pin-or-finger`, and why no more.
pub(crate) type Offer = (String, String, String);

/// The services below `root` that authenticate, in the order of their names, and whether pam_hello stands in what they do it by. Of
/// two files of one name that in /etc counts (pam.d(5)).
pub(crate) fn installed(root: &Path) -> Vec<(String, bool)> {
    let folders = FOLDERS.map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with("common-") && !name.contains('.') && !name.contains('~'))
        .collect();
    names.sort();
    names.dedup();
    let asked = names.into_iter().filter_map(|name| Some((asks(&folders, &name, DEEPEST)?, name)));
    asked.map(|(asks, name)| (name, asks)).collect()
}

/// Whether the module stands in the auth lines of a file, or in a file that these take in (pam.d(5)); nothing where there are no auth
/// lines.
fn asks(folders: &[PathBuf], name: &str, depth: u32) -> Option<bool> {
    let deeper = depth.checked_sub(1)?;
    let text = folders.iter().find_map(|folder| fs::read_to_string(folder.join(name)).ok())?;
    let found = text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(file) = line.strip_prefix("@include") {
            return asks(folders, file.trim(), deeper);
        }
        let rest = line.trim_start_matches('-').strip_prefix("auth")?;
        let mut words = rest.split_whitespace();
        match (words.next(), words.next()) {
            (Some("include" | "substack"), Some(file)) => asks(folders, file, deeper),
            _ => Some(rest.contains(MODULE) && !rest.contains("keep_password")),
        }
    });
    found.reduce(|one, other| one || other)
}

/// The services as a table: first those that may ask.
pub(crate) fn table(offers: &[Offer]) -> String {
    let header = ["PAM SERVICE", "ASKS FOR", "WHY NOT FOR THE PIN"].map(str::to_owned);
    let row = |(service, gesture, why): &Offer| [cell(service), cell(words(gesture)), cell(why)];
    let (with, without): (Vec<_>, Vec<_>) = offers.iter().partition(|(_, gesture, _)| gesture != "password");
    let rows: Vec<_> = [header].into_iter().chain(with.into_iter().chain(without).map(row)).collect();
    columns(&rows).join("\n")
}

fn words(gesture: &str) -> &str {
    match gesture {
        "pin" => "PIN or password",
        "pin-or-finger" => "PIN, finger or password",
        other => other,
    }
}

/// Why a service without the module asks for the password.
pub(crate) const NOT_IN_ITS_FILE: &str = "pam_hello is not in its PAM file; see 'helloctl pam enable'";
const FOLDERS: [&str; 2] = ["etc/pam.d", "usr/lib/pam.d"];
const MODULE: &str = "pam_hello.so";
/// More files in files than anybody has.
const DEEPEST: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_asks_where_the_module_is_in_its_auth_lines_or_in_a_file_that_these_take_in() {
        let root = std::env::temp_dir().join(format!("helloctl-services-{}", std::process::id()));
        let directory = root.join("etc/pam.d");
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [
            ("common-auth", "auth [success=1 default=ignore] pam_hello.so\nauth required pam_deny.so\n"),
            ("sudo", "# auth pam_hello.so\n@include common-auth\n"),
            ("polkit-1", "auth substack common-auth\n"),
            ("own", "-auth\tsufficient\tpam_hello.so timeout=5\n"),
            ("cron", "account required pam_hello.so\nauth required pam_unix.so # pam_hello.so\n"),
            ("kept", "auth optional pam_hello.so keep_password\n"),
            ("round", "@include round\nauth include gone\n"),
            ("sudo.dpkg-old", "@include common-auth\n"),
            ("passwd", "password required pam_unix.so\n"),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        let vendors = root.join("usr/lib/pam.d");
        fs::create_dir_all(&vendors).unwrap();
        fs::write(vendors.join("sudo"), "auth required pam_unix.so\n").unwrap();
        fs::write(vendors.join("vendor"), "auth include common-auth\n").unwrap();
        let found = installed(&root);
        fs::remove_dir_all(&root).unwrap();
        let found: Vec<_> = found.iter().map(|(name, asks)| (name.as_str(), *asks)).collect();
        let expected = [
            ("cron", false),
            ("kept", false),
            ("own", true),
            ("polkit-1", true),
            ("sudo", true),
            ("vendor", true),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_asks_for_the_pin_comes_first() {
        let offer = |service: &str, gesture: &str, why: &str| (service.into(), gesture.into(), why.into());
        let shown = table(&[offer("cron", "password", "not listed"), offer("sudo", "pin-or-finger", "")]);
        let lines: Vec<_> = shown.lines().map(str::split_whitespace).map(|mut words| words.next()).collect();
        assert_eq!(lines, [Some("PAM"), Some("sudo"), Some("cron")]);
        assert!(shown.contains("PIN, finger or password"), "{shown}");
    }
}

//! Who lives in a laboratory.

use std::fs;
use std::io;
use std::path::Path;

/// Somebody with an account.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// Login name.
    pub name: &'static str,
    /// User and group number.
    pub uid: u32,
    /// The password that the shadow file holds as a yescrypt hash; empty for accounts without one.
    pub password: &'static str,
    hash: &'static str,
}

impl Person {
    /// The password as the shadow file has it.
    pub(crate) fn hash(&self) -> &'static str {
        self.hash
    }
}

/// An administrator by sudo.
pub const ALICE: Person = Person {
    name: "alice",
    uid: 6001,
    password: "alice-password",
    hash: "$y$j9T$raz3WLZhJfzs1234$3Biz1zikBQdRCrEOIvRDtWPRu9tuTXX3PwWi..QMTe/",
};

/// Another administrator by sudo.
pub const BOB: Person = Person {
    name: "bob",
    uid: 6002,
    password: "bob-password",
    hash: "$y$j9T$7APqNA4SRFqe1234$8vBaXKCqSYQPz7xK4fA5t9irFyscprDxuiWorTZme2/",
};

/// Somebody with an account and no rights, who means harm.
pub const MALLORY: Person = Person {
    name: "mallory",
    uid: 6003,
    password: "mallory-password",
    hash: "$y$j9T$N5SXzRkgb4qi1234$k0Bgi/vMAtW3i.TGma6SkeuC8b5TxGac64BROMDnvt5",
};

/// The superuser, whose password nobody knows.
pub const ROOT: Person = Person { name: "root", uid: 0, password: "", hash: "!*" };

/// uid 65534, who has no account worth the name.
pub const NOBODY: Person = Person { name: "nobody", uid: 65534, password: "", hash: "" };

/// The account of the daemon.
pub const HELLOD: Person = Person { name: "hellod", uid: 960, password: "", hash: "!*" };

/// The account of the one that has the network.
pub const HELLOD_ONLINE: Person = Person { name: "hellod-online", uid: 962, password: "", hash: "!*" };

/// The account of the one that has the fingerprint sensor.
pub const HELLOD_FINGER: Person = Person { name: "hellod-finger", uid: 963, password: "", hash: "!*" };

/// The number of the group that may open the TPM.
pub(crate) const TSS: u32 = 961;

/// Writes the accounts into the user database under `root` and makes their homes.
pub(crate) fn settle(root: &Path) -> io::Result<()> {
    let people = [ALICE, BOB, MALLORY];
    let services = [HELLOD, HELLOD_ONLINE, HELLOD_FINGER];
    let ours: Vec<&str> = people.iter().chain(&services).map(|person| person.name).chain(["tss"]).collect();
    let mut passwd = without(root, "etc/passwd", &ours)?;
    let mut shadow = without(root, "etc/shadow", &ours)?;
    let mut group = without(root, "etc/group", &ours)?;
    for person in people {
        let Person { name, uid, hash, .. } = person;
        passwd += &format!("{name}:x:{uid}:{uid}:{name}:/home/{name}:/bin/bash\n");
        shadow += &format!("{name}:{hash}:20000:0:99999:7:::\n");
        group += &format!("{name}:x:{uid}:\n");
        let home = root.join("home").join(name);
        fs::create_dir_all(&home)?;
        std::os::unix::fs::chown(&home, Some(uid), Some(uid))?;
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    for Person { name, uid, hash, .. } in services {
        passwd += &format!("{name}:x:{uid}:{uid}:{name}:/nonexistent:/usr/sbin/nologin\n");
        shadow += &format!("{name}:{hash}:20000::::::\n");
        group += &format!("{name}:x:{uid}:\n");
    }
    passwd += &format!("tss:x:{TSS}:{TSS}:tss:/nonexistent:/usr/sbin/nologin\n");
    shadow += "tss:!*:20000::::::\n";
    group += &format!("tss:x:{TSS}:{},{}\n", HELLOD.name, HELLOD_FINGER.name);
    fs::write(root.join("etc/passwd"), passwd)?;
    fs::write(root.join("etc/shadow"), shadow)?;
    fs::write(root.join("etc/group"), group)
}

/// The host may have people of the same name: here ours are meant.
fn without(root: &Path, file: &str, names: &[&str]) -> io::Result<String> {
    let text = fs::read_to_string(root.join(file))?;
    let kept = text.lines().filter(|line| line.split(':').next().is_none_or(|name| !names.contains(&name)));
    Ok(kept.map(|line| format!("{line}\n")).collect())
}

//! A Wayland session of alice's, without a screen: sway (sway, swaylock, wtype and mako are needed: `make check` installs them).

use crate::{ALICE, Lab, PATIENCE, Running, until};

/// Where her session keeps its sockets.
pub const RUNTIME: &str = "/run/user/6001";

/// Makes the directory of her session.
#[track_caller]
pub fn runtime(lab: &Lab) {
    lab.directory(RUNTIME, ALICE.uid, 0o700);
}

/// The compositor, once it listens.
#[track_caller]
pub fn compositor(lab: &Lab) -> Running {
    runtime(lab);
    lab.write("/etc/sway/headless", "xwayland disable\n", 0o644);
    let headless = ["WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1"];
    let argv = in_session(&[&headless[..], &["sway", "--config", "/etc/sway/headless"]].concat());
    let sway = lab.start("alice", argv);
    until("sway to listen", PATIENCE, || lab.outside(&format!("{RUNTIME}/wayland-1")).exists().then_some(()));
    sway
}

/// A command line in her session.
pub fn in_session(argv: &[&str]) -> Vec<String> {
    let runtime = format!("XDG_RUNTIME_DIR={RUNTIME}");
    let bus = format!("DBUS_SESSION_BUS_ADDRESS=unix:path={RUNTIME}/bus");
    let environment = ["env", &runtime, &bus, "WAYLAND_DISPLAY=wayland-1", "HOME=/home/alice"];
    environment.iter().chain(argv).map(|word| (*word).to_owned()).collect()
}

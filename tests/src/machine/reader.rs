//! The fingerprint reader of a machine with a screen: fprintd as systemd starts it, with libfprint's virtual reader, which a test
//! touches.

use super::Machine;
use crate::reader::{FINGER_NEEDED, READER, TOUCH_READER};

impl Machine {
    /// Plugs a reader in, writes into GDM's service for fingers what pam_hello(8) says, and waits for a greeter that knows of both.
    #[track_caller]
    pub fn plug_reader_in(&mut self) {
        let lists = self.lists();
        self.write("/etc/systemd/system/fprintd.service.d/lab.conf", READER);
        self.sh(SERVICE).ok();
        self.sh("systemctl daemon-reload && systemctl restart gdm3").ok();
        self.greeter(lists);
    }

    /// A finger touches the reader once somebody waits for one.
    #[track_caller]
    pub fn touch(&mut self, print: &str) {
        self.inside("somebody to wait for a finger", &format!("{FINGER_NEEDED} | grep -w true"));
        self.sh(&format!("{TOUCH_READER} {print}")).ok();
    }

    /// Whether somebody waits for a finger at this moment.
    #[track_caller]
    pub fn waits_for_a_finger(&mut self) -> bool {
        self.sh(FINGER_NEEDED).stdout.contains("true")
    }

    /// Has the machine sleep, with nothing but its memory awake, and wakes it again.
    #[track_caller]
    pub fn sleep_and_wake(&mut self) {
        self.sh("systemctl --no-block suspend").ok();
        let sleeps = || self.monitor.command("info status").contains("suspended").then_some(());
        assert!(crate::within(super::PATIENCE, sleeps).is_some(), "it does not go to sleep");
        let said = self.monitor.command("system_wakeup");
        assert_eq!(said, "", "from QEMU");
        self.sh("true").ok();
    }
}

const SERVICE: &str = "sed -i 's/^auth.*pam_fprintd.so.*/auth required pam_hello.so/' /etc/pam.d/gdm-fingerprint && \
    grep pam_hello /etc/pam.d/gdm-fingerprint";

//! The screen of a machine, and its keyboard.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Machine;
use crate::wait::pause;

impl Machine {
    /// Presses keys together, by the names that QEMU has for them: `ret`, `meta_l-l`.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        let said = self.monitor.command(&format!("sendkey {keys}"));
        assert_eq!(said, "", "from QEMU");
    }

    /// Types letters and digits, and Enter.
    #[track_caller]
    pub fn type_line(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '-' => self.press("minus"),
                letter => self.press(&letter.to_string()),
            }
            wait(Duration::from_millis(300));
        }
        self.press("ret");
    }

    /// Takes a picture, as PNG.
    #[track_caller]
    pub fn picture(&mut self, file: &Path) {
        let said = self.monitor.command(&format!("screendump {} -f png", file.display()));
        assert_eq!(said, "", "from QEMU");
    }

    /// Waits until the greeter is drawn and rests.
    #[track_caller]
    pub(super) fn greeter(&mut self) {
        let deadline = Instant::now() + 2 * super::PATIENCE;
        let drawn = "loginctl list-sessions --no-legend | grep -q greeter && pgrep -x gnome-shell";
        while !self.sh(drawn).success() {
            assert!(Instant::now() < deadline, "no greeter");
        }
    }
}

fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        pause();
    }
}

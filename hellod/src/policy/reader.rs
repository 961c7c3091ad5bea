//! Where a finger counts: before the reader, which is at the machine's own screen and keyboard, and nowhere else.

use super::{Class, Surfaces};
use crate::caller::{Caller, Seat, Session};

/// Where a finger counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Wherever Hello asks, for the person's own key signs.
    Everywhere,
    /// At the person's own locked screen. The chip has no room for the gate behind which that key would, and a key that it forgets at
    /// its next start stands for the PIN since then.
    OwnScreen,
}

impl Surfaces {
    /// Whether a service may ask for a finger. A locker that shows none of a module's words can't say that it does, and SDDM 0.19
    /// is shut by them, whoever lists it.
    #[must_use]
    pub fn asks_for_fingers(&self, service: &str) -> bool {
        !service.starts_with("sddm") && self.finger.iter().any(|listed| listed == service)
    }

    /// Whether a service waits for a finger and asks for nothing.
    #[must_use]
    pub fn is_for_fingers_only(&self, service: &str) -> bool {
        self.finger_only.iter().any(|listed| listed == service)
    }

    /// Whether a program is there to unlock a screen: while one is locked, no other has the one before it touch the reader.
    #[must_use]
    pub fn unlocks(&self, class: Class, service: &str) -> bool {
        class == Class::Own || self.greeter.iter().any(|listed| listed == service)
    }

    /// Whether a finger of the account `uid` counts for a program that was admitted, where their fingers reach so far.
    #[must_use]
    pub fn has_a_finger_count(
        &self,
        caller: &Caller,
        (class, uid): (Class, u32),
        (service, tty): (&str, &str),
        reach: Reach,
    ) -> bool {
        let is_for_the_screen = match reach {
            Reach::Everywhere => !caller.is_locked || self.unlocks(class, service),
            Reach::OwnScreen => self.unlocks_the_screen_of(caller, (class, uid), service),
        };
        is_for_the_screen && self.is_at_the_reader(caller, class, tty)
    }

    /// Whether a program is there to unlock this person's own screen: a locker of theirs, or one of root's in their locked session. A
    /// program of theirs may call itself a locker, and gains nothing by it; by what is root's it may not call itself.
    fn unlocks_the_screen_of(&self, caller: &Caller, (class, uid): (Class, u32), service: &str) -> bool {
        let is_theirs = caller.is_locked && caller.session == Session::Local { uid };
        let is_a_locker = class == Class::Own && !self.is_of_root(service);
        is_a_locker || (class != Class::Own && is_theirs && self.unlocks(class, service))
    }

    /// Whether programs of this service are root's, whoever starts them.
    #[must_use]
    pub fn is_of_root(&self, service: &str) -> bool {
        let lists = |list: &[String]| list.iter().any(|listed| listed == service);
        lists(&self.login) || lists(&self.greeter) || OF_ROOT.contains(&service)
    }

    /// Whether whoever is behind a program that was admitted sits at the seat, where the fingerprint reader is. `tty` is what
    /// the program says of it, and counts for a console before there is a session.
    #[must_use]
    pub fn is_at_the_reader(&self, caller: &Caller, class: Class, tty: &str) -> bool {
        match (&caller.session, class) {
            (Session::Local { .. }, _) => caller.at_seat,
            (Session::Outside, Class::Login) => is_a_virtual_terminal(tty),
            (Session::Outside, Class::Greeter | Class::Session) => caller.seat != Seat::Nobody,
            (Session::Unknown, _) => self.assume_local_session,
            (Session::Outside, Class::Own) | (Session::Remote, _) => false,
        }
    }
}

/// Services of programs that are root's whoever starts them.
const OF_ROOT: [&str; 6] = ["sudo", "sudo-i", "su", "su-l", "polkit-1", "passwd"];

/// A console of the machine's own screen, as login(1) names it: `tty1` and on, and neither a serial line nor a window.
fn is_a_virtual_terminal(tty: &str) -> bool {
    let name = tty.strip_prefix("/dev/").unwrap_or(tty);
    let number = name.strip_prefix("tty").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;

    fn seated(session: Session, at_seat: bool, seat: Seat) -> Caller {
        Caller { uid: 0, real_uid: 0, session, at_seat, is_locked: false, seat, bus_name: ":1.7".into() }
    }

    #[test]
    fn a_finger_counts_only_where_the_reader_is() {
        let surfaces = Surfaces::default();
        let (nobody, greeter) = (Seat::Nobody, Seat::Greeter);
        for (case, caller, class, tty, expected) in [
            (
                "sudo at the seat",
                seated(Session::Local { uid: ALICE }, true, nobody),
                Class::Session,
                "pts/0",
                true,
            ),
            (
                "sudo on a serial line",
                seated(Session::Local { uid: ALICE }, false, nobody),
                Class::Session,
                "ttyS0",
                false,
            ),
            (
                "a locker at the seat",
                seated(Session::Local { uid: ALICE }, true, nobody),
                Class::Own,
                "",
                true,
            ),
            (
                "sudo over ssh, let in by policy",
                seated(Session::Remote, true, nobody),
                Class::Session,
                "",
                false,
            ),
            ("login on the screen", seated(Session::Outside, false, nobody), Class::Login, "tty1", true),
            (
                "login on the screen, by path",
                seated(Session::Outside, false, nobody),
                Class::Login,
                "/dev/tty12",
                true,
            ),
            ("login on a serial line", seated(Session::Outside, false, nobody), Class::Login, "ttyS0", false),
            ("login in a window", seated(Session::Outside, false, nobody), Class::Login, "pts/3", false),
            ("login that says nothing", seated(Session::Outside, false, nobody), Class::Login, "", false),
            ("login on tty", seated(Session::Outside, false, nobody), Class::Login, "/dev/tty", false),
            ("a greeter", seated(Session::Outside, false, greeter), Class::Greeter, "", true),
            (
                "a greeter that nobody sits at",
                seated(Session::Outside, false, nobody),
                Class::Greeter,
                "",
                false,
            ),
            ("no logind", seated(Session::Unknown, true, greeter), Class::Session, "tty1", false),
        ] {
            assert_eq!(surfaces.is_at_the_reader(&caller, class, tty), expected, "{case}");
        }
    }

    #[test]
    fn where_fingers_reach_no_further_than_the_own_screen_nothing_else_asks_for_one() {
        let surfaces = Surfaces::default();
        let local =
            |uid, is_locked| Caller { is_locked, ..seated(Session::Local { uid }, true, Seat::Nobody) };
        let greeter = seated(Session::Outside, false, Seat::Greeter);
        for (case, caller, class, service, counts) in [
            ("a locker of their own", local(ALICE, false), Class::Own, "kde-fingerprint", true),
            ("GDM, in the locked session", local(ALICE, true), Class::Session, "gdm-fingerprint", true),
            ("the prompt beside it", local(ALICE, true), Class::Session, "gdm-password", true),
            ("GDM, in the open session", local(ALICE, false), Class::Session, "gdm-password", false),
            ("GDM, in somebody else's", local(ALICE + 1, true), Class::Session, "gdm-password", false),
            ("GDM, before there is a session", greeter, Class::Greeter, "gdm-fingerprint", false),
            ("what calls itself sudo", local(ALICE, false), Class::Own, "sudo", false),
            ("sudo", local(ALICE, false), Class::Session, "sudo", false),
            ("sudo, in the locked session", local(ALICE, true), Class::Session, "sudo", false),
            ("polkit", local(ALICE, false), Class::Session, "polkit-1", false),
        ] {
            let at = |reach| surfaces.has_a_finger_count(&caller, (class, ALICE), (service, ""), reach);
            assert_eq!(at(Reach::OwnScreen), counts, "{case}");
            assert!(!counts || at(Reach::Everywhere), "{case}: less than elsewhere");
        }
    }

    #[test]
    fn before_a_locked_screen_only_what_unlocks_it_asks_for_a_finger() {
        let surfaces = Surfaces::default();
        for (service, class, unlocks) in [
            ("sudo", Class::Session, false),
            ("polkit-1", Class::Session, false),
            ("gdm-password", Class::Session, true),
            ("kde", Class::Own, true),
            ("gdm-fingerprint", Class::Session, true),
            ("kde-fingerprint", Class::Own, true),
        ] {
            assert_eq!(surfaces.unlocks(class, service), unlocks, "{service}");
        }
        // What shows none of a module's words.
        for service in ["swaylock", "hyprlock", "waylock", "gtklock", "i3lock", "passwd", "sshd"] {
            assert!(!surfaces.asks_for_fingers(service), "{service}");
        }
    }
}

//! Who may ask for whose gesture, and where.

use hello_words::{Text, tr};
use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::caller::{Caller, Seat, Session};

/// The programs that may ask for a gesture, by PAM service. What is on no list is declined: cron, sshd and the mail
/// server of tomorrow use the same PAM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Surfaces {
    /// Programs that ask whoever sits at the machine before there is a session, and nobody else.
    pub login: Vec<String>,
    /// Display managers. They sign people in who sit at the greeter; but they also unlock, for whoever asks them over the
    /// bus, and so can be reached by programs.
    pub greeter: Vec<String>,
    /// Programs inside a session, which ask the person whose session it is.
    pub session: Vec<String>,
    /// Programs of root that open a session, with the keyring in it, or that change the password. Those of the latter kind
    /// are handed none.
    pub keyring: Vec<String>,
    /// Services that show what a module says, and may ask for a finger.
    pub finger: Vec<String>,
    /// Services that a screen runs beside the one that asks for the PIN, to wait for a finger and nothing else.
    pub finger_only: Vec<String>,
    /// Services that may ask from a remote session, too.
    pub remote: Vec<String>,
    /// Whether everybody counts as local where there is no logind to ask. For machines without one.
    pub assume_local_session: bool,
}

impl Default for Surfaces {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            login: list(&["login"]),
            greeter: list(&["gdm-password", "gdm-fingerprint", "lightdm", "sddm"]),
            session: list(&[
                "sudo",
                "sudo-i",
                "su",
                "su-l",
                "polkit-1",
                "swaylock",
                "hyprlock",
                "waylock",
                "gtklock",
                "kde",
                "kde-fingerprint",
                "i3lock",
                "vlock",
                "xscreensaver",
                "xfce4-screensaver",
                "mate-screensaver",
                "cinnamon-screensaver",
                "light-locker",
                "passwd",
            ]),
            keyring: list(&["login", "gdm-password", "lightdm", "sddm", "passwd"]),
            finger: list(&[
                "login",
                "gdm-password",
                "lightdm",
                "sudo",
                "sudo-i",
                "su",
                "su-l",
                "polkit-1",
                "kde",
                "gdm-fingerprint",
                "kde-fingerprint",
            ]),
            finger_only: list(&["gdm-fingerprint", "kde-fingerprint"]),
            remote: Vec::new(),
            assume_local_session: false,
        }
    }
}

/// Whether somebody may ask for an account's gesture.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, and the tries are counted in this class.
    Admitted(Class),
    /// No.
    Declined(Decline),
}

/// Whose tries these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The console: only somebody at the machine can reach it.
    Login,
    /// A display manager while its greeter is shown. Malware can reach it as well.
    Greeter,
    /// A program of root inside a session, as sudo: malware of the person's uid can type into it.
    Session,
    /// A program that runs as the person, and may be malware that does.
    Own,
}

/// Why somebody may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decline {
    /// Hello is turned off.
    TurnedOff,
    /// The service is on no list.
    Service,
    /// The request comes from another machine.
    Remote,
    /// The asker is not the person whose gesture is wanted.
    SomebodyElse,
    /// There is no session, or no logind that knows it.
    NoSession,
    /// The account's password is locked.
    Locked,
    /// The person is just proving who they are by other means, and a gesture must not vouch for itself.
    ProofPending,
}

impl Decline {
    /// The reason.
    #[must_use]
    pub fn reason(self) -> Text {
        match self {
            Self::TurnedOff => tr!("Hello is turned off by policy"),
            Self::Service => tr!("this service is not on the list of those that may ask"),
            Self::Remote => tr!("the request comes from a remote session"),
            Self::SomebodyElse => tr!("the one who asks is somebody else"),
            Self::NoSession => tr!("the request comes from no session that logind knows"),
            Self::Locked => tr!("the account is locked"),
            Self::ProofPending => tr!("the password is being asked for just now"),
        }
    }
}

/// What a request says of itself, beside who makes it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The PAM service.
    pub service: &'a str,
    /// Whether the program names a remote host.
    pub remote_host: bool,
    /// The account that the program says asks, where it says so (`PAM_RUSER`), resolved; `Err` if it names one that
    /// doesn't exist.
    pub requester: Option<Result<&'a Account, ()>>,
}

impl Surfaces {
    /// Decides whether `caller` may ask for the gesture of `account`.
    ///
    /// The service and the requester are believed from a caller that is root, and narrow what any other may do; they
    /// never widen it.
    pub fn admit(&self, caller: &Caller, account: &Account, asked: Asked<'_>) -> Admission {
        let lists = |list: &[String]| list.iter().any(|service| service == asked.service);
        let (at_login, at_greeter) = (lists(&self.login), lists(&self.greeter));
        if !at_login && !at_greeter && !lists(&self.session) {
            return Admission::Declined(Decline::Service);
        }
        if asked.remote_host && !lists(&self.remote) {
            return Admission::Declined(Decline::Remote);
        }
        if caller.uid != 0 {
            if caller.uid != account.uid {
                return Admission::Declined(Decline::SomebodyElse);
            }
            return self.admit_session(caller, account, asked.service, Class::Own);
        }
        if at_login {
            return self.admit_login(caller, account, asked.service);
        }
        if at_greeter {
            return self.admit_greeter(caller, account);
        }
        let requester = match asked.requester {
            Some(Ok(requester)) => requester.uid,
            Some(Err(())) => return Admission::Declined(Decline::SomebodyElse),
            None => caller.real_uid,
        };
        if requester != account.uid {
            return Admission::Declined(Decline::SomebodyElse);
        }
        self.admit_session(caller, account, asked.service, Class::Session)
    }

    /// Whether a program that was admitted learns the password from the person, and may have it kept for the keyring. Only one
    /// of root: whatever runs as the person must not get it out of the PIN.
    #[must_use]
    pub fn knows_keyring(&self, caller: &Caller, service: &str) -> bool {
        caller.uid == 0 && self.keyring.iter().any(|listed| listed == service)
    }

    /// Whether a service opens sessions, and so hands the password to the keyring.
    #[must_use]
    pub fn opens_session(&self, service: &str) -> bool {
        self.login.iter().chain(&self.greeter).any(|listed| listed == service)
    }

    /// Whether `caller` sits at this machine in a session of `account`, as enrolling asks for.
    pub fn admit_enrolment(&self, caller: &Caller, account: &Account) -> Admission {
        if caller.uid == 0 {
            return Admission::Admitted(Class::Session);
        }
        if caller.uid != account.uid {
            return Admission::Declined(Decline::SomebodyElse);
        }
        self.admit_session(caller, account, "", Class::Own)
    }

    /// A display manager: whoever is before the screen asks. At the greeter that may be anybody; in front of a session it
    /// is the one whose it is, to unlock it, and may be a program of theirs that asks the display manager to. GDM unlocks
    /// from within the session: the process that has signed somebody in starts another one for it.
    fn admit_greeter(&self, caller: &Caller, account: &Account) -> Admission {
        match (&caller.session, caller.seat) {
            (Session::Outside, Seat::Greeter) => Admission::Admitted(Class::Greeter),
            (Session::Outside, Seat::Person { uid }) if uid == account.uid => {
                Admission::Admitted(Class::Session)
            }
            (Session::Outside, Seat::Person { .. }) => Admission::Declined(Decline::SomebodyElse),
            (Session::Local { uid }, _) if *uid == account.uid => Admission::Admitted(Class::Session),
            (Session::Local { .. }, _) => Admission::Declined(Decline::SomebodyElse),
            (Session::Unknown, _) if self.assume_local_session => Admission::Admitted(Class::Greeter),
            (Session::Outside, Seat::Nobody) | (Session::Unknown, _) => {
                Admission::Declined(Decline::NoSession)
            }
            (Session::Remote, _) => Admission::Declined(Decline::Remote),
        }
    }

    /// login(1): whoever sits at the machine is the one who asks.
    fn admit_login(&self, caller: &Caller, account: &Account, service: &str) -> Admission {
        match caller.session {
            Session::Outside => Admission::Admitted(Class::Login),
            Session::Local { uid } if uid == account.uid => Admission::Admitted(Class::Login),
            Session::Local { .. } => Admission::Declined(Decline::SomebodyElse),
            Session::Unknown if self.assume_local_session => Admission::Admitted(Class::Login),
            Session::Unknown => Admission::Declined(Decline::NoSession),
            Session::Remote if self.remote.iter().any(|listed| listed == service) => {
                Admission::Admitted(Class::Login)
            }
            Session::Remote => Admission::Declined(Decline::Remote),
        }
    }

    fn admit_session(&self, caller: &Caller, account: &Account, service: &str, class: Class) -> Admission {
        match caller.session {
            Session::Local { uid } if uid == account.uid => Admission::Admitted(class),
            Session::Local { .. } => Admission::Declined(Decline::SomebodyElse),
            Session::Unknown if self.assume_local_session => Admission::Admitted(class),
            Session::Outside | Session::Unknown => Admission::Declined(Decline::NoSession),
            Session::Remote if self.remote.iter().any(|listed| listed == service) => {
                Admission::Admitted(class)
            }
            Session::Remote => Admission::Declined(Decline::Remote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;
    const MALLORY: u32 = 1001;

    fn account(uid: u32) -> Account {
        Account { name: if uid == ALICE { "alice" } else { "mallory" }.into(), uid }
    }

    fn caller(uid: u32, real_uid: u32, session: Session) -> Caller {
        Caller {
            uid,
            real_uid,
            session,
            at_seat: false,
            is_locked: false,
            seat: Seat::Nobody,
            bus_name: ":1.7".into(),
        }
    }

    fn at(uid: u32) -> Session {
        Session::Local { uid }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table with a row for each case")]
    fn who_may_ask_for_alices_gesture() {
        use Admission::{Admitted, Declined};
        let (alice, mallory) = (account(ALICE), account(MALLORY));
        let by_alice = Some(Ok(&alice));
        let by_mallory = Some(Ok(&mallory));
        let login = Admitted(Class::Login);
        let session = Admitted(Class::Session);
        let own = Admitted(Class::Own);
        let somebody_else = Declined(Decline::SomebodyElse);
        let no_session = Declined(Decline::NoSession);
        let remote = Declined(Decline::Remote);
        let rows = [
            ("sudo by alice", "sudo", caller(0, 0, at(ALICE)), by_alice, false, session),
            (
                "sudo by alice, asker told by real uid",
                "sudo",
                caller(0, ALICE, at(ALICE)),
                None,
                false,
                session,
            ),
            ("su alice by alice", "su", caller(0, ALICE, at(ALICE)), by_alice, false, session),
            ("su alice by mallory", "su", caller(0, MALLORY, at(MALLORY)), by_mallory, false, somebody_else),
            ("su alice by root", "su", caller(0, 0, at(ALICE)), None, false, somebody_else),
            (
                "su alice by somebody unknown",
                "su",
                caller(0, 0, at(ALICE)),
                Some(Err(())),
                false,
                somebody_else,
            ),
            (
                "sudo by alice inside mallory's session",
                "sudo",
                caller(0, 0, at(MALLORY)),
                by_alice,
                false,
                somebody_else,
            ),
            (
                "pkexec by mallory as alice",
                "polkit-1",
                caller(0, MALLORY, at(MALLORY)),
                None,
                false,
                somebody_else,
            ),
            ("pkexec by alice as alice", "polkit-1", caller(0, ALICE, at(ALICE)), None, false, session),
            ("sudo over ssh", "sudo", caller(0, 0, Session::Remote), by_alice, false, remote),
            ("sudo from a daemon", "sudo", caller(0, 0, Session::Outside), by_alice, false, no_session),
            ("sudo without logind", "sudo", caller(0, 0, Session::Unknown), by_alice, false, no_session),
            ("login at a console", "login", caller(0, 0, Session::Outside), None, false, login),
            ("login without logind", "login", caller(0, 0, Session::Unknown), None, false, no_session),
            ("login from telnetd", "login", caller(0, 0, Session::Outside), None, true, remote),
            ("login in mallory's session", "login", caller(0, 0, at(MALLORY)), None, false, somebody_else),
            ("login started in an ssh session", "login", caller(0, 0, Session::Remote), None, false, remote),
            ("sshd", "sshd", caller(0, 0, Session::Outside), None, true, Declined(Decline::Service)),
            ("cron", "cron", caller(0, 0, Session::Outside), None, false, Declined(Decline::Service)),
            ("alice's locker", "swaylock", caller(ALICE, ALICE, at(ALICE)), None, false, own),
            (
                "alice's program that says it is login",
                "login",
                caller(ALICE, ALICE, at(ALICE)),
                None,
                false,
                own,
            ),
            (
                "mallory's locker",
                "swaylock",
                caller(MALLORY, MALLORY, at(MALLORY)),
                by_alice,
                false,
                somebody_else,
            ),
            (
                "alice's locker over ssh",
                "swaylock",
                caller(ALICE, ALICE, Session::Remote),
                None,
                false,
                remote,
            ),
        ];
        for (case, service, caller, requester, remote_host, expected) in rows {
            let asked = Asked { service, remote_host, requester };
            assert_eq!(Surfaces::default().admit(&caller, &alice, asked), expected, "{case}");
        }
    }

    #[test]
    fn a_display_manager_asks_for_whoever_is_before_the_screen() {
        use Admission::{Admitted, Declined};
        let person = |uid| Seat::Person { uid };
        for (case, session, seat, remote_host, expected) in [
            ("at the greeter", Session::Outside, Seat::Greeter, false, Admitted(Class::Greeter)),
            ("alice unlocks", Session::Outside, person(ALICE), false, Admitted(Class::Session)),
            (
                "mallory's program has it unlock alice's",
                Session::Outside,
                person(MALLORY),
                false,
                Declined(Decline::SomebodyElse),
            ),
            ("nobody is there", Session::Outside, Seat::Nobody, false, Declined(Decline::NoSession)),
            ("from another screen", Session::Outside, Seat::Greeter, true, Declined(Decline::Remote)),
            ("alice unlocks at GDM", at(ALICE), person(ALICE), false, Admitted(Class::Session)),
            (
                "mallory's program has GDM unlock alice's",
                at(MALLORY),
                person(MALLORY),
                false,
                Declined(Decline::SomebodyElse),
            ),
            ("the same before a greeter", at(MALLORY), Seat::Greeter, false, Declined(Decline::SomebodyElse)),
            ("from an ssh session", Session::Remote, person(ALICE), false, Declined(Decline::Remote)),
            ("without logind", Session::Unknown, Seat::Nobody, false, Declined(Decline::NoSession)),
        ] {
            let caller = Caller { seat, ..caller(0, 0, session) };
            let asked = Asked { service: "gdm-password", remote_host, requester: None };
            assert_eq!(Surfaces::default().admit(&caller, &account(ALICE), asked), expected, "{case}");
        }
    }

    #[test]
    fn without_logind_only_a_root_owned_setting_makes_people_local() {
        let surfaces = Surfaces { assume_local_session: true, ..Surfaces::default() };
        let asked = Asked { service: "sudo", remote_host: false, requester: None };
        let caller = caller(0, ALICE, Session::Unknown);
        assert_eq!(surfaces.admit(&caller, &account(ALICE), asked), Admission::Admitted(Class::Session));
        assert_eq!(
            surfaces.admit(&caller, &account(MALLORY), asked),
            Admission::Declined(Decline::SomebodyElse)
        );
    }

    #[test]
    fn a_remote_service_is_admitted_only_where_it_is_named() {
        let surfaces = Surfaces { remote: vec!["sudo".into()], ..Surfaces::default() };
        let asked = |service| Asked { service, remote_host: false, requester: None };
        let caller = caller(0, ALICE, Session::Remote);
        assert_eq!(
            surfaces.admit(&caller, &account(ALICE), asked("sudo")),
            Admission::Admitted(Class::Session)
        );
        assert_eq!(
            surfaces.admit(&caller, &account(ALICE), asked("su")),
            Admission::Declined(Decline::Remote)
        );
    }

    #[test]
    fn people_enrol_themselves_at_the_machine_and_root_enrols_anybody() {
        let surfaces = Surfaces::default();
        let admit = |caller: &Caller| surfaces.admit_enrolment(caller, &account(ALICE));
        assert_eq!(admit(&caller(ALICE, ALICE, at(ALICE))), Admission::Admitted(Class::Own));
        assert_eq!(admit(&caller(0, 0, Session::Outside)), Admission::Admitted(Class::Session));
        assert_eq!(admit(&caller(ALICE, ALICE, Session::Remote)), Admission::Declined(Decline::Remote));
        assert_eq!(admit(&caller(MALLORY, MALLORY, at(MALLORY))), Admission::Declined(Decline::SomebodyElse));
    }
}

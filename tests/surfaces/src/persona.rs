//! The programs that are acted out, and what each is known for.

/// A program that signs people in through PAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Persona {
    /// Wayland's plain locker: one buffer, one question, one handle for all tries.
    Swaylock,
    /// A locker with a thread of its own for PAM, and a new handle for each try.
    Hyprlock,
    /// X's plain locker: one text for all questions, and a terminal that is a display.
    I3lock,
    /// KDE's locker, which times the service and gives up on what looks broken.
    Kscreenlocker,
    /// The service that it runs beside that one, for a finger.
    KscreenlockerFingerprint,
    /// GDM's worker, which logs in and unlocks.
    Gdm,
    /// LightDM's session child.
    Lightdm,
    /// SDDM's helper, which has one text for all questions.
    Sddm,
    /// polkit's agent, in the sandbox that it lives in from version 127 on.
    Polkit,
    /// sudo, which keeps modules silent.
    Sudo,
    /// The same with `-i`.
    SudoLogin,
    /// sudo-rs, which writes its own words before the module's.
    SudoRs,
    /// login(1) at a console, which kills itself after a minute.
    Login,
}

impl Persona {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Swaylock,
        Self::Hyprlock,
        Self::I3lock,
        Self::Kscreenlocker,
        Self::KscreenlockerFingerprint,
        Self::Gdm,
        Self::Lightdm,
        Self::Sddm,
        Self::Polkit,
        Self::Sudo,
        Self::SudoLogin,
        Self::SudoRs,
        Self::Login,
    ];

    /// What it is called on the command line and in verdicts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Swaylock => "swaylock",
            Self::Hyprlock => "hyprlock",
            Self::I3lock => "i3lock",
            Self::Kscreenlocker => "kscreenlocker",
            Self::KscreenlockerFingerprint => "kscreenlocker-fingerprint",
            Self::Gdm => "gdm",
            Self::Lightdm => "lightdm",
            Self::Sddm => "sddm",
            Self::Polkit => "polkit",
            Self::Sudo => "sudo",
            Self::SudoLogin => "sudo-i",
            Self::SudoRs => "sudo-rs",
            Self::Login => "login",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|persona| persona.name() == name)
    }

    /// Its file in /etc/pam.d.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Swaylock => "swaylock",
            Self::Hyprlock => "hyprlock",
            Self::I3lock => "i3lock",
            Self::Kscreenlocker => "kde",
            Self::KscreenlockerFingerprint => "kde-fingerprint",
            Self::Gdm => "gdm-password",
            Self::Lightdm => "lightdm",
            Self::Sddm => "sddm",
            Self::Polkit => "polkit-1",
            Self::Sudo | Self::SudoRs => "sudo",
            Self::SudoLogin => "sudo-i",
            Self::Login => "login",
        }
    }

    /// Whether it runs as the person, and not as root.
    #[must_use]
    pub fn runs_as_the_person(self) -> bool {
        matches!(
            self,
            Self::Swaylock
                | Self::Hyprlock
                | Self::I3lock
                | Self::Kscreenlocker
                | Self::KscreenlockerFingerprint
        )
    }

    /// Whether it is sudo, and not another that is like it.
    pub(crate) fn is_sudo(self) -> bool {
        matches!(self, Self::Sudo | Self::SudoLogin)
    }

    /// Whether it comes back to the same handle after a failure, instead of beginning anew.
    pub(crate) fn reuses_its_handle(self) -> bool {
        !matches!(self, Self::Hyprlock | Self::Gdm | Self::Lightdm | Self::Sddm | Self::Polkit)
    }

    /// How often somebody may try before it ends, or before enough was seen of it.
    pub(crate) fn tries(self) -> u32 {
        match self {
            Self::Swaylock | Self::Hyprlock | Self::I3lock | Self::Polkit => 2,
            Self::Kscreenlocker | Self::KscreenlockerFingerprint => 4,
            Self::Gdm | Self::Lightdm | Self::Sddm | Self::Sudo | Self::SudoLogin | Self::SudoRs => 3,
            Self::Login => 5,
        }
    }
}

/// What a person does in front of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Types the right thing.
    Right,
    /// Types something wrong, and then the right thing.
    Mistyped,
    /// Types the other thing that is right: the password where a PIN is asked for.
    Instead,
    /// Walks away: no question is answered.
    Cancelled,
    /// Types something wrong, whatever is asked, as often as the program lets them.
    Wrong,
    /// Gives the answers that are written down, one after the other, and then walks away.
    Script,
}

impl Scene {
    /// All that are judged; the one after which a module may have had enough comes last.
    pub const ALL: [Self; 5] = [Self::Right, Self::Mistyped, Self::Instead, Self::Cancelled, Self::Wrong];

    /// What it is called in verdicts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Mistyped => "mistyped",
            Self::Instead => "instead",
            Self::Cancelled => "cancelled",
            Self::Wrong => "wrong",
            Self::Script => "script",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Script]).find(|scene| scene.name() == name)
    }

    /// Whether somebody comes in at its end.
    #[must_use]
    pub fn lets_in(self) -> bool {
        matches!(self, Self::Right | Self::Mistyped | Self::Instead)
    }
}

//! The machine on which the story takes place.

use hello_tests::{Bus, Config, Hellod, Lab, PamStack, Polkit, Tpm};

/// A machine with a TPM, the system bus, polkit and hellod. Fields end in this order.
pub(crate) struct Stage {
    _hellod: Hellod,
    _polkit: Polkit,
    _bus: Bus,
    _tpm: Tpm,
    pub(crate) lab: Lab,
}

impl Stage {
    /// A machine with nothing running on it yet.
    pub(crate) fn empty() -> Lab {
        let lab = Lab::builder().pam(PamStack::hello()).build();
        lab.write("/etc/polkit-1/rules.d/10-hello-demo.rules", RULE, 0o644);
        lab
    }

    /// Switches everything on.
    pub(crate) fn set(lab: Lab) -> Self {
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        let polkit = lab.polkit();
        let hellod = lab.hellod(&Config::default());
        Self { _hellod: hellod, _polkit: polkit, _bus: bus, _tpm: tpm, lab }
    }
}

/// Where nobody keeps sessions, polkit can't know who sits at the machine, and would ask nobody: on this one, whoever is there
/// proves who they are with the password.
const RULE: &str = r#"polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.hellod.hello1.") == 0) {
        return polkit.Result.AUTH_SELF;
    }
});
"#;

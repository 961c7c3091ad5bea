//! The machine on which the story takes place.

use hello_tests::{Config, Lab, Polkit, World};

/// A machine with nothing running on it yet.
pub(crate) fn empty() -> Lab {
    let lab = Lab::with_hello().build();
    lab.write(RULES, RULE, 0o644);
    lab
}

/// Switches everything on: the TPM, the system bus, hellod and polkit.
pub(crate) fn set(lab: Lab) -> (World, Polkit) {
    let world = World::on(lab, &Config::default());
    let polkit = world.lab.polkit();
    (world, polkit)
}

/// Where polkit looks for rules.
pub(crate) const RULES: &str = "/etc/polkit-1/rules.d/10-hello-demo.rules";

/// Where nobody keeps sessions, polkit can't know who sits at the machine, and would ask nobody: on this one, whoever is there
/// proves who they are with the password.
pub(crate) const RULE: &str = r#"polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.hellod.hello1.") == 0) {
        return polkit.Result.AUTH_SELF;
    }
});
"#;

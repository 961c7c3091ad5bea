//! The policy, for people and for programs.

use serde_json::{Value, json};

use crate::text::{plain, wrapped};

/// Name, value, and the file that it comes from.
type Setting = (String, String, String);

/// A line for each setting, and below it the file where it isn't hellod's own default. Lists are long, and stand below their name.
pub(crate) fn table(settings: &[Setting]) -> String {
    let lines = settings.iter().map(|(name, value, source)| {
        let is_list = value.starts_with('[') && value.contains(',');
        let line = if is_list {
            format!("{name} =\n{}", wrapped(value, "    "))
        } else {
            format!("{name} = {value}")
        };
        if source == DEFAULT { plain(&line) } else { plain(&format!("{line}\n    from {source}")) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same as an array of objects.
pub(crate) fn json(settings: &[Setting]) -> String {
    let all = settings.iter().map(|(name, value, source)| {
        // As TOML writes truths, numbers, plain words and lists of these, JSON does, too.
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
        json!({ "setting": name, "value": value, "source": source })
    });
    Value::from(all.collect::<Vec<_>>()).to_string()
}

const DEFAULT: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "[\"gdm-password\", \"gdm-fingerprint\", \"lightdm\", \"sddm\", \"xdm\"]";

    fn settings() -> Vec<Setting> {
        let setting = |name: &str, value: &str, source: &str| (name.into(), value.into(), source.into());
        vec![
            setting("AllowDaAuth", "false", "default"),
            setting("PostLogonProvisioning", "\"require\"", "/etc/hellod/policy.d/10-corp.toml"),
            setting("surfaces.greeter", LIST, "/etc/hellod/hellod.toml"),
            setting("surfaces.login", "[\"login\"]", "default"),
        ]
    }

    #[test]
    fn whoever_looks_sees_what_holds_and_which_file_says_so() {
        assert_eq!(
            table(&settings()),
            "\
AllowDaAuth = false
PostLogonProvisioning = \"require\"
    from /etc/hellod/policy.d/10-corp.toml
surfaces.greeter =
    [\"gdm-password\", \"gdm-fingerprint\", \"lightdm\", \"sddm\",
    \"xdm\"]
    from /etc/hellod/hellod.toml
surfaces.login = [\"login\"]"
        );
        let told: Value = serde_json::from_str(&json(&settings())).unwrap();
        assert_eq!(told[0], json!({ "setting": "AllowDaAuth", "value": false, "source": "default" }));
        assert_eq!(told[1]["value"], "require");
        assert_eq!(told[2]["value"], json!(["gdm-password", "gdm-fingerprint", "lightdm", "sddm", "xdm"]));
    }
}

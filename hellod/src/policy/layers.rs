//! Policy comes from several files; for each setting the last one that names it wins. That is all there is to precedence: what the
//! vendor of a system ships, then what this machine's administrator wrote, then what an organisation delivers.

use std::collections::BTreeMap;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::{Policy, Surfaces, foreign};

/// The policy in force, and where each of its settings comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// What is in force.
    pub policy: Policy,
    /// By the name of the setting; what is not in it is hellod's own default.
    sources: BTreeMap<String, String>,
}

/// One setting, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As in the file, with the table before it: `PINComplexity.MinimumPINLength`.
    pub name: String,
    /// As TOML writes it.
    pub value: String,
    /// The file, or that it is the default.
    pub source: String,
}

/// Why a file, and with it the whole, is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", tr!("{file} is not valid: {reason}", file, reason))]
pub struct PolicyError {
    /// Which file.
    pub file: String,
    /// What is wrong, with line and column.
    pub reason: String,
    /// Whether one of the files that are in order turns Hello off, which counts all the same.
    pub turns_off: bool,
}

/// What else may stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Besides {
    /// Nothing: it is a policy.
    Nothing,
    /// The settings of hellod.
    Settings,
}

/// A file that is a policy and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alone {
    #[serde(default)]
    policy: Policy,
}

/// A file, as far as it is about this.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    policy: Policy,
}

/// What a file says of one setting, and where.
struct Said {
    value: Value,
    file: String,
    line: usize,
}

impl Layers {
    /// Lays files one over the other, each by its name and with its text; the last is on top.
    ///
    /// # Errors
    /// [`PolicyError`] for the first that has a setting that doesn't exist, or a value that it can't have.
    pub fn of(files: &[(&str, &str, Besides)]) -> Result<Self, PolicyError> {
        Self::laid(files).map_err(|(file, reason)| PolicyError {
            file,
            reason,
            turns_off: files.iter().any(|(_, text, besides)| {
                parsed(text, *besides).is_ok_and(|policy| !policy.use_passport_for_work)
            }),
        })
    }

    fn laid(files: &[(&str, &str, Besides)]) -> Result<Self, (String, String)> {
        let mut settings: BTreeMap<String, Said> = BTreeMap::new();
        for (file, text, besides) in files {
            let refused =
                |error: toml::de::Error| ((*file).to_owned(), error.to_string().trim_end().to_owned());
            let said = said(file, text).map_err(refused)?;
            // Before these are no settings at all.
            if let Some(reason) = without_meaning(&said) {
                return Err(((*file).to_owned(), reason));
            }
            // Each by itself, for the line: whatever a file may say it may say alone.
            let _alone: Policy = parsed(text, *besides).map_err(refused)?;
            settings.extend(said);
        }
        let mut policy = Table::new();
        for (name, said) in &settings {
            insert(&mut policy, name, said.value.clone());
        }
        let last = settings.values().last().map(|said| said.file.clone()).unwrap_or_default();
        let policy = Policy::deserialize(policy).map_err(|error| (last, error.to_string()))?;
        if let Some(contradiction) = contradiction(&policy, &settings) {
            return Err(contradiction);
        }
        Ok(Self { policy, sources: settings.into_iter().map(|(name, said)| (name, said.file)).collect() })
    }

    /// All settings, in the order of their names.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let mut leaves = Vec::new();
        // Its fields are numbers, words and truths.
        if let Ok(Value::Table(policy)) = Value::try_from(&self.policy) {
            flatten("", &policy, &mut leaves);
        }
        leaves.sort_by(|(one, _), (other, _)| one.cmp(other));
        leaves
            .into_iter()
            .map(|(name, value)| Setting {
                source: self.source(&name).to_owned(),
                value: written(&value),
                name,
            })
            .collect()
    }

    fn source(&self, name: &str) -> &str {
        self.sources.get(name).map_or(DEFAULT, String::as_str)
    }
}

/// The first setting of PassportForWork that does nothing here.
fn without_meaning(said: &[(String, Said)]) -> Option<String> {
    let foreign = said.iter().filter_map(|(name, said)| foreign::why(name).map(|why| (said.line, name, why)));
    foreign
        .min()
        .map(|(line, name, why)| format!("line {line}: {name} of PassportForWork does nothing here: {why}"))
}

/// Two settings, each of which could be, that can't be together; they may be of two files.
fn contradiction(policy: &Policy, settings: &BTreeMap<String, Said>) -> Option<(String, String)> {
    if policy.enable_pin_recovery && policy.organisation().is_none() {
        let said = settings.get("PinRecoveryKey").or_else(|| settings.get("EnablePinRecovery"))?;
        let line = said.line;
        let reason =
            format!("line {line}: EnablePinRecovery needs a PinRecoveryKey, as hello-reset writes it");
        return Some((said.file.clone(), reason));
    }
    let rules = &policy.pin_complexity;
    if rules.minimum <= rules.maximum {
        return None;
    }
    let [minimum, maximum] =
        ["PINComplexity.MinimumPINLength", "PINComplexity.MaximumPINLength"].map(|name| settings.get(name));
    let place = |said: Option<&Said>| {
        said.map_or_else(|| DEFAULT.to_owned(), |said| format!("{}, line {}", said.file, said.line))
    };
    let reason = format!(
        "MinimumPINLength = {} ({}) is above MaximumPINLength = {} ({})",
        rules.minimum.get(),
        place(minimum),
        rules.maximum.get(),
        place(maximum)
    );
    minimum.or(maximum).map(|said| (said.file.clone(), reason))
}

impl Surfaces {
    /// The lists, as settings are told. `text` is what `file` has: what it doesn't name is hellod's own.
    #[must_use]
    pub fn settings(&self, (file, text): (&str, &str)) -> Vec<Setting> {
        let all: Table = toml::from_str(text).unwrap_or_default();
        let named = all.get("surfaces").and_then(Value::as_table);
        // Its fields are lists of words, and a truth.
        let lists = Table::try_from(self).unwrap_or_default();
        let setting = |(name, value): (String, Value)| {
            let is_named = named.is_some_and(|named| named.contains_key(&name));
            Setting {
                source: if is_named { file } else { DEFAULT }.to_owned(),
                value: written(&value),
                name: below("surfaces", &name),
            }
        };
        lists.into_iter().map(setting).collect()
    }
}

/// As it would stand in a file.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(", ")),
        _ => String::new(),
    }
}

fn parsed(text: &str, besides: Besides) -> Result<Policy, toml::de::Error> {
    match besides {
        Besides::Nothing => toml::from_str::<Alone>(text).map(|file| file.policy),
        Besides::Settings => toml::from_str::<File>(text).map(|file| file.policy),
    }
}

/// The settings of the policy in a file.
fn said(file: &str, text: &str) -> Result<Vec<(String, Said)>, toml::de::Error> {
    let all = DeTable::parse(text)?.into_inner();
    let mut leaves = Vec::new();
    if let Some(policy) = all.get("policy").and_then(|policy| policy.get_ref().as_table()) {
        flatten_placed("", policy, &mut leaves);
    }
    let said = leaves.into_iter().map(|(name, start, value)| {
        let value = Value::deserialize(ValueDeserializer::from(value))?;
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        Ok((name, Said { value, file: file.to_owned(), line }))
    });
    said.collect()
}

/// As [`flatten`], and where each name begins.
fn flatten_placed<'t>(
    before: &str,
    table: &DeTable<'t>,
    leaves: &mut Vec<(String, usize, Spanned<DeValue<'t>>)>,
) {
    for (key, value) in table {
        let name = below(before, key.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => flatten_placed(&name, table, leaves),
            _ => leaves.push((name, key.span().start, value.clone())),
        }
    }
}

fn flatten(before: &str, table: &Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let name = below(before, name);
        match value {
            Value::Table(table) => flatten(&name, table, leaves),
            value => leaves.push((name, value.clone())),
        }
    }
}

fn below(before: &str, name: &str) -> String {
    if before.is_empty() { name.to_owned() } else { format!("{before}.{name}") }
}

fn insert(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(table.insert(name.to_owned(), value)),
        Some((first, rest)) => {
            let below = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// What stands where no file has named a setting.
const DEFAULT: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    const VENDOR: &str = "[policy]\nAllowDaAuth = true\nPostLogonProvisioning = \"off\"\n\
        [policy.PINComplexity]\nMinimumPINLength = 7\nDigits = \"required\"\n";
    const MACHINE: &str = "[tpm]\ndevice = \"/dev/tpmrm0\"\n[policy]\nAllowDaAuth = false\n\
        [policy.PINComplexity]\nMinimumPINLength = 8\n";
    const DELIVERED: &str = "[policy.PINComplexity]\nMinimumPINLength = 10\n";

    fn of(files: &[(&str, &str)]) -> Result<Layers, PolicyError> {
        let besides = |file| if file == "machine" { Besides::Settings } else { Besides::Nothing };
        let files: Vec<_> = files.iter().map(|(file, text)| (*file, *text, besides(*file))).collect();
        Layers::of(&files)
    }

    fn setting(layers: &Layers, name: &str) -> (String, String) {
        let setting = layers.settings().into_iter().find(|setting| setting.name == name).unwrap();
        (setting.value, setting.source)
    }

    #[test]
    fn the_last_file_that_names_a_setting_wins_and_is_named() {
        let layers = of(&[("vendor", VENDOR), ("machine", MACHINE), ("delivered", DELIVERED)]).unwrap();
        for (name, value, source) in [
            ("PINComplexity.MinimumPINLength", "10", "delivered"),
            ("AllowDaAuth", "false", "machine"),
            ("PostLogonProvisioning", "\"off\"", "vendor"),
            ("PINComplexity.Digits", "\"required\"", "vendor"),
            ("UsePassportForWork", "true", "default"),
            ("PINComplexity.MaximumPINLength", "127", "default"),
        ] {
            assert_eq!(setting(&layers, name), (value.to_owned(), source.to_owned()), "{name}");
        }
        assert_eq!(layers.policy.pin_complexity.minimum.get(), 10);
        let turned = of(&[("delivered", DELIVERED), ("machine", MACHINE), ("vendor", VENDOR)]).unwrap();
        assert_eq!(turned.policy.pin_complexity.minimum.get(), 7, "it is the order that decides");
        assert_eq!(of(&[]).unwrap(), Layers::default());
    }

    #[test]
    fn a_setting_that_does_not_exist_or_a_value_that_it_can_not_have_is_named_with_file_and_line() {
        for (text, line) in [
            ("[policy]\nUsePasportForWork = true\n", "line 2"),
            ("[policy]\nAllowDaAuth = true\nPostLogonPauseDays = \"seven\"\n", "line 3"),
            ("[policy.PINComplexity]\nDigits = \"maybe\"\n", "line 2"),
            ("[policy]\nPostLogonProvisioning = \"always\"\n", "line 2"),
            ("[policy\n", "line 1"),
            // A table of its own, or none: well formed, and without effect.
            ("[PINComplexity]\nMinimumPINLength = 8\n", "line 1"),
            ("MinimumPINLength = 8\n", "line 1"),
        ] {
            let error = of(&[("machine", MACHINE), ("odd", text)]).unwrap_err();
            assert!(error.file == "odd" && error.reason.contains(line), "{error}");
        }
    }

    #[test]
    fn what_passport_for_work_has_and_this_does_not_is_named_with_its_line_and_why() {
        for (text, reason) in [
            (
                "[policy]\nAllowDaAuth = true\nUseCertificateForOnPremAuth = false\n",
                "line 3: UseCertificateForOnPremAuth of PassportForWork does nothing here: a person's key has no certificate",
            ),
            (
                "[policy]\nX = 1\n[policy.Remote]\nUseRemotePassport = true\n",
                "line 4: Remote.UseRemotePassport",
            ),
            ("[policy]\nUseRemotePassport = true\n", "line 2: UseRemotePassport"),
            ("[policy.ExcludeSecurityDevices]\nTPM12 = true\n", "line 2: ExcludeSecurityDevices.TPM12"),
            (
                "[policy]\nUseBiometrics = true\n",
                "line 2: UseBiometrics of PassportForWork does nothing here: [policy.Biometrics] has it",
            ),
            (
                "[policy.DynamicLock]\nPlugins = \"\"\n[policy.DeviceUnlock]\nPlugins = \"\"\n",
                "line 2: DynamicLock.Plugins",
            ),
        ] {
            let error = of(&[("machine", MACHINE), ("odd", text)]).unwrap_err();
            assert!(error.file == "odd" && error.reason.starts_with(reason), "{error}");
        }
        let number = of(&[("odd", "[policy.PINComplexity]\nDigits = 1\n")]).unwrap_err();
        let words = "`1`, expected \"allowed\", \"required\" or \"forbidden\"";
        assert!(number.reason.contains("line 2") && number.reason.contains(words), "{number}");
        assert!(of(&[("odd", "[policy.Biometrics]\nUseBiometrics = true\n")]).is_ok());
    }

    #[test]
    fn a_number_out_of_its_range_is_named_with_file_line_and_range() {
        for (setting, range) in [
            ("MinimumPINLength = 2", "4 to 127"),
            ("MaximumPINLength = 200", "4 to 127"),
            ("MaximumPINLength = 300", "4 to 127"),
            ("Expiration = 731", "0 to 730"),
            ("History = 51", "0 to 50"),
            ("History = -1", "0 to 50"),
        ] {
            let text = format!("[policy.PINComplexity]\nDigits = \"allowed\"\n{setting}\n");
            let error = of(&[("machine", MACHINE), ("odd", text.as_str())]).unwrap_err();
            assert!(error.file == "odd" && error.reason.contains("line 3"), "{error}");
            assert!(error.reason.contains(setting) && error.reason.contains(range), "{error}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_files_and_lines_that_say_so() {
        let maximum = ("machine", "[policy.PINComplexity]\n\nMaximumPINLength = 5\n");
        let minimum = ("delivered", "[policy]\nPINComplexity.MinimumPINLength = 8\n");
        let outvoted = ("vendor", "[policy.PINComplexity]\nMinimumPINLength = 9\nMaximumPINLength = 20\n");
        let recovery = ("machine", "[policy]\n# So far without a key.\nEnablePinRecovery = true\n");
        let key = ("delivered", "[policy]\n\n\nPinRecoveryKey = \"none\"\n");
        for (files, file, reason) in [
            (
                &[outvoted, maximum, minimum][..],
                "delivered",
                "MinimumPINLength = 8 (delivered, line 2) is above MaximumPINLength = 5 (machine, line 3)",
            ),
            (
                &[maximum],
                "machine",
                "MinimumPINLength = 6 (default) is above MaximumPINLength = 5 (machine, line 3)",
            ),
            (&[recovery], "machine", "line 3: EnablePinRecovery needs a PinRecoveryKey"),
            (&[recovery, key], "delivered", "line 4: EnablePinRecovery needs a PinRecoveryKey"),
        ] {
            let error = of(files).unwrap_err();
            assert!(error.file == file && error.reason.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_mistake_elsewhere_does_not_keep_hello_from_being_turned_off() {
        let off = "[policy]\nUsePassportForWork = false\n";
        for (files, turns_off) in [
            ([("machine", off), ("odd", "[policy]\nX = 1\n")], true),
            ([("odd", "[policy]\nX = 1\n"), ("machine", off)], true),
            ([("machine", MACHINE), ("odd", "[policy]\nUsePassportForWork = false\nX = 1\n")], false),
        ] {
            assert_eq!(of(&files).unwrap_err().turns_off, turns_off, "{files:?}");
        }
    }

    #[test]
    fn each_list_of_surfaces_says_whether_the_file_has_set_it() {
        let text = "[surfaces]\ngreeter = []\nremote = [\"sudo\", \"su\"]\n";
        let surfaces = toml::from_str::<Table>(text).unwrap().remove("surfaces").unwrap();
        let surfaces: Surfaces = surfaces.try_into().unwrap();
        let settings = surfaces.settings(("machine", text));
        let told: Vec<_> =
            settings.iter().map(|setting| [&*setting.name, &*setting.value, &*setting.source]).collect();
        assert_eq!(told.len(), 8);
        for row in [
            ["surfaces.assume-local-session", "false", "default"],
            ["surfaces.finger-only", "[\"gdm-fingerprint\", \"kde-fingerprint\"]", "default"],
            ["surfaces.greeter", "[]", "machine"],
            ["surfaces.login", "[\"login\"]", "default"],
            ["surfaces.remote", "[\"sudo\", \"su\"]", "machine"],
        ] {
            assert!(told.contains(&row), "{row:?}: {told:?}");
        }
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let layers = of(&[("vendor", VENDOR), ("machine", MACHINE)]).unwrap();
        let kept = serde_json::to_string(&layers).unwrap();
        assert_eq!(serde_json::from_str::<Layers>(&kept).unwrap(), layers);
    }
}

//! What PassportForWork has and this doesn't. It stays a mistake, for whoever copies a policy of Windows counts on all of it; but they
//! are told why it does nothing, and not that there were no such setting.

/// Why a setting does nothing here, by its name as in a file; nothing where it isn't one of these.
pub(super) fn why(name: &str) -> Option<&'static str> {
    if name == OF_OLD {
        return Some("[policy.Biometrics] has it");
    }
    let names = |foreign: &str| name.split('.').any(|part| part == foreign);
    FOREIGN.iter().find_map(|(foreign, why)| names(foreign).then_some(*why))
}

/// For the whole device, before there was a table of its own.
const OF_OLD: &str = "UseBiometrics";

/// Tables, and settings too, for whoever writes them without their table.
const FOREIGN: [(&str, &str); 16] = [
    ("ExcludeSecurityDevices", TPM),
    ("TPM12", TPM),
    ("EnableWindowsHelloProvisioningForSecurityKeys", SECURITY_KEY),
    ("SecurityKey", SECURITY_KEY),
    ("UseSecurityKeyForSignin", SECURITY_KEY),
    ("UseCertificateForOnPremAuth", CERTIFICATE),
    ("UseHelloCertificatesAsSmartCardCertificates", CERTIFICATE),
    ("UseCloudTrustForOnPremAuth", "no Kerberos ticket comes of a sign-in"),
    ("Remote", REMOTE),
    ("UseRemotePassport", REMOTE),
    ("FacialFeaturesUseEnhancedAntiSpoofing", "no face signs in"),
    ("EnableESSwithSupportedPeripherals", "fingerprint readers are the matter of fprintd"),
    ("DeviceUnlock", UNLOCK),
    ("GroupA", UNLOCK),
    ("GroupB", UNLOCK),
    ("DynamicLock", "no screen is locked because a phone is away"),
];

const TPM: &str = "a TPM 1.2 is never used";
const SECURITY_KEY: &str = "no security key signs in";
const CERTIFICATE: &str = "a person's key has no certificate";
const REMOTE: &str = "no other device, as a phone, signs in";
const UNLOCK: &str = "the PIN or a finger unlocks, and nothing is asked for beside it";

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::*;

    #[test]
    fn the_manual_says_of_each_setting_of_passport_for_work_what_becomes_of_it() {
        let manual = include_str!("../../../docs/man/hellod.toml.5.md");
        let section = manual.split("\n# ").find(|section| section.starts_with("PASSPORTFORWORK")).unwrap();
        let settings = Layers::default().settings();
        let mut named = Vec::new();
        for (names, becomes) in section.split("\n\n").filter_map(|entry| entry.split_once("\n:   ")) {
            let becomes = becomes.replace('*', "");
            let mut table = "";
            for name in names.split("**").skip(1).step_by(2) {
                let (before, name) = name.split_once('/').unwrap_or((table, name));
                table = before;
                let name = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
                let is_so = match why(&name) {
                    Some(why) => becomes.starts_with("Nothing here") && becomes.contains(why),
                    None => {
                        becomes.starts_with("Used") && settings.iter().any(|setting| setting.name == name)
                    }
                };
                assert!(is_so, "{name}");
                named.push(name);
            }
        }
        // PassportForWork CSP; those of group policies have other names.
        for name in PASSPORT_FOR_WORK.split_whitespace() {
            assert!(named.iter().any(|named| named == name), "{name}");
        }
    }

    const PASSPORT_FOR_WORK: &str = "UsePassportForWork RequireSecurityDevice ExcludeSecurityDevices.TPM12 EnablePinRecovery \
        EnableWindowsHelloProvisioningForSecurityKeys DisablePostLogonProvisioning UseCertificateForOnPremAuth \
        UseCloudTrustForOnPremAuth UseHelloCertificatesAsSmartCardCertificates PINComplexity.MinimumPINLength \
        PINComplexity.MaximumPINLength PINComplexity.UppercaseLetters PINComplexity.LowercaseLetters \
        PINComplexity.SpecialCharacters PINComplexity.Digits PINComplexity.History PINComplexity.Expiration \
        Remote.UseRemotePassport UseBiometrics Biometrics.UseBiometrics Biometrics.FacialFeaturesUseEnhancedAntiSpoofing \
        Biometrics.EnableESSwithSupportedPeripherals DeviceUnlock.GroupA DeviceUnlock.GroupB DeviceUnlock.Plugins \
        DynamicLock.DynamicLock DynamicLock.Plugins SecurityKey.UseSecurityKeyForSignin";
}

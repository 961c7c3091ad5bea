//! What the server does differently when told: all that protocols of this kind leave open, and what breaks clients.

use serde::{Deserialize, Serialize};

/// Each switch with what it is at first. A test changes some of them with a JSON object of these names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "they are switches")]
pub struct Switches {
    /// Seconds that a nonce of Entra lives.
    pub nonce_seconds: i64,
    /// Seconds that a nonce of AD FS lives.
    pub adfs_nonce_seconds: i64,
    /// Seconds after which multi-factor authentication is no longer fresh enough to register a key.
    pub fresh_mfa_seconds: i64,
    /// Seconds that an access token lives.
    pub access_seconds: i64,
    /// Seconds that a primary token lives.
    pub primary_seconds: i64,
    /// How encrypted answers are encrypted.
    pub answer_cipher: AnswerCipher,
    /// How lifetimes are written.
    pub lifetimes: Lifetimes,
    /// What the certificate of a device may come in.
    pub x5c: X5c,
    /// The tag of the session key covers the header, as RFC 7516 has it and Entra doesn't.
    pub session_key_with_aad: bool,
    /// The session key comes wrapped with SHA-256, which no client expects.
    pub oaep_sha_256: bool,
    /// A renewed primary token brings another session key.
    pub new_session_key: bool,
    /// A refresh token ends when it is used.
    pub rotate: bool,
    /// What comes for Kerberos.
    pub kerberos: Kerberos,
    /// How the extensions of a device certificate are wrapped.
    pub wrapping: Wrapping,
    /// The serial number of a device certificate.
    pub serial: Serial,
    /// `MembershipChanges` is an object, as the text of MS-DVRJ says, and not a list as its example.
    pub membership_object: bool,
    /// How often a browser with a good cookie is sent round for another nonce first.
    pub sso_nonce_rounds: u32,
    /// A code comes in a page of status 200, by script, and not in a redirect.
    pub code_in_page: bool,
    /// The page "Stay signed in?" follows the sign-in.
    pub kmsi: bool,
    /// Every sign-in needs a second factor.
    pub require_mfa: bool,
    /// Conditional access refuses tokens for applications with this code of Entra; primary tokens are still issued.
    pub conditional_access: Option<u32>,
    /// People may sign in by a code; conditional access refuses it otherwise, as many tenants have it.
    pub device_code_permitted: bool,
    /// Users may join devices.
    pub join_permitted: bool,
    /// Devices that a user may join.
    pub device_quota: usize,
    /// The user realm sends people of the domain to AD FS.
    pub federated: bool,
    /// AD FS lists `kdf_ver2` among its capabilities, and demands it.
    pub adfs_kdf_v2: bool,
    /// AD FS lists `winhello_cert`.
    pub adfs_winhello_cert: bool,
    /// AD FS encrypts an answer with what its request is signed with, read as version 2 has it: over the request's payload.
    pub adfs_answer_kdf_v2: bool,
    /// No tenant of Entra has the domain: the organisation has its AD FS and nothing else.
    pub no_tenant: bool,
    /// There is no AD FS, and `enterpriseregistration.` before the domain is an alias of Entra's registration host.
    pub entra_alias: bool,
    /// What it takes for another's, which clients have to notice.
    pub confusion: Option<Confusion>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            nonce_seconds: 300,
            adfs_nonce_seconds: 600,
            fresh_mfa_seconds: 600,
            access_seconds: 3600,
            primary_seconds: 1_209_600,
            answer_cipher: AnswerCipher::Cbc,
            lifetimes: Lifetimes::Documented,
            x5c: X5c::Either,
            session_key_with_aad: false,
            oaep_sha_256: false,
            new_session_key: false,
            rotate: false,
            kerberos: Kerberos::None,
            wrapping: Wrapping::NonMinimal,
            serial: Serial::Positive,
            membership_object: false,
            sso_nonce_rounds: 0,
            code_in_page: false,
            kmsi: false,
            require_mfa: false,
            conditional_access: None,
            device_code_permitted: true,
            join_permitted: true,
            device_quota: 50,
            federated: false,
            adfs_kdf_v2: true,
            adfs_winhello_cert: false,
            adfs_answer_kdf_v2: false,
            no_tenant: false,
            entra_alias: false,
            confusion: None,
        }
    }
}

/// Mistakes that would put somebody's key into another's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confusion {
    /// Tokens that a device has got name another device.
    Device,
    /// Tokens that a device has got are about another person of the same name.
    Person,
    /// Tokens that a device has got are of a sign-in without a second factor.
    SecondFactor,
    /// A key is registered for somebody else.
    KeyOwner,
}

/// Both call themselves A256GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerCipher {
    /// AES-CBC without authentication: what Entra answers to Windows.
    Cbc,
    /// AES-GCM: what it answers to newer clients.
    Gcm,
}

/// `expires_in` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetimes {
    /// Text from v1 endpoints, numbers from v2 ones and AD FS.
    Documented,
    /// Text from all.
    Text,
    /// Numbers from all.
    Numbers,
}

/// The header `x5c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum X5c {
    /// As Entra.
    Either,
    /// As specified.
    List,
    /// As some clients send it.
    Text,
}

/// `tgt_cloud` and `tgt_ad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kerberos {
    /// Neither.
    None,
    /// A ticket for the cloud, its key encrypted under the session key.
    Cloud,
    /// The same, its key in plain base64.
    CloudPlainKey,
    /// A ticket of each kind.
    CloudAndDirectory,
    /// A ticket for the directory, flat in the answer, and the cloud's.
    DirectoryFlat,
    /// `keyType` 0 and a reason.
    Refused,
}

/// The extensions of MS-DVRJ 3.1.5.1.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    /// `04 81 10`, as issued: a length that DER wouldn't write so.
    NonMinimal,
    /// `04 10`.
    Minimal,
    /// No octet string around the sixteen octets.
    Bare,
}

/// RFC 5280 wants it positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serial {
    /// Random.
    Positive,
    /// 0.
    Zero,
    /// With the highest bit set.
    Negative,
}

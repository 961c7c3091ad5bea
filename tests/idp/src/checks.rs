//! Everything that a strict server looks at, each with a name, so that a test can leave out exactly one and see the attack pass
//! that it stops.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What is checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check { $($(#[doc = $doc])+ $name,)+ }

        impl Check {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As `--skip` takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

checks! {
    /// The nonce came from this server.
    NonceKnown = "nonce-known",
    /// It is not older than nonces get.
    NonceInTime = "nonce-in-time",
    /// Nobody has used it before.
    NonceOnce = "nonce-once",
    /// The assertion and the request around it carry the same nonce (CVE-2023-35348).
    EqualNonces = "equal-nonces",
    /// The device certificate is one of this server's.
    DeviceKnown = "device-known",
    /// No administrator has disabled that device.
    DeviceEnabled = "device-enabled",
    /// The request is signed with the key of that certificate.
    DeviceSignature = "device-signature",
    /// The user has registered the Hello key that signs.
    KeyKnown = "key-known",
    /// It was registered from the device that uses it.
    KeyOfDevice = "key-of-device",
    /// It signed the assertion, by RS256, for use "ngc".
    AssertionSignature = "assertion-signature",
    /// The assertion is meant for this server.
    AssertionAudience = "assertion-audience",
    /// The assertion has begun and not ended.
    AssertionTimes = "assertion-times",
    /// The password is the user's.
    Password = "password",
    /// Nobody has guessed at it ten times within a minute.
    Lockout = "lockout",
    /// No administrator has disabled the user.
    UserEnabled = "user-enabled",
    /// A sign-in that has to have a second factor has one.
    SecondFactor = "second-factor",
    /// The application is known.
    ClientKnown = "client-known",
    /// The token is asked for by the application that it was given to, or by one of its family.
    ClientOfToken = "client-of-token",
    /// The redirect URI is one of that application.
    RedirectUri = "redirect-uri",
    /// What a token is asked for is known.
    ResourceKnown = "resource-known",
    /// A primary token is asked for with the scopes that it needs.
    Scopes = "scopes",
    /// The request says which version of the protocol it speaks.
    ProtocolVersion = "protocol-version",
    /// Version 2 of the key derivation.
    KdfVersion = "kdf-version",
    /// The request is authenticated with the session key of the primary token that it carries.
    SessionSignature = "session-signature",
    /// A request with times in it is neither early nor late.
    RequestTimes = "request-times",
    /// A request that names an audience means this server.
    RequestAudience = "request-audience",
    /// The refresh token is one of this server's.
    TokenKnown = "token-known",
    /// It is younger than such tokens get.
    TokenInTime = "token-in-time",
    /// Nobody has revoked it, and the password that it came from is still the password.
    TokenNotRevoked = "token-not-revoked",
    /// A code buys one answer.
    CodeOnce = "code-once",
    /// A code is younger than ten minutes.
    CodeInTime = "code-in-time",
    /// A code is redeemed by the application and with the redirect URI that it was issued for.
    CodeOfClient = "code-of-client",
    /// The verifier belongs to the challenge (RFC 7636).
    Pkce = "pkce",
    /// A page is answered with what it carried.
    Canary = "canary",
    /// The access token is signed by this server.
    BearerSignature = "bearer-signature",
    /// It has not expired.
    BearerInTime = "bearer-in-time",
    /// It is meant for the service that it is shown to.
    BearerAudience = "bearer-audience",
    /// It says from which device it was asked for.
    BearerDevice = "bearer-device",
    /// It comes from multi-factor authentication of the last ten minutes.
    FreshMfa = "fresh-mfa",
    /// The Kerberos ticket is for this server, whole, and new.
    Ticket = "ticket",
    /// It is of a computer of this domain.
    ComputerKnown = "computer-known",
    /// The device may be joined, in the way that it asks for.
    JoinPermitted = "join-permitted",
    /// The certificate request is signed with its own key.
    CsrSignature = "csr-signature",
    /// Its subject is the one that all of them have.
    CsrSubject = "csr-subject",
    /// The transport key is an RSA1 blob, to the octet.
    TransportKeyLayout = "transport-key-layout",
    /// The Hello key is an RSA1 blob, to the octet.
    HelloKeyLayout = "hello-key-layout",
    /// `Accept: application/json`, alone, where the specification demands it.
    Accept = "accept",
    /// The body is of the type that it says.
    ContentType = "content-type",
    /// The version of a device registration request is said once, and is one that exists.
    ApiVersion = "api-version",
    /// A device is deleted by itself.
    OwnDevice = "own-device",
}

impl FromStr for Check {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|check| check.name() == name)
            .ok_or(format!("there is no check {name}"))
    }
}

/// Those that are left out.
pub(crate) type Skipped = BTreeSet<Check>;

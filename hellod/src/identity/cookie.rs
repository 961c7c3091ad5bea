//! Single sign-on in a browser: the cookie, or header, `x-ms-RefreshTokenCredential` ([MS-OAPXBC] 3.2.5.2.1.1.1).

use serde::Serialize;

use super::Nonce;
use crate::jose::jws::{JwsError, Payload, session_signed};
use crate::jose::kdf::KdfVersion;
use crate::online::Hosts;
use crate::secret::{SessionKey, Token};

/// What a browser calls it.
pub const COOKIE: &str = "x-ms-RefreshTokenCredential";

/// A page of a directory's at which somebody is to be signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The nonce that the directory has sent the browser there with, where it has.
    pub nonce: Option<Nonce>,
}

impl Page {
    /// Reads the address of a page. It has to be on `host`, where people sign in: anywhere else the cookie would sign
    /// somebody else in as this person.
    #[must_use]
    pub fn parse(address: &str, host: &str) -> Option<Self> {
        let address = Hosts::parse([host]).ok()?.address(address).ok()?;
        let query = address.as_str().split_once('?').map_or("", |(_, query)| query);
        let mut nonces =
            url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "sso_nonce");
        let (nonce, another) = (nonces.next(), nonces.next());
        let nonce = nonce.map(|(_, nonce)| nonce.into_owned());
        let fits = |nonce: &String| {
            (1..=LONGEST_NONCE).contains(&nonce.len()) && nonce.bytes().all(|c| c.is_ascii_graphic())
        };
        (another.is_none() && nonce.as_ref().is_none_or(fits)).then(|| Self { nonce: nonce.map(Nonce::new) })
    }
}

/// Makes the cookie. It holds the primary token for everybody to read, which is worth nothing to them: what counts is the
/// signature with the session key, over this nonce, once and for some minutes. `ctx` is random.
///
/// # Errors
/// [`JwsError`].
pub(super) fn cookie(
    (token, key): (&Token, &SessionKey),
    kdf: KdfVersion,
    nonce: &Nonce,
    ctx: &[u8; 24],
) -> Result<Token, JwsError> {
    #[derive(Serialize)]
    struct Claims<'a> {
        refresh_token: &'a str,
        /// A text, and not a boolean.
        is_primary: &'a str,
        request_nonce: &'a str,
    }
    let claims = Claims { refresh_token: token.expose(), is_primary: "true", request_nonce: &nonce.text };
    session_signed(key, kdf, ctx, &Payload::new(&claims)?)
}

/// In octets, as of those that a directory gives out when it is asked.
const LONGEST_NONCE: usize = 4096;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::identity::entra::LOGIN;
    use crate::jose::vectors::{COOKIE_V2, CTX, session_key};

    #[test]
    fn the_cookie_is_that_of_roadlib_to_the_letter() {
        let token = Token::parse(Zeroizing::new("0.AAAA.example-PRT_value".into())).unwrap();
        let nonce = Nonce::new("AwABAAAAAAAEAOz_Example".into());
        let session = (&token, &session_key());
        let made = cookie(session, KdfVersion::V2, &nonce, CTX.try_into().unwrap()).unwrap();
        assert_eq!(made.expose(), COOKIE_V2.trim());
    }

    #[test]
    fn the_nonce_is_taken_from_the_address_to_which_the_directory_sends_the_browser() {
        let nonce = |address: &str| Page::parse(address, LOGIN).expect(address).nonce.map(|nonce| nonce.text);
        let page = "https://login.microsoftonline.com/common/oauth2/authorize?client_id=x";
        assert_eq!(nonce(page), None);
        assert_eq!(nonce(&format!("{page}&sso_nonce=AwAB-_.x&sso_reload=true")), Some("AwAB-_.x".into()));
        assert_eq!(nonce("https://LOGIN.microsoftonline.com:443/?sso_nonce=a%2Bb#x"), Some("a+b".into()));
    }

    #[test]
    fn no_other_page_gets_a_cookie() {
        let long = format!("https://login.microsoftonline.com/?sso_nonce={}", "a".repeat(4097));
        for address in [
            "",
            "http://login.microsoftonline.com/",
            "https://login.microsoftonline.com.evil.example/",
            "https://evil.example/?https://login.microsoftonline.com/",
            "https://login.microsoftonline.com@evil.example/",
            "https://alice@login.microsoftonline.com/",
            "https://login.microsoftonline.com:8443/",
            "https://enterpriseregistration.windows.net/",
            "https://login.microsoftonline.com/?sso_nonce=",
            "https://login.microsoftonline.com/?sso_nonce=a&sso_nonce=b",
            "https://login.microsoftonline.com/?sso_nonce=a%0Ab",
            "https://login.microsoftonline.com/?sso_nonce=%C3%A4",
            "javascript:alert(1)",
            &long,
        ] {
            assert_eq!(Page::parse(address, LOGIN), None, "{address:?}");
        }
    }
}

//! Tokens for applications: who may be named, and those that were fetched lately.

use std::sync::Arc;

use hello_words::{Text, tr};
use thiserror::Error;

use crate::clock::Stamp;
use crate::guid::Guid;
use crate::secret::Token;

/// An application and what it wants to use, read at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The application's id at the directory.
    pub(super) client: Guid,
    /// What its token is for, as the directory calls it.
    pub(super) resource: String,
}

/// Why there is no such application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAnApp {
    /// Its id is none.
    #[error("{CLIENT}")]
    Client,
    /// The resource is none.
    #[error("{RESOURCE}")]
    Resource,
    /// It is one that hellod keeps to itself.
    #[error("{RESERVED}")]
    Reserved,
}

impl NotAnApp {
    /// The same as `Display`.
    pub(super) const fn says(self) -> Text {
        match self {
            Self::Client => CLIENT,
            Self::Resource => RESOURCE,
            Self::Reserved => RESERVED,
        }
    }
}

impl App {
    /// Reads an id and a resource: an https, api or urn address, or an id. The ending of version 2, `/.default`, is taken off.
    ///
    /// Where the answer goes is not for a caller to say: it is always the broker's own redirect address, made of the id.
    ///
    /// # Errors
    /// [`NotAnApp`]. What registers devices and keys, and what stands for the machine itself, is reserved: with it a program
    /// of the person's would register a device of its own, and no longer need this one.
    pub fn parse(client: &str, resource: &str) -> Result<Self, NotAnApp> {
        let client = Guid::parse(client).ok_or(NotAnApp::Client)?;
        let resource = resource.strip_suffix("/.default").unwrap_or(resource);
        if !is_resource(resource) {
            return Err(NotAnApp::Resource);
        }
        let named = resource.trim_end_matches('/').to_ascii_lowercase();
        let is_reserved = RESERVED_CLIENTS.iter().any(|id| Guid::parse(id) == Some(client))
            || RESERVED_RESOURCES.iter().any(|start| named.starts_with(start));
        if is_reserved {
            return Err(NotAnApp::Reserved);
        }
        Ok(Self { client, resource: resource.to_owned() })
    }

    /// Refuses what a directory calls its Device Registration Service, for an AD FS may call it anything.
    ///
    /// # Errors
    /// [`NotAnApp::Reserved`].
    pub(super) fn is_not(&self, registration: &str) -> Result<(), NotAnApp> {
        let name = |text: &str| text.trim_end_matches("/.default").trim_end_matches('/').to_ascii_lowercase();
        if name(&self.resource) == name(registration) { Err(NotAnApp::Reserved) } else { Ok(()) }
    }
}

fn is_resource(text: &str) -> bool {
    let plain = text.len() <= LONGEST_RESOURCE
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~:/".contains(&c));
    let rest = ["https://", "api://", "urn:"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let named = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    plain && (named || Guid::parse(text).is_some())
}

/// A token for an application.
#[derive(Clone)]
pub struct AppToken {
    /// The token. Whoever has it is taken for the person.
    pub token: Arc<Token>,
    /// How long it is still good for, in seconds. No time of day: the caller's clock may be another than the directory's.
    pub left: u64,
}

/// What came of asking for an application lately. A bounded number, for one person.
#[derive(Default)]
pub(super) struct Lately(Vec<(App, Came)>);

enum Came {
    Token {
        token: Arc<Token>,
        /// Counted from before it was asked for.
        asked: Stamp,
        lifetime: u64,
    },
    Denied {
        why: Text,
        at: Stamp,
    },
}

impl Lately {
    /// What may be said again.
    pub(super) fn of(&self, app: &App, now: &Stamp) -> Option<Result<AppToken, Text>> {
        let (_, came) = self.0.iter().find(|(known, _)| known == app)?;
        came.left(now).map(|left| match came {
            Came::Token { token, .. } => Ok(AppToken { token: Arc::clone(token), left }),
            Came::Denied { why, .. } => Err(*why),
        })
    }

    /// Keeps a token that was asked for at `asked`, and says what it is.
    pub(super) fn got(
        &mut self,
        app: &App,
        token: Token,
        (asked, lifetime): (Stamp, u64),
        now: &Stamp,
    ) -> AppToken {
        let token = Arc::new(token);
        let left = lifetime.saturating_sub(now.since(&asked).as_secs());
        self.put(app, Came::Token { token: Arc::clone(&token), asked, lifetime }, now);
        AppToken { token, left }
    }

    /// Keeps a no for a minute, so that a program that asks in a loop asks nobody but hellod.
    pub(super) fn denied(&mut self, app: &App, why: Text, now: &Stamp) {
        self.put(app, Came::Denied { why, at: now.clone() }, now);
    }

    fn put(&mut self, app: &App, came: Came, now: &Stamp) {
        self.0.retain(|(known, came)| known != app && came.left(now).is_some());
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((app.clone(), came));
    }
}

impl Came {
    /// For how long it still holds, in seconds.
    fn left(&self, now: &Stamp) -> Option<u64> {
        match self {
            Self::Token { asked, lifetime, .. } => {
                let left = lifetime.saturating_sub(now.since(asked).as_secs());
                (left > MARGIN.min(lifetime / 4)).then_some(left)
            }
            Self::Denied { at, .. } => NO_HOLDS.checked_sub(now.since(at).as_secs()).filter(|left| *left > 0),
        }
    }
}

/// A token that ends sooner than this is no longer given out, in seconds: whoever gets it wants to use it.
const MARGIN: u64 = 300;
/// How long a no is repeated, in seconds.
const NO_HOLDS: u64 = 60;
/// How many applications of one person are remembered.
const MOST: usize = 32;
/// In octets. Identifier URIs of Entra have 120 at most.
const LONGEST_RESOURCE: usize = 256;

/// The Microsoft Authentication Broker, which joins devices, and the part of Windows that asks for primary tokens. hellod asks
/// in their names.
const RESERVED_CLIENTS: [&str; 2] =
    ["29d9ed98-a469-4536-ade2-f981bc1d605e", "38aa3b87-a06d-4817-b275-7a316988d93b"];
/// How the names of the Device Registration Service begin, and that of the primary token itself.
const RESERVED_RESOURCES: [&str; 4] = [
    "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9",
    "https://enterpriseregistration.",
    "urn:ms-drs:",
    "urn:aad:tb:update:prt",
];

const CLIENT: Text = tr!("an application is named by its id, such as 04b07795-8ddb-461a-bbee-02f9e1bf7b46");
const RESOURCE: Text = tr!("a resource is named by an address or an id, such as https://graph.microsoft.com");
const RESERVED: Text = tr!("tokens with which devices and keys are registered are given to nobody");

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

    fn app(resource: &str) -> App {
        App::parse(CLIENT, resource).expect(resource)
    }

    fn at(seconds: u64) -> Stamp {
        Stamp { wall: 0, uptime: seconds * 1000, boot: "a".into() }
    }

    fn token(text: &str) -> Token {
        Token::parse(Zeroizing::new(text.into())).unwrap()
    }

    #[test]
    fn what_a_directory_calls_its_registration_service_is_no_resource() {
        let app = |resource| App::parse("04b07795-8ddb-461a-bbee-02f9e1bf7b46", resource).unwrap();
        for (resource, allowed) in [
            ("urn:contoso:devices", false),
            ("urn:Contoso:Devices/", false),
            ("urn:contoso:devices/.default/.default", false),
            ("urn:contoso:mail", true),
        ] {
            assert_eq!(app(resource).is_not("urn:contoso:devices").is_ok(), allowed, "{resource}");
        }
    }

    #[test]
    fn an_application_has_an_id_and_a_resource_an_address_or_an_id() {
        for (resource, named) in [
            ("https://graph.microsoft.com", "https://graph.microsoft.com"),
            ("https://graph.microsoft.com/", "https://graph.microsoft.com/"),
            ("https://graph.microsoft.com/.default", "https://graph.microsoft.com"),
            (
                "api://0e3cb1d4-fb2c-4a8c-8f1d-d6a1b8a80f2f/.default",
                "api://0e3cb1d4-fb2c-4a8c-8f1d-d6a1b8a80f2f",
            ),
            ("urn:corp:wiki", "urn:corp:wiki"),
            ("00000003-0000-0000-c000-000000000000", "00000003-0000-0000-c000-000000000000"),
        ] {
            assert_eq!(app(resource).resource, named);
        }
        for client in
            ["", "graph", "{04b07795-8ddb-461a-bbee-02f9e1bf7b46}", "04b07795-8ddb-461a-bbee-02f9e1bf7b46 "]
        {
            assert_eq!(
                App::parse(client, "https://graph.microsoft.com"),
                Err(NotAnApp::Client),
                "{client:?}"
            );
        }
        let long = format!("https://{}", "a".repeat(249));
        for resource in [
            "",
            "graph",
            "http://graph.microsoft.com",
            "https://",
            "https:///x",
            "https://a b",
            "https://a\nb",
            "https://a?b",
            "https://a#b",
            "https://a@b",
            "https://a\"b",
            "https://\u{e4}",
            "javascript:alert",
            "urn:",
            &long,
        ] {
            assert_eq!(App::parse(CLIENT, resource), Err(NotAnApp::Resource), "{resource:?}");
        }
    }

    #[test]
    fn what_registers_devices_and_keys_is_given_to_nobody_by_any_of_its_names() {
        for resource in [
            "urn:ms-drs:enterpriseregistration.windows.net",
            "urn:MS-DRS:x",
            "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9/.default",
            "01CB2876-7EBD-4AA4-9CC9-D28BD4D359A9",
            "https://enterpriseregistration.windows.net/",
            "https://EnterpriseRegistration.windows.net",
            "urn:aad:tb:update:prt",
            "urn:aad:tb:update:prt/.default",
        ] {
            assert_eq!(App::parse(CLIENT, resource), Err(NotAnApp::Reserved), "{resource}");
        }
        for client in ["29d9ed98-a469-4536-ade2-f981bc1d605e", "38AA3B87-A06D-4817-B275-7A316988D93B"] {
            let refused = App::parse(client, "https://graph.microsoft.com");
            assert_eq!(refused, Err(NotAnApp::Reserved), "{client}");
        }
    }

    #[test]
    fn a_token_is_given_out_again_until_shortly_before_its_end() {
        let mut lately = Lately::default();
        let graph = app("https://graph.microsoft.com");
        let got = lately.got(&graph, token("one"), (at(100), 3600), &at(102));
        assert_eq!(got.left, 3598);
        let again = lately.of(&graph, &at(100 + 3299)).unwrap().ok().unwrap();
        assert_eq!((again.token.expose(), again.left), ("one", 301));
        assert!(lately.of(&graph, &at(100 + 3300)).is_none());
        assert!(lately.of(&app("https://graph.windows.net"), &at(102)).is_none());
        // Of one that is short from the start, a quarter is left for its use.
        lately.got(&graph, token("two"), (at(0), 60), &at(0));
        assert!(lately.of(&graph, &at(44)).is_some() && lately.of(&graph, &at(45)).is_none());
    }

    #[test]
    fn a_no_holds_for_a_minute() {
        let mut lately = Lately::default();
        let graph = app("https://graph.microsoft.com");
        lately.denied(&graph, RESERVED, &at(0));
        assert!(matches!(lately.of(&graph, &at(59)), Some(Err(RESERVED))));
        assert!(lately.of(&graph, &at(60)).is_none());
    }

    #[test]
    fn many_applications_take_no_more_room_than_some() {
        let mut lately = Lately::default();
        for number in 0..1000 {
            lately.got(&app(&format!("urn:app:{number}")), token("t"), (at(0), 3600), &at(0));
        }
        assert_eq!(lately.0.len(), MOST);
        assert!(
            lately.of(&app("urn:app:999"), &at(0)).is_some()
                && lately.of(&app("urn:app:0"), &at(0)).is_none()
        );
    }
}

//! Computers of the domain sign in to AD FS with a Kerberos ticket: one of a real KDC, that curl brings.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use hello_idp::{Idp, Kdc, Options};
use serde_json::json;
use support::web::{Client, Response};
use support::{BROKER, PASSWORD, UPN, refused_by};

#[test]
fn a_computer_with_a_ticket_gets_a_token_with_which_it_is_registered() {
    let scene = Scene::new();
    let said = scene.curl("LAB$");
    assert_eq!(said.status, 302, "{}", said.said);
    let to =
        said.location.strip_prefix(&format!("{REDIRECT}?code=")).unwrap_or_else(|| panic!("{}", said.said));
    let (code, state) = to.split_once('&').unwrap();
    assert_eq!(state, "state=mine");
    let form = [
        ("client_id", BROKER),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
    ];
    let tokens = scene.client.form(STS, "/adfs/oauth2/token/", &form).object();
    let claims = support::claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(claims["upn"], "LAB$@corp.example");
    assert_eq!(claims["http://schemas.microsoft.com/ws/2012/01/accounttype"], "DJ");
    assert!(claims["primarysid"].as_str().unwrap().starts_with("S-1-5-21-"), "{claims}");
}

#[test]
fn a_ticket_is_taken_once_and_from_computers_of_the_domain_alone() {
    let scene = Scene::new();
    let said = scene.curl("LAB$");
    let again = scene.get(&[("Authorization", &said.authorization)]);
    assert_eq!(again.status, 401, "{}", again.text());
    assert_eq!(refused_by(&scene.idp).as_deref(), Some("ticket"));
    for stranger in ["OTHER$", "dora"] {
        assert_eq!(scene.curl(stranger).status, 401);
        assert_eq!(refused_by(&scene.idp).as_deref(), Some("computer-known"), "{stranger}");
    }
}

#[test]
fn a_ticket_under_another_key_of_the_service_is_worth_nothing() {
    let scene = Scene::new();
    // The same names, the same numbers of keys, another domain.
    let other = Kdc::start(&[]).unwrap();
    let idp = Scene::idp(&other.keytab(SERVICE).unwrap());
    assert_eq!(scene.curl_at(&idp, "LAB$").status, 401);
    assert_eq!(refused_by(&idp).as_deref(), Some("ticket"));
    assert_eq!(scene.curl("LAB$").status, 302, "of its own domain it is taken");
}

#[test]
fn whoever_does_not_look_like_a_browser_of_the_domain_is_asked_for_a_password() {
    let scene = Scene::new();
    let form = |agent: &str, more: &str| {
        scene.client.get(STS, &format!("/adfs/oauth2/authorize/?{}{more}", query()), &[("User-Agent", agent)])
    };
    assert!(form("curl/7.88", "").text().contains(r#"name="Password""#));
    assert!(form(IN_DOMAIN, "&prompt=login").text().contains(r#"name="Password""#));
    let page = form(IN_DOMAIN, "");
    assert!(
        page.header("location").unwrap().starts_with("https://sts.corp.example/adfs/oauth2/authorize/wia?")
    );
    let asked = scene.get(&[]);
    assert_eq!((asked.status, asked.header("www-authenticate")), (401, Some("Negotiate")));
}

struct Scene {
    kdc: Kdc,
    idp: Idp,
    client: Client,
}

/// What came of it.
struct Said {
    status: u16,
    location: String,
    authorization: String,
    said: String,
}

impl Scene {
    fn new() -> Self {
        let kdc = Kdc::start(&[]).unwrap();
        let idp = Self::idp(&kdc.keytab(SERVICE).unwrap());
        let client = Client::of(&idp);
        Self { kdc, idp, client }
    }

    fn idp(keytab: &Path) -> Idp {
        let keytab = Some(keytab.to_owned());
        let idp = Idp::start(&Options { keytab, seed: 11, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) });
        let idp = idp.unwrap();
        idp.create_user(UPN, PASSWORD, true).unwrap();
        idp.order(&json!({"do": "create-computer", "name": "LAB"})).unwrap();
        idp
    }

    fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.client.get(STS, &format!("/adfs/oauth2/authorize/wia?{}", query()), headers)
    }

    fn curl(&self, principal: &str) -> Said {
        self.curl_at(&self.idp, principal)
    }

    fn curl_at(&self, idp: &Idp, principal: &str) -> Said {
        let keytab = self.kdc.keytab(principal).unwrap();
        let output = Command::new("curl")
            .env("KRB5_CONFIG", self.kdc.config())
            .env("KRB5_CLIENT_KTNAME", keytab)
            .env("KRB5CCNAME", "MEMORY:")
            .args([
                "--silent",
                "--verbose",
                "--negotiate",
                "--user",
                ":",
                "--user-agent",
                IN_DOMAIN,
                "--cacert",
            ])
            .arg(idp.ca())
            .args(["--connect-to", &format!("::127.0.0.1:{}", idp.port())])
            .args(["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"])
            .arg(format!("https://{STS}/adfs/oauth2/authorize/wia?{}", query()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, location) = printed.split_once(' ').unwrap_or_else(|| panic!("{said}"));
        let sent = said.lines().find_map(|line| line.strip_prefix("> Authorization: "));
        let authorization = sent.unwrap_or_else(|| panic!("{said}")).trim().to_owned();
        Said { status: status.parse().unwrap(), location: location.to_owned(), authorization, said }
    }
}

fn query() -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", BROKER),
            ("redirect_uri", REDIRECT),
            ("resource", "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A"),
            ("state", "mine"),
        ])
        .finish()
}

const STS: &str = "sts.corp.example";
const SERVICE: &str = "HTTP/sts.corp.example";
const REDIRECT: &str = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
const IN_DOMAIN: &str = "MSAuthHost/1.0/In-Domain";

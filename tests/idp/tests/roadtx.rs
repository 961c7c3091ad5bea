//! roadtx, an independent client, walks its whole list unchanged: what it needs, the stand-in serves; what it does wrong, it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hello_idp::{Check, Idp, Options};
use serde_json::{Value, json};
use support::browser::{Browser, authorize};
use support::{BROKER, PASSWORD, REGISTRATION, UPN};

#[test]
fn roadtx_walks_its_whole_list() {
    // It sends two nonces where the specification wants one (CVE-2023-35348).
    let skip = vec![Check::EqualNonces];
    let idp =
        Idp::start(&Options { skip, seed: 7, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) }).unwrap();
    idp.create_user(UPN, PASSWORD, true).unwrap();
    let road = Road::new(&idp);
    let user = ["-u", UPN, "-p", PASSWORD];
    let device = ["-c", "desk.pem", "-k", "desk.key"];

    road.does(&["gettokens", "-c", BROKER, "-r", REGISTRATION], &user, "Tokens were written");
    road.does(&["device", "-a", "join", "-n", "desk"], &device, "Saved device certificate");
    road.does(&["prt", "-f", "password.prt"], &[user, device].concat(), "Obtained session key");
    road.does(
        &["prtauth", "-f", "password.prt", "-c", BROKER, "-r", REGISTRATION],
        &[],
        "Tokens were written",
    );
    // No second factor was ever asked for.
    road.does(&["winhello", "-k", "hello.key"], &[], "fresh multi-factor authentication");

    road.signs_in_with_a_second_factor();
    road.does(&["prt", "-r", "file", "-f", "fresh.prt"], &device, "Obtained session key");
    road.does(&["prtauth", "-f", "fresh.prt", "-c", BROKER, "-r", REGISTRATION], &[], "Tokens were written");
    road.does(&["winhello", "-k", "hello.key"], &[], "'kid': ");
    let with_key = [&["-u", UPN, "-hk", "hello.key"], &device[..]].concat();
    road.does(&["prt", "-f", "hello.prt"], &with_key, "Obtained session key");

    let renewed = ["prt", "-a", "renew", "-f", "hello.prt"];
    road.does(&renewed, &[], "Saved PRT");
    idp.switch(&json!({"answer_cipher": "gcm"})).unwrap();
    road.does(&renewed, &[], "Saved PRT");
    road.does(&["prtauth", "-f", "hello.prt", "-c", "azcli", "-r", "msgraph"], &[], "Tokens were written");
    road.does(
        &["prtauth", "-v3", "-f", "hello.prt", "-c", "azcli"],
        &["-s", "https://graph.microsoft.com/.default openid offline_access"],
        "Tokens were written",
    );
    road.does(&["prt", "-a", "renew", "-v3", "-f", "hello.prt"], &[], "Saved PRT");

    let said = road.does(&["prtcookie", "-f", "hello.prt"], &[], "PRT cookie: ");
    let cookie = said.lines().find_map(|line| line.strip_prefix("PRT cookie: ")).unwrap();
    road.does(&["gettokens", "--prt-cookie", cookie, "-r", "msgraph"], &[], "Tokens were written");
    road.does(&["refreshtokento", "-r", "azrm", "-c", "azcli"], &[], "Tokens were written");
    road.does(
        &["gettokens", "-r", "msgraph", "--prt", &road.member("hello.prt", "refresh_token")],
        &["--prt-sessionkey", &road.member("hello.prt", "session_key")],
        "Tokens were written",
    );
    road.does(&["device", "-a", "delete"], &device, "Device was deleted");
}

#[test]
fn what_roadtx_does_wrong_is_refused() {
    let skip = vec![Check::EqualNonces];
    let idp = Idp::start(&Options { skip, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) }).unwrap();
    idp.create_user(UPN, PASSWORD, true).unwrap();
    let road = Road::new(&idp);
    let user = ["-u", UPN, "-p", PASSWORD];
    let device = ["-c", "desk.pem", "-k", "desk.key"];
    road.does(&["gettokens", "-c", BROKER, "-r", REGISTRATION, "-u", UPN, "-p", "wrong"], &[], "AADSTS50126");
    road.signs_in_with_a_second_factor();
    road.does(&["device", "-a", "join", "-n", "desk"], &device, "Saved device certificate");
    road.does(&["prt", "-r", "file", "-f", "my.prt"], &device, "Obtained session key");
    road.does(&["prtauth", "-f", "my.prt", "-c", BROKER, "-r", REGISTRATION], &[], "Tokens were written");
    road.does(&["winhello", "-k", "hello.key"], &[], "'kid': ");

    let hello = ["prt", "-u", UPN, "-hk", "hello.key", "-f", "x.prt"];
    // The specification's own words about two nonces.
    idp.enforce(Check::EqualNonces).unwrap();
    road.does(&hello, &device, "AADSTS50027: The nonces differ.");
    idp.skip(Check::EqualNonces).unwrap();
    idp.switch(&json!({"nonce_seconds": -1})).unwrap();
    road.does(&hello, &device, "AADSTS50027: The nonce has expired.");
    idp.switch(&json!({"nonce_seconds": 300})).unwrap();
    // It makes the key before it is told that there is no registering it.
    idp.switch(&json!({"fresh_mfa_seconds": -1})).unwrap();
    road.does(&["winhello", "-k", "other.key"], &[], "fresh multi-factor authentication");
    road.does(&["prt", "-u", UPN, "-hk", "other.key", "-f", "x.prt"], &device, "AADSTS130004");
    road.does(&["prt", "-f", "x.prt", "-c", "desk.pem", "-k", "other.key"], &user, "AADSTS50013");
    // Version 1 of the key derivation, in a cookie: ignored, as if there were none.
    let prt = [
        "--prt",
        &road.member("my.prt", "refresh_token"),
        "--prt-sessionkey",
        &road.member("my.prt", "session_key"),
    ];
    road.does(&["gettokens", "-r", "msgraph", "--kdf-v1"], &prt, "No authentication code was returned");
    let log = idp.order(&json!({"do": "requests"})).unwrap();
    assert_eq!(log.as_array().unwrap().last().unwrap()["check"], "kdf-version");
    idp.skip(Check::KdfVersion).unwrap();
    road.does(&["gettokens", "-r", "msgraph", "--kdf-v1"], &prt, "Tokens were written");

    let id = idp.order(&json!({"do": "dump"})).unwrap()["devices"][0]["id"].clone();
    idp.order(&json!({"do": "enable-device", "id": id, "enabled": false})).unwrap();
    road.does(&hello, &device, "AADSTS135011");
    road.does(&["prt", "-a", "renew", "-f", "my.prt"], &[], "AADSTS135011");
    idp.order(&json!({"do": "enable-device", "id": id, "enabled": true})).unwrap();
    idp.order(&json!({"do": "revoke", "upn": UPN})).unwrap();
    road.does(&["prt", "-a", "renew", "-f", "my.prt"], &[], "AADSTS50173");
    idp.order(&json!({"do": "delete-device", "id": id})).unwrap();
    road.does(&hello, &device, "AADSTS700003");
    road.does(&["device", "-a", "delete"], &device, "Error deleting device");
}

/// roadtx with a directory of its own, behind the proxy.
struct Road<'a> {
    idp: &'a Idp,
    program: PathBuf,
    directory: PathBuf,
}

impl<'a> Road<'a> {
    fn new(idp: &'a Idp) -> Self {
        let directory = idp.ca().with_file_name("road");
        fs::create_dir(&directory).unwrap();
        Self { idp, program: installed(), directory }
    }

    /// Runs one command, which shall say that.
    #[track_caller]
    fn does(&self, command: &[&str], more: &[&str], says: &str) -> String {
        let proxy = format!("127.0.0.1:{}", self.idp.proxy_port());
        let mut road = Command::new(&self.program);
        road.args(["-p", &proxy, "-s"]).args(command).args(more).current_dir(&self.directory);
        // Deleting a device goes by the environment alone.
        road.env_clear()
            .env("REQUESTS_CA_BUNDLE", self.idp.ca())
            .env("HTTPS_PROXY", format!("http://{proxy}"));
        let output = road.output().unwrap();
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let log = self.idp.order(&json!({"do": "requests"})).unwrap();
        let last = log.as_array().unwrap().last().cloned().unwrap_or_default();
        assert!(
            said.contains(says),
            "{command:?} should have said {says:?}, and said: {said}\nlast request: {last}"
        );
        said
    }

    /// A person with a browser, in place of the one that roadtx would steer: `prtenrich` without Selenium.
    fn signs_in_with_a_second_factor(&self) {
        let redirect = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
        let arrived = Browser::new(self.idp).open(&authorize(
            false,
            &[
                ("response_type", "code"),
                ("client_id", BROKER),
                ("redirect_uri", redirect),
                ("resource", "urn:aad:tb:update:prt"),
                ("amr_values", "ngcmfa"),
            ],
        ));
        assert_eq!(arrived.pages, ["ConvergedSignIn", "ConvergedTFA"]);
        let code = arrived.parameter("code").unwrap();
        self.does(
            &["codeauth", "-c", BROKER, "-r", REGISTRATION, "-ru", redirect, &code],
            &[],
            "Tokens were written",
        );
    }

    /// A member of a file that it wrote.
    fn member(&self, file: &str, name: &str) -> String {
        let text = fs::read_to_string(self.directory.join(file)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[name].as_str().unwrap().to_owned()
    }
}

/// In a virtual environment below the build directory, made once and for each list of versions.
fn installed() -> PathBuf {
    static INSTALLED: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("requirements.txt");
            let wanted = fs::read_to_string(&requirements).unwrap();
            let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
            let room = target.join("roadtx");
            let made = room.join("requirements.txt");
            if fs::read_to_string(&made).unwrap_or_default() != wanted {
                let run = |program: &Path, arguments: &[&str]| {
                    let output =
                        Command::new(program).args(arguments).output().expect("python3 with venv is needed");
                    assert!(
                        output.status.success(),
                        "{program:?}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                };
                run(Path::new("python3"), &["-m", "venv", "--clear", room.to_str().unwrap()]);
                run(&room.join("bin/pip"), &["install", "--quiet", "-r", requirements.to_str().unwrap()]);
                fs::write(made, wanted).unwrap();
            }
            room.join("bin/roadtx")
        })
        .clone()
}

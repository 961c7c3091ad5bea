//! For tests of other parts: starts a stand-in, gives it orders, and ends it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::checks::Check;

/// How a stand-in starts.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program `hello-idp`.
    pub binary: PathBuf,
    /// What stands before the program on its command line, such as nsenter(1) with what it is to enter.
    pub within: Vec<String>,
    /// See [`crate::Arguments::seed`].
    pub seed: u64,
    /// Another domain than `corp.example`.
    pub domain: Option<String>,
    /// Checks that are left out.
    pub skip: Vec<Check>,
    /// The keys with which AD FS opens Kerberos tickets, where it takes any.
    pub keytab: Option<PathBuf>,
    /// Switches that differ, as a JSON object; null changes none.
    pub switches: Value,
}

impl Options {
    /// Everything as it is at first.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), ..Self::default() }
    }
}

/// Why there is none, or why it didn't do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine refused something.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// It ended, or said something else than that it is ready.
    #[error("{0} did not start; it said {1:?}")]
    NotReady(PathBuf, String),
    /// It refused an order.
    #[error("the order {0} failed: {1}")]
    Order(Value, String),
}

/// One that runs, until it is dropped.
pub struct Idp {
    child: Child,
    directory: PathBuf,
    port: u16,
    proxy: u16,
}

impl Idp {
    /// Starts it, with its proxy, and waits until it answers.
    ///
    /// # Errors
    /// When the program can't be started or doesn't come up.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hello-idp-{}-{number}", std::process::id()));
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move |error| StartError::Io(what, error)
        };
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(failed(&directory))?;
        let switches = if options.switches.is_null() { json!({}) } else { options.switches.clone() };
        let mut words = options.within.iter().map(AsRef::as_ref).chain([options.binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("--control")
            .arg(directory.join("control"))
            .arg("--ca")
            .arg(directory.join("ca.pem"));
        command.args(["--proxy", "--until-stdin-closes", "--seed", &options.seed.to_string()]);
        command.args(["--switches", &switches.to_string()]);
        if let Some(domain) = &options.domain {
            command.args(["--domain", domain]);
        }
        if let Some(keytab) = &options.keytab {
            command.env("KRB5_KTNAME", keytab);
        }
        for check in &options.skip {
            command.args(["--skip", check.name()]);
        }
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed(&options.binary))?;
        let mut idp = Self { child, directory, port: 0, proxy: 0 };
        let mut line = String::new();
        if let Some(stdout) = idp.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed(&options.binary))?;
        }
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let port = |name: &str| ready[name].as_u64().and_then(|port| u16::try_from(port).ok());
        match (port("port"), port("proxy")) {
            (Some(port), Some(proxy)) => (idp.port, idp.proxy) = (port, proxy),
            _ => return Err(StartError::NotReady(options.binary.clone(), line)),
        }
        Ok(idp)
    }

    /// Where it listens for TLS, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where a proxy listens that takes every host here.
    #[must_use]
    pub fn proxy_port(&self) -> u16 {
        self.proxy
    }

    /// The authority to trust, as PEM.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The socket for orders, for those who give them in another language.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("control")
    }

    /// Gives an order; README.md lists them.
    ///
    /// # Errors
    /// When it is refused.
    pub fn order(&self, order: &Value) -> Result<Value, StartError> {
        let socket = self.control_socket();
        let talk = || -> io::Result<String> {
            let mut stream = UnixStream::connect(&socket)?;
            writeln!(stream, "{order}")?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(line)
        };
        let line = talk().map_err(|error| StartError::Io(socket.display().to_string(), error))?;
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        match (answer.get("ok"), answer["error"].as_str()) {
            (Some(ok), _) => Ok(ok.clone()),
            (None, error) => Err(StartError::Order(order.clone(), error.unwrap_or("it hung up").to_owned())),
        }
    }

    /// Leaves a check out from now on.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn skip(&self, check: Check) -> Result<(), StartError> {
        self.order(&json!({"do": "skip", "check": check.name()})).map(drop)
    }

    /// Makes a check again.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn enforce(&self, check: Check) -> Result<(), StartError> {
        self.order(&json!({"do": "enforce", "check": check.name()})).map(drop)
    }

    /// Changes switches, by a JSON object of those that shall differ.
    ///
    /// # Errors
    /// When one of them doesn't exist.
    pub fn switch(&self, set: &Value) -> Result<(), StartError> {
        self.order(&json!({"do": "switch", "set": set})).map(drop)
    }

    /// Moves its clock.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn advance(&self, seconds: i64) -> Result<(), StartError> {
        self.order(&json!({"do": "clock-advance", "seconds": seconds})).map(drop)
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn create_user(&self, upn: &str, password: &str, second_factor: bool) -> Result<(), StartError> {
        self.order(
            &json!({"do": "create-user", "upn": upn, "password": password, "second_factor": second_factor}),
        )
        .map(drop)
    }
}

impl Idp {
    /// What was asked of it, and which check refused it; the oldest first.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn requests(&self) -> Result<Vec<Value>, StartError> {
        let log = self.order(&json!({"do": "requests"}))?;
        Ok(log.as_array().cloned().unwrap_or_default())
    }

    /// What was last sent to somebody's telephone.
    ///
    /// # Errors
    /// When nothing was.
    pub fn second_factor_code(&self, upn: &str) -> Result<String, StartError> {
        let code = self.order(&json!({"do": "second-factor-code", "upn": upn}))?;
        Ok(code.as_str().unwrap_or("").to_owned())
    }

    /// As if that person had typed the code that a device shows and signed in, with a second factor or without.
    ///
    /// # Errors
    /// When no such code waits.
    pub fn approve_device_code(&self, user_code: &str, upn: &str, mfa: bool) -> Result<(), StartError> {
        self.order(&json!({"do": "approve-device-code", "user_code": user_code, "upn": upn, "mfa": mfa}))
            .map(drop)
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

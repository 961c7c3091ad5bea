//! A real key distribution centre for the organisation's domain, MIT's: for computers that sign in by Kerberos.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// One that runs, until it is dropped.
pub struct Kdc {
    child: Child,
    directory: PathBuf,
}

impl Kdc {
    /// The realm of `corp.example`.
    pub const REALM: &str = "CORP.EXAMPLE";

    /// Starts it on a port of 127.0.0.1. `within` stands before the program on its command line, such as nsenter(1) with what it
    /// is to enter. It knows nobody yet.
    ///
    /// # Errors
    /// When its programs are missing (krb5-kdc, krb5-admin-server) or it doesn't come up.
    pub fn start(within: &[String]) -> io::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hello-kdc-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let here = directory.display();
        let realm = Self::REALM;
        fs::write(
            directory.join("krb5.conf"),
            format!(
                "[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n\
                 [realms]\n{realm} = {{\n kdc = 127.0.0.1:{port}\n}}\n[domain_realm]\n.corp.example = {realm}\n"
            ),
        )?;
        fs::write(
            directory.join("kdc.conf"),
            format!(
                "[realms]\n{realm} = {{\n database_name = {here}/principal\n key_stash_file = {here}/stash\n \
                 acl_file = {here}/acl\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n}}\n\
                 [logging]\nkdc = FILE:{here}/log\n"
            ),
        )?;
        run(Self::command("kdb5_util", &directory).args(["-r", realm, "create", "-s", "-P", "master"]))?;
        let mut words =
            within.iter().map(String::as_str).chain(["setpriv", "--pdeathsig", "KILL", "krb5kdc", "-n"]);
        let mut command = Self::command(words.next().unwrap_or_default(), &directory);
        let mut child = command.args(words).stderr(Stdio::piped()).spawn()?;
        // It says so when it listens.
        let mut line = String::new();
        if let Some(stderr) = child.stderr.take() {
            BufReader::new(stderr).read_line(&mut line)?;
        }
        let kdc = Self { child, directory };
        if line.contains("starting") { Ok(kdc) } else { Err(io::Error::other(line)) }
    }

    /// A keytab with fresh keys of one principal, who is made where there was none. Keys that were given out before open nothing
    /// any more.
    ///
    /// # Errors
    /// When kadmin.local refuses.
    pub fn keytab(&self, principal: &str) -> io::Result<PathBuf> {
        let file = self.directory.join(format!("{}.keytab", principal.replace('/', "_")));
        let _ = fs::remove_file(&file);
        // There may be one already.
        let _ = self.kadmin(&format!("addprinc -randkey {principal}"));
        self.kadmin(&format!("ktadd -k {} {principal}", file.display()))?;
        Ok(file)
    }

    /// What clients know it by (krb5.conf(5)).
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("krb5.conf")
    }

    fn kadmin(&self, query: &str) -> io::Result<()> {
        run(Self::command("kadmin.local", &self.directory).args(["-r", Self::REALM, "-q", query]))
    }

    fn command(program: &str, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", directory.join("krb5.conf"));
        command.env("KRB5_KDC_PROFILE", directory.join("kdc.conf"));
        command
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&said).into_owned()))
    }
}

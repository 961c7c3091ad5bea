//! Somebody on the system bus of a laboratory who does what the test tells.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::lab::as_user;
use crate::namespace::Namespace;
use crate::running::Running;

/// A connection to the system bus that belongs to a process of the person. It ends when dropped.
///
/// Arguments of calls are objects with one key, the D-Bus type: `{"s": "text"}`, `{"u": 1}`, `{"b": true}`, `{"t": 2}`, `{"o": "/"}`,
/// `{"a{ss}": {"name": "value"}}`, and `{"()": [{"u": 1}, {"s": "text"}]}` for a structure of such; `{"ay": 1000}` is that many
/// octets, `{"h": "text"}` the read end of a pipe with the text in it, and
/// `{"w": null}` the write end of one from which nobody reads.
/// In answers a descriptor appears as `{"fd": 3}`, and [`Peer::write_to`] takes that number.
#[derive(Debug)]
pub struct Peer {
    // The streams go first: their end tells the program to end.
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// The unique name on the bus.
    name: String,
    program: Running,
}

impl Peer {
    #[track_caller]
    pub(crate) fn connect(namespace: &Arc<Namespace>, user: &str) -> Self {
        let mut command = namespace.command();
        command.args(as_user(user, [PROGRAM])).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Running::spawn(namespace, &mut command);
        let stdin = program.streams().stdin.take().expect("it is piped");
        let stdout = BufReader::new(program.streams().stdout.take().expect("it is piped"));
        let mut peer = Self { stdin, stdout, name: String::new(), program };
        let hello = peer.answer();
        peer.name =
            hello["name"].as_str().unwrap_or_else(|| panic!("no connection to the bus: {hello}")).to_owned();
        peer
    }

    /// Calls a method: `call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId", json!([]))`.
    ///
    /// The answer is a list, or the name of the D-Bus error and its text.
    #[track_caller]
    pub fn call(
        &mut self,
        to: &str,
        path: &str,
        method: &str,
        arguments: Value,
    ) -> Result<Value, (String, String)> {
        let answer = self.tell(&json!({ "call": method, "to": to, "path": path, "arguments": arguments }));
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        if answer["error"].is_string() {
            Err((text("error"), text("message")))
        } else {
            Ok(answer["reply"].clone())
        }
    }

    /// Writes to a descriptor that an answer carried, and closes it.
    #[track_caller]
    pub fn write_to(&mut self, descriptor: &Value, bytes: &[u8]) {
        let answer = self.tell(&json!({ "write": descriptor["fd"], "bytes": bytes }));
        assert!(answer["error"].is_null(), "can't write: {answer}");
    }

    /// The unique name on the bus.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that holds the connection.
    pub fn program(&mut self) -> &mut Running {
        &mut self.program
    }

    /// Anything else that hello-peer can do; see there.
    #[track_caller]
    pub fn order(&mut self, order: Value) -> Value {
        self.tell(&order)
    }

    #[track_caller]
    fn tell(&mut self, order: &Value) -> Value {
        writeln!(self.stdin, "{order}").expect("the peer reads");
        self.answer()
    }

    #[track_caller]
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the peer writes lines");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the peer said {line:?}: {error}"))
    }
}

/// Where the laboratory shows the program.
pub(crate) const PROGRAM: &str = "/usr/libexec/hello-lab/hello-peer";

//! Asking people, by polkit, to prove who they are with the account's password.

#![allow(clippy::too_many_arguments, reason = "polkit's own method has five, beside self")]

use std::collections::HashMap;
use std::time::Duration;

use zbus::{Connection, Variant, proxy};

use crate::caller::Caller;
use crate::parts::{Action, NoProof, Proof, Prover};

/// polkit's authority, on the system bus.
#[derive(Debug, Clone)]
pub struct Polkit {
    connection: Connection,
}

impl Polkit {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    async fn ask(&self, caller: &Caller, action: Action) -> Result<(), NoProof> {
        let authority = AuthorityProxy::new(&self.connection).await.map_err(|_| NoProof::Unreachable)?;
        // The subject is the connection, not its process: numbers of processes are used again.
        let name = HashMap::from([("name", Variant::from(caller.bus_name.as_str()))]);
        let subject = ("system-bus-name", name);
        let cancellation = format!("hellod-{}", caller.bus_name);
        let check = authority.check_authorization(
            &subject,
            action_id(action),
            HashMap::new(),
            ALLOW_USER_INTERACTION,
            &cancellation,
        );
        let Ok(answer) = tokio::time::timeout(PATIENCE, check).await else {
            // Whether it could be called off makes no difference to the answer.
            let _ = authority.cancel_check_authorization(&cancellation).await;
            return Err(NoProof::Refused);
        };
        match answer.map_err(|_| NoProof::Unreachable)? {
            (true, _, _) => Ok(()),
            (false, true, _) => Err(NoProof::NobodyAsks),
            (false, false, _) => Err(NoProof::Refused),
        }
    }
}

impl Prover for Polkit {
    fn prove<'a>(&'a self, caller: &'a Caller, action: Action) -> Proof<'a> {
        Box::pin(self.ask(caller, action))
    }
}

fn action_id(action: Action) -> &'static str {
    match action {
        Action::Enroll => "org.hellod.hello1.enroll",
        Action::Reset => "org.hellod.hello1.reset",
        Action::Unenroll => "org.hellod.hello1.unenroll",
        Action::KeepPassword => "org.hellod.hello1.keep-password",
        Action::Finger => "org.hellod.hello1.finger",
    }
}

#[proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Variant<'_>>),
        action_id: &str,
        details: HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;

    fn cancel_check_authorization(&self, cancellation_id: &str) -> zbus::Result<()>;
}

/// `AllowUserInteraction`: the agent of the caller's session may ask.
const ALLOW_USER_INTERACTION: u32 = 1;

/// How long a person may take to type the password.
const PATIENCE: Duration = Duration::from_secs(120);

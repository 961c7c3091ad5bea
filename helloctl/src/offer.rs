//! The offer of a PIN on a desktop: a notification of the session's own kind, whose button opens a terminal in which
//! `helloctl enroll` runs, or `helloctl reset` for whoever could not sign in with the PIN that they have, or `helloctl pin change` where
//! it is to be another. It is started with the session; where there is nothing to offer, it is gone at once.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use futures_util::StreamExt as _;
use hello_dbus::client::Wish;
use hello_dbus::{Answer, Step, Unreachable};
use hello_words::tr;
use zbus::{Connection, Variant};

use crate::commands::reach;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::plain;

/// Desktop Notifications Specification 1.2.
#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    #[allow(clippy::too_many_arguments, reason = "the specification has as many")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// What the person does with the notification.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    SetUp,
    Later,
    /// It was closed, and says nothing: it comes again with the next session.
    Nothing,
}

/// Shows the offer, if there is one, and does what the person wishes.
pub(crate) async fn run() -> Result<Exit, Failure> {
    // Where no login asks for a PIN, one would be good for nothing much.
    if !std::fs::read_to_string(COMMON_AUTH).is_ok_and(|stack| stack.contains("pam_hello.so")) {
        return Ok(Exit::Done);
    }
    let Some(offered) = ask(None).await? else { return Ok(Exit::Done) };
    match shown(&offered).await.map_err(Failure::Desktop)? {
        Chosen::SetUp => open_terminal(offered.command),
        Chosen::Later => ask(Some(offered.command)).await.map(|_| Exit::Done),
        Chosen::Nothing => Ok(Exit::Done),
    }
}

/// What hellod has to say, and the command that does it.
struct Offered {
    body: String,
    command: &'static str,
}

/// What hellod has to say, if it has something to offer. A no is said to the offer of that command, and to no other that has come
/// in its place.
async fn ask(no_to: Option<&str>) -> Result<Option<Offered>, Failure> {
    let hellod = reach().await?.patient();
    let asked = async {
        let (conversation, mut step) = hellod.wish(Wish::Offer, "").await?;
        while matches!(step, Step::Wait) {
            step = conversation.answer(Answer::Continue).await?;
        }
        let Step::Prompt(prompt) = step else { return Ok(None) };
        let command = COMMANDS.into_iter().find(|command| prompt.text.ends_with(command));
        if no_to.is_some() && no_to == command {
            conversation.answer(Answer::Text("no".to_owned())).await?;
        } else {
            // It may stand on the screen for hours, and nobody waits for that.
            conversation.cancel().await?;
        }
        Ok::<_, Unreachable>(command.map(|command| Offered { body: prompt.text, command }))
    };
    let asked = asked.await;
    hellod.leave().await;
    Ok(asked?)
}

async fn shown(Offered { body, command }: &Offered) -> zbus::Result<Chosen> {
    let session = Connection::session().await?;
    let notifications = NotificationsProxy::new(&session).await?;
    let mut invoked = notifications.receive_action_invoked().await?;
    let mut closed = notifications.receive_notification_closed().await?;
    let hints = HashMap::from([("urgency", Variant::U8(1)), ("desktop-entry", Variant::from("hello-offer"))]);
    let body = joined(&plain(body));
    let (summary, now) = match *command {
        ENROLL => (tr!("A PIN for this computer"), tr!("Set it up")),
        _ => (tr!("Your PIN for this computer"), tr!("Choose a new one")),
    };
    let (summary, now, later) = (summary.to_string(), now.to_string(), tr!("Not now").to_string());
    // Key and label of each; a click on the notification itself is the first.
    let actions = ["default", now.as_str(), LATER, later.as_str(), "enroll", now.as_str()];
    let shown =
        notifications.notify("Hello", 0, "dialog-password", &summary, &body, &actions, hints, STAYS).await?;
    loop {
        tokio::select! {
            Some(signal) = invoked.next() => {
                let signal = signal.args()?;
                match signal.action_key {
                    _ if signal.id != shown => {}
                    key if key == LATER => return Ok(Chosen::Later),
                    _ => return Ok(Chosen::SetUp),
                }
            }
            Some(signal) = closed.next() => if signal.args()?.id == shown { return Ok(Chosen::Nothing) },
            // The session is over.
            else => return Ok(Chosen::Nothing),
        }
    }
}

/// The first terminal that there is, by the names under which desktops and Debian know theirs.
fn open_terminal(run: &str) -> Result<Exit, Failure> {
    let run = format!("{run}; printf '\\n%s' \"$1\"; read -r _");
    // What it has said should be read before its window goes.
    let then = tr!("Press Enter to close this window. ").to_string();
    for (program, before) in TERMINALS {
        let mut command = Command::new(program);
        command.args(*before).args(["sh", "-c", &run, "sh", &then]);
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if streams.spawn().is_ok() {
            return Ok(Exit::Done);
        }
    }
    Err(Failure::NoTerminal)
}

/// A notification breaks lines by itself. The last one has the command, which somebody may want to read off it.
fn joined(body: &str) -> String {
    let (text, command) = body.rsplit_once('\n').unwrap_or(("", body));
    format!("{}\n{command}", text.replace('\n', " "))
}

/// What hellod speaks of at the end of its text. A button runs nothing else.
const COMMANDS: [&str; 3] = [ENROLL, "helloctl reset", "helloctl pin change"];
const ENROLL: &str = "helloctl enroll";
/// What logins ask, in Debian.
const COMMON_AUTH: &str = "/etc/pam.d/common-auth";
const LATER: &str = "later";
/// Until somebody closes it.
const STAYS: i32 = 0;
const TERMINALS: &[(&str, &[&str])] = &[
    ("xdg-terminal-exec", &[]),
    ("x-terminal-emulator", &["-e"]),
    ("gnome-terminal", &["--"]),
    ("konsole", &["-e"]),
    ("xfce4-terminal", &["-x"]),
    ("xterm", &["-e"]),
];

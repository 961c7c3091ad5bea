//! A hellod that knows one PIN and plays one part.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use hello_dbus::{
    Answer, BUS_ADDRESS, BUS_NAME, BusError, OBJECT_PATH, Outcome, Prompt, Purpose, Request, Role, Shape,
    Step, Style, WireAnswer, WireStep, secret_pipe,
};
use zbus::interface;

use crate::house::Bus;

/// How a scripted hellod behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Manner {
    #[default]
    Enrolled,
    NotEnrolled,
    Hangs,
    DiesUnderThePrompt,
}

/// A running hellod. It ends when it is dropped.
pub(crate) struct Scripted {
    part: Arc<Mutex<Part>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Owns the name of hellod on the bus and serves until it is dropped.
    pub(crate) fn start(_bus: &Bus, manner: Manner) -> Self {
        let part = Arc::new(Mutex::new(Part { manner, ..Part::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let thread = {
            let (part, stop) = (part.clone(), stop.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let _connection = zbus::connection::Builder::address(BUS_ADDRESS)
                        .serve_at(OBJECT_PATH, Login(part.clone()))
                        .serve_at(OBJECT_PATH, Conversation(part))
                        .name(BUS_NAME)
                        .build()
                        .await
                        .unwrap();
                    ready.send(()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                });
            })
        };
        is_ready.recv().unwrap();
        Self { part, stop, thread: Some(thread) }
    }

    /// Every secret that came through a pipe.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.part.lock().unwrap().secrets.clone()
    }

    /// The last request.
    pub(crate) fn request(&self) -> Request {
        self.part.lock().unwrap().request.clone().unwrap()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Login(Arc<Mutex<Part>>);

#[interface(name = "org.hellod.Hello1.Login")]
impl Login {
    async fn begin(
        &self,
        _version: u32,
        request: HashMap<String, String>,
    ) -> Result<(u64, WireStep), BusError> {
        if self.0.lock().unwrap().manner == Manner::Hangs {
            std::future::pending::<()>().await;
        }
        Ok((7, self.0.lock().unwrap().begin(Request::from_wire(request).unwrap()).into()))
    }
}

struct Conversation(Arc<Mutex<Part>>);

#[interface(name = "org.hellod.Hello1.Conversation")]
impl Conversation {
    async fn answer(&self, conversation: u64, answer: WireAnswer) -> Result<WireStep, BusError> {
        assert_eq!(conversation, 7);
        Ok(self.0.lock().unwrap().answer(&Answer::try_from(answer).unwrap()).into())
    }
}

#[derive(Default)]
struct Part {
    manner: Manner,
    request: Option<Request>,
    tries: u8,
    pipe: Option<OwnedFd>,
    coming: VecDeque<Step>,
    secrets: Vec<String>,
}

impl Part {
    fn begin(&mut self, request: Request) -> Step {
        self.tries = request.tries;
        self.request = Some(request);
        self.coming.clear();
        match self.manner {
            Manner::NotEnrolled => Step::End(Outcome::NotEnrolled),
            _ => self.prompt(Role::Current),
        }
    }

    fn prompt(&mut self, role: Role) -> Step {
        let (read, write) = secret_pipe::pair().unwrap();
        self.pipe = (self.manner != Manner::DiesUnderThePrompt).then_some(read);
        let (text, shape) = match role {
            Role::Current => ("PIN or password: ", Shape::Digits),
            _ => ("New PIN: ", Shape::Any),
        };
        Step::Prompt(Prompt {
            text: text.into(),
            secret: Some(write),
            role,
            shape,
            keeps_password: false,
            takes_nothing: false,
        })
    }

    fn answer(&mut self, answer: &Answer) -> Step {
        match answer {
            Answer::Declined => Step::End(Outcome::Password),
            Answer::Secret => {
                let secret =
                    secret_pipe::receive(&self.pipe.take().unwrap(), Duration::from_secs(1)).unwrap();
                self.secrets.push(String::from_utf8(secret.to_vec()).unwrap());
                self.judge();
                self.go_on()
            }
            _ => self.go_on(),
        }
    }

    fn judge(&mut self) {
        let changes = self.request.as_ref().unwrap().purpose == Purpose::ChangePin;
        let message = |style, text: &str| Step::Message { style, text: text.into() };
        let steps = match self.secrets.last().unwrap().as_str() {
            crate::PIN if changes => vec![Step::Wait, self.prompt(Role::New)],
            "141421" if self.secrets.iter().rev().take_while(|secret| *secret == "141421").count() == 1 => {
                vec![self.prompt(Role::Repeat)]
            }
            "141421" => vec![Step::End(Outcome::Success)],
            crate::PIN => {
                vec![message(Style::Info, "Hello, alice."), Step::Wait, Step::End(Outcome::Success)]
            }
            _ => {
                self.tries -= 1;
                let then =
                    if self.tries == 0 { Step::End(Outcome::TriesSpent) } else { self.prompt(Role::Current) };
                vec![Step::Wait, message(Style::Error, "Wrong PIN."), then]
            }
        };
        self.coming.extend(steps);
    }

    fn go_on(&mut self) -> Step {
        self.coming.pop_front().unwrap_or(Step::End(Outcome::Unavailable))
    }
}

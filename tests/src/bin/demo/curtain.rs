//! How the demo ends before its end: Ctrl-C, a closed window, or a step that did not come out as it should.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hello_tests::Plug;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// Ends everything when the program is told to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curtain {
    falling: Arc<AtomicBool>,
    plug: Arc<Mutex<Option<Plug>>>,
}

impl Curtain {
    /// Takes the signals over, on a thread of its own, and says in a sentence why a step failed.
    pub(crate) fn watch() -> Self {
        let curtain = Self::default();
        let modes = tcgetattr(std::io::stdin()).ok();
        let ours = curtain.clone();
        std::thread::spawn(move || {
            wait_for_a_signal();
            ours.fall(modes.as_ref());
        });
        let ours = curtain.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let why = panic.payload().downcast_ref::<String>().map(String::as_str);
            let why = why
                .or_else(|| panic.payload().downcast_ref::<&str>().copied())
                .unwrap_or("for no known reason");
            if !ours.is_falling() {
                eprintln!("\nThe demo stopped here, for this did not come out as it should:\n  {why}");
            }
        }));
        curtain
    }

    /// From now on there is a laboratory to end.
    pub(crate) fn over(&self, plug: Plug) {
        *self.plug.lock().unwrap_or_else(PoisonError::into_inner) = Some(plug);
    }

    /// Whether the program is ending.
    pub(crate) fn is_falling(&self) -> bool {
        self.falling.load(Ordering::Acquire)
    }

    fn fall(&self, modes: Option<&Termios>) {
        self.falling.store(true, Ordering::Release);
        if let Some(plug) = self.plug.lock().unwrap_or_else(PoisonError::into_inner).take() {
            plug.pull();
        }
        if let Some(modes) = modes {
            // A terminal that is gone needs no care.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, modes);
        }
        eprintln!("\nStopped. Nothing of the demo is left on this machine.");
        std::process::exit(INTERRUPTED);
    }
}

fn wait_for_a_signal() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the kernel has epoll");
    runtime.block_on(async {
        let watch = |kind| signal(kind).expect("signals can be watched");
        let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt()), watch(SignalKind::terminate()));
        let (mut hangup, mut quit) = (watch(SignalKind::hangup()), watch(SignalKind::quit()));
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    });
}

/// 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

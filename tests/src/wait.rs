//! Waiting with a deadline, for what has no descriptor to wait on.

use std::time::{Duration, Instant};

/// Long enough for anything that works, on a slow machine with everything running at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; ends the test when none came within `patience`.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, ask: impl FnMut() -> Option<T>) -> T {
    let answer = within(patience, ask);
    assert!(answer.is_some(), "waited {patience:?} in vain: {what}");
    answer.expect("just looked")
}

/// Asks again and again until there is an answer, or `patience` is over.
pub fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "what is waited for offers nothing to wait on")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

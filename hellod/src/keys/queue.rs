//! Whose turn it is at the TPM: one at a time, each user in turn, a few attempts per user.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::KeyError;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A local user who signs in.
    User(u32),
    /// A local user who only looks, and is not to stand in the way of their own sign-in.
    Looking(u32),
    /// Work on a local user's enrolment, of which there is one at a time, whoever does it: neither the user's own
    /// programs, however much they look and sign in, nor the work on others' enrolments take its place.
    Enrolling(u32),
    /// A local user whose PIN was right and whose provider has answered: the second half of a sign-in. Apart from the
    /// first, so that neither the user's own programs nor anybody else's sign-ins take its place.
    Answered(u32),
    /// A fetch for a local user in which TLS shows who this device is. It takes neither a place of the machine's, which
    /// people would fill, nor one of the user's sign-in: their programs can have much fetched before a PIN is typed.
    Fetching(u32),
    /// The machine itself: its registration, its certificate in TLS, the check of its keys. All of it has one place in the
    /// round, and nobody's sign-in waits for more than one of it.
    Machine,
}

/// The queue before the TPM. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct Queue {
    state: Arc<Mutex<State>>,
    per_asker: usize,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    admitted: HashMap<Asker, usize>,
    /// Askers in the order of their next turn, each with its waiting attempts.
    waiting: VecDeque<(Asker, VecDeque<oneshot::Sender<Turn>>)>,
}

impl Queue {
    /// A queue with one attempt of each asker running and at most `waiting` more.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        Self { state: Arc::default(), per_asker: waiting.saturating_add(1) }
    }

    /// Lets an attempt in. It may prepare; the TPM is its own after [`Place::turn`].
    ///
    /// # Errors
    /// [`KeyError::Busy`] if the asker has as many as may wait.
    pub fn admit(&self, asker: Asker) -> Result<Place, KeyError> {
        let mut state = lock(&self.state);
        let admitted = state.admitted.entry(asker).or_default();
        if *admitted >= self.per_asker {
            return Err(KeyError::Busy);
        }
        *admitted += 1;
        drop(state);
        Ok(Place { state: Arc::clone(&self.state), asker })
    }
}

/// An attempt that was let in. Dropping it makes room.
#[must_use]
#[derive(Debug)]
pub struct Place {
    state: Arc<Mutex<State>>,
    asker: Asker,
}

impl Place {
    /// Waits until the TPM is this attempt's own.
    pub async fn turn(&self) -> Turn {
        let next = {
            let mut state = lock(&self.state);
            if !state.taken {
                state.taken = true;
                return Turn { state: Some(Arc::clone(&self.state)) };
            }
            let (sender, receiver) = oneshot::channel();
            match state.waiting.iter_mut().find(|(asker, _)| *asker == self.asker) {
                Some((_, attempts)) => attempts.push_back(sender),
                None => state.waiting.push_back((self.asker, VecDeque::from([sender]))),
            }
            receiver
        };
        // A sender is dropped only with the queue, and this place keeps the queue.
        next.await.unwrap_or(Turn { state: None })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(admitted) = state.admitted.get_mut(&self.asker) {
            *admitted -= 1;
            if *admitted == 0 {
                state.admitted.remove(&self.asker);
            }
        }
    }
}

/// The TPM, for as long as this lives.
#[must_use]
#[derive(Debug)]
pub struct Turn {
    state: Option<Arc<Mutex<State>>>,
}

impl Drop for Turn {
    /// Hands the TPM on. An attempt that was given up while it waited is passed over; one that is given up between
    /// the handing on and its waking drops the turn in the channel, and so comes here again.
    fn drop(&mut self) {
        let Some(shared) = self.state.take() else { return };
        loop {
            let next = {
                let mut state = lock(&shared);
                let next = state.next();
                state.taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Self { state: Some(Arc::clone(&shared)) }) {
                Ok(()) => return,
                Err(mut refused) => refused.state = None,
            }
        }
    }
}

impl State {
    /// The next attempt: the first of the asker whose turn it is; that asker then goes to the end.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (asker, mut attempts) = self.waiting.pop_front()?;
        let next = attempts.pop_front();
        if !attempts.is_empty() {
            self.waiting.push_back((asker, attempts));
        }
        next
    }
}

/// Nothing here panics while it holds the lock, and a count that is off by one would be no reason to.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let local = tokio::task::LocalSet::new();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(local.run_until(future))
    }

    #[test]
    fn a_user_with_three_attempts_is_refused_a_fourth_and_nobody_else_is() {
        let queue = Queue::new(2);
        let places: Vec<_> = (0..3).map(|_| queue.admit(Asker::User(1000)).unwrap()).collect();
        assert!(matches!(queue.admit(Asker::User(1000)), Err(KeyError::Busy)));
        assert!(queue.admit(Asker::User(1001)).is_ok());
        drop(places);
        assert!(queue.admit(Asker::User(1000)).is_ok());
    }

    #[test]
    fn whoever_signs_in_and_looks_as_much_as_they_may_leaves_room_for_work_on_their_enrolment() {
        let queue = Queue::new(2);
        let asked = |asker| (0..4).map(|_| queue.admit(asker)).filter_map(Result::ok).collect::<Vec<_>>();
        let (signing_in, looking) = (asked(Asker::User(1000)), asked(Asker::Looking(1000)));
        assert_eq!((signing_in.len(), looking.len()), (3, 3));
        assert!(queue.admit(Asker::Enrolling(1000)).is_ok());
    }

    #[test]
    fn users_take_turns_whoever_came_first_with_most() {
        block_on(async {
            let queue = Queue::new(2);
            let order = Rc::new(RefCell::new(Vec::new()));
            let first = queue.admit(Asker::Enrolling(0)).unwrap();
            let running = first.turn().await;
            let mut tasks = Vec::new();
            for uid in [1, 1, 1, 2, 3, 2] {
                let (place, order) = (queue.admit(Asker::User(uid)).unwrap(), Rc::clone(&order));
                tasks.push(tokio::task::spawn_local(async move {
                    let _turn = place.turn().await;
                    order.borrow_mut().push(uid);
                }));
                tokio::task::yield_now().await;
            }
            drop(running);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.borrow(), [1, 2, 3, 1, 2, 1]);
        });
    }

    #[test]
    fn a_turn_that_nobody_takes_any_more_goes_on_to_the_next() {
        block_on(async {
            let queue = Queue::new(2);
            let (running, gone, waiting) = (
                queue.admit(Asker::Enrolling(0)).unwrap(),
                queue.admit(Asker::User(1)).unwrap(),
                queue.admit(Asker::User(2)).unwrap(),
            );
            let turn = running.turn().await;
            let given_up = tokio::task::spawn_local(async move { gone.turn().await });
            tokio::task::yield_now().await;
            let last = tokio::task::spawn_local(async move { drop(waiting.turn().await) });
            tokio::task::yield_now().await;
            // Handed on to the first, which is given up before it wakes.
            drop(turn);
            given_up.abort();
            last.await.unwrap();
            drop(running.turn().await);
        });
    }
}

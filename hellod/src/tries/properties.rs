//! What holds of tries over any sequence of events, and for any record.

use proptest::prelude::*;

use super::delay::LONGEST_DELAY;
use super::*;

/// What befalls somebody's tries.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Passes { seconds: u64 },
    Restarts { set_back: u64 },
    Tries { class: Class, end: End },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Wrong,
    Right,
    NoGuess,
}

fn turn() -> impl Strategy<Value = Turn> {
    let class = prop_oneof![Just(Class::Login), Just(Class::Greeter), Just(Class::Session), Just(Class::Own)];
    let end = prop_oneof![6 => Just(End::Wrong), 1 => Just(End::Right), 1 => Just(End::NoGuess)];
    prop_oneof![
        6 => (class, end).prop_map(|(class, end)| Turn::Tries { class, end }),
        3 => (0u64..5000).prop_map(|seconds| Turn::Passes { seconds }),
        1 => (0u64..100_000).prop_map(|set_back| Turn::Restarts { set_back }),
    ]
}

/// Failures in a row, as an onlooker counts them.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    failures: usize,
    last: u64,
}

impl Row {
    /// The rule, told as a table.
    fn may_go_on(self, time: u64) -> bool {
        let seconds = [0, 0, 0, 0, 30, 60, 120, 240, 480].get(self.failures).copied().unwrap_or(900);
        self.failures == 0 || time - self.last >= seconds
    }
}

/// What befalls several tries at once, beside a TPM that counts.
#[derive(Debug, Clone)]
enum Move {
    Begins(Class),
    Ends { which: prop::sample::Index, end: End },
    Hangs { which: prop::sample::Index, counted: bool },
    Crashes { counted: usize },
    Passes,
}

fn a_move() -> impl Strategy<Value = Move> {
    let class = prop_oneof![Just(Class::Login), Just(Class::Greeter), Just(Class::Session), Just(Class::Own)];
    let end = prop_oneof![20 => Just(End::Wrong), 1 => Just(End::Right), 2 => Just(End::NoGuess)];
    prop_oneof![
        8 => class.prop_map(Move::Begins),
        6 => (any::<prop::sample::Index>(), end).prop_map(|(which, end)| Move::Ends { which, end }),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, counted)| Move::Hangs { which, counted }),
        1 => (0..4usize).prop_map(|counted| Move::Crashes { counted }),
        4 => Just(Move::Passes),
    ]
}

/// A TPM, and the tries on their way to it.
struct Chip {
    left: u32,
    flying: Vec<Flying>,
}

/// A try on its way.
struct Flying {
    class: Class,
    span: Span,
    since: u64,
    /// How many of the console's have overtaken it.
    overtaken: u32,
}

impl Chip {
    fn guess(&mut self, try_: &Flying) -> Result<(), TestCaseError> {
        let Flying { class, overtaken, .. } = *try_;
        if class == Class::Login {
            self.flying.iter_mut().for_each(|other| other.overtaken += 1);
        } else {
            prop_assert!(self.left + overtaken > KEPT_FOR_LOGIN, "{class:?} took one of {}", self.left);
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

/// However the failures of own programs lie, there are no more of them than the budget and its refills.
fn within_the_budget(failures: &[u64]) -> Result<(), TestCaseError> {
    for (first, from) in failures.iter().enumerate() {
        for (last, until) in failures.iter().enumerate().skip(first) {
            prop_assert!((last - first + 1) as u64 <= u64::from(OWN.most) + (until - from) / 3600);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn no_tries_at_once_hangs_and_crashes_take_what_is_kept_for_the_console_or_widen_the_budget(
        moves in prop::collection::vec(a_move(), 1..300),
    ) {
        let (mut time, mut chip, mut tries) = (0, Chip { left: LIMIT, flying: Vec::new() }, Tries::default());
        let mut own = Vec::new();
        for a_move in moves {
            let now = Stamp { wall: 0, uptime: time * 1000, boot: "a".into() };
            match a_move {
                Move::Passes => time += 1800,
                Move::Begins(class) => {
                    // As many as the queue lets in, and some more.
                    if chip.flying.len() < 8 && tries.judge(class, &now) == MayTry::Now {
                        tries = tries.charged(class, &now);
                        chip.flying.push(Flying { class, span: tries.span(), since: time, overtaken: 0 });
                    }
                }
                Move::Ends { which, end } if !chip.flying.is_empty() => {
                    let try_ = chip.flying.remove(which.index(chip.flying.len()));
                    let end = match end {
                        End::Wrong => {
                            chip.guess(&try_)?;
                            own.extend((try_.class == Class::Own).then_some(try_.since));
                            TryEnd::Wrong { left: chip.left }
                        }
                        End::Right if chip.left > 0 => {
                            chip.left = LIMIT;
                            TryEnd::Right
                        }
                        End::Right | End::NoGuess => TryEnd::NoGuess,
                    };
                    tries = tries.settled(try_.class, end, &try_.span, &now);
                }
                Move::Hangs { which, counted } if !chip.flying.is_empty() => {
                    let try_ = chip.flying.remove(which.index(chip.flying.len()));
                    if counted {
                        chip.guess(&try_)?;
                    }
                    tries = tries.settled(try_.class, TryEnd::Unsure, &try_.span, &now);
                }
                Move::Crashes { counted } => {
                    for _ in 0..counted.min(chip.flying.len()) {
                        let try_ = chip.flying.remove(0);
                        chip.guess(&try_)?;
                    }
                    chip.flying.clear();
                    tries = tries.after_a_crash();
                }
                Move::Ends { .. } | Move::Hangs { .. } => {}
            }
        }
        own.sort_unstable();
        within_the_budget(&own)?;
    }

    #[test]
    fn no_sequence_of_tries_restarts_and_clocks_set_back_shortens_a_delay_or_widens_the_budget(
        turns in prop::collection::vec(turn(), 1..200),
    ) {
        let (mut time, mut started, mut set_back, mut boot) = (0, 0, 0, 0);
        let (mut at_login, mut at_greeter, mut in_session) = <(Row, Row, Row)>::default();
        let mut own = Vec::new();
        let mut tries = Tries::default();
        for turn in turns {
            let now = Stamp {
                wall: 1_800_000_000 + i64::try_from(time).unwrap() - set_back,
                uptime: (time - started) * 1000,
                boot: u32::to_string(&boot),
            };
            tries = tries.restamped(&now);
            match turn {
                Turn::Passes { seconds } => time += seconds,
                Turn::Restarts { set_back: more } => {
                    (started, boot) = (time, boot + 1);
                    set_back += i64::try_from(more).unwrap();
                }
                Turn::Tries { class, end } => {
                    if tries.judge(class, &now) != MayTry::Now {
                        continue;
                    }
                    let row = match class {
                        Class::Login => Some(&mut at_login),
                        Class::Greeter => Some(&mut at_greeter),
                        Class::Session => Some(&mut in_session),
                        Class::Own => None,
                    };
                    prop_assert!(row.as_ref().is_none_or(|row| row.may_go_on(time)), "{row:?} at {time}");
                    tries = tries.charged(class, &now);
                    match (end, row) {
                        (End::Wrong, Some(row)) => *row = Row { failures: row.failures + 1, last: time },
                        (End::Wrong, None) => own.push(time),
                        (End::NoGuess, _) => tries = tries.settled(class, TryEnd::NoGuess, &tries.span(), &now),
                        (End::Right, _) => {
                            tries = tries.settled(class, TryEnd::Right, &tries.span(), &now);
                            match class {
                                Class::Login => {
                                    (at_login, at_greeter, in_session) = Default::default();
                                }
                                Class::Greeter => (at_greeter, in_session) = Default::default(),
                                Class::Session => in_session = Row::default(),
                                Class::Own => {}
                            }
                        }
                    }
                    prop_assert!(tries.left(Class::Own, &now) <= OWN.most);
                }
            }
        }
        within_the_budget(&own)?;
    }

    #[test]
    fn tries_survive_their_file_and_every_delay_ends(
        counts: [u32; 3],
        left_in_tpm: Option<u32>,
        uncertain: [u32; 2],
        stamps in prop::array::uniform4(prop::option::of(stamp())),
    ) {
        let [login, session, refilled, now] = stamps;
        let now = now.unwrap_or(Stamp { wall: 0, uptime: 0, boot: "a".into() });
        let tries = Tries {
            greeter: Failures { count: counts[1], last: login.clone(), before: session.clone() },
            login: Failures { count: counts[0], last: login.clone(), before: login },
            session: Failures { count: counts[1], last: session.clone(), before: session },
            own: Budget { spent: counts[2], refilled: refilled.clone() },
            left_in_tpm,
            worn: Budget { spent: counts[2], refilled: refilled.clone() },
            in_flight: uncertain[0],
            lost: uncertain[1],
        };
        let text = serde_json::to_string(&tries).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Tries>(&text).unwrap(), &tries);
        match tries.restamped(&now).may_write(NewPin::Made, &now) {
            MayWrite::Now => {}
            MayWrite::After(wait) => prop_assert!(wait <= 3 * OWN.refill, "{wait:?}"),
        }
        for (class, longest) in [
            (Class::Login, LONGEST_DELAY),
            (Class::Greeter, LONGEST_DELAY),
            (Class::Session, LONGEST_DELAY),
            (Class::Own, OWN.refill),
        ] {
            match tries.restamped(&now).judge(class, &now) {
                MayTry::Now | MayTry::Uncounted => {}
                MayTry::After(wait) => prop_assert!(wait <= longest, "{wait:?}"),
                MayTry::AtLogin => {
                    let certain = left_in_tpm.unwrap_or(LIMIT).saturating_sub(uncertain[0]).saturating_sub(uncertain[1]);
                    prop_assert!(class != Class::Login && certain <= KEPT_FOR_LOGIN);
                }
            }
        }
    }
}

fn stamp() -> impl Strategy<Value = Stamp> {
    ("[ab]", any::<i64>(), any::<u64>()).prop_map(|(boot, wall, uptime)| Stamp { wall, uptime, boot })
}

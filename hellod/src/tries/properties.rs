//! What holds of tries over any sequence of events, and for any record.

use proptest::prelude::*;

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
    let class = prop_oneof![Just(Class::Login), Just(Class::Session), Just(Class::Own)];
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

proptest! {
    #[test]
    fn no_sequence_of_tries_restarts_and_clocks_set_back_shortens_a_delay_or_widens_the_budget(
        turns in prop::collection::vec(turn(), 1..200),
    ) {
        let (mut time, mut started, mut set_back, mut boot) = (0, 0, 0, 0);
        let (mut at_login, mut in_session, mut own) = (Row::default(), Row::default(), Vec::new());
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
                        Class::Session => Some(&mut in_session),
                        Class::Own => None,
                    };
                    prop_assert!(row.as_ref().is_none_or(|row| row.may_go_on(time)), "{row:?} at {time}");
                    tries = tries.charged(class, &now);
                    match (end, row) {
                        (End::Wrong, Some(row)) => *row = Row { failures: row.failures + 1, last: time },
                        (End::Wrong, None) => own.push(time),
                        (End::NoGuess, _) => tries = tries.uncharged(class),
                        (End::Right, _) => {
                            tries = tries.succeeded(class);
                            match class {
                                Class::Login => (at_login, in_session) = (Row::default(), Row::default()),
                                Class::Session => in_session = Row::default(),
                                Class::Own => {}
                            }
                        }
                    }
                    prop_assert!(tries.left(Class::Own, &now) <= BUDGET);
                }
            }
        }
        for (first, from) in own.iter().enumerate() {
            for (last, until) in own.iter().enumerate().skip(first) {
                prop_assert!((last - first + 1) as u64 <= u64::from(BUDGET) + (until - from) / 3600);
            }
        }
    }

    #[test]
    fn tries_survive_their_file_and_every_delay_ends(
        counts: [u32; 3],
        left_in_tpm: Option<u32>,
        stamps in prop::array::uniform4(prop::option::of(stamp())),
    ) {
        let [login, session, refilled, now] = stamps;
        let now = now.unwrap_or(Stamp { wall: 0, uptime: 0, boot: "a".into() });
        let tries = Tries {
            login: Failures { count: counts[0], last: login.clone(), before: login },
            session: Failures { count: counts[1], last: session.clone(), before: session },
            spent: counts[2],
            refilled,
            left_in_tpm,
        };
        let text = serde_json::to_string(&tries).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Tries>(&text).unwrap(), &tries);
        for (class, longest) in
            [(Class::Login, LONGEST_DELAY), (Class::Session, LONGEST_DELAY), (Class::Own, REFILL)]
        {
            match tries.restamped(&now).judge(class, &now) {
                MayTry::Now => {}
                MayTry::After(wait) => prop_assert!(wait <= longest, "{wait:?}"),
                MayTry::AtLogin => {
                    prop_assert!(class != Class::Login && left_in_tpm.unwrap() <= KEPT_FOR_LOGIN);
                }
            }
        }
    }
}

fn stamp() -> impl Strategy<Value = Stamp> {
    ("[ab]", any::<i64>(), any::<u64>()).prop_map(|(boot, wall, uptime)| Stamp { wall, uptime, boot })
}

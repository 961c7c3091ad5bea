//! What is remembered of somebody's tries, from disk, judged at any moment: the first line is the record, the second
//! the moment.
#![no_main]

use std::time::Duration;

use hellod::clock::Stamp;
use hellod::policy::Class;
use hellod::tries::{MayTry, Tries, TryEnd};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((tries, now)) = text.split_once('\n') else { return };
    let (Ok(tries), Ok(now)) = (serde_json::from_str::<Tries>(tries), serde_json::from_str::<Stamp>(now))
    else {
        return;
    };
    let again = serde_json::to_string(&tries).expect("tries have a form");
    assert_eq!(serde_json::from_str::<Tries>(&again).expect("what was written can be read"), tries);
    let tries = tries.restamped(&now);
    assert_eq!(tries.restamped(&now), tries);
    for (class, longest, most) in
        [(Class::Login, 15 * 60, 3), (Class::Session, 15 * 60, 3), (Class::Own, 60 * 60, 5)]
    {
        let may = tries.judge(class, &now);
        assert!(!matches!(may, MayTry::After(wait) if wait > Duration::from_secs(longest)), "{may:?}");
        assert!(class != Class::Login || may != MayTry::AtLogin);
        let then = tries.charged(class, &now).judge(class, &now);
        assert!(wait(then) >= wait(may), "{may:?}, {then:?}");
        assert!(tries.left(class, &now) <= most);
        for end in [TryEnd::Right, TryEnd::Wrong { left: 9 }, TryEnd::NoGuess, TryEnd::Unsure, TryEnd::Lie] {
            let _ = wait(tries.settled(class, end, &tries.span(), &now).judge(class, &now));
        }
        let _ = wait(tries.after_a_crash().judge(class, &now));
    }
});

fn wait(may: MayTry) -> Duration {
    match may {
        MayTry::Now => Duration::ZERO,
        MayTry::After(wait) => wait,
        MayTry::AtLogin | MayTry::Uncounted => Duration::MAX,
    }
}

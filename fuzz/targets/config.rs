//! `hellod.toml`.
#![no_main]

use hellod::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::parse(text) {
        assert_eq!(Config::parse(text), Ok(config.clone()));
        let _ = config.daemon.idle();
    }
});

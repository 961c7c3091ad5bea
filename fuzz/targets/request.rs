//! The request that begins a sign-in: lines of `name=value`, as the map that comes over the bus.
#![no_main]

use std::collections::HashMap;

use hello_dbus::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let wire: HashMap<String, String> = text
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if let Ok(request) = Request::from_wire(wire) {
        assert!(request.tries >= 1 && !request.user.is_empty() && !request.service.is_empty());
        assert_eq!(Request::from_wire(request.clone().into_wire()), Ok(request));
    }
});

//! Stand.
fn main() {}

//! hellod-online, the built program, over a real bus and real TLS: what it fetches, what it refuses, and what it says.
//!
//! The scenes are played in namespaces of their own, with another /etc and no network but what the scene lays. `cargo test
//! --test online WORD` plays those whose name has the word in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that can't go on stops, says how it went, and lives by the machine's clock"
)]

mod authority;
mod failing;
mod fetching;
mod guarding;
mod house;
mod key;
mod server;

fn main() {
    house::house(&[
        ("an_answer_comes_back_with_its_status_its_headers_and_its_date", fetching::answers),
        ("http_2_is_spoken_where_the_host_speaks_it", fetching::http2),
        ("a_redirect_is_an_answer_unless_the_request_follows_it", fetching::redirects),
        ("a_redirect_goes_by_the_proxy_of_the_host_that_it_leads_to", fetching::redirects_by_proxy),
        ("one_octet_too_many_is_refused_and_a_gigabyte_costs_no_memory", fetching::bounds),
        ("each_wait_has_its_end_and_says_what_it_was_for", fetching::waits),
        ("a_host_that_stalls_delays_nobody_else", fetching::stalls),
        ("the_device_shows_its_certificate_and_its_key_stays_where_it_is", fetching::device),
        ("a_certificate_that_is_not_trusted_is_named_with_what_is_wrong", failing::certificates),
        ("what_answers_in_the_place_of_a_host_is_told_from_it", failing::interceptors),
        ("what_is_no_http_or_breaks_off_is_said_to", failing::nonsense),
        ("a_network_that_is_not_there_is_told_from_a_name_that_is_not", failing::networks),
        ("a_proxy_is_used_and_its_refusal_is_its_own", failing::proxies),
        ("the_bus_lets_nobody_through_but_hellod", guarding::bus_refuses),
        ("hellod_online_itself_serves_nobody_but_hellod", guarding::service_refuses),
        ("a_monitor_of_the_bus_sees_no_octet_of_what_passes", guarding::monitor),
        ("a_service_that_dies_in_the_middle_is_an_error_at_once", guarding::crash),
        ("a_service_that_is_told_to_stop_ends_what_it_began", guarding::drain),
        ("hellod_that_leaves_calls_its_fetch_off", guarding::leaving),
        ("a_fetch_of_the_device_that_is_called_off_ends_with_its_thread", guarding::called_off),
        ("without_the_service_hellod_is_told_so", guarding::missing),
        ("the_bus_starts_it_and_it_leaves_when_there_is_nothing_to_do", guarding::activation),
        ("an_impostor_on_the_bus_is_handed_nothing", guarding::impostor),
    ]);
}

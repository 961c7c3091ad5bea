//! Every other answer: nonces, primary tokens, tokens with what they say, joined devices, registered keys.
#![no_main]

use hellod::secret::Token;
use hellod::wire::{JoinAnswer, KeyAnswer, NonceAnswer, PrimaryAnswer, TokenAnswer, TokenClaims};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

fuzz_target!(|body: &[u8]| {
    if let Ok(answer) = NonceAnswer::parse(body) {
        visible(&answer.nonce);
    }
    if let Ok(answer) = PrimaryAnswer::parse(body) {
        visible(answer.token.expose());
        answer.id_token.iter().for_each(said);
        assert!(answer.tickets.top_level_names.iter().all(|name| !name.contains(char::is_control)));
    }
    if let Ok(answer) = TokenAnswer::parse(body) {
        visible(answer.access.expose());
        answer.id_token.iter().chain([&answer.access]).for_each(said);
    }
    if let Ok(answer) = JoinAnswer::parse(body) {
        assert!(answer.certificate.len() < body.len());
    }
    if let Ok(answer) = KeyAnswer::parse(body) {
        answer.provider_context.iter().chain(&answer.receipt).for_each(|text| {
            assert!(text.bytes().all(|c| c.is_ascii_graphic()));
        });
    }
    if let Ok(text) = std::str::from_utf8(body) {
        Token::parse(Zeroizing::new(text.to_owned())).iter().for_each(said);
    }
});

fn visible(text: &str) {
    assert!(!text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic()));
}

fn said(token: &Token) {
    let Ok(claims) = TokenClaims::read(token) else { return };
    assert!(!claims.iss.as_str().contains(char::is_control));
    assert!(!claims.is_fresh() || token.expose().len() > 20);
}

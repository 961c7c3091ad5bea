//! A request for a device certificate, before another implementation of RFC 2986.

use std::io::Write;
use std::process::{Command, Stdio};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use hellod::keys::PublicKey;
use hellod::x509::CertificationRequest;

#[test]
fn openssl_verifies_the_request_and_reads_what_was_meant() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    // `RSAPublicKey`: modulus and exponent (RFC 8017, A.1.1).
    let public = pair.public_key().as_ref();
    let key = PublicKey::Rsa2048 { n: public[9..265].into(), e: public[267..].into() };
    let request = CertificationRequest::new(&key).unwrap();
    let mut signature = vec![0; 256];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), request.as_bytes(), &mut signature).unwrap();
    let der = request.signed(&signature).unwrap();

    let mut openssl = Command::new("openssl")
        .args(["req", "-verify", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    openssl.stdin.take().unwrap().write_all(&der).unwrap();
    let output = openssl.wait_with_output().unwrap();
    let (text, verdict) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && verdict.contains("verify OK"), "{verdict}{text}");
    for line in
        ["Subject: CN=7E980AD9-B86D-4306-9425-9AC066FB014A\n", "(2048 bit)", "sha256WithRSAEncryption"]
    {
        assert!(text.contains(line), "{line:?} in {text}");
    }
}

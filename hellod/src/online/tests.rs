use std::cell::RefCell;

use super::pretend::{Pretend, answer};
use super::*;

/// A key that signs whatever it is asked to, and keeps in mind how.
#[derive(Default)]
struct Ready(RefCell<Vec<Scheme>>);

impl DeviceKey for Ready {
    fn sign<'a>(&'a self, _: Whom, scheme: Scheme, _: &'a Handshake) -> Signing<'a> {
        self.0.borrow_mut().push(scheme);
        Box::pin(std::future::ready(Some(vec![7; 256])))
    }
}

fn request() -> Request {
    Request::get(&Hosts::parse(["login.example"]).unwrap(), "https://login.example/").unwrap()
}

/// What TLS 1.2 signs by any scheme (RFC 5246 §7.4.8).
fn sign(scheme: Scheme) -> FromOnline {
    FromOnline::Sign { scheme, message: vec![1, 0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0] }
}

#[tokio::test]
async fn the_device_signs_once_and_by_a_scheme_that_the_request_names() {
    use Scheme::{EcdsaP256Sha256, RsaPkcs1Sha256, RsaPssSha256};
    let table: [(&[Scheme], &[Scheme], bool); 5] = [
        (&[], &[], true),
        (&[RsaPssSha256], &[RsaPssSha256], true),
        (&[RsaPkcs1Sha256], &[], false),
        (&[EcdsaP256Sha256], &[], false),
        (&[RsaPssSha256, RsaPssSha256], &[RsaPssSha256], false),
    ];
    for (asked, signed, is_answered) in table {
        let says = asked.iter().map(|scheme| sign(*scheme)).chain([answer("done")]).collect();
        let certificate = Certificate { chain: vec![vec![1]], schemes: vec![RsaPssSha256] };
        let (request, key) = (request().as_device(certificate).unwrap(), Ready::default());
        let outcome = Pretend::saying([says]).fetch_as(request, &key).await.map(|response| response.status);
        let expected = if is_answered { Ok(200) } else { Err(OnlineError::ServiceConfused) };
        assert_eq!((outcome, key.0.borrow().as_slice()), (expected, signed), "asked for {asked:?}");
    }
    // A fetch without a certificate has nothing signed at all.
    let says = vec![sign(RsaPssSha256), answer("done")];
    let outcome = Pretend::saying([says]).fetch(request()).await.map(|response| response.status);
    assert_eq!(outcome, Err(OnlineError::ServiceConfused));
}

use proptest::prelude::*;

use super::super::keytab;
use super::*;

fn sample() -> Request {
    let hosts = Hosts::parse(["login.example", "sts.example:49443"]).unwrap();
    let body = Zeroizing::new(b"grant_type=password&password=geheim".to_vec());
    let request =
        Request::post(&hosts, "https://sts.example:49443/adfs?x=1", "application/json", body).unwrap();
    let request = request.with(Header::Authorization, Zeroizing::new("Bearer x.y.z".into())).unwrap();
    request.following(2).reading(77_777).within(Duration::from_millis(1234))
}

fn as_device() -> DeviceRequest {
    let schemes = vec![Scheme::RsaPssSha256, Scheme::RsaPkcs1Sha256];
    let certificate = Certificate { chain: vec![vec![1, 2, 3], vec![4]], schemes };
    sample().following(0).as_device(certificate).unwrap()
}

fn behind_length(frame: &[u8]) -> &[u8] {
    let (length, rest) = frame.split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    rest
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let sent = sample();
    let frame = ToOnline::Fetch(Box::new(sample())).encode();
    let Some(ToOnline::Fetch(read)) = ToOnline::decode(behind_length(&frame)) else { panic!("no request") };
    assert_eq!((read.method, &read.address, &read.hosts), (sent.method, &sent.address, &sent.hosts));
    assert_eq!((&read.headers, &read.body), (&sent.headers, &sent.body));
    assert_eq!((read.redirects, read.bound, read.patience), (2, 77_777, Duration::from_millis(1234)));
    let (sent, frame) = (as_device(), ToOnline::FetchAsDevice(Box::new(as_device())).encode());
    let Some(ToOnline::FetchAsDevice(read)) = ToOnline::decode(behind_length(&frame)) else {
        panic!("no request")
    };
    assert_eq!((&read.certificate, &read.request.body), (&sent.certificate, &sent.request.body));
}

#[test]
fn a_request_of_the_device_that_follows_redirects_is_none() {
    let mut frame = ToOnline::FetchAsDevice(Box::new(as_device())).encode();
    assert!(ToOnline::decode(behind_length(&frame)).is_some());
    // Behind the length, the kind and the method.
    frame[LENGTH + 2] = 1;
    assert!(ToOnline::decode(behind_length(&frame)).is_none());
}

#[test]
fn an_answer_an_error_and_a_question_arrive_as_they_were_sent() {
    let headers = vec![(Field::Location, Zeroizing::new("https://x/?code=1".to_owned()))];
    let span = Span { asked: 5, answered: 6, took: 700 };
    let body = Zeroizing::new(vec![9; 70_000]);
    let response =
        Response { status: 302, headers: headers.clone(), body: body.clone(), date: Some(-1), span };
    let frame = FromOnline::Answer(response).encode();
    let Some(FromOnline::Answer(read)) = FromOnline::decode(behind_length(&frame)) else {
        panic!("no answer")
    };
    assert_eq!((read.status, read.headers, read.body), (302, headers, body));
    assert_eq!((read.date, read.span), (Some(-1), span));

    let error = OnlineError::TooLarge { host: "login.example".into(), bound: 7 };
    let frame = FromOnline::Failed(error.clone()).encode();
    assert!(
        matches!(FromOnline::decode(behind_length(&frame)), Some(FromOnline::Failed(read)) if read == error)
    );

    let frame = FromOnline::Sign { scheme: Scheme::EcdsaP256Sha256, message: vec![1; 130] }.encode();
    let read = FromOnline::decode(behind_length(&frame));
    assert!(
        matches!(read, Some(FromOnline::Sign { scheme: Scheme::EcdsaP256Sha256, message }) if message == [1; 130])
    );

    for signature in [None, Some(vec![3; 256])] {
        let frame = ToOnline::Signature(signature.clone()).encode();
        let read = ToOnline::decode(behind_length(&frame));
        assert!(matches!(read, Some(ToOnline::Signature(read)) if read == signature));
    }
}

#[test]
fn a_request_with_a_ticket_carries_the_keys_of_the_computer_and_no_word_of_its_own() {
    let keytab = Keytab::parse(&keytab::tests::of("LAB$")).unwrap();
    let page = || {
        let request = Request::get(&Hosts::parse(["sts.example"]).unwrap(), "https://sts.example/").unwrap();
        request.with(Header::Accept, Zeroizing::new("text/html".into())).unwrap().by_http_1()
    };
    let sent = ToOnline::FetchWithTicket(Box::new(page().as_computer(keytab.clone()).unwrap()));
    let frame = sent.encode();
    assert!(frame.capacity() - frame.len() <= 2 * FIXED, "it was moved");
    let Some(ToOnline::FetchWithTicket(read)) = ToOnline::decode(behind_length(&frame)) else {
        panic!("no request")
    };
    assert!(read.request.by_http_1 && !sample().by_http_1);
    assert_eq!((read.keytab.account(), read.keytab.octets()), ("LAB$@CORP.EXAMPLE", keytab.octets()));
    assert!(page().following(1).as_computer(keytab.clone()).is_err(), "a ticket is for one host");
    let known = page().with(Header::Authorization, Zeroizing::new("Bearer x.y.z".into())).unwrap();
    assert!(known.as_computer(keytab).is_err());
}

#[test]
fn a_request_to_a_host_that_is_not_named_in_it_is_none() {
    let frame = ToOnline::Fetch(Box::new(sample())).encode();
    let text = b"https://sts.example:49443";
    let at = frame.windows(text.len()).position(|window| window == text).unwrap();
    let mut forged = frame.to_vec();
    forged[at + b"https://".len()] = b'x';
    assert!(ToOnline::decode(behind_length(&forged)).is_none());
}

#[test]
fn what_carries_a_secret_is_written_into_memory_that_is_not_moved() {
    for header in Header::ALL {
        let hosts = Hosts::parse(vec!["a-rather-long-name.login.example:1234"; Hosts::MOST]).unwrap();
        let address = format!("https://a-rather-long-name.login.example:1234/{}", "x".repeat(3000));
        let request = Request::new(Method::Put, &hosts, &address, Zeroizing::new(vec![1; 9999])).unwrap();
        let request = request.with(header, Zeroizing::new("y".repeat(Request::LARGEST_HEADER))).unwrap();
        let chain = vec![vec![0; 1000]; 8];
        let schemes = vec![Scheme::RsaPkcs1Sha256, Scheme::RsaPssSha256, Scheme::EcdsaP256Sha256];
        let request = request.as_device(Certificate { chain, schemes }).unwrap();
        let size = ToOnline::FetchAsDevice(Box::new(request)).encode();
        // It was made with room for all of it: had it grown, its capacity would be a doubled one.
        assert!(size.capacity() - size.len() <= 2 * FIXED, "{} {}", size.capacity(), size.len());
    }
}

proptest! {
    #[test]
    fn any_octets_are_a_frame_or_none(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(message) = ToOnline::decode(&octets) {
            prop_assert!(ToOnline::decode(behind_length(&message.encode())).is_some());
        }
        if let Some(message) = FromOnline::decode(&octets) {
            prop_assert!(FromOnline::decode(behind_length(&message.encode())).is_some());
        }
    }

    #[test]
    fn a_frame_that_is_cut_is_none(cut in 0_usize..=400, is_device: bool) {
        let sent = if is_device {
            ToOnline::FetchAsDevice(Box::new(as_device()))
        } else {
            ToOnline::Fetch(Box::new(sample()))
        };
        let frame = sent.encode();
        let whole = behind_length(&frame);
        prop_assert!(ToOnline::decode(&whole[..whole.len().saturating_sub(cut + 1)]).is_none());
        prop_assert!(ToOnline::decode(&[whole, &[0]].concat()).is_none());
    }
}

#[test]
fn what_would_steer_a_terminal_is_no_error_of_ours() {
    for text in ["nothing of the kind\nType your password: ", "\u{1b}[2J", "\u{9b}2J"] {
        let frame = FromOnline::Failed(OnlineError::Malformed(text.into())).encode();
        assert!(FromOnline::decode(behind_length(&frame)).is_none(), "{text:?}");
    }
}

//! What hellod and hellod-online say to each other through their pipes.
//!
//! A frame is its length in four octets, big endian, a kind, and what the kind carries. The length counts the kind. Neither
//! end waits for the other to close, because a monitor of the bus may hold a copy open.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Certificate, ComputerRequest, DeviceRequest, Field, Handshake, Header, Hosts, Keytab, Method,
    OnlineError, Request, Response, Scheme, skew::Span,
};

/// The largest frame of hellod's, in octets.
pub const LARGEST_REQUEST: usize = 1024 * 1024;
/// What a frame of hellod-online's may hold beside the content.
pub const HEAD: usize = 256 * 1024;
/// Octets of the length in front.
pub const LENGTH: usize = 4;

/// From hellod.
pub enum ToOnline {
    /// What to fetch.
    Fetch(Box<Request>),
    /// What to fetch as this device.
    FetchAsDevice(Box<DeviceRequest>),
    /// What to fetch with a ticket of this computer's account.
    FetchWithTicket(Box<ComputerRequest>),
    /// What was asked for by [`FromOnline::Sign`]; nothing where the key did not sign.
    Signature(Option<Vec<u8>>),
}

/// From hellod-online.
pub enum FromOnline {
    /// The host answered.
    Answer(Response),
    /// The host didn't.
    Failed(OnlineError),
    /// TLS wants the signature of the device.
    Sign {
        /// How.
        scheme: Scheme,
        /// Over what.
        message: Vec<u8>,
    },
}

impl ToOnline {
    /// The frame, its length in front.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Fetch(request) => fetch((FETCH, 0), request).done(),
            Self::FetchAsDevice(request) => fetch_as_device(request),
            Self::FetchWithTicket(request) => {
                let ComputerRequest { request, keytab } = &**request;
                let mut frame = fetch((FETCH_WITH_TICKET, keytab.octets().len()), request);
                frame.long(keytab.octets());
                frame.done()
            }
            Self::Signature(signature) => {
                let signature = signature.as_deref();
                let mut frame = Writer::new(SIGNATURE, signature.map_or(0, <[u8]>::len));
                frame.octet(u8::from(signature.is_some()));
                frame.long(signature.unwrap_or_default());
                frame.done()
            }
        }
    }

    /// Reads what is behind the length. Nothing where it is no frame of this contract.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let decoded = match reader.octet()? {
            FETCH => Self::Fetch(Box::new(read_request(&mut reader)?)),
            FETCH_AS_DEVICE => {
                let (request, certificate) = (read_request(&mut reader)?, read_certificate(&mut reader)?);
                Self::FetchAsDevice(Box::new(request.as_device(certificate).ok()?))
            }
            FETCH_WITH_TICKET => {
                let (request, keytab) = (read_request(&mut reader)?, reader.long(Keytab::LONGEST)?);
                Self::FetchWithTicket(Box::new(request.as_computer(Keytab::parse(keytab)?).ok()?))
            }
            SIGNATURE => {
                let (is_there, signature) = (reader.flag()?, reader.long(LARGEST_SIGNATURE)?);
                Self::Signature(is_there.then(|| signature.to_vec()))
            }
            _ => return None,
        };
        reader.is_empty().then_some(decoded)
    }
}

impl FromOnline {
    /// The frame, its length in front.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Answer(response) => answer(response),
            Self::Failed(error) => {
                // A closed list of names and numbers can be written.
                let text = serde_json::to_vec(error).unwrap_or_default();
                let mut frame = Writer::new(FAILED, text.len());
                frame.long(&text);
                frame.done()
            }
            Self::Sign { scheme, message } => {
                let mut frame = Writer::new(SIGN, message.len());
                frame.octet(*scheme as u8);
                frame.long(message);
                frame.done()
            }
        }
    }

    /// Reads what is behind the length.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame);
        let decoded = match reader.octet()? {
            ANSWER => Self::Answer(read_response(&mut reader)?),
            FAILED => {
                let error: OnlineError = serde_json::from_slice(reader.long(LARGEST_ERROR)?).ok()?;
                // A person reads it at a terminal, and who wrote it may have been taken over.
                let is_one_line = !error.to_string().chars().any(char::is_control);
                Self::Failed(is_one_line.then_some(error)?)
            }
            SIGN => {
                let scheme = Scheme::read(reader.octet()?)?;
                Self::Sign { scheme, message: reader.long(Handshake::LONGEST)?.to_vec() }
            }
            _ => return None,
        };
        reader.is_empty().then_some(decoded)
    }
}

/// A request, with room for as many octets behind it.
fn fetch((kind, more): (u8, usize), request: &Request) -> Writer {
    let headers: usize = request.headers.iter().map(|(_, value)| value.len() + 4).sum();
    let hosts: usize = request.hosts.names().map(|name| name.len() + 2).sum();
    let address = request.address.as_str();
    let size = address.len() + headers + hosts + request.body.len() + more;
    let mut frame = Writer::new(kind, size);
    frame.octet(position(&Method::ALL, request.method));
    frame.octet(request.redirects);
    frame.octet(u8::from(request.by_http_1));
    frame.number(u32::try_from(request.patience.as_millis()).unwrap_or(u32::MAX));
    frame.number(request.bound);
    frame.octet(request.hosts.names().len() as u8);
    request.hosts.names().for_each(|name| frame.short(name.as_bytes()));
    frame.short(address.as_bytes());
    frame.octet(request.headers.len() as u8);
    for (header, value) in &request.headers {
        frame.octet(position(&Header::ALL, *header));
        frame.short(value.as_bytes());
    }
    frame.long(&request.body);
    frame
}

fn fetch_as_device(DeviceRequest { request, certificate }: &DeviceRequest) -> Zeroizing<Vec<u8>> {
    let Certificate { chain, schemes } = certificate;
    let size = chain.iter().map(|der| der.len() + 4).sum::<usize>() + schemes.len();
    let mut frame = fetch((FETCH_AS_DEVICE, size), request);
    frame.octet(chain.len() as u8);
    chain.iter().for_each(|der| frame.long(der));
    frame.octet(schemes.len() as u8);
    schemes.iter().for_each(|scheme| frame.octet(*scheme as u8));
    frame.done()
}

/// By the same doors as in hellod: what hellod could not have made is no request.
fn read_request(reader: &mut Reader<'_>) -> Option<Request> {
    let method = *Method::ALL.get(usize::from(reader.octet()?))?;
    let (redirects, by_http_1) = (reader.octet()?, reader.flag()?);
    let (patience, bound) = (Duration::from_millis(reader.number()?.into()), reader.number()?);
    let names = (0..reader.octet()?).map(|_| reader.text()).collect::<Option<Vec<_>>>()?;
    let hosts = Hosts::parse(names).ok()?;
    let address = reader.text()?;
    let headers = (0..reader.octet()?)
        .map(|_| {
            let header = *Header::ALL.get(usize::from(reader.octet()?))?;
            Some((header, Zeroizing::new(reader.text()?.to_owned())))
        })
        .collect::<Option<Vec<_>>>()?;
    let body = Zeroizing::new(reader.long(Request::LARGEST_BODY)?.to_vec());
    let mut request = Request::new(method, &hosts, address, body).ok()?;
    for (header, value) in headers {
        request = request.with(header, value).ok()?;
    }
    let request = if by_http_1 { request.by_http_1() } else { request };
    Some(request.following(redirects).reading(bound).within(patience))
}

fn read_certificate(reader: &mut Reader<'_>) -> Option<Certificate> {
    let chain = (0..reader.octet()?).map(|_| Some(reader.long(LARGEST_REQUEST)?.to_vec()));
    let chain = chain.collect::<Option<Vec<_>>>()?;
    let schemes = (0..reader.octet()?).map(|_| Scheme::read(reader.octet()?)).collect::<Option<Vec<_>>>()?;
    Some(Certificate { chain, schemes })
}

fn answer(response: &Response) -> Zeroizing<Vec<u8>> {
    let headers: usize = response.headers.iter().map(|(_, value)| value.len() + 4).sum();
    let mut frame = Writer::new(ANSWER, headers + response.body.len());
    frame.0.extend_from_slice(&response.status.to_be_bytes());
    frame.octet(u8::from(response.date.is_some()));
    for time in [response.date.unwrap_or_default(), response.span.asked, response.span.answered] {
        frame.0.extend_from_slice(&time.to_be_bytes());
    }
    frame.number(response.span.took);
    frame.octet(response.headers.len() as u8);
    for (field, value) in &response.headers {
        frame.octet(position(&Field::ALL, *field));
        frame.short(value.as_bytes());
    }
    frame.long(&response.body);
    frame.done()
}

fn read_response(reader: &mut Reader<'_>) -> Option<Response> {
    let status = u16::from_be_bytes(reader.array()?);
    let has_date = reader.flag()?;
    let [date, asked, answered] = [reader.array()?, reader.array()?, reader.array()?].map(i64::from_be_bytes);
    let took = reader.number()?;
    let headers = (0..reader.octet()?)
        .map(|_| {
            let field = *Field::ALL.get(usize::from(reader.octet()?))?;
            Some((field, Zeroizing::new(reader.text()?.to_owned())))
        })
        .collect::<Option<Vec<_>>>()?;
    let body = Zeroizing::new(reader.long(Request::LARGEST_BOUND as usize)?.to_vec());
    let date = has_date.then_some(date);
    Some(Response { status, headers, body, date, span: Span { asked, answered, took } })
}

fn position<T: PartialEq>(all: &[T], one: T) -> u8 {
    // Each list names every variant.
    all.iter().position(|other| *other == one).unwrap_or(usize::MAX) as u8
}

/// Writes a frame into memory that is never moved, so that no copy of a secret stays behind.
struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn new(kind: u8, size: usize) -> Self {
        let mut frame = Zeroizing::new(Vec::with_capacity(LENGTH + 1 + FIXED + size));
        frame.extend_from_slice(&[0, 0, 0, 0, kind]);
        Self(frame)
    }

    fn octet(&mut self, octet: u8) {
        self.0.push(octet);
    }

    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn short(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(&(octets.len() as u16).to_be_bytes());
        self.0.extend_from_slice(octets);
    }

    fn long(&mut self, octets: &[u8]) {
        self.number(octets.len() as u32);
        self.0.extend_from_slice(octets);
    }

    fn done(mut self) -> Zeroizing<Vec<u8>> {
        let length = (self.0.len() - LENGTH) as u32;
        for (to, from) in self.0.iter_mut().zip(length.to_be_bytes()) {
            *to = from;
        }
        self.0
    }
}

/// Reads octets from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.octets(N)?.try_into().ok()
    }

    pub(super) fn octet(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    fn flag(&mut self) -> Option<bool> {
        [false, true].get(usize::from(self.octet()?)).copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Text with its length in two octets before it.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.octets(length.into())?).ok()
    }

    fn long(&mut self, most: usize) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        if length <= most { self.octets(length) } else { None }
    }
}

const FETCH: u8 = 1;
const SIGNATURE: u8 = 2;
const FETCH_AS_DEVICE: u8 = 3;
const FETCH_WITH_TICKET: u8 = 4;
const ANSWER: u8 = 17;
const FAILED: u8 = 18;
const SIGN: u8 = 19;
/// More than all of a frame whose length doesn't vary.
const FIXED: usize = 64;
/// RSA with 4096 bits.
const LARGEST_SIGNATURE: usize = 512;
const LARGEST_ERROR: usize = 16 * 1024;

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;

//! An enrolment like any other, but for its PIN, which is stretched with the least that a record may ask for.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use hellod::clock::{Clock, SystemClock};
use hellod::enrolments::{Enrolment, Enrolments, VERSION};
use hellod::gesture::pin::PinRules;
use hellod::identity::local::{self, Local};
use hellod::identity::{IdentityProvider, Subject};
use hellod::keys::child::{CreateSpec, Same, Tcti, Tpm, TpmSettings};
use hellod::keys::{Algorithm, Binding, Kdf};
use hellod::store::{Kind, Store};

/// Enrols `user`; to be run as hellod's own user.
pub(crate) fn enrol(socket: &str, user: &str, uid: u32, pin: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(enrolled(socket, &Subject { id: user.to_owned(), uid, upn: None }, pin));
}

async fn enrolled(socket: &str, subject: &Subject, pin: &str) {
    let store = Rc::new(Store::open(Path::new("/var/lib/hellod")).expect("hellod's state"));
    let device: serde_json::Value = store.get(Kind::Device, "device").expect("a record").expect("the device");
    let device = device["id"].as_str().expect("an id").to_owned();
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::new());
    let provider = Local::new(&device, store.clone(), clock.clone());
    let tpm = Tpm::new(TpmSettings {
        tcti: Tcti::Swtpm(socket.into()),
        child_program: "/usr/libexec/hellod".into(),
        waiting_per_user: 2,
    });
    let mut choosing = tpm.choose(PinRules::default());
    let shape = choosing.first(pipe(pin)).await.expect("a child").expect("a PIN that the rules allow");
    assert_eq!(choosing.repeat(pipe(pin)).await.expect("a child"), Same::Yes);
    let binding = Binding { user: subject.id.clone(), uid: subject.uid, device: device.clone() };
    let spec = CreateSpec {
        binding: binding.clone(),
        algorithm: Algorithm::Rs256,
        kdf: Kdf { salt: [7; 32], m: 8, t: 1, p: 1 },
        limit: 32,
        challenge: vec![1; 32],
        message: vec![2; 32],
        taken: Vec::new(),
        proven: true,
        allow_da_auth: false,
        keep: None,
    };
    let created = choosing.create(spec, async |_| Ok(())).await.expect("a key");
    let key = created.key.check(&binding).expect("a sound key");
    provider.keys().expect("a list").register(subject, key.public_key()).await.expect("a registered key");
    let now = clock.now().wall;
    let record = Enrolment {
        version: VERSION,
        user: subject.id.clone(),
        uid: subject.uid,
        device: device.clone(),
        provider: local::NAME.to_owned(),
        person: None,
        directory_key: None,
        kid: key.public_key().thumbprint(),
        shape,
        pending_shape: None,
        enrolled: now,
        pin_set: now,
        key: created.key,
    };
    Enrolments::new(store, &device).put(&record).expect("a record");
}

/// A PIN as it comes from a terminal.
fn pipe(pin: &str) -> OwnedFd {
    let (theirs, mut ours) = std::io::pipe().expect("a pipe");
    let length = u16::try_from(pin.len()).expect("a short PIN").to_be_bytes();
    ours.write_all(&[&length, pin.as_bytes()].concat()).expect("room in the pipe");
    theirs.into()
}

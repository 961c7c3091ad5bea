//! An enrolment from disk, what is kept for a keyring, a primary token, or the machine's keys and registration. No record, however it was changed, is anybody's but the person's for whom it was made, and
//! what is accepted for that person has every bound part as it was.
#![no_main]

use std::sync::LazyLock;

use hellod::accounts::Account;
use hellod::enrolments::Enrolment;
use hellod::keyring;
use hellod::keys::tpm::templates::{Area, keeps_its_children};
use hellod::keys::{MachineKeys, PinFail, Protector};
use hellod::membership::Registration;
use hellod::party::RelyingParty;
use hellod::tokens;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(keyring) = serde_json::from_slice::<keyring::Record>(octets) {
        let text = serde_json::to_string(&keyring).expect("a record has a form");
        assert_eq!(
            serde_json::from_str::<keyring::Record>(&text).expect("what was written can be read"),
            keyring
        );
    }
    if let Ok(token) = serde_json::from_slice::<tokens::Record>(octets) {
        let text = serde_json::to_string(&token).expect("a record has a form");
        assert_eq!(
            serde_json::from_str::<tokens::Record>(&text).expect("what was written can be read"),
            token
        );
    }
    if let Ok(registration) = serde_json::from_slice::<Registration>(octets) {
        let text = serde_json::to_string(&registration).expect("a record has a form");
        let again: Registration = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(again, registration);
        // Whoever is joined has keys and a certificate of one piece, and a directory that made it.
        if let Ok(joined) = registration.checked() {
            is_a_machines(&again.keys);
            assert_eq!(joined.directory(), &again.directory);
        }
    }
    if let Ok(keys) = serde_json::from_slice::<MachineKeys>(octets) {
        is_a_machines(&keys);
    }
    let Ok(record) = serde_json::from_slice::<Enrolment>(octets) else { return };
    let text = serde_json::to_string(&record).expect("a record has a form");
    assert_eq!(serde_json::from_str::<Enrolment>(&text).expect("what was written can be read"), record);

    for (name, uid, device) in [("bob", 1001, "desk"), ("bob", 1000, "desk"), ("anna", 1000, "lap")] {
        let other = Account { name: name.into(), uid };
        let claimed = Enrolment { user: name.into(), uid, device: device.into(), ..record.clone() };
        assert!(
            claimed.checked(&other, RelyingParty::Machine(device.into())).is_err(),
            "{name} {uid} {device}"
        );
    }

    let anna = Account { name: "anna".into(), uid: 1000 };
    if let Ok(enrolled) = record.checked(&anna, RelyingParty::Machine("desk".into())) {
        let (key, original) = (enrolled.record.key, &ORIGINAL.key);
        assert_eq!(key.srk, original.srk);
        assert_eq!(key.public.len(), original.public.len());
        // The last 258 octets are the modulus with its length, which no policy knows.
        let bound = key.public.len() - 256;
        assert_eq!(key.public.get(..bound), original.public.get(..bound));
        assert_eq!(bound_to(&key.protector), bound_to(&original.protector));
    }
});

/// What is accepted has each octet but the modulus as the templates have it.
fn is_a_machines(keys: &MachineKeys) {
    let text = serde_json::to_string(keys).expect("a record has a form");
    assert_eq!(&serde_json::from_str::<MachineKeys>(&text).expect("what was written can be read"), keys);
    if keys.check().is_err() {
        return;
    }
    assert!(keeps_its_children(&keys.srk));
    for (area, public) in
        [(Area::device_key(), &keys.device.public), (Area::transport_key(), &keys.transport.public)]
    {
        let template = area.template();
        let head = template.len() - 2;
        assert_eq!(public.len(), 2 + head + 2 + 256);
        assert_eq!(public.get(2..2 + head), template.get(..head));
        assert_eq!(public.get(2 + head..4 + head), Some([1, 0].as_slice()));
    }
}

fn bound_to(protector: &Protector) -> Option<(u32, u32, [&[u8]; 4])> {
    let Protector::PinFail(counter) = protector else { return None };
    let PinFail { index, gate, index_name, init_name, finger, reset, .. } = counter.as_ref();
    Some((*index, *gate, [index_name, init_name, &finger.public, &reset.public]))
}

static ORIGINAL: LazyLock<Enrolment> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../seeds/record/enrolment.json")).expect("the seed is a record")
});

//! `TPM2B_PUBLIC`, as records and children carry it: accepted only if each octet but the unique part is the template's.
#![no_main]

use hellod::keys::Algorithm::{Es256, Rs256};
use hellod::keys::tpm::policy::Policy;
use hellod::keys::tpm::templates::{Area, Unique, keeps_its_children, name_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|public: &[u8]| {
    assert_eq!(name_of(public).is_some(), public.len() >= 2);
    assert!(!keeps_its_children(public) || public.len() >= 10);
    let areas = [
        Area::storage_root(),
        Area::first_write_key(),
        Area::reset_object(),
        Area::sealed(Policy::START),
        Area::counted_key(Rs256, Policy::START),
        Area::counted_key(Es256, Policy::START),
        Area::lockout_key(Rs256, Policy::START),
        Area::lockout_key(Es256, Policy::START),
        Area::device_key(),
        Area::transport_key(),
    ];
    let accepted: Vec<(&Area, Unique)> =
        areas.iter().filter_map(|area| Some((area, area.unique_of(public)?))).collect();
    assert!(accepted.len() <= 1, "no two templates accept the same area");
    for (area, unique) in accepted {
        let unique = match unique {
            Unique::Modulus(n) => sized(&[&n]),
            Unique::Point(x, y) => sized(&[&x, &y]),
            Unique::Digest(digest) => sized(&[&digest]),
        };
        let area_length = public.len() - 2;
        let head = area_length - unique.len();
        assert_eq!(public[..2], (area_length as u16).to_be_bytes());
        assert_eq!(public[2..2 + head], area.template()[..head]);
        assert_eq!(public[2 + head..], unique);
    }
});

fn sized(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u16).to_be_bytes(), *part].concat()).collect()
}

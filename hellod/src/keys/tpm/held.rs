//! A key as libtss2 holds it: what `Esys_TR_Serialize` returns and `Esys_TR_Deserialize` takes.
//!
//! The handle, the Name with its length, a number of four octets for the kind, the public area with its length.

use super::templates::name_of;

/// The `TPM2B_PUBLIC` in a serialised key. None if it is anything else, or if the Name is not that of the public area.
pub(crate) fn public(serialized: &[u8]) -> Option<&[u8]> {
    let (_handle, rest) = serialized.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (_kind, public) = rest.split_first_chunk::<4>()?;
    let (length, area) = public.split_first_chunk::<2>()?;
    let is_whole = area.len() == usize::from(u16::from_be_bytes(*length));
    (is_whole && name_of(public)? == name).then_some(public)
}

/// The key at `handle` with the `TPM2B_PUBLIC` `public`, serialised.
pub(crate) fn serialized(handle: u32, public: &[u8]) -> Option<Vec<u8>> {
    let name = name_of(public)?;
    let length = u16::try_from(name.len()).ok()?.to_be_bytes();
    Some([&handle.to_be_bytes(), length.as_slice(), &name, &KEY.to_be_bytes(), public].concat())
}

/// `IESYSC_KEY_RSRC`: neither an NV index nor a session.
const KEY: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tpm::{session::STORAGE_ROOT, templates::Area};

    /// As libtss2 serialises a key: a handle, a Name, a kind, a public area.
    fn with_name(name: &[u8], public: &[u8]) -> Vec<u8> {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        [&STORAGE_ROOT.to_be_bytes(), length.as_slice(), name, &1u32.to_be_bytes(), public].concat()
    }

    fn storage_root() -> Vec<u8> {
        let area = Area::storage_root().template();
        [&u16::try_from(area.len()).unwrap().to_be_bytes(), area.as_slice()].concat()
    }

    #[test]
    fn the_public_area_that_libtss2_holds_is_taken_only_with_its_own_name() {
        let area = storage_root();
        let name = name_of(&area).unwrap();
        assert_eq!(public(&with_name(&name, &area)), Some(area.as_slice()));
        let mut substituted = area.clone();
        *substituted.last_mut().unwrap() ^= 1;
        assert_eq!(public(&with_name(&name, &substituted)), None, "the true Name with another key");
    }

    #[test]
    fn what_is_no_serialised_key_is_not_taken_for_one() {
        let area = storage_root();
        let whole = with_name(&name_of(&area).unwrap(), &area);
        for length in 0..whole.len() {
            assert_eq!(public(&whole[..length]), None, "{length} octets");
        }
        assert_eq!(public(&[whole.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn a_key_is_given_to_libtss2_as_it_would_serialise_it() {
        let area = storage_root();
        let serialized = serialized(STORAGE_ROOT, &area).unwrap();
        assert_eq!(serialized, with_name(&name_of(&area).unwrap(), &area));
        assert_eq!(public(&serialized), Some(area.as_slice()));
    }
}

//! NV indices: defined, and removed only by handle and Name.

use tss_esapi::{
    attributes::NvIndexAttributes,
    handles::{NvIndexHandle, NvIndexTpmHandle},
    interface_types::{
        algorithm::HashingAlgorithm, reserved_handles::Provision, session_handles::AuthSession,
    },
    structures::{Digest, NvPublic},
};

use super::{
    super::{KeyError, TpmObjects},
    error::{Fault, Meaning},
    session::{Chip, auth, refused},
    templates::NvArea,
    wire::{Removed, Step},
};
use crate::secret::AuthValue;

/// Undefines those indices that carry one of their two Names. What isn't there is done already; what carries another
/// Name is somebody else's.
pub(crate) fn remove(chip: &mut Chip<'_>, objects: &TpmObjects) -> Result<Removed, KeyError> {
    let mut removed = Removed::default();
    for object in &objects.0 {
        match chip.find_index(object.handle)? {
            None => removed.absent.push(object.handle),
            Some((index, name)) if name == object.unwritten || name == object.written => {
                undefine(chip, index)?;
                removed.undefined.push(object.handle);
            }
            Some(_) => removed.foreign.push(object.handle),
        }
    }
    Ok(removed)
}

/// TPM2_NV_UndefineSpace, as the owner, whose password is empty.
pub(crate) fn undefine(chip: &mut Chip<'_>, index: NvIndexHandle) -> Result<(), KeyError> {
    let undefined = chip.run(Step::Undefine, |context| {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context.nv_undefine_space(Provision::Owner, index)
        })
    });
    undefined.map_err(owner_refused)
}

/// TPM2_NV_DefineSpace, as the owner. `value`, which opens the index, goes through the salted session.
pub(crate) fn define(
    chip: &mut Chip<'_>,
    salted: AuthSession,
    area: &NvArea,
    value: &AuthValue,
) -> Result<NvIndexHandle, KeyError> {
    let public = nv_public(area).map_err(|error| refused(Step::DefineIndex, error))?;
    let defined = chip.run(Step::DefineIndex, |context| {
        let value = auth(value)?;
        context.execute_with_session(Some(salted), |context| {
            context.nv_define_space(Provision::Owner, Some(value), public.clone())
        })
    });
    defined.map_err(owner_refused)
}

fn nv_public(area: &NvArea) -> tss_esapi::Result<NvPublic> {
    NvPublic::builder()
        .with_nv_index(NvIndexTpmHandle::new(area.handle)?)
        .with_index_name_algorithm(HashingAlgorithm::Sha256)
        .with_index_attributes(NvIndexAttributes::try_from(area.attributes)?)
        .with_index_auth_policy(Digest::from_bytes(area.policy.octets())?)
        .with_data_area_size(usize::from(area.size))
        .build()
}

/// The owner's empty password is the only one that these commands try.
fn owner_refused(fault: Fault) -> KeyError {
    if fault.is(Meaning::BadAuth) || fault.is(Meaning::AuthFail) { KeyError::OwnerAuth } else { fault.into() }
}

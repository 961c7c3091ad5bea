//! The nine TPM commands of a sign-in, and nothing else.

use std::str::FromStr;
use std::time::Instant;

use tss_esapi::attributes::{NvIndexAttributesBuilder, ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::constants::{NvIndexType, SessionType};
use tss_esapi::handles::{
    AuthHandle, KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, PersistentTpmHandle, TpmHandle,
};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::reserved_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Auth, Digest, DigestList, HashScheme, HashcheckTicket, MaxNvBuffer, Nonce, NvPublicBuilder, Private,
    Public, PublicBuilder, PublicKeyRsa, PublicRsaParametersBuilder, RsaScheme, SignatureScheme,
    SymmetricDefinition,
};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};
use tss_esapi::{Context, TctiNameConf};

/// Times them `count` times, at a key and a counter of its own.
pub(crate) fn bare(socket: &str, count: u32) {
    let conf = TctiNameConf::from_str(&format!("swtpm:path={socket}")).expect("a socket");
    let mut context = Context::new(conf).expect("a TPM");
    let key = made(&mut context).expect("a key and a counter");
    for _ in 0..count {
        let start = Instant::now();
        let signed = sign(&mut context, &key);
        let took = start.elapsed();
        signed.expect("a signature");
        println!("{}", took.as_micros());
    }
    let _ = owner(&mut context, |context| {
        let index = index(context)?;
        context.nv_undefine_space(Provision::Owner, index)
    });
}

/// A key with a PIN counter before it, of the same kinds as hellod's.
struct Made {
    public: Public,
    private: Private,
    branches: DigestList,
}

/// Nine commands, in hellod's order: two names, two sessions, the key, the PIN, the policy, the signature, and away with it.
fn sign(context: &mut Context, key: &Made) -> tss_esapi::Result<()> {
    let root = root(context)?;
    let index = index(context)?;
    context.tr_set_auth(index.into(), auth()?)?;
    let salted = session(context, Some(root), SessionType::Hmac)?;
    let policy = session(context, Some(root), SessionType::Policy)?;
    attributes(context, policy, true, false)?;
    let loaded = context.execute_with_session(Some(salted), |context| {
        context.load(root, key.private.clone(), key.public.clone())
    })?;
    attributes(context, salted, true, false)?;
    checked(context, policy, salted, index)?;
    context.policy_or(PolicySession::try_from(policy)?, key.branches.clone())?;
    let scheme = SignatureScheme::RsaSsa { scheme: HashScheme::new(HashingAlgorithm::Sha256) };
    context.execute_with_session(Some(policy), |context| {
        context.sign(loaded, Digest::from_bytes(&[9; 32])?, scheme, ticket()?)
    })?;
    for session in [salted, policy] {
        // It has ended with its last use; the crate closes it, and complains.
        let _ = context.tr_close(&mut ObjectHandle::from(tss_esapi::handles::SessionHandle::from(session)));
    }
    context.flush_context(loaded.into())
}

fn made(context: &mut Context) -> tss_esapi::Result<Made> {
    let root = root(context)?;
    let index = counter(context)?;
    let salted = session(context, Some(root), SessionType::Hmac)?;
    let trial = session(context, None, SessionType::Trial)?;
    checked(context, trial, salted, index)?;
    let mut branches = DigestList::new();
    branches.add(context.policy_get_digest(PolicySession::try_from(trial)?)?)?;
    // hellod's keys have a second branch, for fingers.
    branches.add(Digest::from_bytes(&[1; 32])?)?;
    context.policy_or(PolicySession::try_from(trial)?, branches.clone())?;
    let policy = context.policy_get_digest(PolicySession::try_from(trial)?)?;
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_admin_with_policy(true)
        .with_no_da(true)
        .with_sign_encrypt(true)
        .build()?;
    let rsa = PublicRsaParametersBuilder::new()
        .with_scheme(RsaScheme::Null)
        .with_key_bits(RsaKeyBits::Rsa2048)
        .with_is_signing_key(true)
        .build()?;
    let template = PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Rsa)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy)
        .with_rsa_parameters(rsa)
        .with_rsa_unique_identifier(PublicKeyRsa::default())
        .build()?;
    let created = context.execute_with_session(Some(salted), |context| {
        context.create(root, template, None, None, None, None)
    })?;
    for session in [salted, trial] {
        // For a policy session the crate complains after the TPM has done it.
        let _ = context.flush_context(ObjectHandle::from(tss_esapi::handles::SessionHandle::from(session)));
    }
    Ok(Made { public: created.out_public, private: created.out_private, branches })
}

/// A PIN counter. Anybody could write it again, which does not matter for measuring.
fn counter(context: &mut Context) -> tss_esapi::Result<NvIndexHandle> {
    let attributes = NvIndexAttributesBuilder::new()
        .with_nv_index_type(NvIndexType::PinFail)
        .with_owner_write(true)
        .with_auth_read(true)
        .with_owner_read(true)
        .with_no_da(true)
        .build()?;
    let public = NvPublicBuilder::new()
        .with_nv_index(NvIndexTpmHandle::new(INDEX)?)
        .with_index_name_algorithm(HashingAlgorithm::Sha256)
        .with_index_attributes(attributes)
        .with_data_area_size(8)
        .build()?;
    let secret = auth()?;
    let index = owner(context, |context| context.nv_define_space(Provision::Owner, Some(secret), public))?;
    let content = MaxNvBuffer::try_from(vec![0, 0, 0, 0, 0, 0, 0, 32])?;
    owner(context, |context| context.nv_write(NvAuth::Owner, index, content, 0))?;
    Ok(index)
}

fn owner<T>(context: &mut Context, command: impl FnOnce(&mut Context) -> T) -> T {
    context.execute_with_session(Some(AuthSession::Password), command)
}

/// TPM2_PolicySecret: where the PIN is checked.
fn checked(
    context: &mut Context,
    policy: AuthSession,
    salted: AuthSession,
    index: NvIndexHandle,
) -> tss_esapi::Result<()> {
    context.tr_set_auth(index.into(), auth()?)?;
    let (policy, entity) = (PolicySession::try_from(policy)?, AuthHandle::from(NvAuth::NvIndex(index)));
    context
        .execute_with_session(Some(salted), |context| {
            let reference = Nonce::from_bytes(&[5; 32])?;
            context.policy_secret(policy, entity, Nonce::default(), Digest::default(), reference, None)
        })
        .map(|_| ())
}

fn root(context: &mut Context) -> tss_esapi::Result<KeyHandle> {
    let handle = TpmHandle::Persistent(PersistentTpmHandle::new(0x8100_0001)?);
    context.tr_from_tpm_public(handle).map(KeyHandle::from)
}

fn index(context: &mut Context) -> tss_esapi::Result<NvIndexHandle> {
    let handle = TpmHandle::NvIndex(NvIndexTpmHandle::new(INDEX)?);
    context.tr_from_tpm_public(handle).map(NvIndexHandle::from)
}

fn session(
    context: &mut Context,
    salt: Option<KeyHandle>,
    kind: SessionType,
) -> tss_esapi::Result<AuthSession> {
    let symmetric = SymmetricDefinition::AES_128_CFB;
    let session = context.start_auth_session(salt, None, None, kind, symmetric, HashingAlgorithm::Sha256)?;
    let session = session.expect("a session");
    attributes(context, session, salt.is_some(), salt.is_some())?;
    Ok(session)
}

fn attributes(
    context: &mut Context,
    session: AuthSession,
    encrypts: bool,
    goes_on: bool,
) -> tss_esapi::Result<()> {
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_decrypt(encrypts)
        .with_encrypt(encrypts)
        .with_continue_session(goes_on)
        .build();
    context.tr_sess_set_attributes(session, attributes, mask)
}

fn ticket() -> tss_esapi::Result<HashcheckTicket> {
    let digest = TPM2B_DIGEST::default();
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK { tag: TPM2_ST_HASHCHECK, hierarchy: TPM2_RH_NULL, digest })
}

/// 32 octets, as a stretched PIN has.
fn auth() -> tss_esapi::Result<Auth> {
    Auth::from_bytes(&[3; 32])
}

/// Apart from those that hellod takes.
const INDEX: u32 = 0x0180_7777;

//! Policy digests computed in software (TPM 2.0 part 1, 19.7; each formula in part 3, 23).

use aws_lc_rs::digest;

/// The digest of a policy session after some policy commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy([u8; 32]);

/// TPM_CC of the commands that a policy names (TPM 2.0 part 2, 6.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// TPM2_NV_Write.
    NvWrite = 0x137,
    /// TPM2_NV_ChangeAuth.
    NvChangeAuth = 0x13B,
    /// TPM2_NV_Read.
    NvRead = 0x14E,
}

impl Policy {
    /// A session without any policy command.
    pub const START: Self = Self([0; 32]);

    /// TPM2_PolicyCommandCode.
    #[must_use]
    pub fn command(self, command: Command) -> Self {
        self.extend(&[&POLICY_COMMAND_CODE, &(command as u32).to_be_bytes()])
    }

    /// TPM2_PolicyNvWritten.
    #[must_use]
    pub fn nv_written(self, written: bool) -> Self {
        self.extend(&[&POLICY_NV_WRITTEN, &[u8::from(written)]])
    }

    /// TPM2_PolicyAuthValue.
    #[must_use]
    pub fn auth_value(self) -> Self {
        self.extend(&[&POLICY_AUTH_VALUE])
    }

    /// TPM2_PolicySecret of the entity called `name`.
    #[must_use]
    pub fn secret(self, name: &[u8], reference: &[u8]) -> Self {
        self.extend(&[&POLICY_SECRET, name]).extend(&[reference])
    }

    /// TPM2_PolicySigned by the key called `name`.
    #[must_use]
    pub fn signed(self, name: &[u8], reference: &[u8]) -> Self {
        self.extend(&[&POLICY_SIGNED, name]).extend(&[reference])
    }

    /// TPM2_PolicyOR over the branches, of which there are two to eight.
    #[must_use]
    pub fn any_of(branches: &[Self]) -> Self {
        let mut parts: Vec<&[u8]> = vec![&POLICY_OR];
        parts.extend(branches.iter().map(|branch| branch.0.as_slice()));
        Self::START.extend(&parts)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    fn extend(self, parts: &[&[u8]]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&self.0);
        for part in parts {
            hash.update(part);
        }
        let mut extended = [0; 32];
        extended.copy_from_slice(hash.finish().as_ref());
        Self(extended)
    }
}

const POLICY_NV_WRITTEN: [u8; 4] = 0x18F_u32.to_be_bytes();
const POLICY_SECRET: [u8; 4] = 0x151_u32.to_be_bytes();
const POLICY_SIGNED: [u8; 4] = 0x160_u32.to_be_bytes();
const POLICY_AUTH_VALUE: [u8; 4] = 0x16B_u32.to_be_bytes();
const POLICY_COMMAND_CODE: [u8; 4] = 0x16C_u32.to_be_bytes();
const POLICY_OR: [u8; 4] = 0x171_u32.to_be_bytes();

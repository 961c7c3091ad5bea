//! What a TPM's response codes mean to us (TPM 2.0 part 2, 6.6).

use tss_esapi::Error;

use super::{
    super::{KeyError, Part},
    wire::Step,
};

/// A command that the TPM refused, or something of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The TPM, or the way to it.
    Refused(Refusal),
    /// Ours.
    Ours(KeyError),
}

/// A refused command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What was attempted.
    pub(crate) step: Step,
    /// The whole code, layer included.
    pub(crate) code: u32,
}

/// The codes that we act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A wrong authorisation value, counted by a PIN counter if by anything.
    BadAuth,
    /// A wrong authorisation value, counted by the common lockout.
    AuthFail,
    /// The common lockout is active.
    Lockout,
    /// The entity can't be authorised: a spent or unwritten PIN counter.
    AuthUnavailable,
    /// No such handle.
    NoSuchHandle,
    /// NV memory is full.
    NoSpace,
    /// Already defined.
    Defined,
    /// A private part that isn't from under this parent.
    Integrity,
    /// A parameter is out of range or inconsistent.
    Value,
    /// The TPM couldn't do it.
    Failure,
    /// Try the same again in a moment.
    Later,
    /// No memory for another object or session.
    Full,
    /// The device or socket can't be reached any more.
    Gone,
    /// Anything else.
    Other,
}

impl Refusal {
    pub(crate) fn new(step: Step, error: Error) -> Self {
        let code = match error {
            Error::TssError(code) => u32::from(code),
            // The crate couldn't make sense of a value; no code of a TPM looks like this.
            Error::WrapperError(_) => u32::MAX,
        };
        Self { step, code }
    }

    pub(crate) const fn meaning(self) -> Meaning {
        match self.code >> 16 {
            // The TPM itself, and its answers passed on by a resource manager.
            0 | 0x0C => Self::tpm_meaning(self.code & 0xFFFF),
            LAYER_TCTI => Meaning::Gone,
            _ => Meaning::Other,
        }
    }

    const fn tpm_meaning(code: u32) -> Meaning {
        if code & FORMAT_ONE != 0 {
            // The rest says at which handle, parameter or session it happened.
            return match code & 0x3F {
                0x22 => Meaning::BadAuth,
                0x0E => Meaning::AuthFail,
                0x0B => Meaning::NoSuchHandle,
                0x1F => Meaning::Integrity,
                0x04 => Meaning::Value,
                _ => Meaning::Other,
            };
        }
        match code {
            0x101 => Meaning::Failure,
            0x921 => Meaning::Lockout,
            0x12F => Meaning::AuthUnavailable,
            0x14B => Meaning::NoSpace,
            0x14C => Meaning::Defined,
            // YIELDED, TESTING, NV_RATE, RETRY, NV_UNAVAILABLE.
            0x908 | 0x90A | 0x920 | 0x922 | 0x923 => Meaning::Later,
            // OBJECT_MEMORY, SESSION_MEMORY, MEMORY, SESSION_HANDLES, OBJECT_HANDLES.
            0x902..=0x906 => Meaning::Full,
            _ => Meaning::Other,
        }
    }
}

impl Fault {
    /// What the code means; none for faults of ours.
    pub(crate) const fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Refused(refusal) => Some(refusal.meaning()),
            Self::Ours(_) => None,
        }
    }

    /// Whether the TPM refused with this meaning.
    pub(crate) fn is(&self, meaning: Meaning) -> bool {
        self.meaning() == Some(meaning)
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Ours(error)
    }
}

impl From<Fault> for KeyError {
    /// What a refusal means where nobody knows better.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ours(error) => error,
            Fault::Refused(refusal) => match refusal.meaning() {
                Meaning::Gone => Self::TpmGone,
                Meaning::NoSpace => Self::NoSpace,
                Meaning::Integrity => Self::Tampered { what: Part::Private },
                Meaning::BadAuth
                | Meaning::AuthFail
                | Meaning::Lockout
                | Meaning::AuthUnavailable
                | Meaning::NoSuchHandle
                | Meaning::Defined
                | Meaning::Value
                | Meaning::Failure
                | Meaning::Later
                | Meaning::Full
                | Meaning::Other => Self::Tpm { step: refusal.step, code: refusal.code },
            },
        }
    }
}

/// Bit 7 of a response code: format one, with a number of six bits.
const FORMAT_ONE: u32 = 1 << 7;
const LAYER_TCTI: u32 = 0x0A;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_mean_what_the_specification_says() {
        for (code, meaning) in [
            (0x9A2, Meaning::BadAuth),
            (0x98E, Meaning::AuthFail),
            (0x921, Meaning::Lockout),
            (0x12F, Meaning::AuthUnavailable),
            (0x18B, Meaning::NoSuchHandle),
            (0x14B, Meaning::NoSpace),
            (0x1DF, Meaning::Integrity),
            (0x920, Meaning::Later),
            (0x922, Meaning::Later),
            (0x902, Meaning::Full),
            (0x903, Meaning::Full),
            (0x000A_0008, Meaning::Gone),
            (0x000C_0903, Meaning::Full),
            (0x1C4, Meaning::Value),
            (0x101, Meaning::Failure),
            (u32::MAX, Meaning::Other),
        ] {
            assert_eq!(Refusal { step: Step::Start, code }.meaning(), meaning, "0x{code:x}");
        }
    }
}

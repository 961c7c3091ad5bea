//! What swtpm wrote down at log level 20: every command and answer, byte by byte.

/// A place in the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub(crate) usize);

/// A command that the TPM got, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The whole command, header included.
    pub command: Vec<u8>,
    /// The whole answer; empty when the TPM was killed before it answered.
    pub answer: Vec<u8>,
}

impl Exchange {
    /// The command's code (TPM 2.0 Library, part 2, 6.5.2).
    pub fn code(&self) -> u32 {
        word(&self.command, 6)
    }

    /// The name of the command, as `NV_Write`.
    pub fn name(&self) -> String {
        let code = self.code();
        let known = NAMES.iter().find(|(number, _)| *number == code);
        known.map_or_else(|| format!("0x{code:08x}"), |(_, name)| (*name).to_owned())
    }

    /// The response code; 0 is success.
    pub fn response_code(&self) -> u32 {
        word(&self.answer, 6)
    }

    /// Whether these bytes went over the wire, one way or the other.
    pub fn carries(&self, needle: &[u8]) -> bool {
        [&self.command, &self.answer]
            .iter()
            .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    }
}

/// Reads the log from the mark on.
pub(crate) fn parse(log: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut into = Direction::Elsewhere;
    for line in log.lines() {
        let line = line.trim();
        if let Some(bytes) = hexadecimal(line) {
            match (into, exchanges.last_mut()) {
                (Direction::Command, Some(last)) => last.command.extend(bytes),
                (Direction::Answer, Some(last)) => last.answer.extend(bytes),
                _ => {}
            }
        } else if line.starts_with("SWTPM_IO_Read") {
            exchanges.push(Exchange { command: Vec::new(), answer: Vec::new() });
            into = Direction::Command;
        } else if line.starts_with("SWTPM_IO_Write") {
            into = Direction::Answer;
        } else {
            into = Direction::Elsewhere;
        }
    }
    exchanges
}

#[derive(Clone, Copy)]
enum Direction {
    Command,
    Answer,
    Elsewhere,
}

fn hexadecimal(line: &str) -> Option<Vec<u8>> {
    let bytes =
        line.split(' ').map(|pair| if pair.len() == 2 { u8::from_str_radix(pair, 16).ok() } else { None });
    bytes.collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes)
}

/// TPM_CC, those that a client of a TPM may meet.
const NAMES: &[(u32, &str)] = &[
    (0x11f, "NV_UndefineSpaceSpecial"),
    (0x120, "EvictControl"),
    (0x121, "HierarchyControl"),
    (0x122, "NV_UndefineSpace"),
    (0x124, "ChangeEPS"),
    (0x125, "ChangePPS"),
    (0x126, "Clear"),
    (0x127, "ClearControl"),
    (0x128, "ClockSet"),
    (0x129, "HierarchyChangeAuth"),
    (0x12a, "NV_DefineSpace"),
    (0x12b, "PCR_Allocate"),
    (0x12e, "SetPrimaryPolicy"),
    (0x131, "CreatePrimary"),
    (0x132, "NV_GlobalWriteLock"),
    (0x133, "GetCommandAuditDigest"),
    (0x134, "NV_Increment"),
    (0x135, "NV_SetBits"),
    (0x136, "NV_Extend"),
    (0x137, "NV_Write"),
    (0x138, "NV_WriteLock"),
    (0x139, "DictionaryAttackLockReset"),
    (0x13a, "DictionaryAttackParameters"),
    (0x13b, "NV_ChangeAuth"),
    (0x13c, "PCR_Event"),
    (0x13d, "PCR_Reset"),
    (0x143, "SelfTest"),
    (0x144, "Startup"),
    (0x145, "Shutdown"),
    (0x146, "StirRandom"),
    (0x147, "ActivateCredential"),
    (0x148, "Certify"),
    (0x149, "PolicyNV"),
    (0x14a, "CertifyCreation"),
    (0x14b, "Duplicate"),
    (0x14c, "GetTime"),
    (0x14e, "NV_Read"),
    (0x14f, "NV_ReadLock"),
    (0x150, "ObjectChangeAuth"),
    (0x151, "PolicySecret"),
    (0x153, "Create"),
    (0x154, "ECDH_ZGen"),
    (0x155, "HMAC"),
    (0x156, "Import"),
    (0x157, "Load"),
    (0x158, "Quote"),
    (0x159, "RSA_Decrypt"),
    (0x15d, "Sign"),
    (0x15e, "Unseal"),
    (0x160, "PolicySigned"),
    (0x161, "ContextLoad"),
    (0x162, "ContextSave"),
    (0x163, "ECDH_KeyGen"),
    (0x164, "EncryptDecrypt"),
    (0x165, "FlushContext"),
    (0x167, "LoadExternal"),
    (0x168, "MakeCredential"),
    (0x169, "NV_ReadPublic"),
    (0x16a, "PolicyAuthorize"),
    (0x16b, "PolicyAuthValue"),
    (0x16c, "PolicyCommandCode"),
    (0x16d, "PolicyCounterTimer"),
    (0x171, "PolicyOR"),
    (0x173, "ReadPublic"),
    (0x176, "StartAuthSession"),
    (0x177, "VerifySignature"),
    (0x17a, "GetCapability"),
    (0x17b, "GetRandom"),
    (0x17e, "PCR_Read"),
    (0x17f, "PolicyPCR"),
    (0x181, "ReadClock"),
    (0x189, "PolicyGetDigest"),
    (0x18c, "PolicyPassword"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_as_commands_and_answers() {
        let log = " SWTPM_IO_Read: length 12\n 80 01 00 00 00 0C 00 00 01 7B 00 08 \n SWTPM_IO_Write: length 10\n \
                   80 01 00 00 00 0A 00 00 00 00 \nData client disconnected\n Ctrl Cmd: length 4\n 00 00 00 02 \n \
                   SWTPM_IO_Read: length 12\n 80 01 00 00 00 0C \n 00 00 01 44 00 00 \n";
        let exchanges = parse(log);
        let names: Vec<String> = exchanges.iter().map(Exchange::name).collect();
        assert_eq!(names, ["GetRandom", "Startup"]);
        assert_eq!(exchanges[0].response_code(), 0);
        assert_eq!(exchanges[1].command.len(), 12);
        assert!(exchanges[1].answer.is_empty());
        assert!(exchanges[0].carries(&[0x7b, 0, 8]));
    }
}

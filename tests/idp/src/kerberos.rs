//! Tickets beside a primary token. They are one made-up ticket, always the same: what a client does with it can be compared octet by
//! octet, and no KDC is needed.

use serde_json::{Value, json};

use crate::jose::{base64, encrypt_answer};
use crate::switches::{AnswerCipher, Kerberos};
use crate::vary::Members;

/// The members that `tgt=true` adds to an answer with a primary token.
pub(crate) fn members(kind: Kerberos, session_key: &[u8; 32]) -> Members {
    let Some((ticket, key)) = ticket() else { return Vec::new() };
    let sealed = encrypt_answer(session_key, &key, AnswerCipher::Cbc, false);
    let with_key = |client_key: Value, realm: &str| {
        let mut ticket = ticket.clone();
        ticket["clientKey"] = client_key;
        ticket["realm"] = realm.into();
        Value::from(ticket.to_string())
    };
    let sealed = sealed.map_or(Value::Null, Value::from);
    let cloud = ("tgt_cloud", with_key(sealed.clone(), CLOUD));
    let names = ("kerberos_top_level_names", Value::from(".windows.net,.windows.net:1433,.azure.net"));
    match kind {
        Kerberos::None => Vec::new(),
        Kerberos::Cloud => vec![cloud, names],
        Kerberos::CloudPlainKey => vec![("tgt_cloud", with_key(base64(&key).into(), CLOUD)), names],
        Kerberos::CloudAndDirectory => vec![cloud, ("tgt_ad", with_key(sealed, "CORP.EXAMPLE")), names],
        Kerberos::DirectoryFlat => vec![
            cloud,
            ("tgt_message_buffer", ticket["messageBuffer"].clone()),
            ("tgt_client_key", sealed),
            ("tgt_key_type", 18.into()),
            names,
        ],
        Kerberos::Refused => {
            let refused = json!({"clientKey": null, "keyType": 0, "error": "The user is not synchronised.",
                "messageBuffer": null, "realm": null, "sn": null, "cn": null, "sessionKeyType": 0, "accountType": 0});
            vec![("tgt_cloud", refused.to_string().into()), ("tgt_ad", refused.to_string().into())]
        }
    }
}

/// The ticket and the key that its answer is encrypted with.
fn ticket() -> Option<(Value, Vec<u8>)> {
    let vector: Value =
        serde_json::from_str(include_str!("../vectors/synthetic_tgt_cloud_to_ccache.json")).ok()?;
    let ticket = serde_json::from_str(vector["tgt_cloud_json_string"].as_str()?).ok()?;
    let hex = vector["client_key_hex"].as_str()?;
    let octet = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    Some((ticket, (0..hex.len()).step_by(2).map(octet).collect::<Option<_>>()?))
}

const CLOUD: &str = "KERBEROS.MICROSOFTONLINE.COM";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_has_the_members_that_clients_look_for() {
        for kind in [Kerberos::Cloud, Kerberos::CloudPlainKey, Kerberos::CloudAndDirectory] {
            let members = members(kind, &[7; 32]);
            let ticket: Value = serde_json::from_str(members[0].1.as_str().unwrap()).unwrap();
            assert_eq!(ticket["keyType"], 18);
            assert!(ticket["sessionKeyType"].is_number() && ticket["accountType"].is_number());
            let key = ticket["clientKey"].as_str().unwrap();
            assert_eq!(key.contains('.'), kind != Kerberos::CloudPlainKey);
        }
    }
}

//! The register of devices and of the Hello keys on them. A certificate is never judged by what it says: it is in the register, to
//! the octet, or it isn't.

use serde_json::{Value, json};

use super::Dialect;
use crate::clock::Seconds;
use crate::jose::base64;
use crate::rsa1::PublicKey;

#[derive(Default)]
pub(crate) struct Devices {
    devices: Vec<Device>,
    keys: Vec<HelloKey>,
}

pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) dialect: Dialect,
    pub(crate) name: String,
    pub(crate) join_type: u64,
    /// DER, as it was issued.
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: PublicKey,
    /// As it was sent: joining accepts what only the first use refuses (AADSTS5001210).
    pub(crate) transport: Vec<u8>,
    pub(crate) owner: String,
    pub(crate) enabled: bool,
    /// The register remembers it, so that its certificate is told from one that never was.
    pub(crate) deleted: bool,
}

#[derive(Clone)]
pub(crate) struct HelloKey {
    /// What registration called it; not what assertions call it.
    pub(crate) id: String,
    pub(crate) dialect: Dialect,
    pub(crate) upn: String,
    pub(crate) device: String,
    pub(crate) key: PublicKey,
    pub(crate) created: Seconds,
}

impl Devices {
    /// A key is somebody's, whatever they are called.
    pub(crate) fn rename(&mut self, upn: &str, to: &str) {
        for key in self.keys.iter_mut().filter(|key| key.upn.eq_ignore_ascii_case(upn)) {
            key.upn = to.to_ascii_lowercase();
        }
    }

    pub(crate) fn add(&mut self, device: Device) {
        // A computer that joins again replaces itself.
        self.devices.retain(|known| known.id != device.id);
        self.devices.push(device);
    }

    pub(crate) fn with_certificate(&self, certificate: &[u8], dialect: Dialect) -> Option<&Device> {
        self.devices.iter().find(|device| device.certificate == certificate && device.dialect == dialect)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.id.eq_ignore_ascii_case(id))
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.id.eq_ignore_ascii_case(id))
    }

    pub(crate) fn owned_by(&self, upn: &str) -> usize {
        self.devices.iter().filter(|device| device.owner.eq_ignore_ascii_case(upn) && !device.deleted).count()
    }

    pub(crate) fn add_key(&mut self, key: HelloKey) {
        self.keys.push(key);
    }

    /// The key of that name which that user has registered.
    pub(crate) fn key(&self, upn: &str, kid: &str, dialect: Dialect) -> Option<&HelloKey> {
        let mut keys =
            self.keys.iter().filter(|key| key.dialect == dialect && key.upn.eq_ignore_ascii_case(upn));
        keys.find(|key| key.key.kid() == kid)
    }

    /// By what registration called it, or by what assertions do. Whether there was one.
    pub(crate) fn delete_key(&mut self, id: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.id != id && key.key.kid() != id);
        self.keys.len() < before
    }

    /// Whoever has it; what a careless server would do.
    pub(crate) fn any_key(&self, kid: &str) -> Option<&HelloKey> {
        self.keys.iter().find(|key| key.key.kid() == kid)
    }

    pub(crate) fn dump(&self) -> Value {
        let devices = self.devices.iter().map(|device| {
            json!({"id": device.id, "dialect": format!("{:?}", device.dialect), "name": device.name, "owner": device.owner,
                "key": device.key.kid(),
                "join_type": device.join_type, "enabled": device.enabled, "deleted": device.deleted,
                "certificate": base64(&device.certificate)})
        });
        devices.collect()
    }

    pub(crate) fn dump_keys(&self) -> Value {
        let keys = self.keys.iter().map(|key| {
            json!({"id": key.id, "kid": key.key.kid(), "upn": key.upn, "device": key.device, "created": key.created,
                "dialect": format!("{:?}", key.dialect)})
        });
        keys.collect()
    }
}

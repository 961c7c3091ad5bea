//! The laboratory as an organisation at Entra has it.

use hellod::identity::entra::{self, Tenant, register};
use hellod::identity::{Device, Directory, DirectoryError, Domain, Freshness, Permit, Registered, SignIn};
use hellod::keys::CheckedMachineKeys;
use hellod::wire::Upn;
use serde_json::Value;

use crate::lab::{DORA, Lab, Machine, PASSWORD};

pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) tenant: Tenant,
    pub(crate) freshness: Freshness,
}

impl House {
    /// With the switches of the stand-in that differ.
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
        let lab = Lab::with(seed, switches);
        let tenant = Tenant::of(&lab.online, &domain("corp.example")).await.unwrap().unwrap();
        Self { lab, tenant, freshness: Freshness::AsTheTenantHasIt }
    }

    pub(crate) fn sign_in(&self) -> SignIn<'_> {
        entra::sign_in(&self.lab.online, &self.tenant, self.freshness)
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::Entra(self.tenant.clone())
    }

    pub(crate) async fn by_password(&self) -> Result<Permit, DirectoryError> {
        self.sign_in().by_password(&Upn::parse(DORA).unwrap(), PASSWORD).await
    }

    /// Keys in the TPM, a request signed by the device key, and what the directory says to it.
    pub(crate) async fn register(
        &self,
        permit: &Permit,
    ) -> Result<(CheckedMachineKeys, Registered), DirectoryError> {
        let Machine { keys, request } = self.lab.machine().await;
        let device = Device {
            request: &request,
            key: keys.device(),
            transport: keys.transport(),
            domain: "corp.example",
            name: "lab",
            system: "Debian GNU/Linux 13",
        };
        let registered = register(&self.lab.online, &self.tenant.devices, permit, &device).await?;
        Ok((keys, registered))
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

//! The laboratory as an organisation with an AD FS of its own has it.

use hellod::identity::adfs::{self, Farm, register};
use hellod::identity::{Device, Directory, DirectoryError, Domain, Freshness, Permit, Registered, SignIn};
use hellod::keys::CheckedMachineKeys;
use hellod::secret::Token;
use hellod::wire::Upn;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::lab::{DORA, Lab, Machine, PASSWORD};

pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) farm: Farm,
    pub(crate) freshness: Freshness,
}

impl House {
    /// With the switches of the stand-in that differ. What discovery found has been in a record in between, as it is from the
    /// day on that a device has joined.
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
        let lab = Lab::with(seed, switches);
        let farm = Farm::of(&lab.online, &domain("corp.example")).await.unwrap().unwrap();
        let farm = serde_json::from_str(&serde_json::to_string(&farm).unwrap()).unwrap();
        Self { lab, farm, freshness: Freshness::AsTheTenantHasIt }
    }

    pub(crate) fn sign_in(&self) -> SignIn<'_> {
        adfs::sign_in(&self.lab.online, &self.farm, self.freshness)
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::AdFs(self.farm.clone())
    }

    pub(crate) async fn by_password(&self) -> Result<Permit, DirectoryError> {
        self.sign_in().by_password(&Upn::parse(DORA).unwrap(), PASSWORD).await
    }

    /// What AD FS gives the computer for a Kerberos ticket of its own.
    pub(crate) fn of_the_computer(&self) -> Permit {
        let token = self.lab.order(json!({"do": "computer-token", "name": "LAB"}));
        let token = Token::parse(Zeroizing::new(token.as_str().unwrap().to_owned())).unwrap();
        Permit::check(token, &self.farm).unwrap()
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
        let registered = register(&self.lab.online, &self.farm, permit, &device).await?;
        Ok((keys, registered))
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

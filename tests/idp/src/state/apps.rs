//! Applications and what they may ask for: those that have to do with joining, signing in and brokering.

/// An application that asks for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) id: &'static str,
    /// Refresh tokens of one of the family serve all.
    pub(crate) family: bool,
    redirects: &'static [&'static str],
}

impl App {
    /// What a server that didn't look would take anything for.
    pub(crate) const UNKNOWN: Self =
        Self { id: "00000000-0000-0000-0000-000000000000", family: false, redirects: &[] };

    pub(crate) fn find(id: &str) -> Option<Self> {
        APPS.iter().find(|app| app.id.eq_ignore_ascii_case(id)).copied()
    }

    /// To the letter, as Entra compares; every application may be brokered.
    pub(crate) fn redirects_to(&self, uri: &str) -> bool {
        let broker = uri.strip_prefix("ms-appx-web://Microsoft.AAD.BrokerPlugin/");
        self.redirects.contains(&uri) || broker.is_some_and(|id| id.eq_ignore_ascii_case(self.id))
    }
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) app_id: &'static str,
    uris: &'static [&'static str],
}

impl Resource {
    /// By any of its names; a slash at the end is none of the name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let name = name.trim_end_matches('/');
        let is_named = |resource: &&Self| {
            resource.app_id.eq_ignore_ascii_case(name)
                || resource.uris.iter().any(|uri| uri.eq_ignore_ascii_case(name))
        };
        RESOURCES.iter().find(is_named).copied()
    }

    /// `aud`: the name of the v1 endpoint, or the identifier of v2.
    pub(crate) fn audience(&self, v2: bool) -> &'static str {
        if v2 { self.app_id } else { self.uris.first().copied().unwrap_or(self.app_id) }
    }

    pub(crate) fn is_registration(&self) -> bool {
        self.app_id == REGISTRATION_APP
    }
}

/// Joins devices, and turns refresh tokens into primary ones.
pub(crate) const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
/// Asks for primary tokens.
pub(crate) const CLOUD_AP: &str = "38aa3b87-a06d-4817-b275-7a316988d93b";
/// The service that registers devices and keys.
pub(crate) const REGISTRATION_APP: &str = "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9";
/// Where programs without a browser of their own are sent.
pub(crate) const NATIVE: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

const APPS: [App; 9] = [
    App {
        id: BROKER,
        family: false,
        redirects: &[
            "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS",
            "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRSFF",
            "msauth://Microsoft.AAD.BrokerPlugin",
            "ms-appx-web://Microsoft.AAD.BrokerPlugin",
            "urn:ietf:wg:oauth:2.0:oob",
            NATIVE,
        ],
    },
    App { id: CLOUD_AP, family: false, redirects: &[] },
    App {
        id: "dd762716-544d-4aeb-a526-687b73838a22",
        family: false,
        redirects: &["ms-app://windows.immersivecontrolpanel/"],
    },
    App { id: "b90d5b8f-5503-4153-b545-b31cecfaece2", family: false, redirects: &[NATIVE] },
    App {
        id: "b743a22d-6705-4147-8670-d92fa515ee2b",
        family: false,
        redirects: &[
            "companyportal://com.microsoft.CompanyPortal",
            "msauth://Microsoft.AAD.BrokerPlugin",
            NATIVE,
        ],
    },
    App {
        id: "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        family: true,
        redirects: &["http://localhost", NATIVE],
    },
    App {
        id: "1b730954-1685-4b74-9bfd-dac224a7b894",
        family: true,
        redirects: &["urn:ietf:wg:oauth:2.0:oob", NATIVE],
    },
    App { id: "ecd6b820-32c2-49b6-98a6-444530e5a77a", family: true, redirects: &[NATIVE] },
    App { id: "d7b530a4-7680-4c23-a8bf-c52c121d2e87", family: true, redirects: &[NATIVE] },
];

const RESOURCES: [Resource; 6] = [
    Resource { app_id: REGISTRATION_APP, uris: &["urn:ms-drs:enterpriseregistration.windows.net"] },
    Resource { app_id: "00000002-0000-0000-c000-000000000000", uris: &["https://graph.windows.net"] },
    Resource { app_id: "00000003-0000-0000-c000-000000000000", uris: &["https://graph.microsoft.com"] },
    Resource {
        app_id: "797f4846-ba00-4fd7-ba43-dac1f8f63013",
        uris: &["https://management.core.windows.net", "https://management.azure.com"],
    },
    Resource {
        app_id: "d4ebce55-015a-49b5-a083-c84d1797ae8c",
        uris: &["https://enrollment.manage.microsoft.com"],
    },
    // The number is made up: nobody published it.
    Resource { app_id: "ab9b8c07-8f02-4f72-87fa-80105867a763", uris: &["urn:aad:tb:update:prt"] },
];

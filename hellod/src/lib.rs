//! hellod decides who is signed in. It opens no TPM, sees no PIN and has no network; `README.md` draws the path that a
//! PIN takes.
//!
//! Read from the top: `bus` receives a call and makes it a job, `daemon` hands the job to a flow, a flow tells its
//! story with the parts, and the parts stand on the tools.

// The edge.
pub mod bus;
pub mod daemon;
pub mod jobs;

// Flows: one for each story that a person could tell.
pub mod authentication;
pub mod doctor;
pub mod provisioning;
pub mod registration;
pub mod sign_on;
pub mod status;

// Parts: each hides one difficulty.
pub mod accounts;
pub mod audit;
pub mod config;
pub mod conversation;
pub mod enrolments;
pub mod escrows;
pub mod fingers;
pub mod gesture;
pub mod history;
pub mod identity;
pub mod keyring;
pub mod membership;
pub mod offers;
pub mod parts;
pub mod party;
pub mod permit;
pub mod policy;
pub mod refusal;
pub mod standing;
pub mod store;
pub mod tokens;
pub mod tries;

// Tools.
pub mod escrow;
pub mod finger;
pub mod jose;
pub mod keys;
pub mod logging;
pub mod online;
pub mod wire;
pub mod x509;

// Values that everybody may use.
pub mod caller;
pub mod clock;
pub mod guid;
pub mod random;
pub mod secret;

//! A stand-in for Microsoft Entra ID, and for AD FS, that is as strict as they are: a test server with TLS, state and a clock
//! that tests move. It shares no code with hellod, so that what one of them misreads, the other refuses.
//!
//! [`Idp`] starts one for a test. README.md says what it checks, and what nobody could know.

mod adfs;
mod certificate;
mod checks;
mod clock;
mod control;
mod der;
mod drs;
mod entra;
mod errors;
mod faults;
mod idp;
mod jose;
mod kdc;
mod kdf;
mod kerberos;
mod proxy;
mod random;
mod rsa1;
mod serve;
mod state;
mod switches;
mod tls;
mod vary;
mod web;

pub use checks::Check;
pub use idp::{Idp, Options, StartError};
pub use kdc::Kdc;
pub use proxy::Proxy;
pub use serve::{Arguments, ServeError, serve};
pub use switches::{AnswerCipher, Confusion, Kerberos, Lifetimes, Serial, Switches, Wrapping, X5c};

//! The proof: a laboratory of real parts, and what the tests in `tests/` need to use it.
//!
//! A [`Lab`] is a machine of its own inside this one: private mounts, processes, network and hostname over a copy-on-write view of
//! the host, with real sudo, login, su, dbus-daemon, polkitd, fprintd and a software TPM. The host stays untouched, and any number of labs
//! run side by side. It ends with the value, and also when the test crashes or is interrupted.
//!
//! A laboratory that can't be set up, or a deadline that passes, ends the test with the sentence that says what was missing.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "the crate is a test harness: a failure inside it is the failure of the test"
)]

mod album;
mod bus;
mod container;
mod corp;
mod debian;
mod hellod;
mod init;
mod interposer;
mod journal;
mod junction;
mod keyrings;
mod lab;
mod loopback;
mod machine;
mod mutation;
mod namespace;
mod output;
mod packages;
mod pam;
mod peer;
mod people;
mod programs;
mod reader;
mod running;
mod sensor;
mod sitting;
mod swapper;
mod talk;
mod terminal;
pub mod texts;
pub mod tongue;
mod touched;
mod tpm;
mod transcript;
mod values;
mod wait;
mod wayland;
mod wire;
mod world;

pub use album::{Album, Block, accepts, alike, files, one, steady};
pub use bus::{Bus, Polkit};
pub use container::Container;
pub use corp::{Corp, DOMAIN, DORA, DORAS_PASSWORD};
pub use debian::Debian;
pub use hellod::{Config, Hellod, HellodFinger, HellodOnline};
pub use init::hold;
pub use interposer::{Interposer, Meddler};
pub use journal::{Entry, Journal};
pub use keyrings::Keyring;
pub use lab::{Lab, LabBuilder};
pub use machine::Machine;
pub use mutation::{Mutation, Witness};
pub use namespace::{Plug, privileged};
pub use output::Output;
pub use packages::Packages;
pub use pam::{PamStack, modules};
pub use peer::Peer;
pub use people::{ALICE, BOB, HELLOD, HELLOD_FINGER, HELLOD_ONLINE, MALLORY, NOBODY, Person, ROOT};
pub use programs::{SUITE, program, shipped_module, source_root, unpacked};
pub use reader::{FINGER_NEEDED, READER, TOUCH_READER};
pub use running::Running;
pub use sensor::Sensor;
pub use sitting::{Sitting, Typed};
pub use swapper::{Named, Swapper, reseal};
pub use talk::{Ending, PREFIX, Refusal, Step, Talk, request, secret_frame};
pub use terminal::{Seen, Terminal};
pub use touched::{PARTS, PROMPT_WITH_FINGER, TOUCH, Touched};
pub use tpm::Tpm;
pub use transcript::{Exchange, Mark};
pub use values::{auth_value, hexadecimal};
pub use wait::{PATIENCE, until, within};
pub use wayland::{RUNTIME, compositor, in_session, runtime};
pub use world::{ONE_OFF, PIN, PROMPT, SUDO_PASSWORD, World, finish_with_password, leave};

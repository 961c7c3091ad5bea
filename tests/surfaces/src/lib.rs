//! What lockers, greeters and sudo do to a PAM module, acted out, with a verdict.
//!
//! A [`Persona`] is one of those programs: it makes the calls that the program makes, in its order and with its flags, answers as it
//! answers, and gives up where it gives up. An actor, a process of its own, plays a [`Scene`] against whatever modules the service
//! files name, and writes a [`Record`]. [`RULES`] are what the programs need of a module; each is a check on such a record.
//!
//! Nothing here knows any module: `README.md` says how to judge one, and what the rules are taken from.

mod actor;
mod code;
mod ffi;
mod persona;
mod record;
mod rules;
mod stage;
mod story;
mod traces;

pub use actor::{Answer, Person, play};
pub use code::Code;
pub use persona::{Persona, Scene};
pub use record::{Ending, Event, Record, Step};
pub use rules::{RULES, Rule};
pub use stage::{Finding, Sandbox, Stage, Unstaged, sandbox};

//! `helloctl`: the command line of Hello for Linux. helloctl(1) describes it.
//!
//! It decides nothing. What changes an enrolment is a conversation that hellod leads and whose terminal this program
//! is; the rest shows what hellod answers. It must never be set-uid.

mod cli;
mod commands;
mod conversation;
mod credentials;
mod doctor;
mod echo;
mod events;
mod exit;
mod explain;
mod failure;
mod interrupts;
mod lines;
mod offer;
mod pam;
mod password_agent;
mod policy;
mod screen;
mod services;
mod status;
mod terminal;
mod text;
mod transcript;
mod usage;
mod utc;

use std::process::ExitCode;

use hello_words::{Language, locale_of_environment};

use exit::Exit;

fn main() -> ExitCode {
    Language::of_locale(&locale_of_environment()).spoken_during(|| {
        let exit = match usage::read() {
            Ok(cli) => commands::run(cli.command),
            Err(answer) => {
                let exit = if answer.use_stderr() { Exit::Usage } else { Exit::Done };
                // Nothing is left to be told where the answer can't be printed.
                let _ = usage::print(answer);
                exit
            }
        };
        exit.into()
    })
}

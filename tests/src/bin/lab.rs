//! A laboratory to walk about in: `cargo run --bin lab` gives a root shell with the system bus, polkit and a TPM running;
//! `cargo run --bin lab -- alice sudo id` runs a program as somebody. Leaving it, or killing this program, ends everything.

use std::process::ExitCode;

use hello_tests::Lab;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let user = arguments.next().unwrap_or_else(|| "root".to_owned());
    let mut argv: Vec<String> = arguments.collect();
    if argv.is_empty() {
        argv = vec!["bash".to_owned(), "-i".to_owned()];
    }
    let lab = Lab::with_hello().build();
    let _running = (lab.bus(), lab.polkit(), lab.swtpm());
    let status = lab.enter(&user, argv);
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

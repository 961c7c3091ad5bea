//! The daemon and the module themselves: start, memory, size.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use hello_tests::{Running, World, program, until};

use crate::figure::{Figure, median, milliseconds};

/// Three figures.
pub(crate) fn measure(world: &mut World) -> Vec<Figure> {
    let (pss, rss) = memory(world);
    let start = start(world);
    let size = fs::metadata(program("libpam_hello.so")).map_or(u64::MAX, |file| file.len());
    vec![
        Figure::plain(
            "hellod from exec to ready, median of 10",
            milliseconds(start),
            "50 ms",
            start <= Duration::from_millis(50),
        ),
        Figure::plain(
            &format!(
                "memory of hellod and its TPM child at rest, after all of the above: PSS (RSS {})",
                mebibytes(rss)
            ),
            mebibytes(pss),
            "15 MiB",
            pss <= 15 << 20,
        ),
        Figure::plain("size of pam_hello.so, stripped", mebibytes(size), "1.5 MiB", size <= 3 << 19),
    ]
}

fn memory(world: &World) -> (u64, u64) {
    let processes = [world.hellod.program().pid()].into_iter().chain(world.hellod.children());
    let rollups: Vec<String> =
        processes.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()).collect();
    assert!(!rollups.is_empty(), "hellod was to be running");
    let sum = |name: &str| -> u64 {
        let lines = rollups.iter().flat_map(|rollup| rollup.lines()).filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>() << 10
    };
    (sum("Pss:"), sum("Rss:"))
}

/// hellod says READY=1 as to systemd; the clock starts when its process becomes hellod.
fn start(world: &mut World) -> Duration {
    world.hellod.kill();
    let socket = UnixDatagram::bind(world.lab.outside(NOTIFY)).expect("/run is writable");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline can be set");
    world.lab.run_as("root", ["chmod", "666", NOTIFY]).ok();
    median((0..10).map(|_| one_start(world, &socket)).collect())
}

fn one_start(world: &World, socket: &UnixDatagram) -> Duration {
    let notify = format!("NOTIFY_SOCKET={NOTIFY}");
    let argv = ["sh", "-c", "kill -STOP $$; exec env \"$0\" /usr/libexec/hellod", &notify];
    let mut hellod: Running = world.lab.start("hellod", argv);
    let stopped = || {
        let status = fs::read_to_string(format!("/proc/{}/stat", hellod.pid())).unwrap_or_default();
        status.contains(") T ").then_some(())
    };
    until("the start of hellod to be prepared", Duration::from_secs(5), stopped);
    let begun = Instant::now();
    hellod.resume();
    let mut told = [0; 256];
    let length = socket.recv(&mut told).expect("hellod says when it is ready");
    let took = begun.elapsed();
    assert!(told[..length].starts_with(b"READY=1"));
    hellod.terminate();
    while socket.set_nonblocking(true).is_ok() && socket.recv(&mut told).is_ok() {}
    let _ = socket.set_nonblocking(false);
    took
}

fn mebibytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point")]
    let size = bytes as f64 / f64::from(1 << 20);
    format!("{size:.1} MiB")
}

const NOTIFY: &str = "/run/hello-notify";

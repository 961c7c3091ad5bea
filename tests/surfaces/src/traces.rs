//! What a module can leave behind in the process that loaded it, as /proc shows it.

use std::fs;

/// The threads, descriptors, children and signals of this process, a line each.
pub(crate) fn of_this_process() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let signals = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or_default() & !OF_THE_C_LIBRARY;
        format!("{name} {mask:016x}")
    };
    let mut lines = vec![format!("threads {}", threads()), format!("children {}", children())];
    // Who is blocked, ignored and caught: programs expect to find SIGCHLD and SIGPIPE as they left them.
    lines.extend(["SigBlk:", "SigIgn:", "SigCgt:"].map(signals));
    lines.extend(descriptors());
    lines
}

/// How many threads there are.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn children() -> String {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    children.collect::<String>().trim().to_owned()
}

/// Without the one that reads the directory.
fn descriptors() -> Vec<String> {
    let links = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut names: Vec<String> = links
        .filter_map(|link| {
            let target = fs::read_link(link.path()).ok()?.to_string_lossy().into_owned();
            let reads = target.starts_with("/proc/") && target.ends_with("/fd");
            (!reads).then(|| format!("descriptor {} {target}", link.file_name().to_string_lossy()))
        })
        .collect();
    names.sort();
    names
}

/// Signals 32 to 34, which glibc and musl keep for their threads.
const OF_THE_C_LIBRARY: u64 = 0b111 << 31;

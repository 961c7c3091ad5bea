//! Root inside a machine, on a port of its own, which is no terminal: runs what the test says, and says what came of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::Output;
use crate::wait::until;

/// The near end of the line.
#[derive(Debug)]
pub(super) struct Agent {
    reads: BufReader<UnixStream>,
    asked: u32,
}

impl Agent {
    /// Takes up the line that QEMU offers.
    #[track_caller]
    pub(super) fn on(socket: &Path) -> Self {
        let stream = until("QEMU to listen", Duration::from_secs(30), || UnixStream::connect(socket).ok());
        Self { reads: BufReader::new(stream), asked: 0 }
    }

    /// Waits until the program at the other end has started.
    #[track_caller]
    pub(super) fn greeted(&mut self, patience: Duration) {
        let greeting = self.line(patience);
        assert_eq!(greeting.trim(), "ready", "from the agent inside");
    }

    /// Runs lines of sh(1) to their end, with something on standard input.
    #[track_caller]
    pub(super) fn sh(&mut self, lines: &str, input: &str, patience: Duration) -> Output {
        let start = Instant::now();
        self.asked += 1;
        let request = format!("{} {} {}\n", self.asked, hexadecimal(lines), hexadecimal(input));
        self.reads.get_mut().write_all(request.as_bytes()).expect("the machine runs");
        let answer = self.line(patience);
        let mut words = answer.trim().split(' ');
        let mut next =
            || words.next().unwrap_or_else(|| panic!("the agent inside said {answer:?} to {lines:?}"));
        assert_eq!(next(), self.asked.to_string(), "{answer:?}");
        let status = next().parse().map_or(ExitStatus::from_raw(1), ExitStatus::from_raw);
        let [stdout, stderr] = [next(), next()].map(octets);
        Output::new(status, &stdout, &stderr, start.elapsed())
    }

    #[track_caller]
    fn line(&mut self, patience: Duration) -> String {
        self.reads.get_ref().set_read_timeout(Some(patience)).expect("a deadline can be set");
        let mut line = String::new();
        match self.reads.read_line(&mut line) {
            Ok(length) if length > 0 => line,
            other => panic!("nothing from the agent inside within {patience:?}: {other:?}"),
        }
    }
}

/// With a mark in front, for an empty text is no word.
fn hexadecimal(text: &str) -> String {
    let digits: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
    format!("x{digits}")
}

fn octets(word: &str) -> Vec<u8> {
    let digits = word.strip_prefix('x').unwrap_or_default().as_bytes();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).filter_map(octet).collect()
}

/// Perl is on every Debian. Each request is a line: a number, what to run, and its input.
///
/// A port of virtio and not a second serial line: that has a getty, a size and a speed in the eyes of somebody, and loses what
/// an emulated processor takes too late. Whoever reads while nobody is at the other end is told that it is over, which it is not.
pub(super) const PROGRAM: &str = r#"
use Fcntl;
my $line;
until (sysopen $line, "/dev/virtio-ports/agent", O_RDWR) { select undef, undef, undef, 0.1 }
sub say_all { for (my $at = 0; $at < length $_[0]; ) { $at += syswrite($line, $_[0], 4096, $at) // 0 } }
sub slurp { local $/; open my $file, "<", $_[0]; unpack "H*", <$file> // "" }
say_all "ready\n";
my $heard = "";
while (1) {
    sysread($line, $heard, 4096, length $heard) or select undef, undef, undef, 0.1;
    while ($heard =~ s/^(.*)\n//) {
        my ($number, @words) = split " ", $1;
        my ($script, $input) = map { pack "H*", substr $_, 1 } @words;
        open my $file, ">", "/run/lab-agent.in"; print $file $input; close $file;
        my $pid = fork;
        if (!$pid) {
            open STDIN, "<", "/run/lab-agent.in";
            open STDOUT, ">", "/run/lab-agent.out";
            open STDERR, ">", "/run/lab-agent.err";
            exec "/bin/sh", "-c", $script;
        }
        waitpid $pid, 0;
        say_all "$number $? x" . slurp("/run/lab-agent.out") . " x" . slurp("/run/lab-agent.err") . "\n";
    }
}
"#;

pub(super) const UNIT: &str = "\
[Unit]
Description=Runs what the test says
[Service]
ExecStart=/usr/bin/perl /usr/lib/hello-lab/agent
Environment=DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 TERM=dumb SYSTEMD_PAGER=cat
[Install]
WantedBy=multi-user.target
";

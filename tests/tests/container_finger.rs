//! A finger on a whole system: fprintd as systemd starts it, with libfprint's virtual reader, and hellod-finger within the walls of
//! its unit.

use hello_tests::{
    ALICE, Container, Debian, FINGER_NEEDED, PATIENCE, PIN, PROMPT, PROMPT_WITH_FINGER, READER, TOUCH_READER,
    until,
};

/// A software TPM serves one program at a time, /dev/tpmrm0 several: whole commands pass here, one by one.
const JUNCTION: &str = r#"
use IO::Select; use IO::Socket::UNIX;
my ($at, $chip) = @ARGV;
my $tpm = IO::Socket::UNIX->new(Peer => $chip) or die "the TPM: $!";
my $door = IO::Socket::UNIX->new(Local => $at, Listen => 8) or die "$at: $!";
chmod 0660, $at; chown 0, scalar getgrnam('tss'), $at;
sub frame {
    my ($from, $frame, $size) = (@_, '', 10);
    while (length $frame < $size) {
        sysread($from, $frame, $size - length $frame, length $frame) or return;
        $size = unpack 'N', substr $frame, 2, 4 if length $frame == 10;
    }
    return $frame;
}
my $all = IO::Select->new($door);
while (1) {
    for my $one ($all->can_read) {
        if ($one == $door) { $all->add($door->accept); next }
        my $command = frame($one);
        if (!defined $command) { $all->remove($one); close $one; next }
        syswrite $tpm, $command;
        syswrite $one, frame($tpm);
    }
}
"#;
const TPM: &str = "[tpm]\nswtpm = \"/run/tpm/socket\"\n";

fn touch(container: &Container, print: &str) {
    until("somebody to wait for a finger", PATIENCE, || is_waiting(container).then_some(()));
    container.sh(&format!("{TOUCH_READER} {print}")).ok();
}

#[test]
fn a_finger_answers_sudo_within_the_walls_of_the_units_and_no_longer_after_the_logout() {
    let mut container = with_a_finger();

    // A prompt that is left open is worth no finger at the screen that is locked since.
    container.console.send_line("sudo -k; sudo echo it is $((40 + 2))");
    container.console.expect(PROMPT_WITH_FINGER);
    lock(&container, true);
    container.console.send_line("");
    container.console.expect("the screen was locked or");
    lock(&container, false);
    container.answer(PROMPT, PIN);
    container.console.expect("it is 42");
    container.console.expect("$ ");
    // Nor one that waits for it already.
    container.console.send_line("sudo -k; sudo echo it is $((40 + 2))");
    container.answer(PROMPT_WITH_FINGER, "");
    container.console.expect("Touch the fingerprint reader: sudo for alice.");
    lock(&container, true);
    touch(&container, "index");
    container.console.expect("the screen was locked or");
    lock(&container, false);
    container.answer(PROMPT, PIN);
    container.console.expect("it is 42");
    container.console.expect("$ ");

    confined(&container);

    // What signs for the finger goes when she does, as policy says since.
    let policy = "[policy.Biometrics]\nPinAfterLogout = true\n";
    container.sh("mkdir -p /etc/hellod/policy.d").ok();
    container.write("/etc/hellod/policy.d/50-corp.toml", policy);
    container.sh("systemctl reload hellod; helloctl status").ok();
    container.sign_out();
    until("logind to have seen her leave", PATIENCE, || {
        (!container.sh("loginctl list-users").stdout.contains("alice")).then_some(())
    });
    container.sign_in(&ALICE, PROMPT, ALICE.password);
    container.console.send_line("sudo -k; sudo echo it is $((40 + 2))");
    container.answer(PROMPT, PIN);
    container.console.expect("it is 42");
}

#[test]
fn over_ssh_no_finger_is_asked_for_even_where_the_pin_may_be_and_one_counts_at_the_machine() {
    let mut container = with_a_finger();

    // She sits there, and somebody comes in from elsewhere as her.
    let sudo = |container: &mut Container, asks: &str| {
        container.console.send_line(
            "ssh -t -o StrictHostKeyChecking=no alice@192.0.2.1 'sudo -k; sudo echo it is $((40 + 2))'",
        );
        container.answer("alice@192.0.2.1's password: ", ALICE.password);
        let asked = container.console.expect(asks);
        assert!(!asked.before.contains("finger"), "{asked:?}");
        assert!(!is_waiting(container));
        // What asks for a finger elsewhere asks for none here.
        container.console.send_line("");
        let asked = container.console.expect("password for alice: ");
        assert!(!asked.before.contains("finger") && !is_waiting(container), "{asked:?}");
        container.console.send_line(ALICE.password);
        container.console.expect("it is 42");
        container.console.expect("$ ");
    };
    sudo(&mut container, "password for alice: ");
    container.write("/etc/hellod/hellod.toml", &format!("{TPM}[surfaces]\nremote = [\"sudo\"]\n"));
    container.run(["systemctl", "restart", "hellod.service"]).ok();
    sudo(&mut container, PROMPT);
    the_finger_answers_sudo(&mut container);
}

fn is_waiting(container: &Container) -> bool {
    container.sh(FINGER_NEEDED).stdout.trim() == "b true"
}

/// alice at the console, whose finger answers sudo.
fn with_a_finger() -> Container {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    furnish(&container);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, PROMPT, PIN);
    add_a_finger(&mut container);
    the_finger_answers_sudo(&mut container);
    container
}

/// Settings, a reader, and a TPM for two.
fn furnish(container: &Container) {
    container.write("/etc/hellod/hellod.toml", TPM);
    container.write("/etc/systemd/system/fprintd.service.d/lab.conf", READER);
    container.write("/usr/lib/hello-lab/junction", JUNCTION);
    container
        .sh("systemctl daemon-reload; mv /run/tpm/socket /run/tpm/chip && systemd-run --quiet --unit=junction \
             perl /usr/lib/hello-lab/junction /run/tpm/socket /run/tpm/chip")
        .ok();
    until("the junction", PATIENCE, || container.sh("test -S /run/tpm/socket").success().then_some(()));
}

fn add_a_finger(container: &mut Container) {
    container.console.send_line("helloctl finger add right-index");
    container.answer("Your PIN: ", PIN);
    container.console.expect("Touch the fingerprint reader with your right index finger");
    for _ in 0..6 {
        touch(container, "index");
    }
    container.console.expect("Done. Your right index finger signs in.");
    container.console.expect("$ ");
}

fn the_finger_answers_sudo(container: &mut Container) {
    container.console.send_line("sudo -k; sudo echo it is $((40 + 2))");
    container.answer(PROMPT_WITH_FINGER, "");
    container.console.expect("Touch the fingerprint reader: sudo for alice.");
    touch(container, "index");
    container.console.expect("it is 42");
    container.console.expect("$ ");
}

/// What a desktop tells logind of its lock.
fn lock(container: &Container, locked: bool) {
    let session = "$(loginctl list-sessions --no-legend | awk '$3 == \"alice\" { print $1; exit }')";
    let login = "org.freedesktop.login1";
    let object = format!(
        "$(busctl call {login} /org/freedesktop/login1 {login}.Manager GetSession s \"{session}\" | cut -d'\"' -f2)"
    );
    container.sh(&format!("busctl call {login} {object} {login}.Session SetLockedHint b {locked}")).ok();
}

/// hellod-finger, which runs.
fn confined(container: &Container) {
    let analysed = container.run(["systemd-analyze", "security", "--no-pager", "hellod-finger.service"]);
    let exposure = analysed.ok().rsplit_once("hellod-finger.service: ").map_or("", |(_, rest)| rest);
    let exposure: f32 = exposure.split(' ').next().unwrap_or_default().parse().unwrap_or(10.0);
    assert!(exposure <= 1.5, "{exposure}");
    let pid = container.run(["systemctl", "show", "--property=MainPID", "--value", "hellod-finger.service"]);
    let pid = pid.ok().trim().to_owned();
    let status = container.sh(&format!("cat /proc/{pid}/status"));
    let uid = container.run(["id", "-u", "hellod-finger"]).ok().trim().to_owned();
    let account = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}");
    for line in
        ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", &account]
    {
        assert!(status.ok().contains(line), "{line}: {status:?}");
    }
    let seen = container.sh(&format!("ls -A /proc/{pid}/root/var/lib /proc/{pid}/root/home"));
    assert!(!seen.stdout.contains("fprint") && !seen.stdout.contains("alice"), "{seen:?}");
    let other = container.sh(&format!("nsenter --target {pid} --mount -- /usr/bin/true"));
    assert_eq!(other.code, Some(126), "a program can be run there");
}

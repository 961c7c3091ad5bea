//! The packages on a whole system: Debian 13 with systemd, its getty, sudo, su, polkit and sshd; and Debian 12.

use std::time::Duration;

use hello_tests::{ALICE, BOB, Container, Debian, ONE_OFF, PATIENCE, PIN, PROMPT, Packages, until};

#[test]
fn installing_changes_nobodys_login_and_removing_leaves_what_was_there() {
    let container = Container::boot(Debian::Trixie);
    let pam = || container.sh("cd /etc/pam.d && head -n 999 *").ok().to_owned();
    let before = pam();
    container.install(&Packages::built().current());
    assert_eq!(pam(), before);
    assert_eq!(container.hellod(), 0, "nobody has asked for it");
    assert!(!container.run(["systemd-analyze", "critical-chain"]).ok().contains("hellod"));

    container.enable("hello");
    let with_hello = pam();
    assert!(container.run(["cat", "/etc/pam.d/common-auth"]).ok().contains("pam_hello.so"));
    container.enable("hello-keyring");
    for file in ["common-auth", "common-password"] {
        let lines = container.run(["cat", &format!("/etc/pam.d/{file}")]);
        assert!(lines.ok().contains("pam_hello.so keep_password"), "{lines:?}");
    }
    container.disable("hello-keyring");
    assert_eq!(pam(), with_hello);
    container.disable("hello");
    assert_eq!(pam(), before);

    container.enable("hello");
    container.enable("hello-keyring");
    assert_ne!(pam(), with_hello);
    container.run(["apt-get", "remove", "--yes", "libpam-hello"]).ok();
    assert_eq!(pam(), before);
}

#[test]
fn alice_enrols_and_then_her_pin_answers_the_getty_sudo_su_and_pkexec() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.console.send_line(ALICE.name);
    container.answer("Password: ", ALICE.password);
    container.console.expect("Set it up now? Type yes or no: ");
    // login(1) of util-linux gives everybody a minute to sign in. Who has is not thrown out over a question.
    container.run(["sleep", "70"]).ok();
    container.console.send_line("yes");
    container.answer("New PIN: ", PIN);
    container.answer("The same PIN again: ", PIN);
    container.console.expect("Done.");
    container.is_in(&ALICE);
    container.sign_out();

    container.sign_in(&ALICE, PROMPT, PIN);
    let asked = ["sudo -k; sudo id -un", "su alice -c 'id -un'", "pkexec id -un"];
    for (command, answer) in asked.into_iter().zip(["root", "alice", "root"]) {
        container.console.send_line(command);
        container.answer(PROMPT, PIN);
        container.console.expect(&format!("{answer}\r\n"));
        container.console.expect("$ ");
    }
    // The events are in the journal, and the catalogue explains them.
    let explained = container.run(["journalctl", "--catalog", "--no-pager", "HELLO_EVENT=8400"]);
    assert!(explained.ok().contains("What to do: "), "{explained:?}");
    let started = container.run(["systemd-analyze", "critical-chain"]);
    assert!(!started.ok().contains("hellod"), "{started:?}");
}

#[test]
fn sudo_rs_asks_in_its_own_words_and_takes_the_pin_or_the_password() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, PROMPT, PIN);
    let prompt = format!("[sudo: authenticate] {PROMPT}");
    for secret in [PIN, ALICE.password] {
        container.console.send_line("sudo-rs -k; sudo-rs id -un");
        container.answer(&prompt, secret);
        container.console.expect("root\r\n");
        container.console.expect("$ ");
    }
    container.console.send_line("sudo-rs -k; sudo-rs id -un");
    container.answer(&prompt, ONE_OFF);
    container.console.expect("[sudo: authenticate] Wrong PIN. 15 tries left.");
    container.answer(PROMPT, PIN);
    container.console.expect("root\r\n");
    container.console.expect("$ ");
    // Where it may ask nothing it says so, and hellod counts no try.
    let silent = container.shell("sudo-rs -k; sudo-rs -n id -un");
    assert!(silent.contains("interactive authentication is required"), "{silent:?}");
    let status = container.run(["helloctl", "status", "--json", "--user", ALICE.name]);
    assert!(status.ok().contains(r#""left":32,"#), "{status:?}");
}

#[test]
fn a_program_that_the_persons_service_manager_started_is_where_the_person_is() {
    // As desktops start terminals. Since systemd 256 the service manager has a session itself, at no seat.
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, PROMPT, PIN);
    container.console.send_line("systemd-run --user --quiet --pty sudo id -un");
    container.answer(PROMPT, PIN);
    container.console.expect("root\r\n");
    container.console.expect("$ ");
    // But for one who has come in from elsewhere, too.
    container.console.send_line("ssh -t -o StrictHostKeyChecking=no alice@192.0.2.1 'systemd-run --user --quiet --pty sudo -k id -un'");
    container.answer("alice@192.0.2.1's password: ", ALICE.password);
    let asked = container.console.expect("password for alice: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
}

#[test]
fn hellod_online_starts_within_its_walls_and_may_run_what_gets_a_ticket_and_nothing_else() {
    let container = Container::with_hello_enabled(Debian::Trixie);
    container.write("/var/lib/sss/pubconf/kdcinfo.CORP.EXAMPLE", "192.0.2.7\n");
    // Whom to trust; the container has no ca-certificates, and without any it does not start.
    let authorities = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    container.write("/etc/ssl/certs/ca-certificates.crt", &authorities);
    container.run(["systemctl", "start", "hellod-online.service"]).ok();
    let pid = container.run(["systemctl", "show", "--property=MainPID", "--value", "hellod-online.service"]);
    let pid = pid.stdout.trim();
    let seen = |what: &str| container.sh(&what.replace("AT", &format!("/proc/{pid}/root")));
    // What domain controllers there are it may read, and nothing else that others keep.
    assert_eq!(seen("cat AT/var/lib/sss/pubconf/kdcinfo.CORP.EXAMPLE").ok().trim(), "192.0.2.7");
    assert_eq!(
        seen("ls AT/var/lib; ls AT/var/lib/sss").ok().split_whitespace().collect::<Vec<_>>(),
        ["sss", "pubconf"]
    );
    assert!(seen("cat AT/usr/share/hellod/krb5.conf").ok().contains("dns_canonicalize_hostname = false"));
    let run = |program: &str| container.sh(&format!("nsenter --target {pid} --mount -- {program}"));
    let asked = run("/usr/libexec/hellod-ticket");
    assert!(asked.code == Some(2) && asked.stdout.contains("usage: hellod-ticket"), "{asked:?}");
    for other in ["/usr/bin/true", "/usr/bin/helloctl"] {
        assert_eq!(run(other).code, Some(126), "{other} can be run there");
    }
}

#[test]
fn over_ssh_the_password_works_and_the_pin_does_not() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    container.sign_in(&BOB, "Password: ", BOB.password);
    container.console.send_line("ssh -t -o StrictHostKeyChecking=no alice@192.0.2.1 'sudo -k; sudo id -un'");
    container.answer("alice@192.0.2.1's password: ", PIN);
    container.answer("alice@192.0.2.1's password: ", ALICE.password);
    let asked = container.console.expect("password for alice: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    container.console.send_line(ALICE.password);
    container.console.expect("root\r\n");
    container.console.expect("$ ");
    // Where a session is, is nothing that it says itself.
    container.console.send_line(&format!(
        "ssh -t -o StrictHostKeyChecking=no alice@192.0.2.1 'sudo -k; env {AT_THE_SCREEN} sudo id -un'"
    ));
    container.answer("alice@192.0.2.1's password: ", ALICE.password);
    let asked = container.console.expect("password for alice: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    container.console.send_line(ALICE.password);
    container.console.expect("root\r\n");
    let declined = container.run(["journalctl", "--no-pager", "--output=cat", "HELLO_EVENT=5400"]);
    assert!(declined.ok().contains("(sshd)"), "{declined:?}");
    assert_eq!(container.run(["journalctl", "--quiet", "--no-pager", "HELLO_EVENT=6400"]).ok(), "");
}

#[test]
fn passwd_works_for_local_user_with_profile() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, PROMPT, PIN);
    container.console.send_line("passwd");
    container.answer("Current password: ", ALICE.password);
    container.answer("New password: ", "another-long-password-9");
    container.answer("Retype new password: ", "another-long-password-9");
    container.console.expect("password updated successfully");
    container.sign_out();
    container.sign_in(&ALICE, PROMPT, "another-long-password-9");
}

#[test]
fn in_the_sandbox_of_polkit_127_the_module_reaches_hellod_and_the_password_works() {
    let container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    let mut command = vec!["systemd-run", "--quiet", "--wait", "--pipe"];
    for property in POLKIT_127 {
        command.extend(["--property", property]);
    }
    command.extend(["pamtester", "polkit-1", ALICE.name, "authenticate"]);
    let asked = container.run_with_input(command, &format!("{}\n", ALICE.password));
    assert!(asked.ok().contains("successfully authenticated"), "{asked:?}");
    let declined = container.run(["journalctl", "--no-pager", "--output=cat", "HELLO_EVENT=5400"]);
    assert!(declined.ok().contains("(polkit-1)"), "{declined:?}");
}

#[test]
fn hellod_is_confined_as_its_unit_says() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    for (debian, container) in [("13", &container), ("12", &Container::with_hello(Debian::Bookworm))] {
        let analysed = container.run(["systemd-analyze", "security", "--no-pager", "hellod.service"]);
        let exposure = analysed.ok().rsplit_once("hellod.service: ").map_or("", |(_, rest)| rest);
        let exposure: f32 = exposure.split(' ').next().unwrap_or_default().parse().unwrap_or(10.0);
        assert!(exposure <= 1.5, "Debian {debian}: {exposure}");
    }

    // The running daemon, and its child, which locks its memory.
    let status = container.sh(&format!("cat /proc/{}/status", container.hellod()));
    for line in ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.ok().contains(line), "{line}: {status:?}");
    }
    container.console.send_line(ALICE.name);
    container.console.expect(PROMPT);
    // A machine whose root may not raise limits, as some that are machines of others, can't show it.
    if container.sh("prlimit --memlock=512000000:512000000 true").success() {
        let locks = format!("grep VmLck /proc/$(pgrep --parent {} --newest)/status", container.hellod());
        until("the TPM child to lock its memory", PATIENCE, || {
            let status = container.sh(&locks).stdout;
            (status.starts_with("VmLck:") && !status.contains(" 0 kB")).then_some(())
        });
    } else {
        let limit = container.run(["systemctl", "show", "--property=LimitMEMLOCK", "hellod.service"]);
        assert_eq!(limit.ok(), "LimitMEMLOCK=536870912");
    }

    // What the unit lets a program do that was taken over, beside what the same account may do without it.
    container.write("/usr/lib/hello-lab/probe", PROBE);
    container.write("/run/systemd/system/hellod.service.d/probe.conf", PROBE_INSTEAD);
    container
        .sh("mknod -m 0666 /dev/lab c 10 229; touch /tmp/lab; chmod 0755 /home/bob; systemctl daemon-reload")
        .ok();
    let free =
        container.sh("setpriv --reuid hellod --regid hellod --clear-groups perl /usr/lib/hello-lab/probe");
    container.run(["systemctl", "restart", "hellod.service"]).ok();
    let confined = container.run(["journalctl", "--unit=hellod.service", "--output=cat", "--no-pager"]);
    // systemd has no say over devices where it is not given the control groups for it, as in containers of some machines.
    let simple =
        ["systemd-run", "--quiet", "--wait", "--property=DevicePolicy=closed", "sh", "-c", "exec 3</dev/lab"];
    let devices = !container.run(simple).success();
    for what in FORBIDDEN.into_iter().filter(|what| devices || *what != "open another device") {
        assert!(free.ok().contains(&format!("{what}: may\n")), "{what} proves nothing: {free:?}");
        assert!(confined.ok().contains(&format!("{what}: may not")), "{what}: {confined:?}");
    }
    for what in ["keep state", "speak to sockets", "be sent to the bus"] {
        assert!(confined.ok().contains(&format!("{what}: may\n")), "{what}: {confined:?}");
    }
}

#[test]
fn greeter_before_daemon_ready() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    let slow = "[Service]\nExecStartPre=+/usr/bin/sleep 2\n";
    container.write("/run/systemd/system/hellod.service.d/slow.conf", slow);
    container.sh("systemctl daemon-reload; systemctl stop hellod.service").ok();
    container.sign_in(&ALICE, PROMPT, PIN);
}

#[test]
fn without_hellod_the_default_profile_leads_to_the_password_and_the_other_one_lets_nobody_in() {
    let mut container = Container::with_hello_enabled(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    let masked =
        |container: &Container| container.sh("systemctl mask --runtime --now hellod.service").ok().len();
    masked(&container);
    container.sign_in(&ALICE, "Password: ", ALICE.password);
    container.sign_out();
    container.run(["systemctl", "unmask", "--runtime", "hellod.service"]).ok();

    container.disable("hello");
    container.enable("hello-fail-closed");
    container.sign_in(&ALICE, PROMPT, PIN);
    container.sign_out();
    container.sign_in(&BOB, "Password: ", BOB.password);
    container.sign_out();
    container.console.send_line(ALICE.name);
    container.answer(PROMPT, ALICE.password);
    container.console.expect("Login incorrect");
    masked(&container);
    container.console.expect("login: ");
    container.console.send_line(BOB.name);
    let refused = container.console.expect("Login incorrect");
    assert!(!refused.before.contains("Password: "), "{refused:?}");
}

#[test]
fn whoever_is_in_the_middle_of_a_login_ends_it_across_an_upgrade_and_a_downgrade() {
    let mut container = Container::boot(Debian::Trixie);
    let (earlier, current) = (Packages::built().earlier(), Packages::built().current());
    container.write("/etc/hellod/hellod.toml", "[tpm]\nswtpm = \"/run/tpm/socket\"\n");
    container.install(&earlier);
    container.enable("hello");
    container.enrol(&ALICE, PIN);

    let sudo = "sudo -k; sudo id -un";
    let at_the_console = (ALICE.name, &current, "alice@lab:~$ ");
    for (typed, installed, done) in [at_the_console, (sudo, &earlier, "root\r\n")] {
        container.console.send_line(typed);
        container.console.expect(PROMPT);
        let former = container.hellod();
        container.install(installed);
        assert_eq!(container.hellod(), former, "it waits for whoever has typed {typed}");
        container.console.send_line(PIN);
        container.console.expect(done);
        until("the former hellod to make way", PATIENCE, || (container.hellod() != former).then_some(()));
    }
    container.console.send_line(sudo);
    container.answer(PROMPT, PIN);
    container.console.expect("root\r\n");
}

#[test]
fn purging_takes_every_trace_away_out_of_the_tpm_too() {
    let container = Container::boot(Debian::Trixie);
    let before = container.nv_indices();
    let traces = || container.sh(TRACES).ok().to_owned();
    assert_eq!(traces(), "");
    container.write("/etc/hellod/hellod.toml", "[tpm]\nswtpm = \"/run/tpm/socket\"\n");
    container.install(&Packages::built().current());
    container.enable("hello");
    container.enrol(&ALICE, PIN);
    container.enrol(&BOB, PIN);
    let enrolled = container.nv_indices();
    assert_ne!(enrolled, before);

    // Removed and installed again, everything is as it was.
    container.run(["apt-get", "remove", "--yes", "hellod"]).ok();
    container.install(&Packages::built().current());
    assert!(
        container.run(["helloctl", "status", "--json", "--user", "bob"]).ok().contains(r#""enrolled":true"#)
    );

    // When it is purged, the libraries of the TPM may be gone already.
    container.run(["apt-get", "remove", "--yes", "hellod"]).ok();
    assert_eq!(container.nv_indices(), enrolled);
    container.sh("mkdir /root/libraries && mv /usr/lib/*/libtss2-* /root/libraries").ok();
    container.run(["dpkg", "--purge", "hellod", "libpam-hello"]).ok();
    container.sh("mv /root/libraries/* /usr/lib/*-linux-gnu/").ok();
    assert_eq!(container.nv_indices(), before);
    assert_eq!(traces(), "");
}

#[test]
fn an_account_takes_its_pin_with_it_and_nobody_inherits_it() {
    let container = Container::with_hello_enabled(Debian::Trixie);
    let before = container.nv_indices();
    let again = "useradd --create-home --uid 6002 bob";
    let status = || container.run(["helloctl", "status", "--json", "--user", "bob"]).ok().to_owned();
    for removal in ["deluser bob && rm -r /home/bob", "userdel --remove bob"] {
        container.enrol(&BOB, PIN);
        container.sh(removal).ok();
        assert_eq!(container.nv_indices(), before, "{removal}");
        container.sh(again).ok();
        assert!(status().contains(r#""enrolled":false"#), "{removal}: {}", status());
    }
    // Also while hellod can't be reached.
    container.enrol(&BOB, PIN);
    container.sh("systemctl mask --runtime --now hellod.service; userdel --remove bob").ok();
    container.sh(&format!("systemctl unmask --runtime hellod.service; {again}")).ok();
    assert!(status().contains(r#""enrolled":false"#), "{}", status());
    // And nothing is in the way of whoever comes next.
    container.enrol(&BOB, PIN);
    container.run(["helloctl", "unenroll", "--user", "bob"]).ok();
    assert_eq!(container.nv_indices(), before);
}

#[test]
fn debian_12_installs_the_same_packages_and_the_pin_works() {
    let mut container = Container::with_hello_enabled(Debian::Bookworm);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, PROMPT, PIN);
    container.console.send_line("sudo -k; sudo id -un");
    container.answer(PROMPT, PIN);
    container.console.expect("root\r\n");
    container.console.expect_within("$ ", Duration::from_secs(5));
    container.run(["apt-get", "purge", "--yes", "hellod", "libpam-hello"]).ok();
    assert!(!container.nv_indices().contains("0x184"), "{}", container.nv_indices());
}

/// What a session at the screen has in its environment.
const AT_THE_SCREEN: &str = "XDG_SEAT=seat0 XDG_VTNR=1 XDG_SESSION_TYPE=tty XDG_SESSION_CLASS=user";

/// What polkit 127 runs its helper with; surfaces that it breaks are why modules need a daemon.
const POLKIT_127: [&str; 9] = [
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    "ProtectHome=yes",
    "PrivateNetwork=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "NoNewPrivileges=yes",
    "MemoryDenyWriteExecute=yes",
    "ProtectSystem=strict",
    "SystemCallFilter=@system-service",
];

/// Whatever a package of ours could leave, outside dpkg's own records.
const TRACES: &str = "find /etc /usr /var /run -xdev \\( -path /var/lib/dpkg -o -path /usr/lib/hello-lab -o -path /var/log \\
    -o -path /var/cache -o -path /run/log \\) -prune -o -iname '*hello*' -print | sort";

const FORBIDDEN: [&str; 9] = [
    "look into homes",
    "open the network",
    "ask the kernel by netlink",
    "open another device",
    "run other programs",
    "run what it wrote",
    "map memory to write and run",
    "make namespaces",
    "see shared temporary files",
];

const PROBE_INSTEAD: &str = "\
[Service]
Type=oneshot
ExecStart=
ExecStart=/usr/bin/perl /usr/lib/hello-lab/probe
ExecPaths=/usr/bin/perl
";

const PROBE: &str = include_str!("container/probe.pl");

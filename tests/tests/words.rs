//! What people read is in one catalogue, whole; it is read in their language, and what is written down is not.

use std::fs;
use std::process::Command;

use hello_tests::tongue::{CLOSES, OPENS, marked, unmarked};
use hello_tests::{
    ALICE, Album, Config, Lab, MALLORY, ONE_OFF, Output, PIN, Sitting, Typed, World, accepts, request,
    source_root, texts,
};

#[test]
fn every_text_stands_in_the_template_and_no_other_does() {
    let (texts, amiss) = texts::all(source_root());
    assert!(texts.len() > 500, "{} texts", texts.len());
    assert!(amiss.is_empty(), "{amiss:#?}");
    let wide: Vec<_> =
        texts.keys().filter(|text| texts::is_prompt(text) && texts::is_too_wide(text)).collect();
    assert!(wide.is_empty(), "prompts that are too wide: {wide:#?}");
    let path = source_root().join("words/po/hello-for-linux.pot");
    let template = texts::template(&texts);
    if accepts("HELLO_TEXTS") {
        fs::write(&path, &template).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(template.lines()).find(|(there, here)| there != here);
    assert!(there == template, "HELLO_TEXTS=write writes it anew; it differs first at {differs:?}");
}

#[test]
fn whatever_a_person_reads_comes_from_the_catalogue_and_what_is_written_down_is_english() {
    let config = Config::with("[policy.PINComplexity]\nHistory = 1\n");
    let world = World::of(Lab::with_hello().without_activation(), &config);
    world.enrol(&ALICE, PIN);
    foreign(&world.lab);
    let says = |user: &str, arguments: &[&str], lines: &[&str]| -> Output {
        let argv = ["env", LOCALE, "helloctl"].iter().chain(arguments);
        world.lab.run_with_input(
            user,
            argv,
            &lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
        )
    };
    let mut left = Vec::new();
    let mut read = |what: &str, text: &str| {
        let words = unmarked(text).into_iter().filter(|word| !NAMES.contains(&word.as_str()));
        left.extend(words.map(|word| format!("{what}: {word}\n{text}")));
    };
    let changed = says("alice", &["pin", "change"], &[PIN, "123456", "314159", "314159"]);
    assert!(changed.success(), "{changed:?}");
    read("pin change", &said(&changed));
    let again = ["314159", "314159", "314159", ""];
    read("the same PIN", &said(&says("alice", &["pin", "change"], &again)));
    read("a wrong PIN", &said(&says("alice", &["pin", "change"], &[ONE_OFF, "271801", "271801"])));
    for arguments in MISTAKES {
        let wrong = says("alice", arguments, &[]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        read(&arguments.join(" "), &without_names(&wrong.stderr));
    }
    for page in [&["-h"][..], &["join", "-h"], &["join", "--help"], &["events", "--help"]] {
        read(&page.join(" "), &without_names(says("alice", page, &[]).ok()));
    }
    read("doctor", &said(&says("alice", &["doctor"], &[])));
    read("explain", &said(&says("alice", &["explain", "6400"], &[])));
    read("explain nothing", &said(&says("alice", &["explain", "9999"], &[])));
    read("somebody else's", &said(&says("alice", &["status", "--user", "bob"], &[])));
    read("not root", &said(&says("alice", &["pam", "enable"], &[])));
    read("enrolled already", &said(&says("alice", &["enroll"], &[])));
    read("keyring", &said(&says("root", &["keyring", "forget", "--user", "alice"], &[])));
    read("unenroll", &said(&says("root", &["unenroll", "--user", "alice"], &[])));
    read("enroll", &said(&says("root", &["enroll", "--user", "alice"], &[PIN, PIN])));
    assert!(left.is_empty(), "{}", left.join("\n"));

    let mut sudo = world.lab.pty("alice", ["env", LOCALE, "sudo", "true"]);
    sudo.expect("\u{ab}PIN or password: \u{bb}");
    sudo.send_secret(ONE_OFF);
    sudo.expect("\u{ab}Wrong PIN.");
    sudo.expect("\u{ab}PIN or password: \u{bb}");
    sudo.send_secret(PIN);
    sudo.finish_ok();
    // Whoever has no locale, or one that the program does not use, reads English.
    world.the_pin_answers_sudo();
    // mallory wants alice's events in a language of hers.
    let declined = request(5, &[("service", "sudo"), ("user", "alice"), ("locale", "zz_ZZ")]);
    let _ = world.peer(&MALLORY).hello("Login.Begin", declined);
    let written = said(&world.helloctl("root", &["events", "--limit", "100"], &[]));
    for sign in [OPENS, CLOSES].map(String::from) {
        let is_foreign = world.lab.journal().contains(&sign) || written.contains(&sign);
        assert!(!is_foreign, "what is written down is not English: {written}");
    }
    assert!(!world.status(&ALICE).to_string().contains(OPENS));
}

/// Mistakes of each kind.
const MISTAKES: [&[&str]; 10] = [
    &["dance"],
    &["statu"],
    &["enroll", "--pin", "271828"],
    &["enroll", "--user="],
    &["explain"],
    &["explain", "-x"],
    &["join", "--sign-in", "brows"],
    &["enroll", "--local", "--sign-in", "code"],
    &["events", "--limit", "0"],
    &["events", "--json", "--json=yes"],
];

/// Without the names in what is said about a command line: what may stand there, an option and what it takes, and the one word before
/// an explanation.
fn without_names(read: &str) -> String {
    let usage = format!("{OPENS}Usage:{CLOSES}");
    let nameless = |line: &str| {
        let is_name = |word: &&str| word.starts_with(['-', '<', '[']) && !word.contains(CLOSES);
        let words: Vec<&str> = line.split_whitespace().filter(|word| !is_name(word)).collect();
        let is_row = line.starts_with(' ') && words.get(1).is_some_and(|word| word.starts_with(OPENS));
        words[usize::from(is_row)..].join(" ")
    };
    read.lines().filter(|line| !line.starts_with(&usage)).map(nameless).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_journal_explains_events_in_the_language_of_whoever_reads_it() {
    let lab = Lab::new();
    let (mut texts, _) = texts::all(source_root());
    assert!(texts.remove("the TPM refused the PIN").is_some());
    lab.speak("zz_ZZ", &marked(&texts));
    let po = std::env::temp_dir().join(format!("hello-words-{}.po", std::process::id()));
    fs::write(&po, marked(&texts)).unwrap();
    for (name, language) in [("hellod", None), ("hellod.zz", Some(&po))] {
        // As debian/rules makes them.
        let mut awk = Command::new("awk");
        awk.args(language.map(|po| format!("-vpo={}", po.display())));
        let made =
            awk.args(["-f", "debian/catalog.awk", "docs/events.md"]).current_dir(source_root()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        lab.write(&format!("/root/machine/usr/lib/systemd/catalog/{name}.catalog"), made.stdout, 0o644);
    }
    fs::remove_file(&po).unwrap();
    let journalctl = |locale: &str, argument: &[&str]| {
        let argv = ["env", locale, "journalctl", "--root=/root/machine"];
        lab.run_as("root", argv.iter().chain(argument)).ok().to_owned()
    };
    journalctl(LOCALE, &["--update-catalog"]);
    let explained =
        |locale: &str| journalctl(locale, &["--dump-catalog", "b7e2c41d90534f6aa1c83e5d7f296400"]);
    assert!(!explained("LC_ALL=C.UTF-8").contains(OPENS));
    let foreign = explained(LOCALE);
    for line in [
        "Subject: Hello for Linux: \u{ab}wrong PIN; … tries left in the TPM\u{bb}",
        "\u{ab}About @HELLO_USER@, in @HELLO_SERVICE@.\u{bb}",
        // What is not translated is English.
        "\u{ab}When: the TPM refused the PIN.\u{bb}",
    ] {
        assert!(foreign.lines().any(|there| there == line), "{line}: {foreign}");
    }
    let all = journalctl(LOCALE, &["--dump-catalog"]);
    let sentences = all.lines().filter(|line| !IN_EACH_ENTRY.iter().any(|start| line.starts_with(start)));
    let sentences = sentences.map(|line| line.trim_start_matches("Subject: Hello for Linux: "));
    let left: Vec<_> = sentences.filter(|line| !unmarked(line).is_empty()).collect();
    assert!(all.matches("Subject:").count() > 50 && left.is_empty(), "{left:#?}");
}

/// For the journal alone, and the same in each language.
const IN_EACH_ENTRY: [&str; 4] = ["-- b7e2c41d", "Defined-By: ", "Support: ", "Documentation: "];

#[test]
fn what_the_packages_say_is_in_the_language_of_whoever_removes_them() {
    let lab = Lab::with_hello().build();
    foreign(&lab);
    for (program, does) in [
        ("/usr/local/sbin/pam-auth-update", ""),
        ("/usr/local/sbin/helloctl", ""),
        ("/usr/libexec/hellod-forget", "id --user --name >&2; exit 1"),
    ] {
        lab.write(program, format!("#!/bin/sh\n{does}\n"), 0o755);
    }
    let run = |script: &str, action: &str| {
        let text = fs::read_to_string(source_root().join("debian").join(script)).unwrap();
        lab.write("/root/script", text, 0o755);
        lab.run_as("root", ["env", LOCALE, "sh", "/root/script", action])
    };
    let refused = run("libpam-hello.prerm", "remove");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let (files, sentences): (Vec<_>, Vec<_>) = refused.stderr.lines().partition(|line| line.starts_with('/'));
    assert_eq!(files, ["/etc/pam.d/common-auth"]);
    assert!(sentences.len() > 4 && unmarked(&sentences.join("\n")).is_empty(), "{refused:?}");

    // By the time of a purge, the words of the package are gone.
    let purged = || {
        run("hellod.prerm", "remove").ok();
        lab.run_as("root", ["rm", "/usr/share/locale/zz/LC_MESSAGES/hello-for-linux.mo"]).ok();
        lab.directory("/var/lib/hellod", 0, 0o700);
        let purged = run("hellod.postrm", "purge");
        let left = lab.run_as("root", ["find", "/var/lib/hellod", "/var/lib/hellod-forget"]);
        assert!(purged.success() && left.stdout.is_empty(), "{purged:?} {left:?}");
        purged.stderr
    };
    let told = "some objects stay in the TPM.";
    assert!(purged().starts_with(&format!("hellod\n{OPENS}hellod: {told}{CLOSES}\n")));
    // Without gettext(1), it is English.
    foreign(&lab);
    lab.write("/usr/local/sbin/gettext", "#!/bin/sh\nexit 127\n", 0o755);
    assert!(purged().starts_with(&format!("hellod\nhellod: {told}\n")));
}

fn said(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

#[test]
fn each_translation_fits_its_text_and_the_german_one_is_whole() {
    let (texts, _) = texts::all(source_root());
    let mut seen = 0;
    for path in fs::read_dir(source_root().join("words/po")).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "po") {
            continue;
        }
        let translated = texts::translations(&fs::read_to_string(&path).unwrap());
        let faults = translated.iter().flat_map(|(text, translation)| texts::faults(text, translation));
        let must_be_whole = path.ends_with("de.po");
        let missing = texts
            .keys()
            .filter(|text| must_be_whole && !translated.iter().any(|(translated, _)| translated == *text));
        let wrong: Vec<String> =
            faults.chain(missing.map(|text| format!("{text:?} is not translated"))).collect();
        assert!(wrong.is_empty(), "{}:\n{}", path.display(), wrong.join("\n"));
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn people_who_read_german_meet_these_texts() {
    let world = World::enrolled();
    let po = fs::read_to_string(source_root().join("words/po/de.po")).unwrap();
    world.lab.speak("de_DE", &po);
    let mut album = Album::open("german", &[PIN, ONE_OFF, NEW.1, ALICE.password]);
    let mut scene = |name: &str, title: &str, command: &str, sit: &dyn Fn(Sitting) -> Sitting| {
        let argv = ["env", "LC_ALL=de_DE.UTF-8"].into_iter().chain(command.split(' '));
        let sitting = Sitting::at(world.lab.pty("alice", argv));
        album.keep(name, title, &[(vec![command.to_owned()], sit(sitting).end())]);
    };
    const ASKED: &str = "PIN oder Passwort: ";
    scene("su", "alice mistypes her PIN, and then types it right.", "su alice -c true", &|sitting| {
        sitting.hidden(ASKED, WRONG).hidden(ASKED, RIGHT)
    });
    let chosen = |sitting: Sitting, old| {
        let sitting = sitting.hidden("Bisherige PIN: ", old).hidden("Neue PIN: ", NEW);
        sitting.hidden("Dieselbe PIN noch einmal: ", NEW)
    };
    scene("pin-change", "alice mistypes her PIN.", "helloctl pin change", &|sitting| chosen(sitting, WRONG));
    scene("pin-change", "alice changes her PIN.", "helloctl pin change", &|sitting| chosen(sitting, RIGHT));
    scene("other", "alice has a PIN, and wants one.", "helloctl enroll", &|sitting| sitting);
    scene("other", "alice wants to know of bob.", "helloctl status --user bob", &|sitting| sitting);
    scene("other", "alice wants to know what an event means.", "helloctl explain 6400", &|sitting| sitting);
    scene("other", "alice looks what there is.", "helloctl --help", &|sitting| sitting);
    album.close();
}

const RIGHT: Typed<'_> = ("<PIN>", PIN);
const WRONG: Typed<'_> = ("<falsche PIN>", ONE_OFF);
const NEW: Typed<'_> = ("<neue PIN>", "31415926");

/// In which every text is between signs.
fn foreign(lab: &Lab) {
    let (texts, _) = texts::all(source_root());
    lab.speak("zz_ZZ", &marked(&texts));
}

const LOCALE: &str = "LC_ALL=zz_ZZ.UTF-8";
/// Which are the same in every language.
const NAMES: [&str; 4] = ["helloctl", "ok", "warn", "fail"];

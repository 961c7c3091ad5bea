//! Every test against an attack can fail: docs/threats.md says by what, and this holds it to its word without running anything.
//! `make red` runs it.
#![allow(clippy::unwrap_used, reason = "what can't be read fails the test")]

use std::collections::BTreeSet;
use std::fs;

use hello_tests::{Mutation, source_root};

fn mutations() -> Vec<Mutation> {
    Mutation::all(source_root()).unwrap()
}

/// A mutation as its file has it, with a diff of one line.
const ONE: &str = "Threats: T1, O2\nWithout: the door\nTest: -p hellod --lib a::b\nSays: open\n\nWhy.\n\n\
    --- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-SHELL := /bin/bash\n+SHELL := /bin/sh\n";

#[test]
fn a_mutation_says_what_is_gone_and_which_test_must_notice() {
    let one = Mutation::parse("door", ONE).unwrap();
    assert_eq!((one.threats.concat().as_str(), one.without.as_str()), ("T1O2", "the door"));
    let [witness] = &one.witnesses[..] else { panic!("{one:?}") };
    assert_eq!((witness.program.join(" ").as_str(), witness.test.as_str()), ("-p hellod --lib", "a::b"));
    let [(path, text)] = &one.applied(source_root()).unwrap()[..] else { panic!("one file") };
    assert!(path == "Makefile" && text.contains("\nSHELL := /bin/sh\n"));
    for (from, to) in [
        ("Threats: T1, O2\n", ""),
        ("Without: the door\n", ""),
        ("Test: -p hellod --lib a::b\n", ""),
        ("Says: open\n", "Says:\n"),
        ("a::b\n", "a::b\nTest: -p hellod --lib a::c\n"),
        ("-SHELL := /bin/bash\n+SHELL := /bin/sh\n", ""),
        ("--- a/Makefile", "--- Makefile"),
    ] {
        let broken = ONE.replace(from, to);
        assert!(Mutation::parse("door", &broken).is_err(), "{broken}");
    }
}

#[test]
fn a_mutation_applies_where_its_lines_stand_once_and_nowhere_else() {
    for line in ["no such line", ".PHONY: stage\n-.PHONY: stage", ".DELETE_ON_ERROR"] {
        let elsewhere = ONE.replace("-SHELL := /bin/bash", &format!("-{line}"));
        assert!(Mutation::parse("door", &elsewhere).unwrap().applied(source_root()).is_err(), "{line}");
    }
    let twice = ONE.replace("-SHELL := /bin/bash\n", "-\n");
    assert!(Mutation::parse("door", &twice).unwrap().applied(source_root()).is_err());
}

#[test]
fn every_mutation_still_applies() {
    let mutations = mutations();
    assert!(mutations.len() > 50, "{}", mutations.len());
    let rotten: Vec<String> =
        mutations.iter().filter_map(|mutation| mutation.applied(source_root()).err()).collect();
    assert!(rotten.is_empty(), "what they change has changed; change them too:\n{}", rotten.join("\n"));
}

#[test]
fn every_test_that_must_notice_a_mutation_is_there() {
    let names = tests_in_the_sources();
    for mutation in mutations() {
        for witness in &mutation.witnesses {
            let name = witness.test.rsplit("::").next().unwrap();
            assert!(names.contains(name), "{}: there is no test {name}", mutation.name);
        }
    }
}

#[test]
fn every_test_of_the_threat_table_is_shown_to_fail() {
    let (rows, mutations) = (rows(), mutations());
    assert!(rows.len() > 50, "{} rows", rows.len());
    let names = tests_in_the_sources();
    let mut wrong = Vec::new();
    for row in &rows {
        let of_row: Vec<&Mutation> =
            mutations.iter().filter(|mutation| mutation.threats.contains(&row.threat)).collect();
        let named: BTreeSet<&str> = row.shown_by.iter().map(String::as_str).filter(|n| !is_test(n)).collect();
        let there: BTreeSet<&str> = of_row.iter().map(|mutation| mutation.name.as_str()).collect();
        if named != there {
            wrong.push(format!("{}: the table says {named:?}, tests/mutations {there:?}", row.threat));
        }
        for test in row.tests.iter().filter(|test| !row.shown_by.contains(test)) {
            let mut witnesses = of_row.iter().flat_map(|mutation| &mutation.witnesses);
            if !witnesses.any(|witness| witness.test.rsplit("::").next() == Some(test)) {
                wrong.push(format!("{}: nothing shows that {test} can fail", row.threat));
            }
        }
        let unknown =
            row.tests.iter().chain(&row.shown_by).filter(|name| is_test(name) && !names.contains(*name));
        wrong.extend(unknown.map(|name| format!("{}: there is no test {name}", row.threat)));
    }
    for mutation in &mutations {
        let lost = mutation.threats.iter().filter(|threat| !rows.iter().any(|row| row.threat == **threat));
        wrong.extend(lost.map(|threat| format!("{}: there is no row {threat}", mutation.name)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_test_of_an_attack_is_in_the_threat_table() {
    let table: BTreeSet<String> = rows().into_iter().flat_map(|row| row.tests).collect();
    for file in ["floods", "threats_bus", "threats_memory", "threats_pam", "threats_tpm"] {
        let text = fs::read_to_string(source_root().join(format!("tests/tests/{file}.rs"))).unwrap();
        let tests = tests_in(&text);
        assert!(tests.len() > 3, "{file}: {tests:?}");
        let missing: Vec<&String> = tests.iter().filter(|test| !table.contains(*test)).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

/// A row of docs/threats.md.
#[derive(Debug)]
struct Row {
    threat: String,
    tests: Vec<String>,
    shown_by: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(source_root().join("docs/threats.md")).unwrap();
    let row = |line: &str| {
        let (threat, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let (front, last) = rest.strip_suffix(" |")?.rsplit_once(" | ")?;
        let numbered = threat.starts_with(['T', 'O']) && threat.chars().any(|c| c.is_ascii_digit());
        let tests = quoted(front).into_iter().filter(|name| is_test(name)).collect();
        numbered.then(|| Row { threat: threat.to_owned(), tests, shown_by: quoted(last) })
    };
    text.lines().filter_map(row).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a name is a test's: a sentence.
fn is_test(name: &str) -> bool {
    name.matches('_').count() > 1
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn tests_in_the_sources() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut directories: Vec<_> = ["dbus", "hellod", "helloctl", "pam_hello", "tests", "words"]
        .map(|part| source_root().join(part))
        .into();
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_in(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    names
}

/// The functions that are marked as tests, and the scenes of the module's own test program, which stand in a list.
fn tests_in(text: &str) -> Vec<String> {
    let mut is_marked = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim_start) {
        is_marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function =
            line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split_once('('));
        if let Some((name, _)) = function.filter(|_| std::mem::take(&mut is_marked)) {
            names.push(name.to_owned());
        }
        let scene = line.strip_prefix("(\"").and_then(|rest| rest.split_once("\", "));
        names.extend(scene.map(|(name, _)| name.to_owned()).filter(|name| is_test(name)));
    }
    names
}

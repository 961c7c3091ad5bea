//! Shows that the tests of attacks can fail: takes one guard after the other out of a copy of the sources, and demands that the test
//! which stands for it notices. `make red`, or `make red ONLY="own-budget srk-pin"` for some.
//!
//! Nothing of it reaches what is shipped: the copy and its build lie in a folder of their own in the build directory.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod copy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use copy::Copy;
use hello_tests::{Mutation, Witness, source_root};

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    match show(&only) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(green) => {
            println!("red: {green} tests did not notice what was taken away");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("red: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all of them, or those named. How many tests noticed nothing.
fn show(only: &[String]) -> Result<usize, String> {
    let all = Mutation::all(source_root())?;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|mutation| mutation.name == **name)) {
        return Err(format!("there is no tests/mutations/{unknown}.patch"));
    }
    let chosen: Vec<&Mutation> =
        all.iter().filter(|mutation| only.is_empty() || only.contains(&mutation.name)).collect();
    let copy = Copy::new(source_root())?;
    let begun = Instant::now();
    unmutated(&copy, &chosen)?;
    let mut unnoticed = 0;
    for mutation in &chosen {
        let start = Instant::now();
        let mutated = mutation.applied(&copy.sources())?;
        let _changed = copy.change(&mutated)?;
        let built = build(&copy, &mutation.witnesses);
        println!("{} ({} s): without {}", mutation.name, start.elapsed().as_secs(), mutation.without);
        if let Err(error) = built {
            println!("  {error}");
            unnoticed += mutation.witnesses.len();
            continue;
        }
        for witness in &mutation.witnesses {
            let start = Instant::now();
            let verdict = judge(&copy, witness)?;
            let seconds = start.elapsed().as_secs();
            match verdict {
                Verdict::Red(said) => println!("  red       {seconds:>3} s  {}: {said}", witness.test),
                Verdict::Unnoticed(why) => {
                    println!("  UNNOTICED {seconds:>3} s  {}\n{why}", witness.test);
                    unnoticed += 1;
                }
            }
        }
    }
    let (minutes, witnesses) = (begun.elapsed().as_secs().div_ceil(60), witnesses(&chosen).count());
    let noticed = witnesses - unnoticed;
    println!("red: {} mutations, {noticed} of {witnesses} tests noticed theirs, {minutes} min", chosen.len());
    Ok(unnoticed)
}

/// What a test said about a mutation.
enum Verdict {
    /// It failed, and for the reason that was to be shown. What it said of that.
    Red(String),
    /// It passed, or failed for another reason.
    Unnoticed(String),
}

fn witnesses<'a>(mutations: &'a [&Mutation]) -> impl Iterator<Item = &'a Witness> {
    mutations.iter().flat_map(|mutation| &mutation.witnesses)
}

/// A test that always fails shows nothing: on the sources as they are, each must pass.
fn unmutated(copy: &Copy, chosen: &[&Mutation]) -> Result<(), String> {
    build(copy, witnesses(chosen))?;
    let mut programs: Vec<&Vec<String>> = witnesses(chosen).map(|witness| &witness.program).collect();
    programs.sort();
    programs.dedup();
    for program in programs {
        let start = Instant::now();
        let tests = witnesses(chosen).filter(|witness| witness.program == *program);
        let mut names: Vec<&str> = tests.map(|witness| witness.test.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let (passed, said) = run(copy, program, &names)?;
        let missing = names.iter().find(|name| !said.contains(&format!("{name} ... ok")));
        if !passed || missing.is_some() {
            return Err(format!("without any mutation {missing:?} fails or is not there:\n{said}"));
        }
        let seconds = start.elapsed().as_secs();
        println!("  green     {seconds:>3} s  {} unmutated: {}", names.len(), program.join(" "));
    }
    Ok(())
}

fn judge(copy: &Copy, witness: &Witness) -> Result<Verdict, String> {
    let (passed, said) = run(copy, &witness.program, &[&witness.test])?;
    if passed {
        return Ok(Verdict::Unnoticed("  it passed".to_owned()));
    }
    // The line after the one that says where it panicked says what.
    let words: Vec<&str> =
        said.lines().skip_while(|line| !line.contains("panicked at")).skip(1).take(5).collect();
    if said.contains(&format!("{} ... FAILED", witness.test)) && said.contains(&witness.says) {
        let first = words.first().copied().unwrap_or("it failed");
        return Ok(Verdict::Red(first.chars().take(100).collect()));
    }
    let words = if words.is_empty() { said } else { words.join("\n") };
    Ok(Verdict::Unnoticed(format!("  it failed without saying {:?}:\n{words}", witness.says)))
}

/// What a laboratory runs is built first, so that a mutation that doesn't compile isn't taken for one that was noticed.
fn build<'a>(copy: &Copy, witnesses: impl IntoIterator<Item = &'a Witness>) -> Result<(), String> {
    let mut programs: Vec<&Vec<String>> = witnesses.into_iter().map(|witness| &witness.program).collect();
    programs.sort();
    programs.dedup();
    let mut builds: Vec<Vec<&str>> = Vec::new();
    for program in programs {
        builds.push(["test", "--no-run"].into_iter().chain(program.iter().map(String::as_str)).collect());
        // Both start other programs of the workspace.
        if program.iter().any(|word| ["hello_tests", "entra"].contains(&word.as_str())) {
            builds.push(vec!["build", "--workspace"]);
        }
    }
    for words in builds {
        let (built, said) = cargo(copy, LONGEST_BUILD, words)?;
        if !built {
            return Err(format!("it doesn't build:\n{said}"));
        }
    }
    Ok(())
}

fn run(copy: &Copy, program: &[String], tests: &[&str]) -> Result<(bool, String), String> {
    let words = ["test"].into_iter().chain(program.iter().map(String::as_str));
    cargo(copy, LONGEST_TEST, words.chain(["--", "--exact"]).chain(tests.iter().copied()))
}

/// Whether it succeeded within its time, and all that it said.
fn cargo<'a>(
    copy: &Copy,
    seconds: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Result<(bool, String), String> {
    let mut words = words.into_iter();
    let mut command = Command::new("setpriv");
    command.args(TETHERED).args(["timeout", "--foreground", "--signal=KILL", seconds]);
    command.arg("setpriv").args(TETHERED).args([
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command.arg(option_env!("CARGO").unwrap_or("cargo")).args(words.next()).arg("--locked").args(words);
    command.current_dir(copy.sources()).env("CARGO_TARGET_DIR", copy.built()).env("RUST_BACKTRACE", "0");
    // This is cargo itself and not what rustup puts before it, which would tell rustc of a crate with a wish of its own.
    command.envs(option_env!("RUSTUP_TOOLCHAIN").map(|toolchain| ("RUSTUP_TOOLCHAIN", toolchain)));
    let output = command.output().map_err(|error| format!("setpriv(1), of util-linux: {error}"))?;
    let said = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    Ok((output.status.success(), said.concat()))
}

/// The build directory that this program lies in.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}

/// A process that ends with the one that started it; and with the first process of a namespace ends everything in it. So nothing is
/// left behind by a test that hangs, nor by Ctrl-C.
const TETHERED: [&str; 2] = ["--pdeathsig", "KILL"];
/// In seconds: the first has to build everything.
const LONGEST_BUILD: &str = "1800";
/// In seconds. A test that a mutation makes wait for ever has not said what it should.
const LONGEST_TEST: &str = "300";

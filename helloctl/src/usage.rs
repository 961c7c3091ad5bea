//! What is said about the command line itself: its help, and what is wrong with what stands there.
//!
//! clap writes both, in English, and asks no catalogue. What it takes from us, it gets in the language that is spoken here; of a
//! mistake it hands out the parts, and the sentences are put together here. In English they are clap's own, to the letter, as far as
//! it has them: the tests compare.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use clap::builder::styling::Style;
use clap::builder::{PossibleValue, StyledStr, Styles};
use clap::error::{ContextKind, ContextValue, Error, ErrorFormatter, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use hello_words::{in_english, known, tr};

use crate::cli::Cli;
use crate::text::{WIDTH, broken};

/// What stands on this command line; else what is wrong with it, or the help that it asks for.
pub(crate) fn read() -> Result<Cli, Error> {
    Cli::from_arg_matches(&translated(Cli::command()).try_get_matches()?)
}

/// Prints what is wrong with the command line, or the help that it asks for.
pub(crate) fn print(answer: Error) -> io::Result<()> {
    // Only clap itself can print its help, and what no command line of ours is expected to do wrong.
    if mistake(&answer).is_some() { answer.apply::<Translated>().print() } else { answer.print() }
}

/// A command whose help is in the language that is spoken here, and those below it.
fn translated(command: Command) -> Command {
    fitted(command, WIDTH)
}

/// The same; what it does has that many columns.
fn fitted(command: Command, room: usize) -> Command {
    let style = *command.get_styles().get_usage();
    let usage = styled(style, tr!("Usage:"));
    let about = command.get_about().map(|about| broken(&known(&about.to_string()), room).join("\n"));
    let has_version = command.get_version().is_some();
    let has_more = command.get_arguments().any(|argument| !explained_values(argument).is_empty());
    let left = WIDTH - command.get_arguments().map(columns_of).max().unwrap_or_default().max(HELP);
    let argument = |argument| translated_argument(argument, left, has_more);
    let command = about.into_iter().fold(command, Command::about).mut_args(argument);
    // clap's template, with a word of ours in the place of {usage-heading}.
    let command = command
        .help_template(format!("{{about-with-newline}}\n{usage} {{usage}}\n\n{{all-args}}"))
        .subcommand_help_heading(tr!("Commands").to_string())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(help_flag(has_more, left));
    let command = if has_version { command.arg(version_flag()) } else { command };
    let names = command.get_subcommands().map(|below| below.get_name().len()).max().unwrap_or_default();
    command.mut_subcommands(|below| fitted(below, WIDTH - GAPS - names))
}

/// Where the help of an argument begins in the short form, by clap's own measure.
fn columns_of(argument: &Arg) -> usize {
    // <NAME>, with a blank before it behind an option.
    let names = argument.get_value_names().unwrap_or_default();
    let taken = names.iter().filter(|_| argument.get_action().takes_values()).map(|name| name.len() + 2);
    let taken = taken.sum::<usize>();
    let Some(long) = argument.get_long() else { return GAPS + taken };
    GAPS + SHORT_FLAG + "--".len() + long.len() + if taken > 0 { taken + 1 } else { 0 }
}

/// With what clap would add to its help in English: what it may be, and what it is by itself.
fn translated_argument(argument: Arg, left: usize, has_more: bool) -> Arg {
    let heading = if argument.is_positional() { tr!("Arguments") } else { tr!("Options") };
    let help = argument.get_help().map(|help| known(&help.to_string())).unwrap_or_default();
    let default = argument.get_default_values().first().filter(|_| argument.get_action().takes_values());
    let default = default.map(|value| tr!("[default: {0}]", value.to_string_lossy()));
    let values = explained_values(&argument);
    let short = |help: &str| broken(help, left).join("\n");
    let long = |help: &str| broken(help, WIDTH - IN_LONG_HELP).join("\n");
    let argument = argument.help_heading(heading.to_string());
    if let Some(default) = default {
        return argument.hide_default_value(true).help(short(&format!("{help} {default}")));
    }
    if values.is_empty() {
        let argument = argument.help(short(&help));
        return if has_more { argument.long_help(long(&help)) } else { argument };
    }
    let names = values.iter().map(PossibleValue::get_name).collect::<Vec<_>>().join(", ");
    argument
        .hide_possible_values(true)
        .help(short(&format!("{help} {}", tr!("[possible values: {0}]", names))))
        .long_help(format!("{}\n\n{}{}", long(&help), tr!("Possible values:"), explained(&values)))
}

/// What an argument may be, where that is a closed list.
fn explained_values(argument: &Arg) -> Vec<PossibleValue> {
    if argument.get_action().takes_values() { argument.get_possible_values() } else { Vec::new() }
}

/// Each of the values on a line of its own, with what it means.
fn explained(values: &[PossibleValue]) -> String {
    let literal = *Styles::styled().get_literal();
    let longest = values.iter().map(|value| value.get_name().len()).max().unwrap_or_default();
    let line = |value: &PossibleValue| {
        let (name, help) = (value.get_name(), value.get_help().map(ToString::to_string).unwrap_or_default());
        let gap = " ".repeat(longest - name.len());
        let below = format!("\n{}", " ".repeat(longest + GAPS));
        let help = broken(&known(&help), WIDTH - IN_LONG_HELP - longest - GAPS).join(&below);
        format!("\n- {}: {gap}{help}", styled(literal, name))
    };
    values.iter().map(line).collect()
}

fn help_flag(has_more: bool, left: usize) -> Arg {
    let flag = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let flag = flag.help_heading(tr!("Options").to_string());
    if !has_more {
        return flag.help(tr!("Print help").to_string());
    }
    flag.help(broken(&tr!("Print help (see more with '--help')").to_string(), left).join("\n"))
        .long_help(tr!("Print help (see a summary with '-h')").to_string())
}

fn version_flag() -> Arg {
    let flag = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    flag.help_heading(tr!("Options").to_string()).help(tr!("Print version").to_string())
}

/// What is wrong with a command line, in the language that is spoken here.
struct Translated;

impl ErrorFormatter for Translated {
    fn format_error(error: &Error<Self>) -> StyledStr {
        let styles = Styles::styled();
        let mut told =
            format!("{} {}", styled(*styles.get_error(), tr!("error:")), mistake(error).unwrap_or_default());
        let tips = tips(error);
        if !tips.is_empty() {
            told.push('\n');
        }
        for tip in tips {
            told.push_str(&format!("{BELOW}{} {tip}", styled(*styles.get_valid(), tr!("tip:"))));
        }
        if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
            // clap has put its own word before it.
            let usage = usage.ansi().to_string().replacen("Usage:", &tr!("Usage:").to_string(), 1);
            told.push_str(&format!("\n\n{usage}"));
        }
        let help = styled(*styles.get_literal(), "--help");
        told.push_str(&format!("\n\n{}\n", tr!("For more information, try '{0}'.", help)));
        told.into()
    }
}

/// What is wrong, in a sentence and perhaps a list; nothing where clap has to say it.
fn mistake<F: ErrorFormatter>(error: &Error<F>) -> Option<String> {
    let argument = || word(error, ContextKind::InvalidArg);
    let value = || word(error, ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument => tr!("unexpected argument '{0}' found", invalid(argument()?)),
        ErrorKind::InvalidSubcommand => {
            tr!("unrecognized subcommand '{0}'", invalid(word(error, ContextKind::InvalidSubcommand)?))
        }
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
                return None;
            };
            let missing: String = missing.iter().map(|one| format!("{BELOW}{}", valid(one))).collect();
            format!("{}{missing}", tr!("the following required arguments were not provided:"))
        }
        ErrorKind::ArgumentConflict => conflict(argument()?, error.get(ContextKind::PriorArg)?)?,
        ErrorKind::InvalidValue => {
            let said = match value()? {
                "" => {
                    tr!("a value is required for '{0}' but none was supplied", invalid(argument()?))
                }
                value => tr!("invalid value '{0}' for '{1}'", invalid(value), literal(argument()?)),
            };
            match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) if !values.is_empty() => {
                    let values = values.iter().map(valid).collect::<Vec<_>>().join(", ");
                    format!("{said}{BELOW}{}", tr!("[possible values: {0}]", values))
                }
                _ => said,
            }
        }
        ErrorKind::ValueValidation => {
            let said = tr!("invalid value '{0}' for '{1}'", invalid(value()?), literal(argument()?));
            format!("{said}: {}", error.source()?)
        }
        ErrorKind::TooManyValues => tr!(
            "unexpected value '{0}' for '{1}' found; no more were expected",
            invalid(value()?),
            literal(argument()?)
        ),
        ErrorKind::InvalidUtf8 => tr!("invalid UTF-8 was detected in one or more arguments").to_string(),
        _ => return None,
    })
}

fn conflict(argument: &str, others: &ContextValue) -> Option<String> {
    match others {
        ContextValue::String(other) if other == argument => {
            Some(tr!("the argument '{0}' cannot be used multiple times", invalid(argument)))
        }
        ContextValue::String(other) => {
            Some(tr!("the argument '{0}' cannot be used with '{1}'", invalid(argument), invalid(other)))
        }
        ContextValue::Strings(others) => {
            let others: String = others.iter().map(|other| format!("{BELOW}{}", invalid(other))).collect();
            Some(format!("{}{others}", tr!("the argument '{0}' cannot be used with:", invalid(argument))))
        }
        _ => None,
    }
}

/// What may have been meant.
fn tips<F: ErrorFormatter>(error: &Error<F>) -> Vec<String> {
    let quoted = |word: &String| format!("'{}'", valid(word));
    let mut tips = Vec::new();
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) if names.len() == 1 => {
            tips.push(tr!("a similar subcommand exists: {0}", quoted(&names[0])));
        }
        Some(ContextValue::Strings(names)) => {
            let names = names.iter().map(quoted).collect::<Vec<_>>().join(", ");
            tips.push(tr!("some similar subcommands exist: {0}", names));
        }
        _ => {}
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::SuggestedArg) {
        tips.push(tr!("a similar argument exists: {0}", quoted(name)));
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::SuggestedValue) {
        tips.push(tr!("a similar value exists: {0}", quoted(name)));
    }
    if let Some(ContextValue::StyledStrs(sentences)) = error.get(ContextKind::Suggested) {
        let argument = word(error, ContextKind::InvalidArg).unwrap_or_default();
        tips.extend(sentences.iter().map(|sentence| {
            let sentence = sentence.ansi().to_string();
            in_catalogue(&sentence, argument).unwrap_or(sentence)
        }));
    }
    tips
}

/// A tip of which clap hands out no parts, but a sentence: it is known by what it is in English.
fn in_catalogue(sentence: &str, argument: &str) -> Option<String> {
    let as_value = || {
        let typed = valid(format!("-- {argument}"));
        tr!("to pass '{0}' as a value, use '{1}'", invalid(argument), typed)
    };
    let as_command = || {
        let (name, dashes) = (valid(argument), invalid("--"));
        tr!("subcommand '{0}' exists; to use it, remove the '{1}' before it", name, dashes)
    };
    let elsewhere = || tr!("{0} exists", sentence.strip_suffix(" exists").unwrap_or_default());
    let known: [&dyn Fn() -> String; 3] = [&as_value, &as_command, &elsewhere];
    known.into_iter().find(|tip| in_english(tip) == sentence).map(|tip| tip())
}

fn word<F: ErrorFormatter>(error: &Error<F>, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(word),
        _ => None,
    }
}

fn invalid(word: impl Display) -> String {
    styled(*Styles::styled().get_invalid(), word)
}

fn valid(word: impl Display) -> String {
    styled(*Styles::styled().get_valid(), word)
}

fn literal(word: impl Display) -> String {
    styled(*Styles::styled().get_literal(), word)
}

/// For a terminal. Where it isn't one, clap prints it without.
fn styled(style: Style, word: impl Display) -> String {
    format!("{style}{word}{style:#}")
}

/// Before what belongs to the line above.
const BELOW: &str = "\n  ";

/// What clap puts around a name in a list: two blanks before it, and two behind.
const GAPS: usize = 4;
/// What it puts before the long name of an option, where it may have a short one.
const SHORT_FLAG: usize = 4;
/// What `--help` takes, which each command has.
const HELP: usize = GAPS + SHORT_FLAG + "--help".len();
/// How far in an option's long help stands.
const IN_LONG_HELP: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_in_english_what_clap_makes_of_it() {
        fn paths(command: &Command, above: &str) -> Vec<String> {
            let below = command.get_subcommands();
            let below = below.flat_map(|command| paths(command, &format!("{above} {}", command.get_name())));
            [above.to_owned()].into_iter().chain(below).collect()
        }
        for path in paths(&Cli::command(), "helloctl") {
            for flag in ["-h", "--help", "-V"] {
                let line = format!("{path} {flag}");
                let answers = answers(&line).map(|answer| answer.render());
                // clap breaks no line.
                let [ours, theirs] = answers
                    .clone()
                    .map(|help| help.ansi().to_string().split_whitespace().collect::<Vec<_>>().join(" "));
                assert_eq!(ours, theirs, "{line}");
                for line in answers[0].to_string().lines() {
                    let is_code = line.split_whitespace().count() == 1;
                    assert!(is_code || line.chars().count() <= WIDTH, "{line:?} of {path} {flag}");
                }
            }
        }
    }

    /// Ours, and what clap says by itself.
    fn answers(line: &str) -> [Error; 2] {
        let answer = |command: Command| command.try_get_matches_from(line.split(' ')).unwrap_err();
        [answer(translated(Cli::command())), answer(Cli::command())]
    }

    #[test]
    fn each_mistake_is_told_in_english_as_clap_tells_it() {
        for line in MISTAKES {
            let [ours, theirs] = answers(line);
            assert!(mistake(&ours).is_some(), "{line}: {:?}", ours.kind());
            let ours = ours.apply::<Translated>();
            assert_eq!(ours.render().ansi().to_string(), theirs.render().ansi().to_string(), "{line}");
        }
    }

    #[test]
    fn the_tips_that_clap_gives_as_sentences_are_known() {
        for (line, typed, known) in [
            ("helloctl explain -x", "-x", "to pass '-x' as a value, use '-- -x'"),
            (
                "helloctl -- status",
                "status",
                "subcommand 'status' exists; to use it, remove the '--' before it",
            ),
            ("helloctl --user status", "--user", "'status --user' exists"),
        ] {
            let [answer, _] = answers(line);
            let Some(ContextValue::StyledStrs(sentences)) = answer.get(ContextKind::Suggested) else {
                panic!("{line}");
            };
            assert_eq!(sentences[0].to_string(), known);
            assert!(in_catalogue(&sentences[0].ansi().to_string(), typed).is_some(), "{line}");
        }
    }

    /// One at least for each kind that can be met.
    const MISTAKES: [&str; 36] = [
        "helloctl dance",
        "helloctl enrol",
        "helloctl pin chang",
        "helloctl help",
        "helloctl -x",
        "helloctl --statu",
        "helloctl --user status",
        "helloctl -- status",
        "helloctl pin change 271828",
        "helloctl enroll --pin 271828",
        "helloctl enroll --usr bob",
        "helloctl enroll --user=",
        "helloctl enroll --user",
        "helloctl trace",
        "helloctl trace a b",
        "helloctl explain",
        "helloctl explain -x",
        "helloctl join corp.example --token eyJ0",
        "helloctl join --token-file t",
        "helloctl join corp.example --sign-in code --token-file t",
        "helloctl join corp.example --keytab k --token-file t --sign-in code",
        "helloctl join --sign-in code --keytab k",
        "helloctl join --sign-in guess",
        "helloctl join --sign-in brows",
        "helloctl join --sign-in",
        "helloctl join --domain corp.example",
        "helloctl enroll --sign-in code --local",
        "helloctl events --limit 0",
        "helloctl events --limit x",
        "helloctl events --limit",
        "helloctl events --limit -1",
        "helloctl events --limit 3 --limit 4",
        "helloctl events --json --json",
        "helloctl events --json=yes",
        "helloctl pam enable --passwordless --fail-closed",
        "helloctl finger add nose",
    ];
}

//! The texts that people read, where they stand: in `tr!` in the sources, in what clap makes its help of, in the event catalogue, in
//! polkit's actions, and in what the packages run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// Each text, and the files in which it stands.
pub type Texts = BTreeMap<String, BTreeSet<String>>;

/// A text whose places and arguments do not go together, or that can't be translated where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amiss {
    /// Which.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// All texts of the tree at `root`, and those that are amiss.
#[must_use]
pub fn all(root: &Path) -> (Texts, Vec<Amiss>) {
    let (mut texts, mut amiss) = (Texts::new(), Vec::new());
    for folder in ["dbus/src", "forget/src", "hellod/src", "helloctl/src", "pam_hello/src"] {
        for path in sources(&root.join(folder)) {
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let Ok(tokens) = read(&path).parse::<TokenStream>() else { panic!("{file} is no Rust") };
            let mut found = Vec::new();
            in_macros(tokens, &mut found);
            for (text, arguments) in found {
                amiss.extend(mismatch(&text, &arguments));
                texts.entry(text).or_default().insert(file.clone());
            }
        }
    }
    for (file, found) in [
        ("helloctl/src/cli.rs", in_help(&read(&root.join("helloctl/src/cli.rs")))),
        ("docs/events.md", in_events(&read(&root.join("docs/events.md")))),
        ("debian/catalog.awk", in_awk(&read(&root.join("debian/catalog.awk")))),
        ("dbus/org.hellod.Hello1.policy", in_actions(&read(&root.join("dbus/org.hellod.Hello1.policy")))),
    ] {
        for text in found {
            texts.entry(text).or_default().insert(file.to_owned());
        }
    }
    for path in maintainer_scripts(root) {
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        for text in in_script(&read(&path), &mut amiss) {
            texts.entry(text).or_default().insert(file.clone());
        }
    }
    (texts, amiss)
}

/// A template for translators, as xgettext(1) writes one.
#[must_use]
pub fn template(texts: &Texts) -> String {
    let mut template = HEAD.to_owned();
    let mut texts: Vec<_> = texts.iter().collect();
    texts.sort_by_key(|(text, files)| (files.first(), *text));
    for (text, files) in texts {
        template.push('\n');
        for file in files {
            template.push_str(&format!("#: {file}\n"));
        }
        if !places(text).is_empty() {
            template.push_str("#, python-brace-format\n");
        }
        template.push_str(&entry(text, ""));
    }
    template
}

/// A text and its translation, as a .po file has them.
#[must_use]
pub fn entry(text: &str, translation: &str) -> String {
    format!("msgid {}\nmsgstr {}\n", quoted(text), quoted(translation))
}

/// The texts and translations of a .po file, without its head; none for a text that has none yet.
#[must_use]
pub fn translations(po: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let (mut is_translation, mut is_guessed) = (false, false);
    for line in po.lines() {
        if line.starts_with("#,") {
            is_guessed = line.contains("fuzzy");
        }
        let string = match (line.strip_prefix("msgid "), line.strip_prefix("msgstr ")) {
            (Some(string), _) => {
                entries.push((String::new(), String::new()));
                is_translation = false;
                string
            }
            (None, Some(string)) => {
                is_translation = true;
                // What msgmerge(1) has guessed is none, and msgfmt(1) leaves it out.
                if std::mem::take(&mut is_guessed) { "\"\"" } else { string }
            }
            (None, None) => line,
        };
        let Ok(string) = syn::parse_str::<syn::LitStr>(string) else { continue };
        if let Some((text, translation)) = entries.last_mut() {
            (if is_translation { translation } else { text }).push_str(&string.value());
        }
    }
    entries.retain(|(text, translation)| !text.is_empty() && !translation.is_empty());
    entries
}

/// What is wrong with a translation.
#[must_use]
pub fn faults(text: &str, translation: &str) -> Vec<String> {
    let numbered = |text: &str| {
        let (mut next, mut places) = (0, places(text));
        for place in places.iter_mut().filter(|place| place.is_empty()) {
            *place = next.to_string();
            next += 1;
        }
        places.sort();
        places
    };
    // Where a line ends in one, and in one alone.
    let commands = |text: &str| -> BTreeSet<String> {
        let behind = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, rest)| rest);
        let is_one = |rest: &&str| {
            let is_command = rest.starts_with("helloctl ") || rest.starts_with("sudo helloctl ");
            is_command && rest.matches("helloctl").count() == 1 && !rest.contains([',', ';', '(', '.'])
        };
        behind.filter(is_one).filter(|rest| rest.split(' ').count() < 6).map(str::to_owned).collect()
    };
    let ends = |text: &str| {
        [text.starts_with('\n'), text.ends_with('\n'), text.starts_with(' '), text.ends_with(' ')]
    };
    let lines = |text: &str| text.lines().count();
    [
        (numbered(text) != numbered(translation), "its places are others"),
        (commands(text) != commands(translation), "its commands are others"),
        (ends(text) != ends(translation), "it begins or ends otherwise"),
        // Whoever shows it looks for the command there.
        (text.ends_with("{command}") && !translation.ends_with("{command}"), "the command stands elsewhere"),
        (lines(text) > 1 && widest(text) <= WIDTH && widest(translation) > WIDTH, "a line of it is too long"),
        (is_prompt(text) && is_too_wide(translation), "a prompt stands in one line"),
    ]
    .into_iter()
    .filter(|(is_so, _)| *is_so)
    .map(|(_, fault)| format!("{text:?}: {fault}: {translation:?}"))
    .collect()
}

/// Whether something is typed behind it: a place to type at doesn't break where it likes.
#[must_use]
pub fn is_prompt(text: &str) -> bool {
    text.ends_with(": ")
}

/// Whether there is no room for a line of it. What is put into its places has to be short.
#[must_use]
pub fn is_too_wide(text: &str) -> bool {
    widest(text) > WIDTH
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or_default()
}

/// The places of a text: `{}`, `{0}`, `{name}`, in their order.
#[must_use]
pub fn places(text: &str) -> Vec<String> {
    let text = text.replace("{{", "").replace("}}", "");
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What dpkg runs when a package comes or goes.
fn maintainer_scripts(root: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let kind = path.extension().and_then(|extension| extension.to_str());
        matches!(kind, Some("preinst" | "postinst" | "prerm" | "postrm"))
    };
    let mut scripts: Vec<_> =
        fs::read_dir(root.join("debian")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    scripts.retain(is_one);
    scripts.sort();
    scripts
}

/// The text and the arguments of each `tr!(…)`, however deep, also in attributes.
fn in_macros(tokens: TokenStream, found: &mut Vec<(String, Vec<String>)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let is_tr = at >= 2
            && matches!(&tokens[at - 2], TokenTree::Ident(name) if name == "tr")
            && matches!(&tokens[at - 1], TokenTree::Punct(mark) if mark.as_char() == '!');
        if is_tr {
            let mut inner = group.stream().into_iter();
            if let Some(TokenTree::Literal(literal)) = inner.next()
                && let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
            {
                found.push((text.value(), arguments(inner.skip(1))));
            }
        }
        in_macros(group.stream(), found);
    }
}

/// The name of each argument, or what stands there where it has none.
fn arguments(tokens: impl Iterator<Item = TokenTree>) -> Vec<String> {
    let mut arguments = vec![String::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(mark) if mark.as_char() == ',' => arguments.push(String::new()),
            token => {
                if let Some(last) = arguments.last_mut() {
                    last.push_str(&token.to_string());
                }
            }
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    let name = |argument: &String| match argument.split_once('=') {
        Some((name, value)) if !value.starts_with('=') => name.to_owned(),
        _ => argument.clone(),
    };
    arguments.iter().map(name).collect()
}

fn mismatch(text: &str, arguments: &[String]) -> Option<Amiss> {
    let places = places(text);
    let in_order = places.iter().filter(|place| place.is_empty()).count();
    let of_place = |place: &String| match place.parse::<usize>() {
        Ok(number) => Some(number),
        Err(_) => arguments.iter().position(|argument| argument == place),
    };
    let missing = places
        .iter()
        .find(|place| !place.is_empty() && of_place(place).is_none_or(|at| at >= arguments.len()));
    let taken = |at: usize| {
        at < in_order || places.iter().any(|place| !place.is_empty() && of_place(place) == Some(at))
    };
    let why = if let Some(place) = missing {
        format!("nothing belongs into {{{place}}}")
    } else if in_order > arguments.len() {
        "there are more places than arguments".to_owned()
    } else {
        let idle = (0..arguments.len()).find(|at| !taken(*at))?;
        format!("{} has no place", arguments[idle])
    };
    Some(Amiss { text: text.to_owned(), why })
}

/// What clap's derive makes of documentation: the first paragraph, without the point at its end. Commands and what they take are
/// variants and fields; of all types, the first is documented for people.
fn in_help(source: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    for line in source.lines().map(str::trim_start) {
        if let Some(words) = line.strip_prefix("///") {
            paragraph.push(words.trim());
        } else if !line.starts_with("#[") && !paragraph.is_empty() {
            let first: Vec<&str> = paragraph.drain(..).take_while(|words| !words.is_empty()).collect();
            let line = line.trim_start_matches("pub(crate) ");
            let is_internal = ["fn ", "enum ", "impl ", "struct "].iter().any(|kind| line.starts_with(kind));
            if !is_internal || texts.is_empty() {
                texts.push(first.join(" ").trim_end_matches('.').to_owned());
            }
        }
    }
    texts
}

/// The level, the sentence, the cause and the remedy of each row.
fn in_events(catalogue: &str) -> Vec<String> {
    let cells =
        |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().replace('`', "")).collect() };
    let is_row = |cells: &Vec<String>| cells.len() == 7 && cells[1].starts_with(|c: char| c.is_ascii_digit());
    catalogue.lines().map(cells).filter(is_row).flat_map(|cells| cells[2..6].to_vec()).collect()
}

fn in_actions(policy: &str) -> Vec<String> {
    let text = |line: &str, element: &str| {
        let rest = line.trim().strip_prefix(&format!("<{element} gettext-domain=\"hello-for-linux\">"))?;
        Some(rest.strip_suffix(&format!("</{element}>"))?.to_owned())
    };
    policy.lines().filter_map(|line| text(line, "description").or_else(|| text(line, "message"))).collect()
}

/// The words around the cells of the event catalogue: each is in a `tr("…")`.
fn in_awk(program: &str) -> Vec<String> {
    let calls = program.split("tr(\"").skip(1);
    calls.filter_map(|rest| Some(rest.split_once("\")")?.0.to_owned())).collect()
}

/// What a script of the packages tells an administrator: each text is in a `say "…"`, as it is in the catalogue.
fn in_script(script: &str, amiss: &mut Vec<Amiss>) -> Vec<String> {
    let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let code = code.join("\n");
    let mut wrong = |text: &str, why: &str| amiss.push(Amiss { text: text.to_owned(), why: why.to_owned() });
    for line in code.lines().filter(|line| line.contains("echo ")) {
        wrong(line, "a script of the packages says it past the catalogue");
    }
    let mut texts = Vec::new();
    for rest in code.split("say ").skip(1) {
        match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            Some((text, _)) if !text.contains(['$', '`', '\\']) => texts.push(text.to_owned()),
            _ => wrong(rest, "the shell makes it anew each time"),
        }
    }
    texts
}

/// A string of a .po file, in lines as it has lines itself.
fn quoted(text: &str) -> String {
    let lines: Vec<String> = text
        .split_inclusive('\n')
        .map(|line| format!("\"{}\"", line.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")))
        .collect();
    if lines.is_empty() {
        return "\"\"".to_owned();
    }
    if lines.len() == 1 { lines.concat() } else { format!("\"\"\n{}", lines.join("\n")) }
}

/// What a console has room for.
const WIDTH: usize = 60;

const HEAD: &str = "\
# Hello for Linux: what people read. words/README.md tells how it becomes another language.
msgid \"\"
msgstr \"\"
\"Project-Id-Version: hello-for-linux\\n\"
\"Report-Msgid-Bugs-To: \\n\"
\"POT-Creation-Date: 2026-11-29 00:00+0000\\n\"
\"PO-Revision-Date: YEAR-MO-DA HO:MI+ZONE\\n\"
\"Last-Translator: FULL NAME <EMAIL@ADDRESS>\\n\"
\"Language-Team: LANGUAGE <LL@li.org>\\n\"
\"Language: \\n\"
\"MIME-Version: 1.0\\n\"
\"Content-Type: text/plain; charset=UTF-8\\n\"
\"Content-Transfer-Encoding: 8bit\\n\"
";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::new();
        in_macros(source.parse().unwrap(), &mut found);
        found
    }

    #[test]
    fn texts_are_found_in_attributes_in_calls_and_in_constants() {
        let source = r#"
            #[error("{}", tr!("it is {0} of {name}", _0, name))]
            const A: Text = tr!("a \"b\" \
                c");
            fn f() { g(&tr!("n: {n}", n = 1 + 1)); }
        "#;
        let found: Vec<_> = of(source).into_iter().map(|(text, _)| text).collect();
        assert_eq!(found, ["it is {0} of {name}", "a \"b\" c", "n: {n}"]);
        assert!(of(source).iter().all(|(text, arguments)| mismatch(text, arguments).is_none()));
    }

    #[test]
    fn a_translation_is_read_as_it_is_written() {
        let po = "msgid \"\"\nmsgstr \"\"\n\"Language: de\\n\"\n\n#: a.rs\n".to_owned();
        let entries =
            [("a \"b\"\nc", "d\ne"), ("", ""), ("f", "")].map(|(text, translation)| entry(text, translation));
        let read = translations(&(po + &entries.concat()));
        assert_eq!(read, [("a \"b\"\nc".to_owned(), "d\ne".to_owned())]);
        let guessed = "#, fuzzy\nmsgid \"a\"\nmsgstr \"b\"\n";
        assert_eq!(translations(guessed), []);
    }

    #[test]
    fn a_translation_that_does_not_fit_has_a_fault() {
        assert!(faults("a: ", &format!("{}: ", "x".repeat(59))).is_empty());
        assert!(faults("{} of {name}: helloctl enroll", "{name}, {0}: helloctl enroll").is_empty());
        for (text, translation) in [
            ("{a}", "a"),
            ("{}", "{1}"),
            ("Do: helloctl enroll", "Tun: helloctl einrichten"),
            ("PIN: ", "PIN:"),
            ("a\nb", &format!("{}\nb", "x".repeat(61))),
            ("a: ", &format!("{}: ", "x".repeat(60))),
        ] {
            assert_eq!(faults(text, translation).len(), 1, "{text:?} {translation:?}");
        }
    }

    #[test]
    fn texts_are_found_in_scripts_and_what_is_said_past_the_catalogue_is_amiss() {
        let mut amiss = Vec::new();
        let script = "# say \"no\"\nsay() {\n}\n    say \"a: b\nc\" >&2\nprintf '%s' \"$left\"\n";
        assert_eq!(in_script(script, &mut amiss), ["a: b\nc"]);
        assert_eq!(amiss, []);
        for script in ["say \"a $b\"", "say $b", "say 'a'", "say \"a", "echo \"a\" >&2"] {
            assert_eq!(in_script(script, &mut amiss), Vec::<String>::new(), "{script}");
            assert_eq!(std::mem::take(&mut amiss).len(), 1, "{script}");
        }
        assert_eq!(in_awk("print f(tr(\"a {0}.\"), tr($4)) tr(\"b\")"), ["a {0}.", "b"]);
    }

    #[test]
    fn a_place_without_an_argument_and_an_argument_without_a_place_are_amiss() {
        for (source, why) in [
            (r#"tr!("{a}", b)"#, "nothing belongs into {a}"),
            (r#"tr!("{1}", b)"#, "nothing belongs into {1}"),
            (r#"tr!("{}{}", b)"#, "there are more places than arguments"),
            (r#"tr!("{a}", a, b.c())"#, "b.c() has no place"),
            (r#"tr!("{{a}}", a)"#, "a has no place"),
        ] {
            let (text, arguments) = of(source).remove(0);
            assert_eq!(mismatch(&text, &arguments).map(|amiss| amiss.why).as_deref(), Some(why), "{source}");
        }
    }
}

//! A mutation: one guard taken out of the sources, and the test that must notice.
//!
//! It is a file in tests/mutations: a few lines that say what is taken away, then a unified diff, which `patch -p1` and
//! `git apply` take, too. Here it applies only where its lines stand exactly once, so that it can't land on another place.

use std::fs;
use std::path::Path;

/// One of tests/mutations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The name of its file, without the ending.
    pub name: String,
    /// The rows of docs/threats.md that it belongs to.
    pub threats: Vec<String>,
    /// What stood in the way and is gone.
    pub without: String,
    /// The tests that must fail.
    pub witnesses: Vec<Witness>,
    edits: Vec<Edit>,
}

/// A test that must notice a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The arguments of `cargo test` that choose its program.
    pub program: Vec<String>,
    /// Its name.
    pub test: String,
    /// What it must say while it fails, so that it fails for this reason and no other.
    pub says: String,
}

/// A file, and the places in it that change: what stands there, and what will.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    path: String,
    places: Vec<(String, String)>,
}

impl Mutation {
    /// Every mutation of the project, by name.
    ///
    /// # Errors
    /// Which file is wrong, and in what.
    pub fn all(top: &Path) -> Result<Vec<Self>, String> {
        let directory = top.join(DIRECTORY);
        let entries =
            fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut all = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            all.push(Self::parse(&name, &text).map_err(|error| format!("{DIRECTORY}/{name}: {error}"))?);
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Reads one.
    ///
    /// # Errors
    /// What it lacks.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (head, diff) = text.split_once("\n--- a/").ok_or("there is no diff in it")?;
        let fields = |key: &'static str| {
            let values = head.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "));
            values.map(str::trim).filter(|value| !value.is_empty())
        };
        let field = |key| fields(key).next().ok_or(format!("it has no line {key:?}"));
        if fields("Test").count() != fields("Says").count() {
            return Err("each Test needs what it Says".to_owned());
        }
        let witness = |(test, says): (&str, &str)| {
            let (program, test) = test.rsplit_once(' ')?;
            let program = program.split(' ').map(str::to_owned).collect();
            Some(Witness { program, test: test.to_owned(), says: says.to_owned() })
        };
        field("Test")?;
        let witnesses: Option<_> = fields("Test").zip(fields("Says")).map(witness).collect();
        Ok(Self {
            name: name.to_owned(),
            threats: field("Threats")?.split(", ").map(str::to_owned).collect(),
            without: field("Without")?.to_owned(),
            witnesses: witnesses.ok_or("Test: arguments of cargo test, then a name")?,
            edits: diff.split("\n--- a/").map(edit).collect::<Result<_, _>>()?,
        })
    }

    /// The files that it changes below `top`, by path, as they are afterwards.
    ///
    /// # Errors
    /// The file whose lines are no longer what the mutation expects.
    pub fn applied(&self, top: &Path) -> Result<Vec<(String, String)>, String> {
        let apply = |edit: &Edit| {
            let mut text = fs::read_to_string(top.join(&edit.path))
                .map_err(|error| format!("{}: {}: {error}", self.name, edit.path))?;
            for (before, after) in &edit.places {
                let at = only_place(&text, before).map_err(|times| {
                    format!("{}: {}: found {times} times:\n{before}", self.name, edit.path)
                })?;
                text.replace_range(at..at + before.len(), after);
            }
            Ok((edit.path.clone(), text))
        };
        self.edits.iter().map(apply).collect()
    }
}

/// Where some whole lines stand in a text, or how often if not once.
fn only_place(text: &str, lines: &str) -> Result<usize, usize> {
    let begins_a_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
    let places: Vec<usize> = text.match_indices(lines).map(|(at, _)| at).filter(begins_a_line).collect();
    match places[..] {
        [at] => Ok(at),
        _ => Err(places.len()),
    }
}

/// From the path on that stands behind `--- a/`.
fn edit(diff: &str) -> Result<Edit, String> {
    let (path, rest) = diff.split_once('\n').ok_or("the diff ends in its head")?;
    let mut places: Vec<(String, String)> = Vec::new();
    for line in rest.lines() {
        let Some(kind) = line.chars().next() else { continue };
        if line.starts_with("@@") {
            places.push(Default::default());
        }
        let Some((before, after)) = places.last_mut() else { continue };
        let line = format!("{}\n", &line[kind.len_utf8()..]);
        match kind {
            ' ' => {
                before.push_str(&line);
                after.push_str(&line);
            }
            '-' => before.push_str(&line),
            '+' => after.push_str(&line),
            _ => {}
        }
    }
    if places.iter().any(|(before, after)| before.is_empty() || before == after) || places.is_empty() {
        return Err(format!("the diff of {path} changes nothing that can be found"));
    }
    Ok(Edit { path: path.to_owned(), places })
}

/// Where the mutations are, from the top of the sources.
const DIRECTORY: &str = "tests/mutations";

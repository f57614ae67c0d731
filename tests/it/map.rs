//! The map in docs/ARCHITECTURE.md is true: a module uses only what stands in its row, no two files need each other, and a library that has a
//! room is named nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path, such as `["http", "edge"]`; empty for the root.
type Module = Vec<String>;

/// A path of the code, such as `["crate", "quota", "Run"]`, and whether it is given on under its last name.
struct Used {
    path: Vec<String>,
    is_given_on: bool,
}

struct Sources(BTreeMap<Module, Vec<Used>>);

impl Sources {
    fn read() -> Self {
        let mut sources = BTreeMap::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for file in files(&root) {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            // Tests may use what they like.
            if module != ["main"] && module.last().is_none_or(|last| last != "tests") && !module.contains(&"tests".to_owned()) {
                sources.insert(module, uses(&fs::read_to_string(&file).unwrap()));
            }
        }
        Self(sources)
    }

    /// The file that a path leads to from a module, by what other files give on; `None` when it leads out of the crate.
    fn target(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => from.clone(),
            first if self.0.contains_key(&[from.clone(), vec![first.to_owned()]].concat()) => from.clone(),
            _ => return None,
        };
        let mut rest = path.iter().skip_while(|part| ["crate", "self"].contains(&part.as_str())).peekable();
        while rest.next_if(|part| *part == "super").is_some() {
            at.pop();
        }
        while let Some(part) = rest.next_if(|part| self.0.contains_key(&[at.clone(), vec![(*part).clone()]].concat())) {
            at.push(part.clone());
        }
        let given_on =
            rest.peek().and_then(|name| self.0[&at].iter().find(|used| used.is_given_on && used.path.last() == Some(name)));
        match given_on {
            Some(used) if depth < 8 => self.target(&at, &used.path, depth + 1).or(Some(at)),
            _ => Some(at),
        }
    }

    /// The files that each file uses. To give something on is no use.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let targets = |module: &Module, used: &[Used]| {
            let used = used.iter().filter(|used| !used.is_given_on);
            used.filter_map(|used| self.target(module, &used.path, 0)).filter(|to| to != module && !to.is_empty()).collect()
        };
        self.0.iter().map(|(module, used)| (module.clone(), targets(module, used))).collect()
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}

/// What a file names of its crate, in `use` and elsewhere, without its tests and comments.
fn uses(text: &str) -> Vec<Used> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    let mut code = lines.collect::<Vec<_>>().join("\n");
    // Where something may be seen is no use of it.
    while let Some(at) = code.find("pub(in ") {
        let end = code[at..].find(')').unwrap();
        code.replace_range(at + 3..=at + end, "");
    }
    let mut found = Vec::new();
    let mut rest = code.as_str();
    let mut others = String::new();
    while let Some(at) = rest.find("use ") {
        let before = rest[..at].rsplit('\n').next().unwrap().trim();
        let end = rest[at..].find(';').unwrap_or(rest.len() - at);
        let is_item = before.is_empty() || (before.starts_with("pub") && !before.contains(char::is_whitespace));
        if is_item {
            others.push_str(&rest[..at]);
            let mut paths = Vec::new();
            expand(&mut paths, &[], &rest[at + 4..at + end]);
            found.extend(paths.into_iter().map(|path| Used { path, is_given_on: !before.is_empty() }));
            rest = &rest[at + end..];
        } else {
            others.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
        }
    }
    others.push_str(rest);
    let words = others.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let paths = words.filter(|word| ["crate::", "super::", "self::"].iter().any(|start| word.starts_with(start)));
    found.extend(paths.map(|path| Used { path: path.split("::").map(str::to_owned).collect(), is_given_on: false }));
    found
}

/// The paths of a tree of `use`.
fn expand(paths: &mut Vec<Vec<String>>, prefix: &[String], tree: &str) {
    let mut depth = 0;
    let branches = tree.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for branch in branches.map(str::trim).filter(|branch| !branch.is_empty()) {
        let (path, inner) = branch.split_once('{').map_or((branch, None), |(path, inner)| (path, inner.strip_suffix('}')));
        let path = path.split(" as ").next().unwrap();
        let parts = path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        let path: Vec<_> = prefix.iter().cloned().chain(parts).collect();
        match inner {
            Some(inner) => expand(paths, &path, inner),
            None => paths.push(path),
        }
    }
}

/// The rows of a table of docs/ARCHITECTURE.md: the names in the first column, and those in the second.
fn table(heading: &str) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with(heading)).skip(2).take_while(|line| line.starts_with('|'));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        (names(cells[0]).pop().unwrap(), names(cells[1]))
    });
    rows.collect()
}

#[test]
fn a_module_uses_only_what_the_map_says() {
    let map = table("| module | uses |");
    let sources = Sources::read();
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (from, to) in sources.arrows().iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
        let (Some(of), Some(on)) = (from.first(), to.first()) else { continue };
        if of == on {
            continue;
        }
        used.insert((of.clone(), on.clone()));
        if !map.iter().any(|(module, may)| module == of && may.contains(on)) {
            faults.push(format!("src/{}.rs uses {}, which the row of {of} does not have", from.join("/"), to.join("::")));
        }
    }
    let place = |name: &str| map.iter().position(|(module, _)| module == name);
    for (module, may) in &map {
        for on in may {
            if !used.contains(&(module.clone(), on.clone())) {
                faults.push(format!("the row of {module} has {on}, which it does not use"));
            }
            if place(on).is_none_or(|on| Some(on) <= place(module)) {
                faults.push(format!("the row of {module} has {on}, which does not stand below it"));
            }
        }
    }
    assert!(faults.is_empty(), "docs/ARCHITECTURE.md has another map than the sources:\n{}", faults.join("\n"));
}

#[test]
fn no_two_files_need_each_other() {
    let arrows = Sources::read().arrows();
    let reached = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<_> = arrows[from].iter().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(&arrows[next]);
            }
        }
        seen
    };
    let circles: Vec<_> = arrows.keys().filter(|module| reached(module).contains(module)).map(|module| module.join("/")).collect();
    assert!(circles.is_empty(), "these files stand in circles of files that use each other: {}", circles.join(", "));
}

#[test]
fn a_large_library_is_named_in_its_rooms_only() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (library, rooms) in table("| library | named in |") {
        for file in files(&sources) {
            let name = file.strip_prefix(&sources).unwrap().to_str().unwrap().to_owned();
            let is_in = rooms.iter().any(|room| name == *room || name.starts_with(&format!("{room}/")));
            let text = fs::read_to_string(&file).unwrap();
            // Neither comments nor what stands in quotes, such as the targets of a log.
            let lines = text.lines().map(|line| line.split("//").next().unwrap());
            let code: Vec<String> = lines.map(|line| line.split('"').step_by(2).collect()).collect();
            let named = code.iter().any(|line| {
                line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .any(|word| word.starts_with(&format!("{library}::")))
            });
            if named && !is_in {
                faults.push(format!("src/{name} names {library}, which belongs to {}", rooms.join(", ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

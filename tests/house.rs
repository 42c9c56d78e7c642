//! Rules of this repository's code that no compiler checks: which way dependencies point, and how files look.

use std::fs;
use std::path::{Path, PathBuf};

use stack_runner::check::SchemaRef;
use stack_runner::schema::FileKind;
use stack_runner::source::project::Project;
use stack_runner::source::{Node, SourceFile};

/// Modules that must not know of the others after them.
const MAY_NOT_IMPORT: [(&str, &[&str]); 16] = [
    ("check", &["schema", "plan", "exec", "report", "cli"]),
    ("http", &["schema", "plan", "exec", "report", "cli"]),
    ("target", &["schema", "plan", "exec", "report", "cli"]),
    ("record", &["schema", "plan", "exec", "report", "cli"]),
    ("mcp", &["schema", "plan", "exec", "report", "cli"]),
    ("responses", &["check", "http", "target", "record", "stack", "schema", "plan", "exec", "report", "cli"]),
    ("stack", &["schema", "plan", "exec", "report", "cli"]),
    ("mutate", &["check", "target", "record", "mcp", "stack", "schema", "plan", "exec", "report", "cli"]),
    (
        "source",
        &["check", "http", "target", "record", "mcp", "stack", "schema", "plan", "exec", "report", "cli"],
    ),
    (
        "scoring",
        &[
            "check", "http", "target", "record", "mcp", "stack", "source", "schema", "plan", "exec",
            "report", "cli",
        ],
    ),
    // The checks of a case are decoded into the types of `check`.
    ("schema", &["http", "target", "record", "mcp", "stack", "plan", "exec", "report", "cli"]),
    ("plan", &["target", "stack", "exec", "report", "cli"]),
    ("exec", &["report", "cli"]),
    ("report", &["cli"]),
    (
        "vector",
        &["check", "http", "target", "record", "stack", "source", "schema", "plan", "exec", "report", "cli"],
    ),
    (
        "secret",
        &[
            "check", "http", "target", "record", "mcp", "stack", "source", "schema", "plan", "exec",
            "report", "cli",
        ],
    ),
];

const MOST_LINES: usize = 500;

/// Every Rust file below a folder, with its text; paths from the repository's root.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("reads") {
            let path = entry.expect("reads").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("reads");
                found.push((path.strip_prefix(root).expect("lies below").to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has files");
    found.sort();
    found
}

/// The module that a file of `src/` belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix("src").expect("lies in src");
    let first = below.components().next().expect("has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Modules of this crate that a text names: `crate::x::…` and `crate::{x, y::…}`.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let word = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (at, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                c if starts && !c.is_whitespace() => {
                    found.push(word(&group[at..]));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// The part of a file that is not tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// Whether the module of a file is declared for tests alone.
fn is_for_tests(path: &Path) -> bool {
    let name = path.file_stem().expect("has a name").to_string_lossy();
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join(path.with_file_name("mod.rs"));
    fs::read_to_string(parent).is_ok_and(|text| text.contains(&format!("#[cfg(test)]\nmod {name};")))
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "// crate::no\nuse crate::a::B;\nuse crate::{\n    c::{D, e},\n    f,\n};\nfn x() -> crate::g::H {}\n";
    assert_eq!(imports(text), ["a", "c", "f", "g"]);
}

#[test]
fn dependencies_point_one_way() {
    for (path, text) in files("src") {
        let own = module(&path);
        let forbidden =
            MAY_NOT_IMPORT.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, names)| names);
        for name in imports(&text) {
            assert!(!forbidden.contains(&name.as_str()), "{}: `{own}` imports `{name}`", path.display());
        }
    }
}

#[test]
fn every_module_has_its_rule() {
    for (path, _) in files("src") {
        let own = module(&path);
        let top = ["lib", "main", "cli"].contains(&own.as_str());
        assert!(
            top || MAY_NOT_IMPORT.iter().any(|(name, _)| *name == own),
            "{} is in no rule",
            path.display()
        );
    }
}

#[test]
fn only_cli_and_report_write_to_the_terminal() {
    for (path, text) in files("src") {
        if is_for_tests(&path) || ["cli", "report"].contains(&module(&path).as_str()) {
            continue;
        }
        for writes in ["print!(", "println!(", "io::stdout()", "io::stderr()", "dbg!("] {
            assert!(!code(&text).contains(writes), "{}: {writes}", path.display());
        }
    }
}

#[test]
fn folders_are_one_level_deep() {
    for (path, _) in files("src") {
        assert!(path.components().count() <= 3, "{}", path.display());
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{}: {lines} lines, {MOST_LINES} at most", path.display());
        assert!(text.starts_with("//! "), "{}: no `//!` at its head", path.display());
    }
}

#[test]
fn nothing_is_silenced_or_left_for_later() {
    // Written so that this file does not name them itself.
    let words =
        ["#[allow", "#![allow", "TO-DO", "FIX-ME", "un-implemented!"].map(|word| word.replace('-', ""));
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        if path.ends_with("house.rs") {
            continue;
        }
        for word in &words {
            assert!(!text.contains(word.as_str()), "{}: {word}", path.display());
        }
    }
}

/// Where a kind's schema is committed.
fn schema_file(kind: FileKind) -> String {
    format!("schemas/{}.json", kind.name())
}

#[test]
fn schemas_say_what_the_types_say() {
    for kind in FileKind::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(schema_file(kind));
        let current = format!("{:#}\n", kind.schema());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &current).expect("writes");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let how = "UPDATE_SCHEMAS=1 cargo test --test house";
        assert!(committed == current, "{} is out of date; `{how}` writes it", schema_file(kind));
    }
}

#[test]
fn every_file_of_cases_and_definitions_names_its_schema_and_follows_it() {
    let project = Project { root: env!("CARGO_MANIFEST_DIR").into() };
    for kind in FileKind::ALL {
        let schema = SchemaRef::compile(kind.schema()).expect("is a schema");
        for path in project.files(kind.folder()).expect("reads") {
            let file = SourceFile::read(&project.root.join(&path), &path).expect("reads");
            let up = "../".repeat(path.components().count() - 1);
            let head = format!("# yaml-language-server: $schema={up}{}", schema_file(kind));
            assert_eq!(file.text.lines().next(), Some(head.as_str()), "the first line of {}", path.display());
            let value = Node::parse(&file).expect("parses").to_json();
            assert_eq!(schema.violations(&value), [], "{}", path.display());
        }
    }
}

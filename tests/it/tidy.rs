//! What a reader of this code may count on: every module says what it is, files and functions stay small, nothing is
//! left half done, no lint is silenced without a reason, and no line knows the machine it was written on.

use crate::source::{SourceFile, Token, rust_files};
use std::path::Path;

/// Lines a file of `src/` may have. The aim is 300.
const FILE_LINES_MAX: usize = 500;
/// Lines a function of `src/` may have, from `fn` to its closing brace. The aim is 30.
const FUNCTION_LINES_MAX: usize = 70;
/// Words that mark something as unfinished. Split, so that this file has none of them.
const UNFINISHED: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];
/// Macros that mark something as unfinished.
const UNFINISHED_MACROS: [&str; 2] = ["todo", "unimplemented"];
/// Module names that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "manager", "helper", "helpers", "util", "utils", "common", "misc", "stuff",
];
/// Places that exist on one machine only. Split, so that this file has none of them.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("/ro", "ot/."),
    concat!("/home", "/runner"),
    "C:\\Users",
];
/// What the repository holds, as far as it is text that people write.
const WRITTEN: [&str; 8] = [
    "src",
    "tests",
    "docs",
    "deploy",
    "benches",
    "fuzz",
    "migrations",
    ".ci",
];

#[test]
fn the_source_is_tidy() {
    let broken: Vec<String> = rust_files("src").iter().flat_map(violations).collect();
    assert!(
        broken.is_empty(),
        "{} rules broken:\n  {}",
        broken.len(),
        broken.join("\n  ")
    );
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for directory in WRITTEN {
        walk(&root.join(directory), &mut |path| {
            broken.extend(machine_paths_in(path))
        });
    }
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "clippy.toml",
    ] {
        broken.extend(machine_paths_in(&root.join(name)));
    }
    assert!(
        broken.is_empty(),
        "paths of one machine:\n  {}",
        broken.join("\n  ")
    );
}

#[test]
fn each_rule_finds_what_it_forbids() {
    let long = format!(
        "//! x\nfn f() {{\n{}}}\n",
        "    g();\n".repeat(FUNCTION_LINES_MAX)
    );
    let huge = format!("//! x\n{}", "const A: u8 = 0;\n".repeat(FILE_LINES_MAX));
    let unfinished = format!("//! x\n// {}: later\n", UNFINISHED[0]);
    let rows = [
        ("src/a.rs", "fn f() {}\n", "src/a.rs:1: starts without `//!`"),
        ("src/a.rs", huge.as_str(), "src/a.rs:501: has 501 lines"),
        ("src/a.rs", long.as_str(), "src/a.rs:2: function `f` has 72 lines"),
        ("src/a.rs", unfinished.as_str(), "src/a.rs:2: unfinished"),
        (
            "src/a.rs",
            "//! x\nfn f() { todo!() }\n",
            "src/a.rs:2: unfinished",
        ),
        (
            "src/a.rs",
            "//! x\n#[allow(dead_code)]\nfn f() {}\n",
            "src/a.rs:2: silences a lint",
        ),
        (
            "src/a.rs",
            "//! x\n#![allow(dead_code)]\n",
            "src/a.rs:2: silences a lint",
        ),
        ("src/a.rs", "//! x\nunsafe fn f() {}\n", "src/a.rs:2: `unsafe`"),
        (
            "src/gate/util.rs",
            "//! x\n",
            "src/gate/util.rs:1: the name `util` says nothing",
        ),
        ("src/helper/mod.rs", "//! x\n", "the name `helper` says nothing"),
    ];
    for (path, text, expected) in rows {
        let found = violations(&SourceFile::new(path, text)).join("\n");
        assert!(
            found.contains(expected),
            "{path} with {text:.40?}: expected {expected:?}, found {found:?}"
        );
    }
}

#[test]
fn tidy_code_is_let_through() {
    let tests = SourceFile::new("src/a/tests.rs", "use super::*;\n");
    assert_eq!(violations(&tests), Vec::<String>::new());
    let text = "//! x\n#[expect(dead_code, reason = \"y\")]\nfn f<T>(a: fn() -> u8) -> T where T: A { \"todo!\"; }\n\
                // unsafe is a word here\ntrait A { fn g(&self); }\n";
    assert_eq!(
        violations(&SourceFile::new("src/a.rs", text)),
        Vec::<String>::new()
    );
}

/// Each broken rule as `file:line: what`.
fn violations(file: &SourceFile) -> Vec<String> {
    let tokens = file.tokens();
    let mut found = Vec::new();
    found.extend(module_doc(file));
    found.extend(file_size(file));
    found.extend(empty_name(file));
    found.extend(unfinished_words(file));
    found.extend(function_sizes(file, &tokens));
    found.extend(forbidden_tokens(file, &tokens));
    found
        .iter()
        .map(|(line, what)| format!("{}:{line}: {what}", file.path))
        .collect()
}

type Finding = (usize, String);

fn module_doc(file: &SourceFile) -> Option<Finding> {
    let is_tests = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    (!is_tests && !file.text.starts_with("//!")).then(|| {
        (
            1,
            "starts without `//!`: what is this module, and what does it never do?".into(),
        )
    })
}

fn file_size(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX).then(|| {
        (
            lines,
            format!("has {lines} lines, {FILE_LINES_MAX} is the most; split it by what it is about"),
        )
    })
}

fn empty_name(file: &SourceFile) -> Option<Finding> {
    let mut names = file.path.trim_end_matches(".rs").split('/');
    let name = names.find(|name| EMPTY_NAMES.contains(name))?;
    Some((
        1,
        format!("the name `{name}` says nothing: call the module after what it holds"),
    ))
}

fn unfinished_words(file: &SourceFile) -> Vec<Finding> {
    let is_unfinished = |word: &str| UNFINISHED.contains(&word);
    let has_one = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(is_unfinished)
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| has_one(line));
    lines
        .map(|(index, line)| (index + 1, format!("unfinished: {}", line.trim())))
        .collect()
}

fn forbidden_tokens(file: &SourceFile, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |next| next.text);
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text);
        let what = match token.text {
            "unsafe" => "`unsafe` has no place here",
            "allow" if before == "[" => {
                "silences a lint with `allow`: use `#[expect(lint, reason = \"...\")]`"
            }
            word if UNFINISHED_MACROS.contains(&word) && next == "!" => "unfinished: a macro that panics",
            _ => continue,
        };
        found.push((file.line_of(token.offset), what.to_owned()));
    }
    found
}

fn function_sizes(file: &SourceFile, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let name = pair[1].text;
        if pair[0].text != "fn" || name == "(" {
            continue;
        }
        let Some(end) = body_end(&tokens[at..]) else {
            continue;
        };
        let first = file.line_of(pair[0].offset);
        let lines = file.line_of(end.offset) - first + 1;
        if lines > FUNCTION_LINES_MAX {
            found.push((
                first,
                format!("function `{name}` has {lines} lines, {FUNCTION_LINES_MAX} is the most"),
            ));
        }
    }
    found
}

/// The closing brace of the function that starts here; none when it has no body.
fn body_end<'a>(tokens: &[Token<'a>]) -> Option<Token<'a>> {
    let mut depth = 0_usize;
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            ";" if depth == 0 => return None,
            "}" if depth == 1 => return Some(*token),
            "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "corpus" | "artifacts" | "node_modules") {
            walk(&path, visit);
        } else if path.is_file() {
            visit(&path);
        }
    }
}

fn machine_paths_in(path: &Path) -> Vec<String> {
    // What an article tells its readers to type, `~` and all.
    if path.components().any(|part| part.as_os_str() == "articles") {
        return Vec::new();
    }
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    let knows = |line: &str| MACHINE_PATHS.iter().any(|place| line.contains(place));
    let lines = text.lines().enumerate().filter(|(_, line)| knows(line));
    lines
        .map(|(index, line)| format!("{}:{}: {}", path.display(), index + 1, line.trim()))
        .collect()
}

//! Modules stand in ranks and import only from the left: a host cannot sign, the CA cannot reach the network, nothing
//! reaches past the service. This test reads every path in `src/` and names the ones that break the table.
//!
//! It holds for test code too. A test that needs more than its module may see is an integration test.

use crate::source::{SourceFile, Token, rust_files};

/// Each module's rank. A module imports from smaller ranks only; equal ranks never meet.
const RANKS: [(&str, u8); 17] = [
    ("base", 0),
    ("pki", 1),
    ("model", 2),
    ("wire", 3),
    ("keys", 3),
    ("store", 3),
    ("sys", 3),
    ("ca", 4),
    ("client", 4),
    ("service", 5),
    ("http", 6),
    ("jobs", 6),
    ("agent", 6),
    ("gate", 6),
    ("cli", 6),
    ("app", 7),
    ("main", 8),
];

/// What the ranks alone would allow: who, whom not, why.
const FENCES: [(&[&str], &[&str], &str); 4] = [
    (
        &["agent", "gate"],
        &["ca", "keys", "store", "service"],
        "a host holds no signing code and no database",
    ),
    (
        &["http", "jobs"],
        &["ca", "keys", "store"],
        "routes and jobs do not reach past `service`",
    ),
    (
        &["ca"],
        &["store"],
        "issuing does not touch the store: what must be remembered is handed back to `service`",
    ),
    (
        &["client"],
        &["keys", "store"],
        "the client does not know the server side",
    ),
];

/// Crates that have a home: which, the only modules that may name it, why.
const HOMES: [(&str, &[&str], &str); 4] = [
    ("sqlx", &["store", "app"], "SQL lives below the store's traits"),
    ("axum", &["http", "app"], "only the routes know the web framework"),
    (
        "anyhow",
        &["app", "main"],
        "libraries have an error enum per layer",
    ),
    ("clap", &["cli", "app", "main"], "only commands parse arguments"),
];

/// Crates that some modules must not name: which, the modules, why.
const STRANGERS: [(&str, &[&str], &str); 2] = [
    (
        "tokio",
        &["base", "pki", "model", "wire", "ca"],
        "values and signing are not async",
    ),
    (
        "hyper",
        &["base", "pki", "model", "wire", "ca", "keys", "store", "service"],
        "HTTP stays at the edges",
    ),
];

/// A path in the code that leaves its own module: `crate::pki::Serial` is (`pki`, true), `tokio::spawn` (`tokio`, false).
struct Import<'a> {
    head: &'a str,
    ours: bool,
    offset: usize,
}

#[test]
fn every_import_in_the_crate_comes_from_the_left() {
    let files = rust_files("src");
    assert!(
        files.len() > 17,
        "found only {} files: is this the checkout?",
        files.len()
    );
    let broken: Vec<String> = files.iter().flat_map(violations).collect();
    assert!(
        broken.is_empty(),
        "imports that break the module ranks:\n  {}",
        broken.join("\n  ")
    );
}

#[test]
fn an_import_that_breaks_the_table_is_found_wherever_it_hides() {
    let rows = [
        (
            "src/pki/names.rs",
            "use crate::model::X;",
            "src/pki/names.rs:1: `pki` imports `model`",
        ),
        (
            "src/pki/names.rs",
            "\nfn f() { crate::app::run() }",
            "src/pki/names.rs:2: `pki` imports `app`",
        ),
        (
            "src/base/mod.rs",
            "use crate::{\n  base::Id,\n  http::Route};",
            "src/base/mod.rs:3: `base` imports `http`",
        ),
        (
            "src/agent/mod.rs",
            "use crate::{wire::{a, b::{c}}, gate};",
            "`agent` imports `gate`: both have rank 6",
        ),
        (
            "src/agent/mod.rs",
            "use crate::ca;",
            "a host holds no signing code",
        ),
        (
            "src/gate/x.rs",
            "use super::super::service::S;",
            "`gate` imports `service`",
        ),
        ("src/gate/mod.rs", "use super::keys;", "`gate` imports `keys`"),
        (
            "src/store/mod.rs",
            "mod tests { use super::super::wire; }",
            "`store` imports `wire`",
        ),
        (
            "src/http/routes/mod.rs",
            "use crate::store::Store;",
            "do not reach past `service`",
        ),
        (
            "src/service/x.rs",
            "#[cfg(test)] mod tests { use crate::http; }",
            "`service` imports `http`",
        ),
        ("src/ca/mod.rs", "async fn f() { tokio::spawn(g()) }", "not async"),
        (
            "src/service/mod.rs",
            "use ::sqlx::Row;",
            "SQL lives below the store's traits",
        ),
        (
            "src/service/mod.rs",
            "fn f() -> anyhow::Result<()> {}",
            "an error enum per layer",
        ),
        (
            "src/agent/mod.rs",
            "use crate::nonsense::X;",
            "`nonsense` is no module of the table",
        ),
        (
            "src/nonsense/mod.rs",
            "use crate::base::Id;",
            "`nonsense` is no module of the table",
        ),
    ];
    for (path, text, expected) in rows {
        let found = violations(&SourceFile::new(path, text)).join("\n");
        assert!(
            found.contains(expected),
            "{path} with {text:?}: expected {expected:?}, found {found:?}"
        );
    }
}

#[test]
fn an_allowed_import_is_let_through() {
    let rows = [
        (
            "src/pki/names.rs",
            "use crate::base::Id; // crate::app\nlet x = \"crate::app\";",
        ),
        (
            "src/pki/mod.rs",
            "pub(crate) use names::X; use super::pki::Y; use self::names;",
        ),
        (
            "src/pki/names/tests.rs",
            "use super::super::super::base::Id; use super::*;",
        ),
        (
            "src/service/mod.rs",
            "mod tests { use super::super::store; use super::X; }",
        ),
        (
            "src/agent/mod.rs",
            "use crate::{client, sys::{self, files}, wire as w};",
        ),
        (
            "src/main.rs",
            "use dockwarden::app; fn main() -> anyhow::Result<()> {}",
        ),
        ("src/lib.rs", "pub mod base; pub mod app;"),
        ("src/wire/mod.rs", "use model::tokio; let x = a::tokio::b;"),
    ];
    for (path, text) in rows {
        let found = violations(&SourceFile::new(path, text));
        assert!(found.is_empty(), "{path} with {text:?}: {found:?}");
    }
}

/// Each broken rule as `file:line: what: why`.
fn violations(file: &SourceFile) -> Vec<String> {
    let module = module_path(&file.path);
    let Some(own) = module.first().copied() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for import in imports(&file.tokens(), &module) {
        let reason = if import.ours {
            why_not(own, import.head)
        } else {
            why_not_crate(own, import.head)
        };
        if let Some(reason) = reason {
            let line = file.line_of(import.offset);
            found.push(format!(
                "{}:{line}: `{own}` imports `{}`: {reason}",
                file.path, import.head
            ));
        }
    }
    found
}

/// `src/pki/names/tests.rs` is module pki::names::tests; `src/lib.rs` is the root and has no path.
fn module_path(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<&str> = inner.split('/').collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    if module == ["lib"] { Vec::new() } else { module }
}

fn why_not(own: &str, head: &str) -> Option<String> {
    if own == head {
        return None;
    }
    let (Some(own_rank), Some(head_rank)) = (rank(own), rank(head)) else {
        let stranger = if rank(own).is_none() { own } else { head };
        return Some(format!(
            "`{stranger}` is no module of the table in tests/it/layers.rs"
        ));
    };
    if let Some(fence) = FENCES
        .iter()
        .find(|fence| fence.0.contains(&own) && fence.1.contains(&head))
    {
        return Some(fence.2.to_owned());
    }
    match head_rank.cmp(&own_rank) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(format!("both have rank {own_rank}, and equals never meet")),
        std::cmp::Ordering::Greater => Some(format!("rank {head_rank} stands right of rank {own_rank}")),
    }
}

fn why_not_crate(own: &str, head: &str) -> Option<String> {
    let homeless = HOMES.iter().find(|home| home.0 == head && !home.1.contains(&own));
    let stranger = STRANGERS
        .iter()
        .find(|stranger| stranger.0 == head && stranger.1.contains(&own));
    homeless.or(stranger).map(|rule| rule.2.to_owned())
}

fn rank(module: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// Every path in the code that starts at the crate's root, climbs to it by `super`, or names another crate.
fn imports<'a>(tokens: &[Token<'a>], module: &[&str]) -> Vec<Import<'a>> {
    let mut found = Vec::new();
    // Braces that are open now; the ones that an inline `mod x {` opened add a level to climb.
    let mut braces: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => braces.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "crate" => heads_after(tokens, at + 1, &mut found),
            "super" if !follows_path(tokens, at) => {
                let climbed = tokens[at..].chunks(3).take_while(|chunk| is_super(chunk)).count();
                let depth = module.len() + braces.iter().filter(|inline| **inline).count();
                if climbed == depth {
                    heads_after(tokens, at + 3 * climbed - 2, &mut found);
                }
            }
            _ if is_path_start(tokens, at) => {
                found.push(Import {
                    head: token.text,
                    ours: false,
                    offset: token.offset,
                });
            }
            _ => {}
        }
    }
    found
}

/// Adds the first segments of `::a::b` or `::{a, b::{c}}` that stands at `at`.
fn heads_after<'a>(tokens: &[Token<'a>], at: usize, found: &mut Vec<Import<'a>>) {
    if !is_colons(tokens, at) {
        return;
    }
    let mut push = |token: &Token<'a>| {
        found.push(Import {
            head: token.text,
            ours: true,
            offset: token.offset,
        });
    };
    let Some(first) = tokens.get(at + 2) else { return };
    if first.text != "{" {
        push(first);
        return;
    }
    let mut depth = 0_usize;
    for pair in tokens[at + 2..].windows(2) {
        match pair[0].text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if depth == 1 && matches!(pair[0].text, "{" | ",") && pair[1].text != "}" {
            push(&pair[1]);
        }
    }
}

fn is_super(chunk: &[Token<'_>]) -> bool {
    matches!(chunk, [word, a, b] if word.text == "super" && a.text == ":" && b.text == ":")
}

fn is_colons(tokens: &[Token<'_>], at: usize) -> bool {
    matches!(tokens.get(at..at + 2), Some([a, b]) if a.text == ":" && b.text == ":")
}

/// Whether the token is a later segment of a path: `a::token`. A leading `::token` is a first segment.
fn follows_path(tokens: &[Token<'_>], at: usize) -> bool {
    let is_segment = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>');
    at >= 3
        && is_colons(tokens, at - 2)
        && is_segment(tokens[at - 3].text)
        && !matches!(
            tokens[at - 3].text,
            "use" | "return" | "in" | "as" | "mut" | "impl" | "dyn"
        )
}

/// A word before `::` that is the first of its path.
fn is_path_start(tokens: &[Token<'_>], at: usize) -> bool {
    is_colons(tokens, at + 1) && !follows_path(tokens, at) && tokens[at].text.starts_with(char::is_alphabetic)
}

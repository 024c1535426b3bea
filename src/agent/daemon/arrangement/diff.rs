//! A file's change as a unified diff, for people.

use similar::TextDiff;

use super::FileChange;

/// Unchanged lines around each change.
const CONTEXT_LINES: usize = 3;

/// The change as `diff -u` writes it, ready for `patch`. Bytes that are not UTF-8 are only said to differ.
pub fn unified(change: &FileChange) -> String {
    let path = change.path.display();
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap_or_default());
    let (Ok(before), Ok(after)) = (text(&change.before), text(&change.after)) else {
        return format!("Binary file {path} differs\n");
    };
    let name = |bytes: &Option<Vec<u8>>| match bytes {
        Some(_) => path.to_string(),
        None => "/dev/null".to_owned(),
    };
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&name(&change.before), &name(&change.after))
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn change(before: Option<&[u8]>, after: Option<&[u8]>) -> String {
        unified(&FileChange {
            path: PathBuf::from("/etc/docker/daemon.json"),
            before: before.map(<[u8]>::to_vec),
            after: after.map(<[u8]>::to_vec),
            reload_units: false,
        })
    }

    #[test]
    fn a_changed_line_stands_between_its_neighbours() {
        let before = b"{\n  \"a\": 1,\n  \"b\": 2\n}\n";
        let after = b"{\n  \"a\": 1,\n  \"b\": 3\n}";
        assert_eq!(
            change(Some(before), Some(after)),
            "--- /etc/docker/daemon.json\n+++ /etc/docker/daemon.json\n@@ -1,4 +1,4 @@\n {\n   \"a\": 1,\n\
             -  \"b\": 2\n-}\n+  \"b\": 3\n+}\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn a_new_file_comes_from_nothing_and_a_removed_one_goes_there() {
        assert_eq!(
            change(None, Some(b"a\n")),
            "--- /dev/null\n+++ /etc/docker/daemon.json\n@@ -0,0 +1 @@\n+a\n"
        );
        assert_eq!(
            change(Some(b"a\n"), None),
            "--- /etc/docker/daemon.json\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
        );
    }

    #[test]
    fn what_is_no_text_is_only_said_to_differ() {
        assert_eq!(
            change(Some(b"\xff\xfe{\0"), None),
            "Binary file /etc/docker/daemon.json differs\n"
        );
    }
}

//! Image references, in the one form the Engine gives them before it looks anything up.

use super::glob;

/// `docker.io/library/nginx`, its tag, its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference<'a> {
    repository: String,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Reads a reference as `distribution/reference` does: without a registry it is Docker Hub's, without a path there it is
/// one of the official images.
fn read(text: &str) -> Option<Reference<'_>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@*?".contains(&b);
    if text.is_empty() || !text.bytes().all(plain) {
        return None;
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => ("docker.io", name),
    };
    let registry = if registry == "index.docker.io" {
        "docker.io"
    } else {
        registry
    };
    let path = match registry == "docker.io" && !path.contains('/') && path != "*" {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    (!path.ends_with('/')).then(|| Reference {
        repository: format!("{registry}/{path}"),
        tag,
        digest,
    })
}

/// What the Engine takes for a registry and not for a part of a path.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether a pattern of a role can be one for images.
pub fn is_pattern(text: &str) -> bool {
    read(text).is_some()
}

/// Whether an image is given by its id, or may be: ids and parts of them stand for any image at all.
fn may_be_id(text: &str) -> bool {
    text.starts_with("sha256:") || (text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether `image` fits one of the patterns. A pattern without a tag fits every tag, one with a tag or digest that one.
pub fn is_listed(patterns: &[String], image: &str) -> bool {
    if may_be_id(image) || image.contains(['*', '?']) {
        return false;
    }
    let Some(image) = read(image) else {
        return false;
    };
    patterns
        .iter()
        .filter_map(|pattern| read(pattern))
        .any(|pattern| {
            glob::matches(&pattern.repository, &image.repository)
                && pattern.tag.is_none_or(|tag| {
                    image.digest.is_none() && glob::matches(tag, image.tag.unwrap_or("latest"))
                })
                && pattern.digest.is_none_or(|digest| image.digest == Some(digest))
        })
}

/// The pattern that fits an image by the name it was given, and nothing else: short as people write it, with tag or
/// digest. `None` where there is none, because an id stands for any image at all.
pub fn exactly(image: &str) -> Option<String> {
    let reference = read(image)?;
    let short = ["docker.io/library/", "docker.io/"]
        .iter()
        .filter_map(|prefix| reference.repository.strip_prefix(prefix))
        .find(|short| {
            read(short).is_some_and(|read| read.repository == reference.repository && read.tag.is_none())
        });
    let name = short.unwrap_or(&reference.repository);
    let pattern = match (reference.digest, reference.tag) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, tag) => format!("{name}:{}", tag.unwrap_or("latest")),
    };
    let fits = is_listed(std::slice::from_ref(&pattern), image);
    fits.then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_fits_by_the_name_the_engine_would_use() {
        for (pattern, image, fits) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx:1.27", true),
            ("nginx", "docker.io/library/nginx:latest", true),
            ("nginx", "index.docker.io/library/nginx", true),
            ("nginx", "evil.example/nginx", false),
            ("nginx", "evil/nginx", false),
            ("nginx", "nginxx", false),
            ("nginx:1.*", "nginx:1.27", true),
            ("nginx:1.*", "nginx", false),
            ("nginx:1.*", "nginx:1.27@sha256:00", false),
            ("nginx:latest", "nginx", true),
            ("docker.io/library/*", "nginx", true),
            ("docker.io/library/*", "acme/nginx", false),
            ("docker.io/*", "acme/nginx", true),
            ("*", "acme/nginx", true),
            ("*", "registry.example/acme/nginx", false),
            (
                "registry.example:5000/team/*",
                "registry.example:5000/team/a/b:1",
                true,
            ),
            (
                "registry.example:5000/team/*",
                "registry.example:5000/teams/a",
                false,
            ),
            ("registry.example:5000/team/*", "registry.example/team/a", false),
            (
                "registry.example/a@sha256:00",
                "registry.example/a@sha256:00",
                true,
            ),
            (
                "registry.example/a@sha256:00",
                "registry.example/a@sha256:01",
                false,
            ),
            ("registry.example/a@sha256:00", "registry.example/a", false),
            ("docker.io/*", "ACME/nginx", false),
            ("docker.io/*", "localhost/nginx", false),
            ("docker.io/*", "sha256:0123", false),
            ("docker.io/*", "cafe", false),
            ("docker.io/*", "0123456789ab", false),
            ("docker.io/*", "", false),
            ("docker.io/*", "a b", false),
            ("docker.io/*", "a/*", false),
        ] {
            assert_eq!(is_listed(&[pattern.to_owned()], image), fits, "{pattern} {image}");
        }
    }

    #[test]
    fn an_image_is_listed_by_the_name_it_was_given_or_not_at_all() {
        for (image, pattern) in [
            ("nginx", Some("nginx:latest")),
            ("docker.io/library/nginx:latest", Some("nginx:latest")),
            ("acme/nginx:1", Some("acme/nginx:1")),
            ("index.docker.io/acme/nginx", Some("acme/nginx:latest")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("docker.io/localhost/x", Some("docker.io/localhost/x:latest")),
            ("r.example/a:1@sha256:00", Some("r.example/a@sha256:00")),
            ("sha256:0123", None),
            ("0123456789ab", None),
            ("", None),
            ("a b", None),
            ("a/*", None),
            ("a:*", None),
        ] {
            assert_eq!(exactly(image).as_deref(), pattern, "{image}");
        }
    }
}

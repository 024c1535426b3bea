use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// Taken from 20.10.24 and cut to what is read.
const VERSION: &str =
    r#"{"Platform":{"Name":""},"Version":"20.10.24+dfsg1","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
const INFO: &str = r#"{"ID":"A:B","Containers":2,"DockerRootDir":"/var/lib/docker","LiveRestoreEnabled":true,
    "Swarm":{"NodeID":"","LocalNodeState":"inactive","RemoteManagers":null}}"#;
const CONTAINERS: &str = r#"[{"Id":"6b10cd86dc6b","Names":["/counter"],"State":"running"}]"#;
const USAGE: &str =
    r#"{"LayersSize":0,"Images":null,"BuildCache":[{"ID":"a","InUse":true},{"ID":"b","InUse":false}]}"#;

/// An engine that gives these answers by path, and 404 to everything else.
fn engine(answers: Vec<(&'static str, &'static str)>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default();
            let found = answers.iter().find(|(path, _)| *path == target);
            let (status, body) = found.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", *body));
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (dir, socket)
}

#[tokio::test]
async fn an_engine_is_asked_for_what_matters_to_a_restart() {
    let answers = vec![
        ("/version", VERSION),
        ("/info", INFO),
        ("/containers/json", CONTAINERS),
    ];
    let (_dir, socket) = engine(answers);
    let expected = EngineFacts {
        version: Some("20.10.24+dfsg1".into()),
        live_restore: Some(true),
        swarm: Some(false),
        plugins: Vec::new(),
        running: vec!["6b10cd86dc6b".into()],
        error: None,
    };
    assert_eq!(RealEngines.facts(&socket).await, expected);
    let root = RealEngines.data_root(&socket).await;
    assert_eq!(root, Some("/var/lib/docker".into()));
    assert_eq!(
        RealEngines.build_cache_in_use(&socket).await,
        None,
        "1.41 cannot say it cheaply"
    );
    assert_eq!(RealEngines.peer(&socket).await, Some(std::process::id()));
    let refused = RealEngines.ping(&socket).await.unwrap_err();
    assert!(refused.contains("404"), "{refused}");
}

#[tokio::test]
async fn builds_are_seen_where_the_engine_can_tell() {
    let answers = vec![
        ("/version", r#"{"Version":"28.5.2","ApiVersion":"1.51"}"#),
        ("/system/df?type=build-cache", USAGE),
    ];
    let (_dir, socket) = engine(answers);
    assert_eq!(RealEngines.build_cache_in_use(&socket).await, Some(1));
    let unknown = RealEngines.facts(&socket).await;
    assert!(
        unknown.error.unwrap().contains("GET /info"),
        "and it is said what failed"
    );
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_an_error_with_its_socket() {
    let absent = Path::new("/nonexistent/docker.sock");
    let facts = RealEngines.facts(absent).await;
    assert!(facts.error.unwrap().contains("/nonexistent/docker.sock"));
    assert!(RealEngines.ping(absent).await.is_err());
    assert_eq!(RealEngines.peer(absent).await, None);
    let (_dir, socket) = engine(vec![("/version", "{}")]);
    let odd = RealEngines.facts(&socket).await.error.unwrap();
    assert!(odd.contains("GET /version is odd"), "{odd}");
}

#[test]
fn states_and_versions_are_read() {
    for (state, expected) in [
        ("inactive", false),
        ("", false),
        ("active", true),
        ("locked", true),
        ("error", true),
    ] {
        assert_eq!(is_in_swarm(state), expected, "{state}");
    }
    for (text, expected) in [
        ("1.41", Some((1, 41))),
        ("1.100", Some((1, 100))),
        ("", None),
        ("1", None),
    ] {
        assert_eq!(api_version(text), expected, "{text}");
    }
}

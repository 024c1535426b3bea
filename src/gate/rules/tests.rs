use super::*;

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

const UP: (&str, &str) = ("Connection", "Upgrade");

#[test]
fn the_path_is_passed_on_in_one_form_and_the_query_untouched() {
    let facts = classify(&request(
        "GET",
        "//v1.41/images/a%2fb/./json?x=%2f&y=a b"
            .replace(' ', "+")
            .as_str(),
        &[],
    ))
    .unwrap();
    assert_eq!(facts.operation_path(), "/images/a/b/json");
    assert_eq!(facts.target(), "/v1.41/images/a/b/json?x=%2f&y=a+b");
    assert!(facts.upgrade.is_none() && !facts.is_last);
}

#[test]
fn upgrades_are_offered_where_the_engine_offers_them_and_nowhere_else() {
    for (method, path, protocol, expected) in [
        (
            "POST",
            "/v1.41/containers/a/attach?stdin=1",
            "tcp",
            Some(Protocol::Tcp),
        ),
        ("POST", "/exec/1/start", "TCP", Some(Protocol::Tcp)),
        ("POST", "/v1.41/session", "h2c", Some(Protocol::H2c)),
        ("POST", "/grpc", "h2c", Some(Protocol::H2c)),
        (
            "GET",
            "/containers/a/attach/ws",
            "websocket",
            Some(Protocol::WebSocket),
        ),
        ("GET", "/containers/json", "h2c", None),
        ("GET", "/v1.41/session", "h2c", None),
        ("POST", "/containers/a/attach", "h2c", None),
        ("POST", "/containers/a/attach", "tcp, h2c", None),
        ("POST", "/containers/a/start", "tcp", None),
        ("POST", "/containers/a/attach/ws", "websocket", None),
        ("POST", "/exec/1/start", "TLS/1.3", None),
    ] {
        let found = classify(&request(method, path, &[UP, ("Upgrade", protocol)]));
        match expected {
            Some(protocol) => {
                let facts = found.unwrap();
                assert_eq!(facts.upgrade, Some(protocol), "{path}");
                assert!(facts.is_last);
            }
            None => assert!(
                matches!(found, Err(Denial::Upgrade { .. })),
                "{method} {path} {protocol}: {found:?}"
            ),
        }
    }
    let exec = |headers: &[(&str, &str)]| classify(&request("POST", "/exec/1/start", headers));
    assert!(exec(&[("Upgrade", "tcp")]).is_err(), "Connection does not say so");
    assert!(exec(&[("Connection", "keep-alive"), ("Upgrade", "tcp")]).is_err());
    assert!(exec(&[("Connection", "keep-alive, upgrade"), ("Upgrade", "tcp")]).is_ok());
    assert!(exec(&[UP, ("Upgrade", "tcp"), ("Upgrade", "tcp")]).is_err());
    let mut old = request("POST", "/exec/1/start", &[UP, ("Upgrade", "tcp")]);
    *old.version_mut() = Version::HTTP_10;
    assert!(classify(&old).is_err());
}

#[test]
fn without_an_upgrade_output_may_be_attached_and_input_may_not() {
    for (path, last) in [
        ("/containers/a/attach?stream=1&stdout=1", true),
        ("/containers/a/attach?stdin=0&stdout=1", true),
        ("/containers/a/attach?stdin=false", true),
        ("/exec/1/start", true),
        ("/containers/a/start", false),
    ] {
        assert_eq!(
            classify(&request("POST", path, &[])).unwrap().is_last,
            last,
            "{path}"
        );
    }
    for path in [
        "/containers/a/attach?stdin=1",
        "/v1.41/containers/a/attach?logs=0&stdin=true",
        "/containers/a/attach?st%64in=1",
    ] {
        assert_eq!(
            classify(&request("POST", path, &[])),
            Err(Denial::RawHijack),
            "{path}"
        );
    }
}

#[test]
fn proxy_forms_are_refused() {
    for (method, target) in [
        ("CONNECT", "example.com:443"),
        ("TRACE", "/info"),
        ("GET", "http://example.com/info"),
        ("GET", "https://example.com/info"),
        ("OPTIONS", "*"),
    ] {
        assert!(
            classify(&request(method, target, &[])).is_err(),
            "{method} {target}"
        );
    }
    let hosts = [("Host", "a"), ("Host", "a")];
    assert!(matches!(
        classify(&request("GET", "/info", &hosts)),
        Err(Denial::Form(_))
    ));
}

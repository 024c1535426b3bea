use proptest::prelude::*;

use super::*;

fn rules(names: &[&str], addresses: &[&str]) -> NameRules {
    NameRules {
        names: names.iter().map(|n| n.parse().unwrap()).collect(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

fn texts(sans: &[San]) -> Vec<String> {
    sans.iter().map(ToString::to_string).collect()
}

/// (CN, CSR's SANs, names, addresses) -> (identity, SANs)
type Row<'a> = (Option<&'a str>, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

fn read(kind: IdentityKind, row: Row<'_>, rules: &NameRules) -> Result<(String, Vec<String>), NamesError> {
    let strings = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let common_name = row.0.map(|cn| cn.parse().unwrap());
    let csr_sans: Vec<San> = row.1.iter().map(|s| s.parse().unwrap()).collect();
    let wishes = Wishes {
        common_name: common_name.as_ref(),
        csr_sans: &csr_sans,
        names: &strings(row.2),
        addresses: &strings(row.3),
    };
    wanted(kind, wishes, rules).map(|w| (w.name.to_string(), texts(&w.sans)))
}

#[test]
fn a_host_is_named_by_its_cn_else_its_first_name_else_the_only_name_allowed() {
    let open = rules(&["*.fleet"], &["10.0.0.0/8"]);
    let only = rules(&["web-1.fleet"], &[]);
    let check = |row: Row<'_>, rules: &NameRules, name: &str, sans: &[&str]| {
        let expected: Vec<String> = sans.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            read(IdentityKind::Host, row, rules),
            Ok((name.to_owned(), expected)),
            "{row:?}"
        );
    };
    check(
        (Some("web-1.fleet"), &[], &[], &[]),
        &open,
        "web-1.fleet",
        &["web-1.fleet"],
    );
    check(
        (
            Some("web-1.fleet"),
            &["10.0.0.7", "w.fleet"],
            &["WEB-1.fleet", "x.fleet"],
            &["10.0.0.7", "::1"],
        ),
        &open,
        "web-1.fleet",
        &["web-1.fleet", "10.0.0.7", "w.fleet", "x.fleet", "::1"],
    );
    check(
        (None, &["c.fleet"], &["a.fleet", "b.fleet"], &[]),
        &open,
        "a.fleet",
        &["a.fleet", "c.fleet", "b.fleet"],
    );
    check(
        (None, &["10.0.0.1", "c.fleet"], &[], &[]),
        &open,
        "c.fleet",
        &["c.fleet", "10.0.0.1"],
    );
    check((None, &[], &[], &[]), &only, "web-1.fleet", &["web-1.fleet"]);
    assert_eq!(
        read(IdentityKind::Host, (None, &[], &[], &[]), &open),
        Err(NamesError::Nobody)
    );
    assert!(read(IdentityKind::Host, (Some("bob@corp"), &[], &[], &[]), &open).is_err());
}

#[test]
fn a_clients_name_is_no_dns_name() {
    let open = rules(&["*", "*.fleet"], &[]);
    let check = |row: Row<'_>, rules: &NameRules, name: &str, sans: &[&str]| {
        let expected: Vec<String> = sans.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            read(IdentityKind::Client, row, rules),
            Ok((name.to_owned(), expected)),
            "{row:?}"
        );
    };
    check((Some("alice"), &[], &["Alice"], &[]), &open, "alice", &[]);
    check((None, &[], &["bob@corp"], &[]), &open, "bob@corp", &[]);
    check(
        (None, &[], &[], &[]),
        &rules(&["ci-deploy"], &[]),
        "ci-deploy",
        &[],
    );
    check(
        (Some("alice"), &["a.fleet"], &[], &[]),
        &open,
        "alice",
        &["a.fleet"],
    );
    assert_eq!(
        read(IdentityKind::Client, (None, &["a.fleet"], &[], &[]), &open),
        Err(NamesError::Nobody)
    );
}

#[test]
fn the_number_of_names_is_bounded() {
    let open = rules(&["*.fleet"], &[]);
    let names: Vec<String> = (0..SANS_MAX).map(|n| format!("n{n}.fleet")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(read(IdentityKind::Host, (None, &[], &names, &[]), &open).is_ok());
    let over = read(IdentityKind::Host, (Some("web.fleet"), &[], &names, &[]), &open);
    assert_eq!(over, Err(NamesError::TooMany(SANS_MAX + 1)));
    let over = read(IdentityKind::Host, (None, &["10.0.0.1"], &names, &[]), &open);
    assert_eq!(over, Err(NamesError::TooMany(SANS_MAX + 1)));
}

#[test]
fn the_servers_own_names_are_given_only_to_rules_that_spell_them_out() {
    let own = ["ca.fleet", "localhost", "10.0.0.1"].map(|s| s.parse().unwrap());
    let reserved = Reserved {
        identity: "dockwarden-server",
        names: &own,
    };
    let ask = |names: &[&str], rules: &NameRules| {
        let sans: Vec<San> = names.iter().map(|n| n.parse().unwrap()).collect();
        let wanted = Wanted {
            name: names[0].parse().unwrap(),
            sans,
        };
        check(IdentityKind::Host, &wanted, rules, reserved, "fix")
    };
    let wide = rules(&["*.fleet", "*"], &["10.0.0.0/8"]);
    assert!(ask(&["web.fleet", "localhost", "10.0.0.1"], &wide).is_ok());
    assert!(ask(&["ca.fleet"], &wide).is_err());
    assert!(ask(&["web.fleet", "ca.fleet"], &wide).is_err());
    assert!(ask(&["ca.fleet"], &rules(&["ca.fleet"], &[])).is_ok());
    assert!(ask(&["dockwarden-server"], &rules(&["dockwarden-server"], &[])).is_err());
}

proptest! {
    /// Each name is judged by itself, wherever it stands, and the refusal names exactly the bad ones.
    #[test]
    fn every_name_outside_the_rules_is_named_in_the_refusal(good in 0usize..10, bad in prop::collection::vec(0usize..4, 0..4)) {
        const BAD: [&str; 4] = ["db-1.fleet", "web-1.evil", "10.21.0.1", "2001:db8::1"];
        let rules = rules(&["web-*.fleet"], &["10.20.0.0/16"]);
        let mut sans: Vec<San> = (0..good).map(|n| format!("web-{n}.fleet").parse().unwrap()).collect();
        let mut expected: Vec<String> = bad.iter().map(|b| BAD[*b].to_owned()).collect();
        expected.sort_unstable();
        expected.dedup();
        for (n, name) in expected.iter().enumerate() {
            sans.insert((n * 3) % (sans.len() + 1), name.parse().unwrap());
        }
        let wanted = Wanted { name: "web-0.fleet".parse().unwrap(), sans };
        let reserved = Reserved { identity: "dockwarden-server", names: &[] };
        match check(IdentityKind::Host, &wanted, &rules, reserved, "fix") {
            Ok(()) => prop_assert!(expected.is_empty()),
            Err(NamesError::NotAllowed { refused, .. }) => prop_assert_eq!(refused, expected),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

use super::*;
use crate::base::{Random, SeededRandom};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeSet;

const HOSTS: &[u8] = &[1; 20];
const CLIENTS: &[u8] = &[2; 20];

fn serial(bytes: &[u8]) -> Serial {
    Serial::from_bytes(bytes).unwrap()
}

fn record(number: u64, serials: &[&[u8]]) -> Record {
    Record {
        number,
        stamp: vec![number as u8; 3],
        revoked: serials
            .iter()
            .map(|bytes| (CLIENTS.to_vec(), serial(bytes)))
            .collect(),
    }
}

#[test]
fn a_serial_is_revoked_for_its_issuer_alone() {
    let mut set = RevokedSet::new();
    assert!(set.insert(HOSTS, &serial(&[5; 16])));
    assert!(!set.insert(HOSTS, &serial(&[5; 16])));
    assert!(set.contains(HOSTS, &serial(&[5; 16])));
    assert!(!set.contains(CLIENTS, &serial(&[5; 16])));
    assert!(!set.contains(&[], &serial(&[5; 16])));
    assert!(!set.contains(HOSTS, &serial(&[5; 15])));
    assert_eq!(set.len(), 1);
}

#[test]
fn a_clone_does_not_see_what_comes_later() {
    let mut set = RevokedSet::new();
    set.insert(CLIENTS, &serial(&[5; 16]));
    set.insert(CLIENTS, &serial(&[5; 3]));
    let published = set.clone();
    set.insert(CLIENTS, &serial(&[6; 16]));
    set.insert(CLIENTS, &serial(&[6; 3]));
    assert_eq!((published.len(), set.len()), (2, 4));
    assert!(!published.contains(CLIENTS, &serial(&[6; 16])));
}

#[test]
fn a_hundred_thousand_serials_in_any_order_take_less_than_20_bytes_each() {
    let random = SeededRandom::new(3);
    let mut set = RevokedSet::new();
    for _ in 0..100_000 {
        set.insert(CLIENTS, &Serial::draw(&random));
    }
    let each = set.memory_bytes() as f64 / 100_000.0;
    assert!(each < 20.0, "{each}");
    let reloaded = KnownRevocations::at(1, vec![], set);
    let reloaded = KnownRevocations::from_snapshot(&reloaded.to_snapshot()).unwrap();
    let each = reloaded.set().memory_bytes() as f64 / 100_000.0;
    assert!(each < 18.0, "{each}");
}

#[test]
fn what_is_known_only_moves_forward() {
    let mut known = KnownRevocations::new();
    assert_eq!(known.apply(&record(7, &[&[5; 16], &[6; 16]])), Ok(2));
    assert_eq!(known.apply(&record(9, &[&[5; 16]])), Ok(0));
    for number in [0, 7, 9] {
        let backwards = RevocationFileError::Backwards { have: 9, got: number };
        assert_eq!(known.apply(&record(number, &[&[7; 16]])), Err(backwards));
    }
    assert_eq!(
        (known.number(), known.stamp(), known.set().len()),
        (9, &[9; 3][..], 2)
    );
}

fn two_records() -> (KnownRevocations, Vec<u8>, Vec<usize>) {
    let mut known = KnownRevocations::new();
    let (mut journal, mut file) = Journal::begin(0);
    let mut ends = vec![file.len()];
    for record in [
        record(3, &[&[5; 16], &[6]]),
        record(4, &[]),
        record(8, &[&[7; 20]]),
    ] {
        file.extend(journal.append(&record).unwrap());
        known.apply(&record).unwrap();
        ends.push(file.len());
    }
    (known, file, ends)
}

#[test]
fn a_journal_that_was_cut_anywhere_gives_what_was_whole() {
    let (_, file, ends) = two_records();
    for cut in ends[0]..=file.len() {
        let recovered = KnownRevocations::recover(None, Some(&file[..cut])).unwrap();
        let good = *ends.iter().rfind(|end| **end <= cut).unwrap();
        assert_eq!(
            (recovered.good_bytes, recovered.lost_bytes),
            (good, cut - good),
            "cut at {cut}"
        );
        let number = [0, 3, 4, 8][ends.iter().position(|end| *end == good).unwrap()];
        assert_eq!(recovered.known.number(), number);
        // It goes on from there.
        let mut journal = recovered.journal;
        let appended = journal.append(&record(20, &[&[9; 16]])).unwrap();
        let longer = [&file[..good], &appended].concat();
        let recovered = KnownRevocations::recover(None, Some(&longer)).unwrap();
        assert_eq!((recovered.known.number(), recovered.lost_bytes), (20, 0));
    }
    for cut in 0..ends[0] {
        let error = KnownRevocations::recover(None, Some(&file[..cut])).unwrap_err();
        assert_eq!(error, RevocationFileError::Damaged("journal"));
    }
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let (known, journal, ends) = two_records();
    for at in 0..journal.len() {
        let mut bad = journal.clone();
        bad[at] ^= 0x10;
        if let Ok(recovered) = KnownRevocations::recover(None, Some(&bad)) {
            let good = *ends.iter().rfind(|end| **end <= at).unwrap_or(&ends[0]);
            assert!(
                recovered.good_bytes <= good && recovered.lost_bytes > 0,
                "byte {at}"
            );
        }
    }
    let snapshot = known.to_snapshot();
    for at in 0..snapshot.len() {
        let mut bad = snapshot.clone();
        bad[at] ^= 0x10;
        let error = KnownRevocations::from_snapshot(&bad).unwrap_err();
        assert_eq!(error, RevocationFileError::Damaged("snapshot"), "byte {at}");
        assert!(
            KnownRevocations::from_snapshot(&snapshot[..at]).is_err(),
            "cut at {at}"
        );
    }
}

#[test]
fn records_that_the_snapshot_holds_already_are_skipped() {
    let (known, journal, _) = two_records();
    let snapshot = known.to_snapshot();
    let recovered = KnownRevocations::recover(Some(&snapshot), Some(&journal)).unwrap();
    assert_eq!(recovered.known, known);
    let alone = KnownRevocations::recover(Some(&snapshot), None).unwrap();
    let (_, header) = Journal::begin(8);
    assert_eq!((alone.known, alone.header), (known, Some(header)));
}

#[test]
fn an_older_snapshot_beside_a_newer_journal_is_refused() {
    let (known, ..) = two_records();
    let (_, journal) = Journal::begin(9);
    let error = KnownRevocations::recover(Some(&known.to_snapshot()), Some(&journal)).unwrap_err();
    assert_eq!(
        error,
        RevocationFileError::Gap {
            snapshot: 8,
            journal: 9
        }
    );
    let lost = KnownRevocations::recover(None, Some(&journal)).unwrap_err();
    assert_eq!(
        lost,
        RevocationFileError::Gap {
            snapshot: 0,
            journal: 9
        }
    );
}

#[test]
fn a_journal_takes_no_lower_number() {
    let (mut journal, _) = Journal::begin(5);
    assert!(journal.append(&record(5, &[])).is_err());
    assert!(journal.append(&record(6, &[])).is_ok());
    let error = journal.append(&record(6, &[])).unwrap_err();
    assert_eq!(error, RevocationFileError::Backwards { have: 6, got: 6 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_set_is_a_set_and_survives_the_disk(
        serials in btree_set((any::<bool>(), vec(1u8.., 1..=20)), 0..1500),
        number: u64,
    ) {
        let of = |hosts: bool| if hosts { HOSTS } else { CLIENTS };
        let mut set = RevokedSet::new();
        for (hosts, bytes) in &serials {
            prop_assert!(set.insert(of(*hosts), &serial(bytes)));
        }
        prop_assert_eq!(set.len(), serials.len());
        let found: BTreeSet<_> = set.iter().map(|(id, serial)| (id == HOSTS, serial.as_bytes().to_vec())).collect();
        prop_assert_eq!(&found, &serials);
        let known = KnownRevocations::at(number, number.to_be_bytes().to_vec(), set);
        let reloaded = KnownRevocations::from_snapshot(&known.to_snapshot()).unwrap();
        for (hosts, bytes) in &serials {
            prop_assert!(reloaded.set().contains(of(*hosts), &serial(bytes)));
            let other = serial(bytes);
            prop_assert_eq!(reloaded.set().contains(of(!hosts), &other), serials.contains(&(!hosts, bytes.clone())));
        }
        prop_assert_eq!(reloaded, known);
    }

    #[test]
    fn usual_serials_split_chunks_in_any_order(seed: u64, len in 0usize..3000) {
        let random = SeededRandom::new(seed);
        let mut drawn: Vec<Serial> = (0..len).map(|_| Serial::draw(&random)).collect();
        if seed % 3 == 0 {
            drawn.sort();
        }
        let mut set = RevokedSet::new();
        drawn.iter().for_each(|serial| assert!(set.insert(CLIENTS, serial)));
        prop_assert!(drawn.iter().all(|serial| set.contains(CLIENTS, serial)));
        let in_order: Vec<Serial> = set.iter().map(|(_, serial)| serial).collect();
        drawn.sort();
        prop_assert_eq!(in_order, drawn);
        prop_assert!(!set.contains(CLIENTS, &Serial::draw(&random)));
        let _: [u8; 4] = (&random as &dyn Random).bytes();
    }

    #[test]
    fn no_file_makes_reading_panic(snapshot: Vec<u8>, journal: Vec<u8>) {
        let _ = KnownRevocations::recover(Some(&snapshot), Some(&journal));
        let (_, mut file) = Journal::begin(0);
        file.extend(&journal);
        let recovered = KnownRevocations::recover(None, Some(&file)).unwrap();
        prop_assert_eq!(recovered.good_bytes + recovered.lost_bytes, file.len());
    }
}

//! Can a snapshot be searched, iterated over and taken apart?

use std::collections::{BTreeMap, HashMap};

use shmtable::{
    Error, Iter, Keys, Options, Result, Snapshot, SnapshotIntoIter, SnapshotIter, Table, TypedIter,
    TypedKeys, TypedSnapshot, TypedTable, TypedValues, Values,
};

fn table() -> Table {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    table.insert_many([("a", "1"), ("b", "2")]).unwrap();
    table
}

fn sizes() -> TypedTable<str, u64> {
    let sizes = TypedTable::create_anonymous(Options::new().capacity(10)).unwrap();
    sizes.insert_many([("a", 1), ("b", 2)]).unwrap();
    sizes
}

#[test]
fn later_writes_do_not_change_it() {
    let table = table();
    let copy = table.snapshot().unwrap();
    table.insert("a", "changed").unwrap();
    table.remove("b").unwrap();
    assert_eq!(copy.len(), 2);
    assert!(!copy.is_empty());
    assert_eq!(copy.get("a"), Some(&b"1"[..]));
    assert_eq!(copy.get("b"), Some(&b"2"[..]));
    assert_eq!(copy.get("c"), None);
    assert!(copy.contains_key("b") && !copy.contains_key("c"));
}

#[test]
fn it_is_gone_through_borrowed_and_owned() {
    let copy = table().snapshot().unwrap();
    let mut lent: Vec<(&[u8], &[u8])> = Vec::new();
    for entry in &copy {
        lent.push(entry);
    }
    lent.sort_unstable();
    assert_eq!(lent, [(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
    assert_eq!(copy.iter().len(), 2);
    let sorted: BTreeMap<Vec<u8>, Vec<u8>> = copy.clone().into_iter().collect();
    assert_eq!(sorted[&b"b"[..]], b"2");
    let map: HashMap<Vec<u8>, Vec<u8>> = copy.clone().into_map();
    assert_eq!(copy, map);
}

#[test]
fn a_typed_one_decodes_what_it_is_asked_for() {
    let sizes = sizes();
    sizes.as_table().insert("bad", "x").unwrap();
    let copy = sizes.snapshot().unwrap();
    assert_eq!(copy.len(), 3);
    assert_eq!(copy.get("a").unwrap(), Some(1));
    assert_eq!(copy.get("c").unwrap(), None);
    assert!(copy.contains_key("bad").unwrap());
    assert!(matches!(copy.get("bad"), Err(Error::Codec { .. })));
    let (good, bad): (Vec<_>, Vec<_>) = copy.iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (2, 1));
    assert!(copy.clone().into_map().is_err());
    assert_eq!(copy.into_bytes().get("bad"), Some(&b"x"[..]));
}

#[test]
fn every_iterator_can_be_kept_in_a_struct() {
    struct Kept {
        iter: Iter,
        prefixed: Iter,
        keys: Keys,
        values: Values,
        snapshot: Snapshot,
        owned: SnapshotIntoIter,
        typed: TypedIter<str, u64>,
        typed_keys: TypedKeys<str>,
        typed_values: TypedValues<u64>,
        typed_snapshot: TypedSnapshot<str, u64>,
    }
    fn borrowed(copy: &Snapshot) -> SnapshotIter<'_> {
        copy.iter()
    }

    let (table, sizes) = (table(), sizes());
    let kept = Kept {
        iter: table.iter(),
        prefixed: table.scan_prefix("a"),
        keys: table.keys(),
        values: table.values(),
        snapshot: table.snapshot().unwrap(),
        owned: table.snapshot().unwrap().into_iter(),
        typed: sizes.iter(),
        typed_keys: sizes.keys(),
        typed_values: sizes.values(),
        typed_snapshot: sizes.snapshot().unwrap(),
    };
    // They own what they need.
    drop((table, sizes));
    assert_eq!(kept.iter.count(), 2);
    assert_eq!(kept.prefixed.count(), 1);
    assert_eq!(kept.keys.count(), 2);
    assert_eq!(kept.values.count(), 2);
    assert_eq!(borrowed(&kept.snapshot).len(), 2);
    assert_eq!(kept.owned.len(), 2);
    assert_eq!(kept.typed.count(), 2);
    assert_eq!(kept.typed_keys.count(), 2);
    assert_eq!(kept.typed_values.map(Result::unwrap).sum::<u64>(), 3);
    assert_eq!(kept.typed_snapshot.iter().len(), 2);
}

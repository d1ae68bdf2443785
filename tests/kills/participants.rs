//! A process dies that creates a table, or has one open.

use std::time::Duration;

use shmtable::{Error, Options, Table};

use crate::common::{
    self, Child, Dice, Name, Named, assert_sound, contents, files_named, key, scaled,
};

#[test]
fn killed_in_creation_leaves_nothing_or_a_whole_table() {
    if let Some(role) = common::role() {
        role.tell("ready");
        loop {
            let options = Options::new().capacity(60_000).max_participants(4);
            drop(options.create(role.argument(0)).unwrap());
            Table::unlink(role.argument(0)).unwrap();
        }
    }
    let mut dice = Dice::new(u64::from(std::process::id()));
    let hidden = common::unfinished;
    let (hidden_before, mut whole, kills) = (hidden(), 0, scaled(60));
    for _ in 0..kills {
        let name = Name::new();
        let child = Child::start(common::this_test!(), "creator", &[&name]).once_it_says("ready");
        std::thread::sleep(Duration::from_micros(dice.below(10_000) as u64));
        child.kill();
        match Table::open(&name) {
            Err(Error::NotFound { .. }) => assert!(files_named(&name).is_empty()),
            Ok(table) => {
                whole += 1;
                assert_eq!((table.capacity(), table.len()), (60_000, 0));
                table.insert(b"k", b"v").unwrap();
                assert_sound(&table);
            }
            Err(error) => panic!("a half-made table: {error:?}"),
        }
    }
    println!("{kills} kills left {whole} whole tables");
    assert!(hidden() <= hidden_before, "hidden files are left");
}

#[test]
fn an_anonymous_table_stays_listed_if_its_creator_is_killed_and_goes_if_it_ends() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let table = Options::new().capacity(10).create_anonymous().unwrap();
        table.insert(b"k", b"v").unwrap();
        role.tell(table.name());
        role.hear();
        return;
    }
    let listed = |name: &str| Table::list().unwrap().iter().any(|other| other == name);

    let mut ending = Child::start(test, "ends", &[]);
    let name = ending.hear();
    assert!(listed(&name));
    ending.say("end");
    ending.finish();
    assert!(!listed(&name));
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));

    let killed = Child::start(test, "is killed", &[]);
    let name = killed.hear();
    // Who looks at it keeps it from being removed by creations.
    let looker = Options::new().open_observer(&name).unwrap();
    killed.kill();
    assert!(listed(&name) && looker.is_orphan().unwrap());
    {
        // A reader is no participant, and tells that the creator is gone.
        let reader = Table::open_read_only(&name).unwrap();
        assert!(reader.is_anonymous());
        assert_eq!(reader.stats().unwrap().participants, 0);
        assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    }
    Table::unlink(&name).unwrap();
    assert!(!listed(&name));
}

#[test]
fn killed_participants_free_their_slots() {
    if let Some(role) = common::role() {
        let table = role.open();
        table.insert(&key(role.number(1)), b"1").unwrap();
        role.tell("attached");
        role.hear();
        return;
    }
    let named = Named::create(&Options::new().capacity(100).max_participants(3));
    for round in 0..scaled(10) {
        let start = |number: usize| {
            Child::start(
                common::this_test!(),
                "guest",
                &[&named.name, &number.to_string()],
            )
            .once_it_says("attached")
        };
        let guests = [start(2 * round), start(2 * round + 1)];
        assert!(matches!(
            Table::open(&named.name),
            Err(Error::TooManyParticipants { limit: 3, .. })
        ));
        guests.into_iter().for_each(Child::kill);
        assert_eq!(named.stats().unwrap().participants, 1);
    }
    assert_eq!(contents(&named).len(), 2 * scaled(10));
    assert_sound(&named);
}

//! Does an observer see which processes use a table, and remove it only if none does?

#![cfg(any(target_os = "linux", windows))]

mod common;

use common::{Child, Named, eventually};
use shmtable::{Error, Options, Table};

fn small() -> Options {
    Options::new().capacity(100).value_space(10_000)
}

#[test]
fn attached_handles_are_told_with_their_processes() {
    if let Some(role) = common::role() {
        let table = role.open();
        role.wait_for_start();
        // Killed while it holds a lock.
        let _ = table.update(b"key", |_| {
            role.tell("holds");
            role.hear();
            None
        });
        return;
    }
    let table = Named::create(&small());
    let mut child = Child::start(
        "attached_handles_are_told_with_their_processes",
        "holder",
        &[&table.name],
    )
    .once_it_says("ready");
    let looker = Options::new().open_observer(&table.name).unwrap();
    for from in [&*table, &looker] {
        let attached = from.participants().unwrap();
        let pids: Vec<_> = attached.iter().map(|one| (one.slot, one.pid)).collect();
        assert_eq!(pids, [(0, std::process::id()), (1, child.id())]);
        assert!(attached.iter().all(|one| one.alive && one.locks == 0));
        assert!(attached[0].since <= attached[1].since);
    }
    child.say("go");
    assert_eq!(child.hear(), "holds");
    assert_eq!(looker.participants().unwrap()[1].locks, 1);
    #[cfg(target_os = "linux")]
    {
        child.signal(rustix::process::Signal::STOP);
        assert!(
            looker.participants().unwrap()[1].alive,
            "a stopped one lives"
        );
    }
    child.kill();
    let dead = &looker.participants().unwrap()[1];
    assert!(!dead.alive && dead.locks == 1);
    // The next lock owner counts the death. The slot shows it until it is used again.
    table.insert(b"key", b"value").unwrap();
    assert_eq!(looker.quick_stats().unwrap().take_overs, 1);
    assert_eq!(looker.participants().unwrap()[1].locks, 0);
    let again = table.open();
    assert!(looker.participants().unwrap().iter().all(|one| one.alive));
    drop(again);
    assert_eq!(looker.participants().unwrap().len(), 1);
}

#[test]
fn looking_does_not_show() {
    let table = Named::create(&small());
    let looker = Options::new().open_observer(&table.name).unwrap();
    table.insert(b"key", b"value").unwrap();
    assert_eq!(looker.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(matches!(looker.insert(b"key", b""), Err(Error::ReadOnly)));
    assert!(!looker.has_readers().unwrap());
    assert_eq!(looker.stats().unwrap().participants, 1);
    let reader = Table::open_read_only(&table.name).unwrap();
    assert!(looker.has_readers().unwrap() && table.has_readers().unwrap());
    drop(reader);
    assert!(!looker.has_readers().unwrap());
    #[cfg(unix)]
    let user = rustix::process::geteuid().as_raw();
    // There are no user ids: all are one.
    #[cfg(windows)]
    let user = 0;
    assert_eq!(looker.owner().unwrap(), user);
}

#[test]
fn stripes_count_their_locks() {
    let table = Named::create(&small().stripes(4));
    for number in 0..50_u8 {
        table.insert(&[number], b"value").unwrap();
    }
    table.remove(&[0]).unwrap();
    let stripes = table.stripe_stats();
    assert_eq!(stripes.len(), 4);
    let sum = |of: fn(&shmtable::StripeStats) -> u64| stripes.iter().map(of).sum::<u64>();
    assert_eq!(sum(|stripe| stripe.entries), 49);
    // Cleaning takes locks too.
    let acquired = sum(|stripe| stripe.acquired);
    assert!(acquired >= 51);
    assert_eq!(sum(|stripe| stripe.contended), 0);
    let (quick, full) = (table.quick_stats().unwrap(), table.stats().unwrap());
    assert_eq!((quick.acquired, quick.longest_probe), (acquired, 0));
    assert!(full.longest_probe >= 1);
    // Reads take no lock.
    table.get(b"absent").unwrap();
    assert_eq!(table.quick_stats().unwrap().acquired, acquired);
}

#[test]
fn only_what_nobody_uses_is_an_orphan() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let _table = match role.name.as_str() {
            "creator" => {
                let table = small().create_anonymous().unwrap();
                role.tell(table.name());
                table
            }
            "writer" => role.open(),
            "reader" => Table::open_read_only(role.argument(0)).unwrap(),
            _ => Options::new().open_observer(role.argument(0)).unwrap(),
        };
        role.wait_for_start();
        return;
    }
    let creator = Child::start(test, "creator", &[]);
    let name = creator.hear();
    assert_eq!(creator.hear(), "ready");
    let looker = Options::new().open_observer(&name).unwrap();
    let kept = |why: &str| {
        assert!(!looker.is_orphan().unwrap(), "{why}");
        assert!(!looker.unlink_orphan().unwrap(), "{why}");
        assert!(Table::list().unwrap().contains(&name), "{why}");
    };
    kept("its creator lives");
    let others = ["writer", "reader", "looker"];
    let others = others.map(|role| (Child::start(test, role, &[&name]), role));
    for (child, _) in &others {
        assert_eq!(child.hear(), "ready");
    }
    creator.kill();
    // The looker alone is left in the end: it does not use the table, but has it open.
    for (child, role) in others {
        kept(role);
        child.kill();
    }
    // Other tests may be looking at it now.
    eventually("the orphan is removed", || {
        // Or another process collects it first.
        looker.unlink_orphan().unwrap() || !Table::list().unwrap().contains(&name)
    });
    assert!(!Table::list().unwrap().contains(&name));
    assert!(!looker.unlink_orphan().unwrap(), "it is gone already");
}

#[test]
fn a_table_with_a_name_of_its_own_is_no_orphan() {
    let table = Named::create(&small());
    let Named { table, name } = table;
    drop(table);
    let looker = Options::new().open_observer(&name).unwrap();
    assert!(!looker.is_orphan().unwrap() && !looker.unlink_orphan().unwrap());
    assert!(Table::open(&name).is_ok());
}

//! Are the anonymous tables of dead creators removed, and no others?

#![cfg(any(target_os = "linux", windows))]

#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[path = "common/closing.rs"]
mod closing;
mod common;
#[cfg(target_os = "linux")]
#[path = "common/forked.rs"]
mod forked;

use common::{Child, Dice, eventually, scaled};
use shmtable::{Options, Table};

fn small() -> Options {
    Options::new().capacity(100).value_space(10_000)
}

fn is_listed(name: &str) -> bool {
    Table::list().unwrap().iter().any(|other| other == name)
}

/// Creations remove the table. It may take several: another test may look at it too.
fn goes_by_creations(name: &str) {
    eventually("a creation removes the orphan", || {
        drop(small().create_anonymous().unwrap());
        !is_listed(name)
    });
}

/// The table stays, however often other processes create and remove tables.
#[track_caller]
fn stays(name: &str, why: &str) {
    for _ in 0..5 {
        drop(small().create_anonymous().unwrap());
    }
    let removed = Table::remove_orphans().unwrap();
    assert!(removed.iter().all(|orphan| orphan.name != name), "{why}");
    assert!(is_listed(name), "{why}");
}

/// A child that has an anonymous table, and its name.
fn creator(test: &str) -> (Child, String) {
    let child = Child::start(test, "creator", &[]);
    let name = child.hear();
    (child, name)
}

/// Creates an anonymous table, and waits to be ended.
fn create_and_wait(role: &common::Role) -> Table {
    let table = small().create_anonymous().unwrap();
    table.insert(b"key", b"value").unwrap();
    role.tell(table.name());
    role.hear();
    table
}

#[test]
fn a_creation_removes_what_a_killed_creator_left() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    let (child, name) = creator(test);
    stays(&name, "its creator lives");
    child.kill();
    goes_by_creations(&name);
}

#[test]
fn a_creation_removes_what_a_process_left_that_ended_without_destructors() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        static KEPT: std::sync::OnceLock<Table> = std::sync::OnceLock::new();
        let table = KEPT.get_or_init(|| small().create_anonymous().unwrap());
        role.tell(table.name());
        drop(role);
        std::process::exit(0);
    }
    let (child, name) = creator(test);
    child.finish();
    goes_by_creations(&name);
}

/// (On the portable back end, an observer uses the table.)
#[cfg(not(any(windows, shmtable_portable)))]
#[test]
fn remove_orphans_tells_what_it_removed() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    let (child, name) = creator(test);
    // It is neither removed nor listed as an orphan while it is observed.
    let looker = Options::new().open_observer(&name).unwrap();
    let of_it = |orphans: Vec<shmtable::Orphan>| orphans.into_iter().find(|one| one.name == name);
    assert_eq!(of_it(Table::orphans().unwrap()), None);
    child.kill();
    assert_eq!(of_it(Table::orphans().unwrap()), None);
    assert_eq!(of_it(Table::remove_orphans().unwrap()), None);
    drop(looker);
    let mut found = None;
    eventually("the orphan is told of, or a creation removes it", || {
        found = of_it(Table::orphans().unwrap());
        found.is_some() || !is_listed(&name)
    });
    eventually("the orphan is removed", || {
        if let Some(removed) = of_it(Table::remove_orphans().unwrap()) {
            assert!((4097..1 << 20).contains(&removed.bytes), "{removed:?}");
            assert!(found.as_ref().is_none_or(|found| *found == removed));
        }
        !is_listed(&name)
    });
}

/// More than one creation looks at.
#[test]
fn many_orphans_go_by_a_few_creations() {
    if let Some(role) = common::role() {
        let tables: Vec<Table> = (0..50)
            .map(|_| small().create_anonymous().unwrap())
            .collect();
        for table in &tables {
            role.tell(table.name());
        }
        role.hear();
        return;
    }
    let child = Child::start(common::this_test!(), "creator", &[]);
    let names: Vec<String> = (0..50).map(|_| child.hear()).collect();
    stays(&names[0], "its creator lives");
    child.kill();
    for name in &names {
        goes_by_creations(name);
    }
}

#[test]
fn a_named_table_that_nobody_uses_stays() {
    let named = common::Named::create(&small());
    let common::Named { table, name } = named;
    drop(table);
    stays(&name, "it has a name of its own");
    // Whatever it is called.
    let name = format!("anon-{:016x}", std::process::id());
    drop(small().create(&name).unwrap());
    stays(&name, "it has a name of its own");
    Table::unlink(&name).unwrap();
}

/// Linux alone can rename.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn an_anonymous_table_that_was_given_a_name_stays() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    let (child, name) = creator(test);
    let kept = common::Name::new();
    Table::rename(&name, &kept).unwrap();
    child.kill();
    stays(&kept, "it was given a name");
    assert!(
        !Options::new()
            .open_observer(&kept)
            .unwrap()
            .is_orphan()
            .unwrap()
    );
}

#[test]
fn any_user_of_a_table_keeps_it_when_its_creator_is_killed() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let _table = match role.name.as_str() {
            "creator" => create_and_wait(&role),
            "writer" => role.open(),
            "reader" => Table::open_read_only(role.argument(0)).unwrap(),
            _ => Options::new().open_observer(role.argument(0)).unwrap(),
        };
        role.wait_for_start();
        return;
    }
    for user in ["writer", "reader", "looker"] {
        let (child, name) = creator(test);
        let other = Child::start(test, user, &[&name]).once_it_says("ready");
        child.kill();
        stays(&name, user);
        other.kill();
        goes_by_creations(&name);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_creator_keeps_its_table() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    let (child, name) = creator(test);
    child.signal(rustix::process::Signal::STOP);
    stays(&name, "its creator is stopped");
    child.kill();
    goes_by_creations(&name);
}

/// Nothing but its mapping shows that it lives. (The portable back end has no such sign.)
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn a_creator_whose_descriptors_were_closed_keeps_its_table() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let table = small().create_anonymous().unwrap();
        closing::close_descriptors();
        role.tell(table.name());
        role.hear();
        return;
    }
    let (child, name) = creator(test);
    stays(&name, "its creator has it mapped");
    child.kill();
    goes_by_creations(&name);
}

/// It holds no lock: it has not written yet.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_that_only_reads_keeps_the_table_of_its_killed_parent() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let table = small().create_anonymous().unwrap();
        forked::leave_a_reader(&role, &table);
    }
    let (parent, name) = creator(test);
    let child: i32 = parent.hear().parse().unwrap();
    parent.kill();
    stays(&name, "a forked child reads it");
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    goes_by_creations(&name);
}

#[cfg(target_os = "linux")]
#[test]
fn a_creator_in_another_pid_namespace_keeps_its_table() {
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    let child = common::first_of_a_namespace(common::this_test!(), "creator", &[]);
    let name = child.hear();
    stays(&name, "its creator lives in another namespace");
    child.kill();
    goes_by_creations(&name);
}

/// (On the portable back end each user has a folder.)
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn an_orphan_of_another_user_stays() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        create_and_wait(&role);
        return;
    }
    if !common::may_act_as_others() {
        return;
    }
    let (child, name) = creator(test);
    std::os::unix::fs::chown(common::path_of(&name), Some(54_321), None).unwrap();
    child.kill();
    stays(&name, "it is another user's");
    Table::unlink(&name).unwrap();
}

/// Creators come, go and are killed, and each of them removes orphans all the time: whoever
/// lives finds its table, and in the end nothing is left.
#[test]
fn in_a_storm_of_creators_no_living_one_loses_its_table() {
    if let Some(role) = common::role() {
        role.wait_for_start();
        let mut kept = Vec::new();
        for round in 0_u64.. {
            let table = small().create_anonymous().unwrap();
            table.insert(b"owner", &round.to_le_bytes()).unwrap();
            kept.push((table, round));
            if kept.len() > 4 {
                kept.remove(0);
            }
            if round % 8 == 0 {
                Table::remove_orphans().unwrap();
            }
            for (table, round) in &kept {
                let again = Table::open_read_only(table.name()).expect("the table is there");
                let owner = again.get(b"owner").unwrap();
                assert_eq!(owner.as_deref(), Some(&round.to_le_bytes()[..]));
            }
            if round == 0 {
                role.tell("created");
            }
        }
        return;
    }
    let mut dice = Dice::new(7);
    let start = || {
        let mut child = Child::start(common::this_test!(), "creator", &[]).once_it_says("ready");
        child.say("go");
        assert_eq!(child.hear(), "created");
        child
    };
    let mut children: Vec<Child> = (0..4).map(|_| start()).collect();
    for _ in 0..scaled(40) {
        std::thread::sleep(std::time::Duration::from_millis(dice.below(20) as u64));
        let mut child = children.swap_remove(dice.below(4));
        assert!(!child.has_ended(), "a creator failed");
        child.kill();
        children.push(start());
    }
    for child in &mut children {
        assert!(!child.has_ended(), "a creator failed");
    }
    children.into_iter().for_each(Child::kill);
    eventually("nothing is left of them", || {
        Table::remove_orphans().unwrap();
        Table::orphans().unwrap().is_empty()
    });
}

/// Runs `body` where /dev/shm has 16 MiB and a creator that was killed left a table of 5.
/// (The portable back end has the names of tables elsewhere.)
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
fn beside_a_large_orphan(test: &str, body: impl FnOnce()) {
    if let Some(role) = common::role() {
        if role.name == "creator" {
            let table = Options::new().capacity(150_000).create_anonymous().unwrap();
            role.tell(table.name());
            role.hear();
            return;
        }
        let (child, _) = creator(test);
        child.kill();
        assert_eq!(Table::orphans().unwrap().len(), 1);
        body();
    } else if common::may_make_namespaces() {
        common::small_shm(test, "alone", &[], "16m").finish();
    }
}

#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn a_creation_that_is_refused_memory_takes_that_of_orphans() {
    beside_a_large_orphan(common::this_test!(), || {
        // It fits, but not beside the orphan.
        let table = Options::new().capacity(400_000).create("large").unwrap();
        table.insert(b"key", b"value").unwrap();
        assert_eq!(Table::list().unwrap(), ["large"]);
    });
}

#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn refused_memory_tells_what_orphans_hold() {
    beside_a_large_orphan(common::this_test!(), || {
        let orphan = Table::orphans().unwrap().remove(0);
        let table = Options::new().capacity(1000).value_space(32 << 20);
        let table = table.create("filled").unwrap();
        let value = vec![1; 60_000];
        let fill = || {
            (0_u32..)
                .find_map(|number| table.insert(&number.to_le_bytes(), &value).err())
                .unwrap()
        };
        let error = fill();
        let told = format!(
            "1 table of a creator that was killed holds {} bytes: remove it with \
             Table::remove_orphans",
            orphan.bytes
        );
        assert!(error.to_string().contains(&told), "{error}");
        let entries = table.len();
        assert_eq!(Table::remove_orphans().unwrap(), [orphan]);
        let error = fill();
        assert!(table.len() > entries + 50, "{}", table.len());
        assert!(
            matches!(
                error,
                shmtable::Error::SharedMemoryFull {
                    orphans: 0,
                    orphaned: 0,
                    ..
                }
            ),
            "{error:?}"
        );
    });
}

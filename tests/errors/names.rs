//! Errors of names: invalid, unknown, or taken.

use shmtable::{Error, Options, Table};

use crate::common::{Name, files_named};
use crate::{all, refused};

#[test]
fn invalid_name() {
    let longest = "n".repeat(255 - "shmtable.".len());
    let too_long = format!("{longest}n");
    for (name, reason) in [
        ("", "empty"),
        ("a/b", "'/'"),
        ("/a", "'/'"),
        ("a\0b", "NUL"),
        (".hidden", "'.'"),
        ("..", "'.'"),
        (too_long.as_str(), "too long"),
    ] {
        let options = Options::new().capacity(10);
        let limit = longest.len();
        for result in [
            options.create(name).err(),
            options.open(name).err(),
            options.open_read_only(name).err(),
            options.open_or_create(name).err(),
            Table::unlink(name).err(),
        ] {
            let error = refused::<()>(
                Err(result.unwrap()),
                &[reason, &limit.to_string(), "use 1 to"],
            );
            assert!(
                matches!(&error, Error::InvalidName { name: told, limit: most, .. }
                    if told == name && *most == limit),
                "{error:?}"
            );
        }
    }
    // The longest name and odd ones are fine.
    for name in [longest.as_str(), "ä ö\n\u{1}", "a..", "-rf"] {
        let name = format!("{}{name}", std::process::id());
        let name: String = name.chars().take(longest.len()).collect();
        let table = Options::new().capacity(10).create(&name);
        let listed = Table::list().unwrap().contains(&name);
        Table::unlink(&name).unwrap();
        assert!(table.is_ok() && listed, "{name:?}");
    }
}

#[test]
fn an_anonymous_table_that_is_gone_is_not_to_be_created_by_its_name() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let name = table.name().to_owned();
    drop(table);
    let remedy =
        ": its creator closed it or ended; keep it open until all who need it have opened it";
    let error = Table::open(&name).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no table named {name:?}{remedy}")
    );
    // A chosen name is not taken for the name of an anonymous table.
    let error = Table::open("anon-a-name").unwrap_err().to_string();
    assert!(
        error.ends_with("; create it, or use open_or_create"),
        "{error}"
    );
}

#[test]
fn not_found_and_already_exists() {
    let name = Name::new();
    for error in [
        Table::open(&name).err(),
        Table::open_read_only(&name).err(),
        Table::unlink(&name).err(),
    ] {
        let error = refused::<()>(Err(error.unwrap()), &[&name, "create it", "open_or_create"]);
        assert!(matches!(&error, Error::NotFound { name: told, .. } if **told == *name));
    }
    let table = Options::new().capacity(10).create(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    let error = refused(
        Options::new().capacity(99).create(&name),
        &[&name, "unlink it", "open_or_create"],
    );
    assert!(matches!(&error, Error::AlreadyExists { name: told, .. } if **told == *name));
    assert_eq!(all(&table).len(), 1);
    assert_eq!(files_named(&name).len(), 1);
}

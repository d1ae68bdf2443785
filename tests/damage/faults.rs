//! Does a fault tell where it is and what it means, and a repair what became of it?

use shmtable::{Fault, FaultKind, FaultPlace, RepairOutcome, Repaired, Table, TypedTable};

use crate::common::layout::{HEADER_WORDS, POPULATED, WORD};
use crate::common::{assert_sound, bytes};
use crate::image::{Image, Stand, key, options};
use crate::patched::Patched;

/// A fault as all parts that it tells.
type Told = (FaultKind, FaultPlace, usize, String);

fn told(fault: &Fault) -> Told {
    (fault.kind, fault.place, fault.offset, fault.to_string())
}

/// The only fault of a table, and what its repair did.
fn only(table: &Table) -> (Told, Repaired) {
    let found = table.check().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let mut repaired = table.repair().unwrap();
    assert_eq!(repaired.len(), 1, "{repaired:?}");
    (told(&found[0]), repaired.remove(0))
}

/// The fault of a word of a closed table, and what its repair did; the table is sound then.
fn of_word(patched: &Patched, at: usize, change: impl Fn(u64) -> u64) -> (Told, Repaired) {
    patched.set(at, change(patched.get(at)));
    let table = patched.open();
    let (fault, repaired) = only(&table);
    assert_eq!(fault.2, at * WORD, "{fault:?}");
    assert_eq!(repaired.place, fault.1);
    assert_sound(&table);
    (fault, repaired)
}

fn became(repaired: &Repaired) -> (RepairOutcome, u64, String) {
    let lost = repaired.entries_lost();
    (repaired.outcome, lost, repaired.to_string())
}

fn fixed(text: impl Into<String>) -> (RepairOutcome, u64, String) {
    (RepairOutcome::Fixed, 0, text.into())
}

fn stand(image: &Image, is_wanted: impl Fn(&[u8], &Stand) -> bool) -> Stand {
    let mut stands = image.stands().into_iter();
    let found = stands.find(|(key, stand)| is_wanted(key, stand));
    found.expect("the image has such an entry").1
}

#[test]
fn a_header_that_changed_under_an_open_handle() {
    let patched = Patched::new();
    let table = patched.open();
    patched.set(12, patched.get(12) ^ 1);
    let (fault, repaired) = only(&table);
    let text = "the header is not what it was when the table was opened";
    let place = FaultPlace::Header;
    assert_eq!(fault, (FaultKind::Header, place, 0, text.to_owned()));
    assert_eq!(repaired.place, place);
    assert_eq!(became(&repaired), fixed("the header was written again"));

    let chunks = patched.image.chunks;
    patched.set(POPULATED, chunks as u64 + 3);
    let (fault, repaired) = only(&table);
    let seen = chunks + 3;
    let text = format!("the header says that {seen} of {chunks} chunks have memory");
    assert_eq!(fault, (FaultKind::Header, place, POPULATED * WORD, text));
    let text = format!("the header said that {seen} chunks have memory; there are {chunks}");
    assert_eq!(became(&repaired), fixed(text));
    assert_sound(&table);
}

#[test]
fn a_participant_slot_is_repaired_if_no_other_participant_has_it() {
    let patched = Patched::new();
    let at = |slot: usize| HEADER_WORDS + slot * 8;
    let (fault, repaired) = of_word(&patched, at(2), |state| state ^ 1 << 5);
    let (kind, place) = (FaultKind::ParticipantSlot, FaultPlace::ParticipantSlot(2));
    let text = "participant slot 2 has bits that mean nothing".to_owned();
    assert_eq!(fault, (kind, place, at(2) * WORD, text));
    assert_eq!(became(&repaired), fixed("participant slot 2 was set right"));

    let (table, other) = (patched.open(), patched.open());
    for handle in [&table, &other] {
        handle.insert(key(1), bytes(1, 3)).unwrap();
    }
    patched.set(at(1), patched.get(at(1)) ^ 1 << 5);
    let (fault, repaired) = only(&table);
    let place = FaultPlace::ParticipantSlot(1);
    let text = "participant slot 1 has bits that mean nothing";
    assert_eq!(fault, (kind, place, at(1) * WORD, text.to_owned()));
    let text = format!("{text}, and was left to its owner, who lives");
    assert_eq!(became(&repaired), (RepairOutcome::Left, 0, text));
    assert_eq!(repaired.place, place);

    patched.set(at(1), patched.get(at(1)) ^ 1 << 5);
    patched.set(at(0), patched.get(at(0)) ^ 1 << 5);
    let (fault, repaired) = only(&table);
    let place = FaultPlace::ParticipantSlot(0);
    let text = "participant slot 0 is this handle's and says something else".to_owned();
    assert_eq!(fault, (kind, place, at(0) * WORD, text));
    let text = "participant slot 0, this handle's, was set right";
    assert_eq!(became(&repaired), fixed(text));
    assert_sound(&table);
}

#[test]
fn a_lock_that_names_nobody_is_taken_over() {
    for asks_first in [true, false] {
        let patched = Patched::new();
        let at = patched.image.stripes_at();
        patched.set(at, 7 << 32 | 9);
        let table = patched.open();
        let place = FaultPlace::Stripe(0);
        let text = "stripe 0: its lock word 0x700000009 names no participant";
        if asks_first {
            let found = table.check_stripes().unwrap();
            let all: Vec<Told> = found.iter().map(told).collect();
            assert_eq!(all, [(FaultKind::Lock, place, at * WORD, text.to_owned())]);
            // The check needed the lock.
            assert_eq!(table.repair().unwrap(), Vec::<Repaired>::new());
        } else {
            let repaired = table.repair().unwrap();
            assert_eq!(repaired.len(), 1);
            assert_eq!(repaired[0].place, place);
            assert_eq!(became(&repaired[0]), fixed(format!("{text}: taken over")));
        }
        assert_sound(&table);
    }
}

#[test]
fn words_and_bits_that_mean_nothing() {
    let patched = Patched::new();
    let image = &patched.image;
    for (at, place) in [
        (100, FaultPlace::Header),
        (HEADER_WORDS + 8 + 5, FaultPlace::ParticipantSlot(1)),
        (image.stripes_at() + 8 + 6, FaultPlace::Stripe(1)),
        (image.stripes_end(), FaultPlace::Gap),
        (image.details_at() + 2 * 8 + 4, FaultPlace::Chunk(2)),
    ] {
        let (fault, repaired) = of_word(&patched, at, |_| 7);
        let offset = at * WORD;
        let text = format!("the word at byte {offset} means nothing and is not zero");
        assert_eq!(fault, (FaultKind::Unused, place, offset, text));
        let text = format!("the word at byte {offset}, which means nothing, was set to zero");
        assert_eq!(became(&repaired), fixed(text));
    }
    let at = image.bucket_at(1) + 1;
    let (fault, repaired) = of_word(&patched, at, |tags| tags | 3);
    let text = "bucket 1: has a tag and no slot for it".to_owned();
    let place = FaultPlace::Bucket(1);
    assert_eq!(fault, (FaultKind::Unused, place, at * WORD, text));
    let text = "bucket 1: a tag without a slot was cleared";
    assert_eq!(became(&repaired), fixed(text));
}

#[test]
fn counts() {
    let patched = Patched::new();
    let image = &patched.image;
    let entries = image.stripes_at() + 2;
    let counted = patched.get(entries);
    for stored in [counted - 1, counted + 3] {
        let (fault, repaired) = of_word(&patched, entries, |_| stored);
        let kind = FaultKind::Count { stored, counted };
        let text = format!("stripe 0: holds {counted} entries and says {stored}");
        let place = FaultPlace::Stripe(0);
        assert_eq!(fault, (kind, place, entries * WORD, text));
        let text = format!("stripe 0: holds {counted} entries and said {stored}");
        if stored < counted {
            assert_eq!(became(&repaired), fixed(text));
        } else {
            let outcome = RepairOutcome::MayHaveLost { entries: 3 };
            let text = format!("{text}: 3 of them, if they were there, are lost");
            assert_eq!(became(&repaired), (outcome, 0, text));
        }
    }

    let counted = image.overflow(2);
    let stored = counted + 5;
    let (fault, repaired) = of_word(&patched, image.bucket_at(2), |word| word + 5);
    let text = format!("bucket 2: {counted} keys passed over it and it says {stored}");
    assert_eq!(fault.0, FaultKind::Count { stored, counted });
    assert_eq!((fault.1, fault.3), (FaultPlace::Bucket(2), text));
    let text = format!("bucket 2: {counted} keys passed over it, and it said {stored}");
    assert_eq!(became(&repaired), fixed(text));

    let chunk = patched.sealed_chunks()[0];
    let at = image.details_at() + chunk * 8 + 1;
    let counted = patched.get(at);
    let (fault, repaired) = of_word(&patched, at, |live| live + 2);
    let stored = counted + 2;
    let text = format!("chunk {chunk}: {counted} words of it are live and it says {stored} are");
    assert_eq!(fault.0, FaultKind::Count { stored, counted });
    assert_eq!((fault.1, &fault.3), (FaultPlace::Chunk(chunk), &text));
    assert_eq!(
        became(&repaired),
        fixed(format!("{text}; it was set right"))
    );
}

#[test]
fn an_entry_that_can_not_be_read_is_lost() {
    let patched = Patched::new();
    let image = &patched.image;
    let wanted = stand(image, |_, stand| !stand.is_small());
    let Stand { bucket, slot, .. } = wanted;
    let place = FaultPlace::Slot { bucket, slot };
    let at = image.slot_at(bucket, slot);
    patched.set(at, patched.get(at) | 1 << 60);
    let table = patched.open();
    let found = table.check().unwrap();
    let fault = found.iter().find(|fault| fault.place == place).unwrap();
    assert_eq!(fault.kind, FaultKind::Entry);
    let begin = format!("bucket {bucket}, slot {slot}: a slot leads to no record at byte ");
    assert_eq!(fault.to_string(), format!("{begin}{}", fault.offset));
    let repaired = table.repair().unwrap();
    let one = repaired.iter().find(|one| one.place == place).unwrap();
    let text =
        format!("bucket {bucket}, slot {slot}: a slot leads to no record; the entry is lost");
    let outcome = RepairOutcome::Lost { entries: 1 };
    assert_eq!(became(one), (outcome, 1, text));
    assert_eq!(repaired.iter().map(Repaired::entries_lost).sum::<u64>(), 1);
    assert_eq!(table.len(), image.model.len() - 1);
    assert_sound(&table);
}

#[test]
fn entries_in_the_wrong_place() {
    for small in [false, true] {
        let patched = Patched::new();
        patched.cross(small);
        let table = patched.open();
        let found = table.check().unwrap();
        let is_crossed = |fault: &&Fault| {
            let text = fault.to_string();
            text.contains("a slot holds a key of another stripe at byte")
        };
        let crossed = found.iter().find(is_crossed).unwrap();
        assert_eq!(crossed.kind, FaultKind::Entry);
        assert!(matches!(crossed.place, FaultPlace::Slot { .. }));
        let repaired = table.repair().unwrap();
        assert!(repaired.iter().any(|one| one.place == crossed.place));
        assert_eq!(repaired.iter().map(Repaired::entries_lost).sum::<u64>(), 1);
    }
}

#[test]
fn padding() {
    let patched = Patched::new();
    let image = &patched.image;
    // Behind the value, and before the key's rest, of which there is none.
    let wanted = stand(image, |key, stand| {
        stand.is_small() && key.len() < 7 && image.model[key].len() < 8
    });
    let Stand { bucket, slot, .. } = wanted;
    let at = image.slot_at(bucket, slot);
    patched.set(at + 1, patched.get(at + 1) | 1 << 63);
    let table = patched.open();
    let (fault, repaired) = only(&table);
    let place = FaultPlace::Slot { bucket, slot };
    let entry = format!("bucket {bucket}: the entry in slot {slot}");
    let text = format!("{entry} is not padded with zeros");
    assert_eq!(fault, (FaultKind::Padding, place, at * WORD, text));
    assert_eq!(repaired.place, place);
    let text = format!("{entry} was padded with zeros");
    assert_eq!(became(&repaired), fixed(text));
    drop(table);

    let wanted = stand(image, |key, stand| {
        !stand.is_small() && !image.model[key].len().is_multiple_of(8)
    });
    let (first, last) = (wanted.record.start, wanted.record.end - 1);
    patched.set(last, patched.get(last) | 1 << 63);
    let table = patched.open();
    let (fault, repaired) = only(&table);
    let place = FaultPlace::Record(first * WORD);
    let text = format!(
        "the record at byte {} is not padded with zeros",
        first * WORD
    );
    assert_eq!(fault, (FaultKind::Padding, place, first * WORD, text));
    assert_eq!(repaired.place, place);
    let text = format!("the record at byte {} was padded with zeros", first * WORD);
    assert_eq!(became(&repaired), fixed(text));
    assert_sound(&table);
}

#[test]
fn chunks() {
    let patched = Patched::new();
    let image = &patched.image;
    let free = (0..image.chunks).find(|chunk| patched.state(*chunk) == 0);
    let free = free.unwrap();
    let place = FaultPlace::Chunk(free);
    let at = image.states_at() + free;
    let (fault, repaired) = of_word(&patched, at, |_| 9 << 16);
    let text = format!("chunk {free}: its state is none");
    assert_eq!(fault, (FaultKind::Chunk, place, at * WORD, text.clone()));
    let text = format!("{text}; nothing lies in it, and it is free");
    assert_eq!(became(&repaired), fixed(text));

    let chunk = patched.sealed_chunks()[0];
    let place = FaultPlace::Chunk(chunk);
    let at = image.details_at() + chunk * 8;
    let (fault, repaired) = of_word(&patched, at, |cursor| cursor ^ 1 << 50);
    assert_eq!((fault.0, fault.1), (FaultKind::Chunk, place));
    assert!(
        fault
            .3
            .starts_with(&format!("chunk {chunk}: its cursor's word 0x"))
    );
    assert_eq!(
        became(&repaired),
        fixed(format!("{}; it was set right", fault.3))
    );
}

#[test]
fn a_chunk_of_a_living_participant_is_left() {
    let patched = Patched::new();
    let (table, other) = (patched.open(), patched.open());
    other.insert(&key(500), &bytes(1, 100)).unwrap();
    let open = |chunk: &usize| patched.state(*chunk) & 0xf_0000 == 1 << 16;
    let chunk = (0..patched.image.chunks).find(open).unwrap();
    let at = patched.image.details_at() + chunk * 8;
    let good = patched.get(at);
    patched.set(at, good ^ 1 << 50);
    let (fault, repaired) = only(&table);
    let place = FaultPlace::Chunk(chunk);
    assert_eq!(
        (fault.0, fault.1, fault.2),
        (FaultKind::Chunk, place, at * WORD)
    );
    assert_eq!(repaired.place, place);
    let text = format!(
        "{}: left, as a participant that lives has chunk {chunk}; repair again when it has \
         closed the table",
        fault.3
    );
    assert_eq!(became(&repaired), (RepairOutcome::Left, 0, text));
}

#[test]
fn a_typed_table_gives_the_same_faults() {
    let patched = Patched::new();
    patched.set(100, 7);
    let plain = patched.open();
    let typed = TypedTable::<[u8], [u8]>::open(options(), &patched.name).unwrap();
    assert_eq!(typed.check().unwrap(), plain.check().unwrap());
    assert_eq!(typed.check_stripes().unwrap().len(), 1);
    let repaired = typed.repair().unwrap();
    assert_eq!(repaired.len(), 1);
    assert_eq!(repaired[0].outcome, RepairOutcome::Fixed);
    assert_eq!(plain.check().unwrap(), Vec::<Fault>::new());
}

#![cfg(loom)]
use loom::thread;
use shmtable::model::Segment;

#[test]
fn a_new_key_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let segment = Segment::new(1, 1, 3, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let inserts = thread::spawn({
            let writer = writer.clone();
            move || assert!(writer.insert(b"k", &[1; 9]).unwrap())
        });
        let seen = reader.get(b"k").unwrap();
        assert!(seen.is_none_or(|value| value == [1; 9]));
        inserts.join().unwrap();
        assert_eq!(reader.get(b"k").unwrap().unwrap(), [1; 9]);
    });
}

use shmtable::{Options, Table};
#[test]
fn smoke() {
    let t = Options::new().capacity(10000).create_anonymous().unwrap();
    assert!(t.insert(b"a", b"1").unwrap());
    assert!(!t.insert(b"a", b"2").unwrap());
    assert_eq!(t.get(b"a").unwrap().unwrap(), b"2");
    let u = Table::open(t.name()).unwrap();
    for i in 0..10000u32 {
        assert!(
            u.insert(format!("k{i}").as_bytes(), &vec![7u8; (i % 300) as usize])
                .unwrap()
        );
    }
    for i in 0..10000u32 {
        assert_eq!(
            t.get(format!("k{i}").as_bytes()).unwrap().unwrap().len(),
            (i % 300) as usize
        );
    }
    assert_eq!(t.check().unwrap(), Vec::<String>::new());
    assert_eq!(t.len(), 10001);
    for r in 0..20u32 {
        for i in 0..10000u32 {
            u.insert(
                format!("k{i}").as_bytes(),
                &vec![r as u8; ((i + r) % 300) as usize],
            )
            .unwrap();
        }
    }
    println!("{:#?}", t.stats().unwrap());
    assert_eq!(t.check().unwrap(), Vec::<String>::new());
    assert_eq!(t.fetch_add(b"c", 5).unwrap(), 0);
    assert_eq!(t.fetch_add(b"c", 5).unwrap(), 5);
    assert_eq!(t.iter().count(), 10002);
    assert_eq!(t.snapshot().unwrap().len(), 10002);
    let big = vec![3u8; 300_000];
    t.insert(b"big", &big).unwrap();
    assert_eq!(u.get(b"big").unwrap().unwrap(), big);
    for i in 0..100 {
        u.insert(b"big", &vec![i; 250_000 + 100 * i as usize])
            .unwrap();
    }
    t.clear().unwrap();
    assert!(t.is_empty());
    assert_eq!(t.check().unwrap(), Vec::<String>::new());
}

//! Are a dump's bytes those of `docs/dump.md`, and is every damage to them found and placed?

use shmtable_dump::{Damage, Entry, Error, Fault, Header, Part, Position, Reader, Writer};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a header, with its checksum.
const HEAD: usize = 60;

const HEADER: Header = Header {
    codec: 0x0123_4567_89ab_cdef,
    capacity: 1000,
    value_space: 1 << 20,
    entries: 2,
    grows: true,
};

fn written(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &HEADER).unwrap();
    for (key, value) in entries {
        writer.entry(key, value).unwrap();
    }
    let (bytes, count) = writer.end().unwrap();
    assert_eq!(count, entries.len() as u64);
    bytes
}

/// Two entries in one block.
fn small() -> Vec<u8> {
    written(&[(b"a", b"1"), (b"", &[7; 200])])
}

/// Three entries, each of them a block.
fn large() -> Vec<u8> {
    let value = vec![b'v'; 70_000];
    written(&[(b"a", &value), (b"b", &value), (b"c", &value)])
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Entry>), Error> {
    let (mut reader, header) = Reader::begin(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.entry()? {
        entries.push(entry);
    }
    assert_eq!(reader.entry()?, None, "it stays at its end");
    Ok((header, entries))
}

#[track_caller]
fn damage(bytes: &[u8]) -> Damage {
    match read(bytes) {
        Err(Error::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_found(bytes: &[u8], part: Part, byte: u64, entry: u64, fault: Fault) {
    let position = Position { part, byte, entry };
    assert_eq!(damage(bytes), Damage { position, fault });
}

fn changed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1;
    bytes
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let number = |number: u64| number.to_le_bytes().to_vec();
    let mut head = b"\x93SHMTAB\n\x02\0\0\0".to_vec();
    for value in [0x0123_4567_89ab_cdef, 1000, 1 << 20, 2, 1] {
        head.extend(number(value));
    }
    let block = [&[1, 1][..], b"a1", &[0, 0xc8, 1], &[7; 200]].concat();
    let summed = [
        number(1),
        number(1),
        b"a1".to_vec(),
        number(0),
        number(200),
        vec![7; 200],
    ];
    let expected = [
        head.clone(),
        number(xxh3_64(&head)),
        number(block.len() as u64),
        number(xxh3_64(&block)),
        block,
        number(0),
        number(2),
        number(xxh3_64(&summed.concat())),
    ];
    assert_eq!(small(), expected.concat());
    let (header, entries) = read(&small()).unwrap();
    assert_eq!(header, HEADER);
    let expected = [(b"a".to_vec(), b"1".to_vec()), (Vec::new(), vec![7; 200])];
    assert_eq!(entries, expected);
}

#[test]
fn a_dump_of_the_version_without_growth_is_read() {
    let mut head = b"\x93SHMTAB\n\x01\0\0\0".to_vec();
    for value in [7_u64, 1000, 1 << 20, 2] {
        head.extend(value.to_le_bytes());
    }
    let checksum = xxh3_64(&head).to_le_bytes();
    let older = [&head, &checksum[..], &small()[HEAD..]].concat();
    let (header, entries) = read(&older).unwrap();
    let expected = Header {
        codec: 7,
        grows: false,
        ..HEADER
    };
    assert_eq!(header, expected);
    assert_eq!(entries, read(&small()).unwrap().1);
}

#[test]
fn no_flipped_bit_is_read() {
    let whole = small();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert!(read(&bytes).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_cut_dump_tells_where_it_ends() {
    let whole = small();
    for length in 0..whole.len() {
        let Damage { position, fault } = damage(&whole[..length]);
        assert_eq!((position.byte, fault), (length as u64, Fault::Cut));
    }
    let whole = large();
    let block = 8 + 8 + 1 + 3 + 1 + 70_000;
    let second = HEAD + block;
    is_found(
        &whole[..second],
        Part::Block(2),
        second as u64,
        2,
        Fault::Cut,
    );
    let end = HEAD + 3 * block;
    is_found(&whole[..end + 8], Part::End, end as u64 + 8, 4, Fault::Cut);
}

#[test]
fn a_damaged_block_is_named_with_both_checksums() {
    let block = 8 + 8 + 1 + 3 + 1 + 70_000;
    let second = HEAD + block;
    let bytes = changed(large(), second + 1000);
    let written = second + 8..second + 16;
    let fault = Fault::Checksum {
        expected: u64::from_le_bytes(bytes[written].try_into().unwrap()),
        found: xxh3_64(&bytes[second + 16..second + block]),
    };
    is_found(&bytes, Part::Block(2), second as u64, 2, fault);
    let Fault::Checksum { expected, found } = fault else {
        unreachable!()
    };
    let message = format!(
        "at block 2 (byte {second}, entry 2): its checksum is wrong: {expected:016x} was \
         expected, and its bytes have {found:016x}"
    );
    assert_eq!(damage(&bytes).to_string(), message);
}

#[test]
fn what_is_no_dump_of_this_version_is_named() {
    is_found(b"{\"shmtable\":", Part::Header, 0, 1, Fault::Magic);
    let mut later = small();
    later[8] = 3;
    is_found(&later, Part::Header, 0, 1, Fault::Version { found: 3 });
    let bytes = [&small()[..], b"x"].concat();
    let end = small().len() as u64;
    is_found(&bytes, Part::End, end, 3, Fault::BytesAfter);
}

/// A dump whose only block has these bytes and the right checksum.
fn of_block(block: &[u8]) -> Vec<u8> {
    let length = (block.len() as u64).to_le_bytes();
    let checksum = xxh3_64(block).to_le_bytes();
    [&small()[..HEAD], &length, &checksum, block].concat()
}

#[test]
fn a_length_that_no_writer_wrote_is_placed_at_its_entry() {
    let first = HEAD as u64 + 16;
    let beyond = of_block(&[1, 1, b'a', b'1', 1, 9, b'b']);
    is_found(&beyond, Part::Block(1), first + 4, 2, Fault::Beyond);
    let endless = of_block(&[0xff; 20]);
    is_found(&endless, Part::Block(1), first, 1, Fault::Length);
    let huge = of_block(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]);
    is_found(&huge, Part::Block(1), first, 1, Fault::Beyond);
    let cut = of_block(&[0x80]);
    is_found(&cut, Part::Block(1), first, 1, Fault::Length);
}

#[test]
fn a_missing_block_is_found_at_the_end() {
    let whole = large();
    let block = 8 + 8 + 1 + 3 + 1 + 70_000;
    let without_second = [&whole[..HEAD + block], &whole[HEAD + 2 * block..]].concat();
    let fault = Fault::Count {
        expected: 3,
        found: 2,
    };
    let end = HEAD as u64 + 2 * block as u64;
    is_found(&without_second, Part::End, end, 3, fault);
}

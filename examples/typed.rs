//! Workers fill a typed table: which numbers are prime, range by range.
//!
//! Four processes know nothing but the names and the types of two tables. Each claims
//! ranges of numbers with `try_insert` until none is left, and publishes what it found
//! as a type of this program's own. The process that started them waits for the results
//! and adds them up.
//!
//! ```sh
//! cargo run --release --example typed
//! ```

use std::env;
use std::error::Error;
use std::process::{self, Command};
use std::time::Duration;

use shmtable::{BoxedError, Codec, Options, TypedTable};

const RANGES: u32 = 64;
const RANGE: u32 = 20_000;

/// What a worker found in a range.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Primes {
    count: u32,
    largest: u32,
}

/// Encoded as eight bytes: every language can read them, and a read allocates nothing.
impl Codec for Primes {
    const NAME: &'static str = "example.primes/1";
    const LENGTH: Option<usize> = Some(8);
    type Item = Primes;
    type Owned = Primes;
    type Encoded<'a> = [u8; 8];

    fn encode(primes: &Primes) -> Result<[u8; 8], BoxedError> {
        let both = u64::from(primes.largest) << 32 | u64::from(primes.count);
        Ok(both.to_le_bytes())
    }

    fn decode(bytes: &[u8]) -> Result<Primes, BoxedError> {
        let both = u64::from_le_bytes(bytes.try_into()?);
        Ok(Primes {
            count: both as u32,
            largest: (both >> 32) as u32,
        })
    }
}

/// Which process works on a range.
type Claims = TypedTable<u32, u32>;
/// What a process found in a range.
type Results = TypedTable<u32, Primes>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => lead(),
        [claims, results] => work(claims, results),
        _ => Err("run it without arguments".into()),
    }
}

fn lead() -> Result<(), Box<dyn Error>> {
    let options = Options::new().capacity(RANGES as usize);
    let claims = Claims::create_anonymous(options.clone())?;
    let results = Results::create_anonymous(options)?;

    let mut workers = Vec::new();
    for _ in 0..4 {
        let names = [claims.as_table().name(), results.as_table().name()];
        workers.push(Command::new(env::current_exe()?).args(names).spawn()?);
    }

    let mut total = Primes {
        count: 0,
        largest: 0,
    };
    for range in 0..RANGES {
        let found = results
            .wait(&range, Duration::from_mins(1))?
            .ok_or("a worker takes too long")?;
        total.count += found.count;
        total.largest = total.largest.max(found.largest);
    }
    for mut worker in workers {
        if !worker.wait()?.success() {
            return Err("a worker failed".into());
        }
    }

    println!(
        "{} primes below {}, the largest is {}",
        total.count,
        RANGES * RANGE,
        total.largest
    );
    let mut ranges_of = std::collections::BTreeMap::<u32, u32>::new();
    claims.for_each(|_range, worker| *ranges_of.entry(worker).or_default() += 1)?;
    for (worker, ranges) in ranges_of {
        println!("process {worker} did {ranges} of {RANGES} ranges");
    }
    Ok(())
}

fn work(claims: &str, results: &str) -> Result<(), Box<dyn Error>> {
    let claims = Claims::open(Options::new(), claims)?;
    let results = Results::open(Options::new(), results)?;
    for range in 0..RANGES {
        // Exactly one of the processes gets `true`.
        if claims.try_insert(&range, &process::id())? {
            let numbers = range * RANGE..(range + 1) * RANGE;
            let primes = numbers.filter(|&number| is_prime(number));
            let nothing = Primes {
                count: 0,
                largest: 0,
            };
            let found = primes.fold(nothing, |found, prime| Primes {
                count: found.count + 1,
                largest: prime,
            });
            results.insert(&range, &found)?;
        }
    }
    Ok(())
}

fn is_prime(number: u32) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2 && divisors.all(|divisor| !number.is_multiple_of(divisor))
}

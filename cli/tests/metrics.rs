//! Can an independent scraper read the figures, and are they right?

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use common::{LIMIT, Name, Running, ends, open_table, shmtable};
use prometheus_parse::{Scrape, Value};

/// A server, and its address.
struct Server {
    _running: Running,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let all = [&["serve-metrics", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut running = Running::start(&mut shmtable(&all));
        let mut line = String::new();
        let mut out = BufReader::new(running.0.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.strip_prefix("serving http://").unwrap();
        let address = address.strip_suffix("/metrics\n").unwrap().to_owned();
        Self {
            _running: running,
            address,
        }
    }

    /// Head and body of the answer.
    fn ask(&self, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    fn scrape(&self) -> Scrape {
        let (head, body) = self.ask("GET", "/metrics");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"));
        assert!(body.ends_with("# EOF\n"));
        Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap()
    }
}

/// A figure of a table; of a kind, if it has kinds.
fn figure(scrape: &Scrape, metric: &str, table: &str, kind: Option<&str>) -> Option<f64> {
    let mut samples = scrape.samples.iter().filter(|sample| {
        sample.metric == metric
            && sample.labels.get("table") == Some(table)
            && sample.labels.get("state") == kind
    });
    let sample = samples.next()?;
    assert!(samples.next().is_none(), "{metric} is there once");
    match sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(value),
        ref other => panic!("{metric} is {other:?}"),
    }
}

#[test]
fn figures_are_scraped_and_right() {
    let (first, one) = open_table();
    let (second, _two) = open_table();
    for number in 0..7_u8 {
        one.insert(&[number], &[number; 100]).unwrap();
    }
    one.insert(&[0], &[9; 100]).unwrap();
    let server = Server::start(&[&first, &second, "cli-test-no-such-table"]);
    for _ in 0..2 {
        let scrape = server.scrape();
        let stats = one.stats().unwrap();
        let get = |metric: &str, kind| figure(&scrape, metric, &first, kind);
        for (metric, kind, value) in [
            ("shmtable_up", None, 1),
            ("shmtable_entries", None, 7),
            ("shmtable_capacity", None, 1000),
            ("shmtable_value_space_bytes", None, 1 << 20),
            ("shmtable_value_bytes", Some("live"), stats.value_bytes_live),
            ("shmtable_value_bytes", Some("dead"), stats.value_bytes_dead),
            ("shmtable_value_bytes", Some("free"), stats.value_bytes_free),
            ("shmtable_segment_bytes", None, stats.segment_bytes),
            ("shmtable_participants", Some("alive"), 1),
            ("shmtable_participants", Some("died"), 0),
            ("shmtable_max_participants", None, 1024),
            ("shmtable_chunks", Some("open"), stats.chunks_open),
            (
                "shmtable_lock_acquisitions_total",
                None,
                stats.acquired as usize,
            ),
            ("shmtable_lock_waits_total", None, 0),
            ("shmtable_take_overs_total", None, 0),
            (
                "shmtable_cleaned_chunks_total",
                None,
                stats.cleanings as usize,
            ),
            ("shmtable_readers", None, 0),
        ] {
            assert_eq!(get(metric, kind), Some(value as f64), "{metric} {kind:?}");
        }
        assert!(get("shmtable_created_timestamp_seconds", None) > Some(1e9));
        assert_eq!(
            figure(&scrape, "shmtable_entries", &second, None),
            Some(0.0)
        );
        let absent = "cli-test-no-such-table";
        assert_eq!(figure(&scrape, "shmtable_up", absent, None), Some(0.0));
        assert_eq!(figure(&scrape, "shmtable_entries", absent, None), None);
        let helped = scrape.docs.get("shmtable_entries").map(String::as_str);
        assert_eq!(helped, Some("Entries in the table"));
    }
    // At each scrape anew.
    one.insert(b"one more", b"").unwrap();
    assert_eq!(
        figure(&server.scrape(), "shmtable_entries", &first, None),
        Some(8.0)
    );
    // A look is not a use of the table.
    assert_eq!(one.stats().unwrap().participants, 1);
    assert!(!one.has_readers().unwrap());
}

#[test]
fn all_tables_are_served_whatever_their_names() {
    let name = Name::new();
    let odd = format!("{}-\"\\\n", &*name);
    let table = shmtable::Options::new().capacity(100).create(&odd).unwrap();
    table.insert(b"key", b"value").unwrap();
    let server = Server::start(&[]);
    let (_, body) = server.ask("GET", "/metrics");
    shmtable::Table::unlink(&odd).unwrap();
    let escaped = format!("shmtable_entries{{table=\"{}-\\\"\\\\\\n\"}} 1", &*name);
    assert!(
        body.lines().any(|line| line.starts_with(&escaped)),
        "{escaped}: {body}"
    );
}

#[test]
fn other_requests_are_refused() {
    let server = Server::start(&["cli-test-no-such-table"]);
    for (method, path, status) in [
        ("GET", "/", "404"),
        ("GET", "/metrics/../x", "404"),
        ("POST", "/metrics", "405"),
        ("HEAD", "/metrics", "200"),
    ] {
        let (head, _) = server.ask(method, path);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
    }
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"\x00\xff nonsense\r\n\r\n").unwrap();
    drop(stream);
    server.scrape();
    let taken = ends(2, &["serve-metrics", "--listen", &server.address]);
    assert!(taken.contains(&server.address), "{taken}");
    ends(2, &["serve-metrics", "--listen", "nowhere"]);
}

//! `serve-metrics`: figures of tables for Prometheus.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde_json::json;
use shmtable::{Options, Table};

use crate::args::ServeMetrics;
use crate::context::Context;
use crate::failure::{Failure, Outcome, Result};
use crate::sample::{Sample, look};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn serve(mut context: Context, args: ServeMetrics) -> Result {
    let mut registry = Registry::with_prefix("shmtable");
    registry.register_collector(Box::new(Tables {
        options: context.options.clone(),
        names: args.names,
    }));
    let listen = |source| Failure::Listen {
        address: args.listen,
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(listen)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await;
        let listener = listener.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let url = format!("http://{address}/metrics");
        context
            .out
            .either(|| json!({ "url": url }), || format!("serving {url}"))?;
        context.out.flush()?;
        let registry = std::sync::Arc::new(registry);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Too many connections, most likely: the others end some time.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let registry = std::sync::Arc::clone(&registry);
            let service = service_fn(move |request| {
                let response = answer(&request, &registry);
                async move { Ok::<_, fmt::Error>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // What goes wrong there is the client's business.
            tokio::spawn(async move { drop(connection.await) });
        }
        #[allow(
            unreachable_code,
            reason = "a signal ends it; it gives the block its type"
        )]
        Ok(Outcome::Found)
    })
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let reply = |status, kind, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let kind = hyper::header::HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    };
    let plain = |status, text: &str| reply(status, "text/plain; charset=utf-8", text.to_owned());
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood\n");
    }
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "the figures are at /metrics\n");
    }
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => reply(StatusCode::OK, OPEN_METRICS, body),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the figures cannot be written\n",
        ),
    }
}

/// Looks at the tables when it is asked.
#[derive(Debug)]
struct Tables {
    options: Options,
    /// Empty: all that there are.
    names: Vec<String>,
}

type Looked = (String, Option<Sample>);

impl Tables {
    fn look(&self) -> Vec<Looked> {
        let names = if self.names.is_empty() {
            Table::list().unwrap_or_default()
        } else {
            self.names.clone()
        };
        let looked = names.into_iter().map(|name| {
            let sample = look(&self.options, &name).and_then(|table| Sample::take(&table));
            (name, sample.ok())
        });
        looked.collect()
    }
}

/// A figure of a table, by its value and by what tells it from others of its kind.
type Figures = fn(&Sample) -> Vec<(&'static str, f64)>;

/// Name, help, the name of the second label, figures.
const GAUGES: &[(&str, &str, &str, Figures)] = &[
    ("entries", "Entries now", "", |s| one(s.stats.entries)),
    ("capacity", "Entries the table was created for", "", |s| {
        one(s.stats.capacity)
    }),
    (
        "value_space_bytes",
        "Bytes of keys and values the table was created for",
        "",
        |s| one(s.stats.value_space),
    ),
    ("value_bytes", "Bytes of records", "state", |s| {
        vec![
            ("live", s.stats.value_bytes_live as f64),
            ("dead", s.stats.value_bytes_dead as f64),
            ("free", s.stats.value_bytes_free as f64),
        ]
    }),
    ("chunks", "Chunks of the value space", "state", |s| {
        vec![
            ("free", s.stats.chunks_free as f64),
            ("open", s.stats.chunks_open as f64),
            ("sealed", s.stats.chunks_sealed as f64),
            ("cleaning", s.stats.chunks_cleaning as f64),
            ("in_run", s.stats.chunks_in_runs as f64),
        ]
    }),
    ("reserved_bytes", "Bytes of memory", "", |s| {
        vec![("", s.reserved() as f64)]
    }),
    ("segment_bytes", "Bytes of address space", "", |s| {
        one(s.stats.segment_bytes)
    }),
    ("participants", "Handles that may write", "state", |s| {
        vec![("alive", s.living() as f64), ("died", s.died() as f64)]
    }),
    (
        "max_participants",
        "The most handles that may write",
        "",
        |s| one(s.stats.max_participants),
    ),
    (
        "readers",
        "Whether read-only handles are open (1) or not (0)",
        "",
        |s| one(usize::from(s.readers)),
    ),
    (
        "created_timestamp_seconds",
        "When the table was created",
        "",
        |s| vec![("", s.stats.created as f64 / 1e9)],
    ),
];

type Count = fn(&Sample) -> u64;

/// Name, help, figure; the library ends their names with `_total`.
const COUNTERS: &[(&str, &str, Count)] = &[
    (
        "lock_acquisitions",
        "Locks of stripes taken: one for each write",
        |s| s.stats.acquired,
    ),
    ("lock_waits", "Those of them that had to wait", |s| {
        s.stats.contended
    }),
    (
        "take_overs",
        "Locks and chunks taken over from dead processes",
        |s| s.stats.take_overs,
    ),
    ("cleaned_chunks", "Chunks cleaned", |s| s.stats.cleanings),
];

fn one(value: usize) -> Vec<(&'static str, f64)> {
    vec![("", value as f64)]
}

impl Collector for Tables {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tables = self.look();
        let up = "Whether the table is there and can be opened (1) or not (0)";
        let mut family = encoder.encode_descriptor("up", up, None, MetricType::Gauge)?;
        for (name, sample) in &tables {
            let labels = [("table", name.as_str())];
            family
                .encode_family(&labels)?
                .encode_gauge(&i64::from(sample.is_some()))?;
        }
        for (metric, help, label, figures) in GAUGES {
            let mut family = encoder.encode_descriptor(metric, help, None, MetricType::Gauge)?;
            for sample in tables.iter().filter_map(|(_, sample)| sample.as_ref()) {
                for (kind, value) in figures(sample) {
                    let mut labels = vec![("table", sample.name.as_str())];
                    if !label.is_empty() {
                        labels.push((label, kind));
                    }
                    family.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
        }
        for (metric, help, figure) in COUNTERS {
            let mut family = encoder.encode_descriptor(metric, help, None, MetricType::Counter)?;
            for sample in tables.iter().filter_map(|(_, sample)| sample.as_ref()) {
                let labels = [("table", sample.name.as_str())];
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&figure(sample), None)?;
            }
        }
        Ok(())
    }
}

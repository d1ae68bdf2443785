//! `serve-metrics` serves the figures of tables to Prometheus.

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
use shmtable::{Figure, FigureKind, FigureUnit, Options, Stats, Table};

use crate::args::ServeMetrics;
use crate::context::Context;
use crate::failure::{Failure, Outcome, Result};
use crate::sample::{Sample, figures, open_observer};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a client may take to send its request.
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
                // Most likely, there are too many connections. Some of them will end.
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
            // An error here only concerns the client.
            tokio::spawn(async move { drop(connection.await) });
        }
        #[allow(
            unreachable_code,
            reason = "a signal ends the loop; this gives the block its type"
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
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported\n");
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

/// The tables to serve, which are inspected at each request.
#[derive(Debug)]
struct Tables {
    options: Options,
    /// If there are none, all tables are served.
    names: Vec<String>,
}

pub(super) type Inspected = (String, Option<Sample>);

impl Tables {
    fn inspect(&self) -> Vec<Inspected> {
        let names = if self.names.is_empty() {
            Table::list().unwrap_or_default()
        } else {
            self.names.clone()
        };
        let inspected = names.into_iter().map(|name| {
            let sample = open_observer(&self.options, &name).and_then(|table| Sample::take(&table));
            (name, sample.ok())
        });
        inspected.collect()
    }
}

type Value = fn(&Sample) -> f64;

/// Values that aren't figures of the crate: the metric, its label `state`, its help, its value.
const OTHERS: [(&str, Option<&str>, &str, Value); 2] = [
    (
        "participants",
        Some("died"),
        "Handles that may write, by state",
        |sample| sample.died() as f64,
    ),
    (
        "readers",
        None,
        "Whether read-only handles are open (1) or not (0)",
        |sample| f64::from(u8::from(sample.readers)),
    ),
];

/// All metrics in their order, with their help and their type.
fn metrics() -> Vec<(&'static str, &'static str, FigureKind)> {
    // Without the longest probe: every bucket would have to be read for it.
    let figures = Stats::default().figures();
    let of_figures = figures.map(|figure| {
        (
            figures::metric(&figure),
            figures::help(&figure),
            figure.kind,
        )
    });
    let others = OTHERS
        .iter()
        .map(|(metric, _, help, _)| (*metric, *help, FigureKind::Gauge));
    let mut metrics: Vec<(&str, &str, FigureKind)> = Vec::new();
    for metric in of_figures.chain(others) {
        if metrics.iter().all(|(name, ..)| *name != metric.0) {
            metrics.push(metric);
        }
    }
    metrics
}

/// The values of a gauge, by their label `state`.
fn gauges(sample: &Sample, metric: &str) -> Vec<(Option<&'static str>, f64)> {
    let of_figures = figures_of(sample, metric).map(|figure| {
        let value = match figure.unit {
            FigureUnit::UnixNanoseconds => figure.value as f64 / 1e9,
            _ => figure.value as f64,
        };
        (figures::state(figure), value)
    });
    let others = OTHERS
        .iter()
        .filter(|(name, ..)| *name == metric)
        .map(|(_, state, _, value)| (*state, value(sample)));
    of_figures.chain(others).collect()
}

fn figures_of<'a>(sample: &'a Sample, metric: &'a str) -> impl Iterator<Item = &'a Figure> {
    let figures = sample.figures.iter();
    figures.filter(move |figure| figures::metric(figure) == metric)
}

impl Collector for Tables {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&self.inspect(), encoder)
    }
}

/// Writes the metrics of tables that were inspected.
pub(super) fn encode(tables: &[Inspected], mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let up = "Whether the table is there and can be opened (1) or not (0)";
    let mut family = encoder.encode_descriptor("up", up, None, MetricType::Gauge)?;
    for (name, sample) in tables {
        let labels = [("table", name.as_str())];
        family
            .encode_family(&labels)?
            .encode_gauge(&i64::from(sample.is_some()))?;
    }
    for (metric, help, kind) in metrics() {
        let metric_type = match kind {
            FigureKind::Gauge => MetricType::Gauge,
            // The library ends its name with `_total`.
            FigureKind::Counter => MetricType::Counter,
        };
        let mut family = encoder.encode_descriptor(metric, help, None, metric_type)?;
        for sample in tables.iter().filter_map(|(_, sample)| sample.as_ref()) {
            let labels = |state: Option<&'static str>| {
                let table = ("table", sample.name.as_str());
                let state = state.map(|state| ("state", state));
                std::iter::once(table).chain(state).collect::<Vec<_>>()
            };
            match kind {
                FigureKind::Gauge => {
                    for (state, value) in gauges(sample, metric) {
                        family.encode_family(&labels(state))?.encode_gauge(&value)?;
                    }
                }
                FigureKind::Counter => {
                    for figure in figures_of(sample, metric) {
                        family
                            .encode_family(&labels(figures::state(figure)))?
                            .encode_counter::<NoLabelSet, _, u64>(&figure.value, None)?;
                    }
                }
            }
        }
    }
    Ok(())
}

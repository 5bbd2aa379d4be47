//! Puts together what observes the server: counts, what a scrape looks at beside the control plane, and the way to a
//! collector. What the environment says wins over `pinrail.toml`, as with other programs that speak OpenTelemetry.

use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use pinrail_domain::time::Entropy as _;
use pinrail_server::metrics::Metrics;
use pinrail_telemetry::logs::Door;
use pinrail_telemetry::otlp::Collector;
use pinrail_telemetry::traces::{Root, Sampler};
use pinrail_telemetry::{Options, Telemetry};

use crate::config;
use crate::exit::Failed;
use crate::files::{self, Observe};
use crate::system::{OsEntropy, SystemClock, process};

/// What observes the server.
pub struct Observed {
    pub telemetry: Telemetry,
    pub metrics: Metrics,
}

/// Where the log's lines go beside stderr.
pub static LOGS: LazyLock<Door> = LazyLock::new(Door::default);

/// Bytes of a request and of its answer that spans keep where `[telemetry] content` says so: a long question and its
/// answer. Collectors take some megabytes at once, and a batch has hundreds of spans.
const CONTENT_BYTES_MAX: usize = 8 << 10;
const SERVICE: &str = "pinrail";

impl Observed {
    /// Begins to count, and to send where a collector is named. Needs a Tokio runtime.
    pub fn start(settings: &Observe, clock: &Arc<SystemClock>) -> anyhow::Result<Observed> {
        let telemetry = match options(settings, clock)? {
            Some(options) => Telemetry::sending(options, &LOGS),
            None => Telemetry::default(),
        };
        let looked_at = Arc::clone(clock);
        let metrics = Metrics {
            open: settings.metrics_open,
            process: Arc::new(move || process::look(&looked_at)),
            ..Metrics::new(telemetry.clone())
        };
        Ok(Observed { telemetry, metrics })
    }
}

/// Where to send what; none where nobody wants it.
fn options(settings: &Observe, clock: &Arc<SystemClock>) -> anyhow::Result<Option<Options>> {
    let disabled =
        config::variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = config::variable("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| settings.otlp.clone());
    let Some(endpoint) = endpoint.filter(|_| !disabled) else { return Ok(None) };
    if !files::is_address(&endpoint) {
        return Err(wrong("OTEL_EXPORTER_OTLP_ENDPOINT", "it is no http or https address").into());
    }
    if config::variable("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol != "http/protobuf") {
        return Err(wrong("OTEL_EXPORTER_OTLP_PROTOCOL", "only http/protobuf is spoken (port 4318)").into());
    }
    let headers = config::variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let headers = Collector::headers(&headers).map_err(|bad| wrong("OTEL_EXPORTER_OTLP_HEADERS", bad))?;
    let resource = config::variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut resource =
        Collector::resource(&resource).map_err(|bad| wrong("OTEL_RESOURCE_ATTRIBUTES", bad))?;
    let named = resource.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.clone());
    let service = config::variable("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| SERVICE.to_owned());
    if !resource.iter().any(|(key, _)| key == "service.instance.id") {
        let mut id = [0; 16];
        OsEntropy.fill(&mut id);
        resource.push(("service.instance.id".to_owned(), format!("{:032x}", u128::from_be_bytes(id))));
    }
    Ok(Some(Options {
        collector: Collector {
            endpoint: endpoint.parse()?,
            headers,
            service,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            resource,
        },
        sampler: sampler(settings)?,
        content_bytes_max: if settings.content { CONTENT_BYTES_MAX } else { 0 },
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(OsEntropy),
    }))
}

fn sampler(settings: &Observe) -> anyhow::Result<Sampler> {
    let argument = config::variable("OTEL_TRACES_SAMPLER_ARG");
    let of_the_file = settings.sample_ratio.map_or(Root::Always, Root::Ratio);
    match config::variable("OTEL_TRACES_SAMPLER") {
        Some(name) => {
            Ok(Sampler::parse(&name, argument.as_deref()).map_err(|bad| wrong("OTEL_TRACES_SAMPLER", bad))?)
        }
        None => Ok(Sampler::Parent(of_the_file)),
    }
}

/// A variable that can't be used. Its value isn't repeated here: it may hold a key (I15).
fn wrong(variable: &str, why: impl Display) -> Failed {
    Failed {
        code: "bad_telemetry",
        what: format!("{variable} cannot be used: {why}"),
        next_step: format!("correct {variable}, or unset it (docs/observability.md)"),
        source: None,
    }
}

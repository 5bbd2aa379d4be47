//! What a scrape gets: every metric of the table with the values that were put on the page.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use pinrail_domain::meter::Reading;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::table::{ALL, Def, Kind};

/// The values of one scrape.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, Vec<(Vec<String>, Value)>>,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own text format, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

const MICROS: f64 = 1_000_000.0;

impl Page {
    /// Puts a gauge's value on the page.
    ///
    /// # Panics
    /// When the metric is no gauge, or has other labels: a mistake of ours, as for the others.
    pub fn gauge(&mut self, def: &'static Def, labels: &[&str], value: f64) {
        assert_eq!(def.kind, Kind::Gauge, "{}", def.name);
        self.put(def, labels, Value::Number(value));
    }

    /// Puts a counter's value on the page.
    ///
    /// # Panics
    /// When the metric is no counter, or has other labels.
    pub fn count(&mut self, def: &'static Def, labels: &[&str], value: u64) {
        self.amount(def, labels, number(value));
    }

    /// Puts the value of a counter on the page that counts in parts of one.
    ///
    /// # Panics
    /// When the metric is no counter, or has other labels.
    pub fn amount(&mut self, def: &'static Def, labels: &[&str], value: f64) {
        assert_eq!(def.kind, Kind::Counter, "{}", def.name);
        self.put(def, labels, Value::Number(value));
    }

    /// Puts durations on the page that were counted in microseconds.
    ///
    /// # Panics
    /// When the metric is no histogram, or has other labels.
    pub fn durations(&mut self, def: &'static Def, labels: &[&str], reading: &Reading) {
        self.histogram(def, labels, reading, MICROS);
    }

    /// Puts sizes on the page.
    ///
    /// # Panics
    /// When the metric is no histogram, or has other labels.
    pub fn sizes(&mut self, def: &'static Def, labels: &[&str], reading: &Reading) {
        self.histogram(def, labels, reading, 1.0);
    }

    /// The page as text.
    ///
    /// # Panics
    /// Never: a buffer in memory takes all.
    #[must_use]
    pub fn text(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(1 << 16);
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("a buffer in memory takes all");
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => classic(&text),
        }
    }

    fn histogram(&mut self, def: &'static Def, labels: &[&str], reading: &Reading, divisor: f64) {
        assert_eq!(def.kind, Kind::Histogram, "{}", def.name);
        let bounds = reading.bounds.iter().map(|bound| number(*bound) / divisor).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(reading.buckets.iter().copied()).collect();
        let value = Value::Histogram { sum: number(reading.sum) / divisor, count: reading.count(), buckets };
        self.put(def, labels, value);
    }

    fn put(&mut self, def: &'static Def, labels: &[&str], value: Value) {
        assert_eq!(labels.len(), def.labels.len(), "{} has the labels {:?}", def.name, def.labels);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.families.entry(def.name).or_default().push((labels, value));
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for def in ALL {
            let kind = match def.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(def.name, def.help, None, kind)?;
            for (values, value) in self.families.get(def.name).into_iter().flatten() {
                let labels: Vec<(&str, &str)> =
                    def.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
                if labels.is_empty() {
                    write(&mut family, def.kind, value)?;
                } else {
                    write(&mut family.encode_family(&labels)?, def.kind, value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(to: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> Result<(), fmt::Error> {
    match (value, kind) {
        (Value::Number(number), Kind::Counter) => to.encode_counter::<NoLabelSet, _, f64>(number, None),
        (Value::Number(number), Kind::Gauge | Kind::Histogram) => to.encode_gauge(number),
        (Value::Histogram { sum, count, buckets }, _) => {
            to.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
        }
    }
}

/// OpenMetrics as the older format has it: a counter's type is said of the name that its values have, and there is no end.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let told = line.strip_prefix("# ").and_then(|rest| {
            let (what, rest) = rest.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            Some((what, name, rest))
        });
        let written = match told {
            None if line.starts_with('#') => Ok(()),
            None => writeln!(out, "{line}"),
            Some((what, name, rest)) => {
                let shown = ALL.iter().find(|def| def.name == name).map(|def| def.shown());
                writeln!(out, "# {what} {} {rest}", shown.as_deref().unwrap_or(name))
            }
        };
        written.expect("a buffer in memory takes all");
    }
    out
}

/// A number as a page has it. Above 2⁵³, which counts reach in no process's life, it is the nearest one.
#[expect(clippy::cast_precision_loss, reason = "pages hold floating-point numbers")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

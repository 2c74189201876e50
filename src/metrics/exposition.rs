//! Writes metric families.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// How a value is read.
pub type Read<T, V> = fn(&T) -> V;

/// A label: its name and its value.
pub type Label<'a> = (&'static str, &'a str);

/// A family of metrics: its name without prefix, unit and `_total`, its help, and its unit.
#[derive(Debug, Clone)]
pub struct Family {
    name: String,
    help: &'static str,
    unit: Option<Unit>,
}

impl Family {
    /// A family of rosterd without a unit.
    pub fn new(name: &str, help: &'static str) -> Self {
        Self::of_process(format!("rosterd_{name}"), help)
    }

    /// A family that every process has, under the name that all of Prometheus's libraries give it.
    pub fn of_process(name: impl Into<String>, help: &'static str) -> Self {
        Self { name: name.into(), help, unit: None }
    }

    /// In seconds.
    pub fn seconds(self) -> Self {
        Self { unit: Some(Unit::Seconds), ..self }
    }

    /// In bytes.
    pub fn bytes(self) -> Self {
        Self { unit: Some(Unit::Bytes), ..self }
    }
}

/// Writes families, each once, with all its series.
pub struct Exposition<'a>(pub DescriptorEncoder<'a>);

impl Exposition<'_> {
    /// Gauges.
    pub fn gauges<'l, const N: usize>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], f64)>,
    ) -> fmt::Result {
        self.family(family, MetricType::Gauge, series, |mut encoder, value| encoder.encode_gauge(&value))
    }

    /// Counters.
    pub fn counters<'l, const N: usize>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], u64)>,
    ) -> fmt::Result {
        self.family(family, MetricType::Counter, series, |mut encoder, value| {
            encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)
        })
    }

    /// A counter that is not an integer.
    pub fn float_counter(&mut self, family: &Family, value: f64) -> fmt::Result {
        self.family(family, MetricType::Counter, [([], value)], |mut encoder, value| {
            encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None)
        })
    }

    /// Histograms.
    pub fn histograms<'l, const N: usize>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], &'l Histogram)>,
    ) -> fmt::Result {
        self.family(family, MetricType::Histogram, series, |encoder, value| value.encode(encoder))
    }

    /// A family with all its series. One without series is left out.
    fn family<'l, const N: usize, V>(
        &mut self,
        family: &Family,
        kind: MetricType,
        series: impl IntoIterator<Item = ([Label<'l>; N], V)>,
        write: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(&family.name, family.help, family.unit.as_ref(), kind)?;
        for (labels, value) in series {
            write(encoder.encode_family(&labels.as_slice())?, value)?;
        }
        Ok(())
    }
}

/// 1 for true, 0 for false.
pub fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A number of things.
#[allow(clippy::cast_precision_loss, reason = "nobody has more than 2^53 of them")]
pub fn number(count: usize) -> f64 {
    count as f64
}

/// Seconds since 1970.
pub fn timestamp(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

//! The counts of `/health` in the `OpenMetrics` format, for Prometheus.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::server::counters::Health;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as text.
pub(super) fn encode(health: &Arc<Health>) -> String {
    let mut registry = Registry::with_prefix("signaling");
    registry.register_collector(Box::new(Collected(Arc::clone(health))));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes any text");
    text
}

#[derive(Debug)]
struct Collected(Arc<Health>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let health = &self.0;
        for (name, help, count) in [
            ("rooms", "Rooms with at least one peer", &health.rooms),
            ("peers", "Peers in rooms", &health.peers),
        ] {
            let gauge = ConstGauge::new(i64::try_from(count.load(Relaxed)).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        for (name, help) in [
            ("refused", "Peers that were turned away or disconnected"),
            ("dropped", "Messages that were not requests, or did not reach their receiver"),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            let counts = health.counters.iter().filter_map(|(counter, count)| {
                Some((counter.strip_prefix(name)?.strip_prefix('_')?, count))
            });
            for (reason, count) in counts {
                let labels = [("reason", reason)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        for (counter, help) in [
            ("joined", "Peers that entered a room"),
            ("denied", "Requests in rooms that were not granted"),
            ("slowed", "Messages after which a peer that sends too fast had to wait"),
            (
                "requests_slowed",
                "Requests in rooms after which a peer that sends too many had to wait",
            ),
            ("broken", "Connections that broke instead of being closed"),
            (
                "connections_full",
                "Times that all connections were in use, so that the next had to wait",
            ),
            ("header_too_long", "Requests whose head was too long"),
            (
                "request_timed_out",
                "Connections that were closed because no request arrived in time",
            ),
            (
                "stalled",
                "Connections that were closed because the client did not read the response",
            ),
            ("accept_failed", "Connections for which the system provided no socket"),
            ("tls_failed", "Connections that did not complete the TLS handshake"),
        ] {
            let count = health.counters.iter().find(|(name, _)| *name == counter);
            let count = ConstCounter::new(count.map_or(0, |(_, count)| count));
            count.encode(encoder.encode_descriptor(counter, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::Refusal, server::counters::Counter};

    #[test]
    fn every_count_is_a_metric() {
        let health = Arc::new(Health::default());
        health.rooms.store(3, Relaxed);
        health.counters.count(Counter::Joined);
        health.counters.count(Counter::Refused(Refusal::RoomFull));
        let text = encode(&health);
        for line in [
            "signaling_rooms 3",
            "signaling_joined_total 1",
            r#"signaling_refused_total{reason="room_full"} 1"#,
            r#"signaling_refused_total{reason="too_slow"} 0"#,
            r#"signaling_dropped_total{reason="unreadable"} 0"#,
            "# TYPE signaling_refused counter",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "no `{line}` in:\n{text}");
        }
        let counts = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(counts, 2 + health.counters.iter().count(), "{text}");
    }
}

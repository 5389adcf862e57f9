//! Combines the bots' reports: whether all checksums agree, whether every bot played, and a table
//! of both.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::failure::{Outcome, fail};

/// The fields of one peer in the combined report, with their labels in the table.
const FIELDS: &[(&str, &str)] = &[
    ("frames", "frames simulated"),
    ("confirmed_frames", "frames confirmed"),
    ("rollbacks", "rollbacks"),
    ("resimulated_frames", "frames resimulated"),
    ("max_rollback", "deepest rollback"),
    ("stalls", "stalls"),
    ("rtt_ms", "round trip, ms"),
    ("datagrams_out_per_s", "datagrams out per s"),
    ("datagrams_in_per_s", "datagrams in per s"),
    ("bytes_out_per_s", "bytes out per s"),
    ("bytes_in_per_s", "bytes in per s"),
    ("connected_ms", "connected after, ms"),
    ("first_frame_ms", "first frame after, ms"),
    ("score", "score"),
    ("longest_freeze_ms", "longest freeze, ms"),
    ("taken_back", "confirmed, taken back"),
    ("roster", "seats at the end"),
    ("desyncs", "desyncs"),
    ("checksum_frame", "last common checksum at"),
    ("checksum", "checksum"),
];

/// A field that only a bot reports that was away, and its label.
const BACK_AFTER: (&str, &str) = ("back_after_ms", "back after, ms");

const LABEL_WIDTH: usize = 24;
/// Wide enough for a 64-bit checksum in hexadecimal digits.
const COLUMN_WIDTH: usize = 18;

/// What was to become of a bot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is there to the end, whatever happens on the way.
    Stays,
    /// It leaves before.
    Leaves,
    /// It is killed, and reports nothing.
    Killed,
}

/// What one bot left behind.
pub(super) struct Report {
    /// The bot's name in the table.
    pub(super) name: String,
    pub(super) fate: Fate,
    /// Whether its process ended with success.
    pub(super) succeeded: bool,
    /// Its own report, if it wrote one.
    pub(super) fields: Option<Value>,
}

/// All reports, compared.
pub(super) struct Verdict {
    names: Vec<String>,
    peers: Vec<Map<String, Value>>,
    is_agreed: bool,
    complaints: Vec<String>,
}

impl Verdict {
    /// Compares the reports at every frame for which all bots that stayed have a checksum, and
    /// those of the others with theirs.
    pub(super) fn of(reports: Vec<Report>) -> Self {
        let checksums: Vec<_> = reports
            .iter()
            .map(|report| report.fields.as_ref().map_or_else(BTreeMap::new, checksums_of))
            .collect();
        let stayed = reports.iter().zip(&checksums).filter(|(it, _)| it.fate == Fate::Stays);
        let stayed: Vec<_> = stayed.map(|(_, log)| log).collect();
        let common = common_frames(&stayed);
        let parted_at = common.iter().copied().find(|frame| {
            let first = stayed.first().and_then(|log| log.get(frame));
            checksums.iter().any(|log| log.get(frame).is_some_and(|it| Some(it) != first))
        });
        let mut complaints = Vec::new();
        match (common.last(), parted_at) {
            (None, _) => {
                complaints.push("there is no frame for which all peers have a checksum".to_owned());
            }
            (_, Some(frame)) => complaints.push(format!("the checksums differ at frame {frame}")),
            (Some(_), None) => {}
        }
        let is_agreed = complaints.is_empty();
        let mut peers = Vec::new();
        for (report, log) in reports.iter().zip(&checksums) {
            complaints.extend(complaints_about(report));
            let mut peer = Map::new();
            for (field, _) in FIELDS.iter().chain([&BACK_AFTER]) {
                let value = report.fields.as_ref().map(|fields| fields[*field].clone());
                peer.insert((*field).to_owned(), value.unwrap_or(Value::Null));
            }
            let last = common.last();
            peer.insert("checksum_frame".to_owned(), json!(last));
            peer.insert("checksum".to_owned(), json!(last.and_then(|frame| log.get(frame))));
            peers.push(peer);
        }
        Self {
            names: reports.into_iter().map(|report| report.name).collect(),
            peers,
            is_agreed,
            complaints,
        }
    }

    /// The combined report as JSON.
    pub(super) fn json(&self) -> String {
        format!("{:#}\n", json!({ "peers": self.peers, "agreed": self.is_agreed }))
    }

    /// The combined report for a terminal: one column per peer.
    pub(super) fn table(&self) -> String {
        let mut table = row("", &self.names);
        let is_used = |field: &str| self.peers.iter().any(|peer| !peer[field].is_null());
        let back_after = [&BACK_AFTER].into_iter().filter(|(field, _)| is_used(field));
        for (field, label) in FIELDS.iter().chain(back_after) {
            let cells: Vec<String> =
                self.peers.iter().map(|peer| shown(field, &peer[*field])).collect();
            table.push_str(&row(label, &cells));
        }
        table.push_str(if self.is_agreed {
            "\nAll checksums agree.\n"
        } else {
            "\nThe checksums do not agree.\n"
        });
        table
    }

    /// Succeeds only if every peer played, all checksums agree and no peer counted a desync.
    pub(super) fn result(&self) -> Outcome {
        if self.complaints.is_empty() { Ok(()) } else { fail(self.complaints.join("; ")) }
    }
}

fn complaints_about(report: &Report) -> Vec<String> {
    let name = &report.name;
    if report.fate == Fate::Killed {
        return Vec::new();
    }
    let Some(fields) = &report.fields else {
        return vec![format!("{name} wrote no report")];
    };
    let mut complaints = Vec::new();
    if !report.succeeded {
        let reason =
            fields["end_reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
        complaints.push(format!("{name} failed{reason}"));
    }
    for (field, _) in FIELDS {
        if fields.get(field).is_none_or(Value::is_null) {
            complaints.push(format!("{name} did not report {field}"));
        }
    }
    if fields["frames"] == 0 || fields["confirmed_frames"] == 0 {
        complaints.push(format!("{name} did not play"));
    }
    if fields["taken_back"].as_u64().is_some_and(|times| times > 0) {
        complaints.push(format!("{name} took back what was confirmed"));
    }
    if fields["desyncs"].as_u64().is_some_and(|desyncs| desyncs > 0) {
        complaints.push(format!("{name} desynced"));
    }
    complaints
}

/// The `[frame, checksum]` pairs that a peer logged.
fn checksums_of(fields: &Value) -> BTreeMap<u64, String> {
    let pairs = fields["checksums"].as_array().into_iter().flatten();
    pairs.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_str()?.to_owned()))).collect()
}

/// The frames that every log holds, ascending.
fn common_frames(logs: &[&BTreeMap<u64, String>]) -> Vec<u64> {
    let Some((first, others)) = logs.split_first() else {
        return Vec::new();
    };
    first.keys().copied().filter(|frame| others.iter().all(|log| log.contains_key(frame))).collect()
}

fn row(label: &str, cells: &[String]) -> String {
    let mut row = format!("{label:<LABEL_WIDTH$}");
    for cell in cells {
        row.push_str(&format!("{cell:>COLUMN_WIDTH$}"));
    }
    row.push('\n');
    row
}

fn shown(field: &str, value: &Value) -> String {
    if field == "roster" { seats(value) } else { cell(value) }
}

/// The seats that nobody plays, by number and state.
fn seats(roster: &Value) -> String {
    let seats = (1..).zip(roster.as_array().into_iter().flatten());
    let others = seats.filter(|(_, state)| *state != "peer");
    let others: Vec<String> =
        others.map(|(seat, state)| format!("{seat} {}", cell(state))).collect();
    match (roster, others.as_slice()) {
        (Value::Null, _) => "-".to_owned(),
        (_, []) => "all play".to_owned(),
        _ => others.join(", "),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.1}", number.as_f64().unwrap_or(0.0))
        }
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" : "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;

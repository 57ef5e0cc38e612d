//! The rows that a run gives, and the tables that are made of them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{measure::Comparison, tape::TapeCost, writes::Writes};

/// One operation in one group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) library: String,
    pub(crate) anchor: String,
    pub(crate) storage: String,
    pub(crate) members: usize,
    pub(crate) tree: String,
    #[serde(flatten)]
    pub(crate) compared: Comparison,
    /// What was written to the disk; only where it was counted.
    pub(crate) writes: Option<BothWrites>,
}

/// What each side wrote.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct BothWrites {
    pub(crate) ordinary: Writes,
    pub(crate) paired: Writes,
}

/// All that one run has measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) tape: Vec<TapeCost>,
}

impl Report {
    /// Tables in Markdown: a ratio below 1 means that paired takes less.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let mut places: Vec<(&str, &str, &str)> = Vec::new();
        for row in &self.rows {
            let place = (row.anchor.as_str(), row.storage.as_str(), row.tree.as_str());
            if !places.contains(&place) {
                places.push(place);
            }
        }
        for (anchor, storage, tree) in places {
            let rows = self.rows.iter().filter(|row| {
                (row.anchor.as_str(), row.storage.as_str(), row.tree.as_str())
                    == (anchor, storage, tree)
            });
            // Writing to a String does not fail.
            let _ = writeln!(text, "{anchor} anchor, {storage}, {tree} tree\n");
            table(&mut text, rows);
        }
        if !self.tape.is_empty() {
            text.push_str("| tape operation | median | quartiles |\n|---|---:|---:|\n");
        }
        for cost in &self.tape {
            let _ = writeln!(
                text,
                "| {} | {:.1} µs | {:.1} to {:.1} µs |",
                cost.operation, cost.median_us, cost.q1_us, cost.q3_us
            );
        }
        text
    }
}

fn table<'a>(text: &mut String, rows: impl Iterator<Item = &'a Row>) {
    text.push_str("| members | operation | ordinary | paired | ratio | quartiles | in wall time |");
    text.push_str(" fsyncs | bytes written |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for row in rows {
        let compared = &row.compared;
        let _ = write!(
            text,
            "| {} | {} | {:.0} µs | {:.0} µs | {:.2} | {:.2} to {:.2} | {:.2} |",
            row.members,
            compared.operation,
            compared.ordinary_us,
            compared.paired_us,
            compared.ratio,
            compared.q1,
            compared.q3,
            compared.wall_ratio,
        );
        match row.writes {
            None => text.push_str(" | |\n"),
            Some(BothWrites { ordinary, paired }) => {
                let _ = writeln!(
                    text,
                    " {} / {} | {} / {} |",
                    paired.fsyncs, ordinary.fsyncs, paired.bytes, ordinary.bytes
                );
            }
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let compared = Comparison {
            operation: "commit".into(),
            rounds: 3,
            ratio: 0.98,
            q1: 0.9,
            q3: 1.1,
            wall_ratio: 1.01,
            ordinary_us: 100.0,
            paired_us: 98.0,
        };
        let row = |storage: &str, writes| Row {
            library: "openmls".into(),
            anchor: "node".into(),
            storage: storage.into(),
            members: 10,
            tree: "full".into(),
            compared: compared.clone(),
            writes,
        };
        let writes = BothWrites {
            ordinary: Writes { fsyncs: 44, bytes: 5000 },
            paired: Writes { fsyncs: 9, bytes: 6000 },
        };
        Report {
            rows: vec![row("memory", None), row("sqlite, plain vault", Some(writes))],
            tape: vec![],
        }
    }

    #[test]
    fn each_storage_has_a_table() {
        let tables = report().tables();
        assert!(tables.contains("node anchor, memory, full tree"), "{tables}");
        let line = "| 10 | commit | 100 µs | 98 µs | 0.98 | 0.90 to 1.10 | 1.01 |";
        assert!(tables.contains(&format!("{line} | |\n")), "{tables}");
        assert!(tables.contains(&format!("{line} 9 / 44 | 6000 / 5000 |\n")), "{tables}");
    }

    #[test]
    fn a_report_is_read_back() {
        let json = serde_json::to_string(&report()).expect("it is written");
        let back: Report = serde_json::from_str(&json).expect("it is read");
        assert_eq!(back.tables(), report().tables());
        assert!(json.contains(r#""ratio":0.98"#), "the row is flat: {json}");
    }
}

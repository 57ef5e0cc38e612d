//! The table that is printed at the end, from criterion's own estimates.

use std::{fs, path::PathBuf};

use crate::Failure;

/// The lengths of the two commits in a group of one size.
pub(crate) struct Row {
    pub(crate) size: usize,
    pub(crate) ordinary: usize,
    pub(crate) paired: usize,
}

pub(crate) fn print(rows: &[Row]) -> Result<(), Failure> {
    println!("\nmedians of this run; a ratio below 1 means that paired is faster\n");
    println!("| members | what | ordinary | paired | ratio |");
    println!("|---:|---|---:|---:|---:|");
    for row in rows {
        for what in ["commit", "process"] {
            let ordinary = median(&[what, "ordinary", &row.size.to_string()])?;
            let paired = median(&[what, "paired", &row.size.to_string()])?;
            let name = if what == "commit" { "commit (active)" } else { "process (passive)" };
            println!(
                "| {} | {name} | {:.3} ms | {:.3} ms | {:.2} |",
                row.size,
                ordinary / 1e6,
                paired / 1e6,
                paired / ordinary
            );
        }
        println!(
            "| {} | length | {} bytes | {} bytes | {:.2} |",
            row.size,
            row.ordinary,
            row.paired,
            row.paired as f64 / row.ordinary as f64
        );
    }
    println!("\n| tape operation | median |\n|---|---:|");
    for (name, folder) in [("draw", "draw"), ("claim and settle", "claim and settle")] {
        println!("| {name} | {:.1} µs |", median(&["tape", folder])? / 1e3);
    }
    Ok(())
}

/// Criterion's median of one benchmark, in nanoseconds.
fn median(path: &[&str]) -> Result<f64, Failure> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let mut file = PathBuf::from(target).join("criterion");
    file.extend(path);
    file.push("new/estimates.json");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let estimates: serde_json::Value = serde_json::from_str(&text)?;
    let median = estimates.pointer("/median/point_estimate").and_then(|value| value.as_f64());
    Ok(median.ok_or("criterion's estimates have no median")?)
}

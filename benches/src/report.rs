//! Numbers for people and for machines.

use std::fmt::Write as _;

/// One comparison.
pub struct Row {
    /// What was measured: `seal` or `open`.
    pub name: &'static str,
    /// Bytes of inner packet.
    pub bytes: usize,
    /// Nanoseconds per packet through the core.
    pub core_ns: f64,
    /// Nanoseconds per packet of the cipher alone.
    pub bare_ns: f64,
    /// Nanoseconds per packet that the core adds: median of the rounds' differences.
    pub added_ns: f64,
    /// The core's time divided by the cipher's: median of the rounds' ratios.
    pub ratio: f64,
    /// Middle half of the rounds' ratios.
    pub quartiles: (f64, f64),
    /// What the ratio must not exceed.
    pub limit: f64,
}

/// All comparisons and how they were made.
pub struct Report {
    /// In one line.
    pub method: String,
    /// In order.
    pub rows: Vec<Row>,
}

impl Report {
    /// A table.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.method);
        text.push_str("        bytes   core ns   bare ns     added     ratio   (middle half)   limit\n");
        for row in &self.rows {
            let verdict = if row.ratio > row.limit { "  EXCEEDED" } else { "" };
            let (low, high) = row.quartiles;
            let _ = writeln!(
                text,
                "{:<6} {:>6} {:>9.1} {:>9.1} {:>9.1} {:>9.3}   {low:.3} - {high:.3}   {:>5.2}{verdict}",
                row.name, row.bytes, row.core_ns, row.bare_ns, row.added_ns, row.ratio, row.limit
            );
        }
        text
    }

    /// A JSON object. No string in it needs escaping.
    pub fn json(&self) -> String {
        let mut text = format!("{{\"method\":\"{}\",\"rows\":[", self.method);
        for (place, row) in self.rows.iter().enumerate() {
            let (low, high) = row.quartiles;
            let _ = write!(
                text,
                "{}{{\"name\":\"{}\",\"bytes\":{},\"core_ns\":{:.2},\"bare_ns\":{:.2},\"added_ns\":{:.2},\"ratio\":{:.4},\
                 \"ratio_q1\":{low:.4},\"ratio_q3\":{high:.4},\"limit\":{:.2}}}",
                if place == 0 { "" } else { "," },
                row.name,
                row.bytes,
                row.core_ns,
                row.bare_ns,
                row.added_ns,
                row.ratio,
                row.limit
            );
        }
        text.push_str("]}");
        text
    }
}

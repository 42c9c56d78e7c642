//! Tables, sizes and times as the `recordings` commands print them.

use jiff::{SignedDuration, Timestamp};

pub(super) use crate::report::text::count;

/// Rows below each other; all columns but the last as wide as needed, those in `right` aligned to the right.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `812 B`, `1.2 kB`, `36.0 MB`.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let shown = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..999_950 => format!("{:.1} kB", shown / 1e3),
        999_950..999_950_000 => format!("{:.1} MB", shown / 1e6),
        _ => format!("{:.1} GB", shown / 1e9),
    }
}

/// How long ago a time was: `4s`, `3m`, `12h`, `5d`; empty for what is no time.
pub(super) fn age(then: &str, now: Timestamp) -> String {
    let Ok(then) = then.parse::<Timestamp>() else { return String::new() };
    let seconds = now.duration_since(then).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The moment that `--since` means: a time, a date (UTC), or so long before `now`.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    for (unit, seconds) in units {
        if let Some(number) = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok()) {
            return Ok(now - SignedDuration::from_secs(i64::from(number) * seconds));
        }
    }
    let date = || format!("{text}T00:00:00Z").parse::<Timestamp>();
    let parsed = text.parse::<Timestamp>().or_else(|_| date());
    parsed.map_err(|_| format!("--since {text}: write 7d, 12h, 2025-11-01 or 2025-11-01T08:00:00Z"))
}

/// `1 file`, `2 files`.
pub(super) fn files(n: usize) -> String {
    count(n, "file")
}

/// Pretty JSON for `--format json`.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Every line moved right by two spaces for each level.
pub(super) fn indented(text: &str, levels: usize) -> String {
    let indent = "  ".repeat(levels);
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{indent}{line}") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let rows = [["a", "10", "x"], ["bcd", "1", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, &[1]), "a    10  x\nbcd   1");
    }

    #[test]
    fn sizes_and_ages() {
        let sizes = [
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (36_000_000, "36.0 MB"),
        ];
        sizes.iter().for_each(|(bytes, shown)| assert_eq!(size(*bytes), *shown));
        let now: Timestamp = "2025-11-03T12:00:00Z".parse().unwrap();
        let ages = [
            ("2025-11-03T11:59:56.5Z", "3s"),
            ("2025-11-03T11:30:00Z", "30m"),
            ("2025-11-02T00:00:00Z", "36h"),
            ("2025-10-31T12:00:00Z", "3d"),
            ("2025-11-03T12:00:01Z", "0s"),
            ("never", ""),
        ];
        ages.iter().for_each(|(then, shown)| assert_eq!(age(then, now), *shown));
    }

    #[test]
    fn since_takes_lengths_dates_and_times() {
        let now: Timestamp = "2025-11-03T12:00:00Z".parse().unwrap();
        let cases = [
            ("7d", "2025-10-27T12:00:00Z"),
            ("90m", "2025-11-03T10:30:00Z"),
            ("2025-11-01", "2025-11-01T00:00:00Z"),
            ("2025-11-01T08:00:00Z", "2025-11-01T08:00:00Z"),
        ];
        cases.iter().for_each(|(text, at)| assert_eq!(since(text, now), Ok(at.parse().unwrap())));
        assert!(since("yesterday", now).is_err());
    }
}

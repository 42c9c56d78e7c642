//! `recordings prune`.

use serde_json::json;

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, PruneArgs, Refused, read_run};
use super::recordings_text::{files, indented, json as pretty, size};
use crate::record::prune::{delete, prune as plan};

pub(super) fn prune(desk: &Desk, args: &PruneArgs) -> Result<ExitStatus, Refused> {
    let dir = desk.opened()?;
    let runs = args.run.iter().map(|run| read_run(run)).collect::<Result<Vec<_>, _>>()?;
    let found = plan(dir, &runs);
    if args.delete && !found.objections.is_empty() && !args.force {
        return Err(format!(
            "nothing was deleted, for what was not used may still be needed:\n{}\n--force deletes all the same",
            indented(&found.objections.join("\n"), 1)
        ));
    }
    let mut deleted = Vec::new();
    if args.delete {
        for (file, _) in &found.unused {
            delete(dir, file).map_err(|error| {
                format!("cannot delete {file}: {error} ({} deleted before it)", files(deleted.len()))
            })?;
            deleted.push(file);
        }
    }
    if desk.format == ListFormat::Json {
        let unused: Vec<_> =
            found.unused.iter().map(|(file, bytes)| json!({"file": file, "size": bytes})).collect();
        let shown = json!({"deleted": args.delete, "unused": unused, "bytes": found.bytes(), "kept": found.kept,
            "objections": found.objections});
        anstream::println!("{}", pretty(&shown));
    } else {
        for (file, bytes) in &found.unused {
            anstream::println!("{file}  {}", size(*bytes));
        }
        let done = if args.delete { "deleted" } else { "not used (--delete removes them)" };
        let sum = format!("{}, {} {done}", files(found.unused.len()), size(found.bytes()));
        anstream::println!("{sum}; {} used", files(found.kept));
        for objection in found.objections.iter().filter(|_| !args.delete) {
            anstream::eprintln!("warning: {objection}");
        }
    }
    Ok(ExitStatus::Passed)
}

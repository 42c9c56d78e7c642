//! From the files of a contract to what answers are held against.

use crate::check::{Contract, Endpoint};
use crate::schema::ContractFile;
use crate::source::Problems;

/// One contract of all files. An endpoint that is none, or that is there twice, is a problem.
pub fn contract(files: Vec<ContractFile>, problems: &mut Problems) -> Contract {
    let mut contract = Contract::default();
    for file in files {
        for (name, shapes) in file.endpoints.0 {
            let added = contract.add(Endpoint {
                name: name.value.clone(),
                place: name.span.file_line(),
                answer: shapes.answer,
                events: shapes.events,
                error: file.error.clone(),
            });
            if let Err(message) = added {
                problems
                    .push(name.problem(format!("`{}` cannot be in the contract", name.value)).help(message));
            }
        }
    }
    contract
}

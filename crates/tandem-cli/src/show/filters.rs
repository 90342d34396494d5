//! `tandem show filters`: conv1's weights, figure 3 of the paper.

use anyhow::Result;
use tandem_alexnet::weights::Weights;

use super::save;
use crate::args::Filters;
use crate::failure::Failure;
use crate::output::print;
use crate::report::filters::{Conv1, draw};
use crate::weights::Found;

pub fn run(args: &Filters) -> Result<()> {
    let Found { file, weights, .. } = Found::read(&args.run)?;
    let Weights {
        spec, parameters, ..
    } = weights;
    let conv1 = Conv1::of(&spec, &parameters)?.ok_or_else(|| {
        let first = spec.label(0);
        Failure::failed(
            format!(
                "{}: {first} is no convolution and has no filters",
                file.display()
            ),
            "`tandem show activations --layer` shows what any layer gives",
        )
    })?;
    save(&draw(&conv1)?, &args.out)?;
    print(&format!("{}\n", args.out.path().display()))
}

//! `tandem eval`: a network's error on the test pictures.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;
use tandem_alexnet::weights::Weights;

use crate::args::Eval;
use crate::failure::Failure;
use crate::report::table::grouped;
use crate::weights;

/// The result, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Evaluated {
    /// Test pictures measured.
    images: u64,
    /// Share of pictures whose class is not the likeliest, 0 to 1.
    top1_error: f64,
    /// Share of pictures whose class is not among the five likeliest, 0 to 1.
    top5_error: f64,
    /// Mean negative log-likelihood of the classes.
    loss: f64,
}

pub fn run(args: &Eval) -> Result<()> {
    let weights = Weights::read(&weights::file(&args.weights)?)?;
    let evaluated = evaluate(args, &weights)?;
    let text = if args.json {
        serde_json::to_string(&evaluated)? + "\n"
    } else {
        evaluated.words()
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn evaluate(_args: &Eval, weights: &Weights) -> Result<Evaluated> {
    let what = format!(
        "measuring the error of {} is not there yet",
        weights.spec.name
    );
    Err(Failure::failed(what, "the weights were read and fit their network").into())
}

impl Evaluated {
    fn words(&self) -> String {
        format!(
            "top-1 error  {:.2} %\ntop-5 error  {:.2} %\nloss         {:.4}\nimages       {}\n",
            100.0 * self.top1_error,
            100.0 * self.top5_error,
            self.loss,
            grouped(self.images)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_reads_as_percentages_and_as_the_contract_s_json() {
        let evaluated = Evaluated {
            images: 1000,
            top1_error: 0.125,
            top5_error: 0.004,
            loss: 0.35,
        };
        assert_eq!(
            serde_json::to_string(&evaluated).unwrap(),
            r#"{"images":1000,"top1_error":0.125,"top5_error":0.004,"loss":0.35}"#
        );
        assert_eq!(
            evaluated.words(),
            "top-1 error  12.50 %\ntop-5 error  0.40 %\nloss         0.3500\nimages       1,000\n"
        );
    }
}

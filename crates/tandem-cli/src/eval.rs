//! `tandem eval`: a network's error on the test pictures.

use anyhow::Result;
use tandem_alexnet::evaluation::{Evaluation, evaluate};
use tandem_alexnet::trained::Trained;
use tandem_data::Part;

use crate::args::Eval;
use crate::output::print;
use crate::pictures::{at_test, check_classes, left_out, prepare};
use crate::report::table::grouped;
use crate::weights::Found;

pub fn run(args: &Eval) -> Result<()> {
    let Found { file, weights, .. } = Found::read(&args.weights)?;
    let Trained {
        network,
        classes,
        normalise,
        ..
    } = Trained::new(weights, &file, &args.devices)?;
    let pictures = prepare(&args.data, Part::Validation, network.spec())?;
    check_classes(&classes, &file, pictures.classes(), &args.data)?;
    let list = left_out(&[("test", &pictures)]);
    if !list.is_empty() {
        tracing::warn!(
            "these pictures do not decode and are left out:\n{}",
            list.trim_end()
        );
    }
    let options = at_test(args.batch);
    let evaluation = evaluate(&network, &pictures, &normalise, args.views.into(), options)?;
    let text = if args.json {
        serde_json::to_string(&evaluation)? + "\n"
    } else {
        words(&evaluation)
    };
    print(&text)
}

fn words(evaluation: &Evaluation) -> String {
    format!(
        "top-1 error  {:.2} %\ntop-5 error  {:.2} %\nloss         {:.4}\nimages       {}\n",
        100.0 * evaluation.top1_error,
        100.0 * evaluation.top5_error,
        evaluation.loss,
        grouped(evaluation.images as u64)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_reads_as_percentages_and_as_the_contract_s_json() {
        let evaluation = Evaluation {
            images: 1000,
            top1_error: 0.125,
            top5_error: 0.004,
            loss: 0.35,
        };
        assert_eq!(
            serde_json::to_string(&evaluation).unwrap(),
            r#"{"images":1000,"top1_error":0.125,"top5_error":0.004,"loss":0.35}"#
        );
        assert_eq!(
            words(&evaluation),
            "top-1 error  12.50 %\ntop-5 error  0.40 %\nloss         0.3500\nimages       1,000\n"
        );
    }
}

use crate::common::{
    Fixture, assert_golden, assert_near, assert_same_for_any_threads, noise, places, values,
};
use candle_core::{DType, Device, Tensor};
use tandem_ops::sgd::{Sgd, SgdRule};

#[test]
fn the_papers_rule_matches_across_a_change_of_rate() {
    let f = Fixture::read("sgd");
    let rates: Vec<f64> = serde_json::from_value(f.value("learning_rates")).unwrap();
    for place in &places() {
        let t = |name: String| f.tensor(&name, place);
        let w = t("w0".into());
        let w = w.to_device(&Device::Cpu).unwrap();
        let slab = Tensor::stack(&[&w, &w.zeros_like().unwrap()], 0).unwrap();
        let slab = slab.to_device(&place.device).unwrap();
        for (i, rate) in (1..).zip(&rates) {
            let sgd = Sgd::new(
                SgdRule::Paper,
                *rate,
                f.number("momentum"),
                f.number("weight_decay"),
            );
            slab.inplace_op2(&t(format!("g{i}")), &sgd.unwrap())
                .unwrap();
            assert_golden(&format!("w{i}"), &slab.get(0).unwrap(), &t(format!("w{i}")));
            assert_golden(&format!("v{i}"), &slab.get(1).unwrap(), &t(format!("v{i}")));
        }
    }
}

/// Golden values:
///
/// ```python
/// w = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
/// opt = torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01)
/// for lr, g in ((0.1, [0.5, 1.0]), (0.1, [-1.0, 0.25]), (0.01, [2.0, 2.0])):
///     opt.param_groups[0]["lr"] = lr; w.grad = torch.tensor(g, dtype=torch.float64); opt.step()
/// ```
#[test]
fn pytorchs_rule_matches_across_a_change_of_rate() {
    let slab = Tensor::new(&[[1.0f64, -2.0], [0.0, 0.0]], &Device::Cpu).unwrap();
    for (rate, gradient) in [
        (0.1, [0.5f64, 1.0]),
        (0.1, [-1.0, 0.25]),
        (0.01, [2.0, 2.0]),
    ] {
        let sgd = Sgd::new(SgdRule::Pytorch, rate, 0.9, 0.01).unwrap();
        slab.inplace_op2(&Tensor::new(&gradient, &Device::Cpu).unwrap(), &sgd)
            .unwrap();
    }
    let got = values(&slab.get(0).unwrap());
    assert_near("w", &got, &PYTORCH, 1e-12, 0.0);
}

const PYTORCH: [f64; 2] = [0.9868343749, -2.2388802697999997];

#[test]
fn a_slab_that_is_not_of_the_gradients_shape_is_refused() {
    let slab = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let gradient = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    let sgd = Sgd::new(SgdRule::Paper, 0.1, 0.9, 0.0).unwrap();
    let error = slab.inplace_op2(&gradient, &sgd).unwrap_err().to_string();
    assert!(error.contains("slab [2, 3], gradient [2]"), "{error}");
    assert!(Sgd::new(SgdRule::Paper, f64::NAN, 0.9, 0.0).is_err());
}

#[test]
fn a_view_of_the_weights_sees_the_step() {
    let slab = Tensor::new(&[[1f64, 2.0], [0.0, 0.0]], &Device::Cpu).unwrap();
    let weights = slab.get(0).unwrap();
    let gradient = Tensor::new(&[1f64, -1.0], &Device::Cpu).unwrap();
    let sgd = Sgd::new(SgdRule::Paper, 0.5, 0.9, 0.0).unwrap();
    slab.inplace_op2(&gradient, &sgd).unwrap();
    assert_eq!(values(&weights), [0.5, 2.5]);
}

#[test]
fn offsets_are_honoured_and_neighbours_left_alone() {
    let sgd = Sgd::new(SgdRule::Pytorch, 0.1, 0.9, 0.01).unwrap();
    let all = noise(1, &[4, 6]);
    let before = values(&all);
    let gradients = noise(2, &[3, 6]);
    let gradient = gradients.get(2).unwrap();
    let alone = all.narrow(0, 1, 2).unwrap().copy().unwrap();
    alone.inplace_op2(&gradient.copy().unwrap(), &sgd).unwrap();
    let slab = all.narrow(0, 1, 2).unwrap();
    slab.inplace_op2(&gradient, &sgd).unwrap();
    assert_eq!(values(&slab), values(&alone));
    let after = values(&all);
    assert_eq!((&after[..6], &after[18..]), (&before[..6], &before[18..]));
}

/// 150,000 values are three blocks.
#[test]
fn both_rules_hold_over_many_blocks_and_any_number_of_threads() {
    let (start, gradient) = (noise(1, &[2, 150_000]), noise(2, &[150_000]));
    let (w, v) = (
        values(&start.get(0).unwrap()),
        values(&start.get(1).unwrap()),
    );
    for rule in [SgdRule::Paper, SgdRule::Pytorch] {
        let sgd = Sgd::new(rule, 0.1, 0.9, 0.01).unwrap();
        let step = || {
            let slab = start.copy().unwrap();
            slab.inplace_op2(&gradient, &sgd).unwrap();
            vec![slab]
        };
        let (new_w, new_v): (Vec<f64>, Vec<f64>) = (w.iter().zip(&v).zip(values(&gradient)))
            .map(|((w, v), g)| match rule {
                SgdRule::Paper => {
                    let v = 0.9 * v - 0.01 * 0.1 * w - 0.1 * g;
                    (w + v, v)
                }
                SgdRule::Pytorch => {
                    let v = 0.9 * v + 0.01 * w + g;
                    (w - 0.1 * v, v)
                }
            })
            .unzip();
        assert_near(
            "slab",
            &values(&step()[0]),
            &[new_w, new_v].concat(),
            1e-14,
            1e-14,
        );
        assert_same_for_any_threads(step);
    }
}

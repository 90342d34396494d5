use crate::common::{Fixture, assert_golden, check_gradient, noise};
use candle_core::{CustomOp2, DType, Device, Tensor};
use tandem_ops::softmax_nll::{SoftmaxNll, softmax};

#[test]
fn loss_gradient_and_probabilities_match_pytorch() {
    let f = Fixture::read("softmax-nll");
    for dtype in [DType::F32, DType::F64] {
        let z = f.tensor("logits", dtype);
        let labels = f.tensor("labels", DType::U32);
        let loss = SoftmaxNll.forward(&z, &labels).unwrap();
        assert_golden("loss", &loss, &f.tensor("loss", dtype));
        let (dz, none) = SoftmaxNll
            .bwd(&z, &labels, &loss, &loss.ones_like().unwrap())
            .unwrap();
        assert_golden("dlogits", &dz.unwrap(), &f.tensor("dlogits", dtype));
        assert!(none.is_none());
        assert_golden(
            "probabilities",
            &softmax(&z).unwrap(),
            &f.tensor("probabilities", dtype),
        );
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    let z = noise(1, &[3, 5]);
    let labels = Tensor::new(&[0u32, 4, 2], &Device::Cpu).unwrap();
    let loss = SoftmaxNll.forward(&z, &labels).unwrap();
    let dloss = Tensor::new(1.5f64, &Device::Cpu).unwrap();
    let (dz, _) = SoftmaxNll.bwd(&z, &labels, &loss, &dloss).unwrap();
    check_gradient("z", &z, &dloss, &dz.unwrap(), |z| {
        SoftmaxNll.forward(z, &labels)
    });
}

#[test]
fn a_label_beyond_the_classes_is_named_with_its_row() {
    let labels = Tensor::new(&[0u32, 5, 2], &Device::Cpu).unwrap();
    let error = SoftmaxNll
        .forward(&noise(1, &[3, 5]), &labels)
        .unwrap_err()
        .to_string();
    assert!(error.contains("label 5 of row 1"), "{error}");
}

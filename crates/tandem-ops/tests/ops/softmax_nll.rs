use crate::common::{
    Fixture, assert_golden, assert_near, check_gradient, noise, places, scattered, values,
};
use candle_core::{CustomOp2, Device, Tensor};
use tandem_ops::softmax_nll::{SoftmaxNll, softmax};

#[test]
fn loss_gradient_and_probabilities_match_pytorch() {
    let f = Fixture::read("softmax-nll");
    for place in &places() {
        let z = f.tensor("logits", place);
        let labels = f.labels("labels", place);
        let loss = SoftmaxNll.forward(&z, &labels).unwrap();
        assert_golden("loss", &loss, &f.tensor("loss", place));
        let one = Tensor::ones((), place.dtype, &Device::Cpu).unwrap();
        let one = one.to_device(&place.device).unwrap();
        let (dz, none) = SoftmaxNll.bwd(&z, &labels, &loss, &one).unwrap();
        assert_golden("dlogits", &dz.unwrap(), &f.tensor("dlogits", place));
        assert!(none.is_none());
        assert_golden(
            "probabilities",
            &softmax(&z).unwrap(),
            &f.tensor("probabilities", place),
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

#[test]
fn a_class_ruled_out_by_minus_infinity_has_probability_zero() {
    // The first class: the running maximum must not start as infinity minus infinity.
    let z = Tensor::new(&[[f64::NEG_INFINITY, 1.0, 1.0]], &Device::Cpu).unwrap();
    assert_near(
        "p",
        &values(&softmax(&z).unwrap()),
        &[0.0, 0.5, 0.5],
        1e-15,
        0.0,
    );
    let labels = Tensor::new(&[2u32], &Device::Cpu).unwrap();
    let loss = SoftmaxNll.forward(&z, &labels).unwrap();
    assert_near("loss", &values(&loss), &[2f64.ln()], 1e-15, 0.0);
    let (dz, _) = SoftmaxNll
        .bwd(&z, &labels, &loss, &loss.ones_like().unwrap())
        .unwrap();
    assert_near("dz", &values(&dz.unwrap()), &[0.0, 0.5, -0.5], 1e-15, 0.0);
}

#[test]
fn a_nan_among_the_logits_shows_in_the_loss() {
    for place in 0..3 {
        let mut z = vec![1f32; 3];
        z[place] = f32::NAN;
        let z = Tensor::from_vec(z, (1, 3), &Device::Cpu).unwrap();
        let labels = Tensor::new(&[0u32], &Device::Cpu).unwrap();
        let loss = SoftmaxNll.forward(&z, &labels).unwrap();
        assert!(values(&loss)[0].is_nan(), "NaN at {place} was lost");
    }
}

#[test]
fn the_layout_of_its_inputs_does_not_matter() {
    let z = noise(1, &[3, 5]);
    let labels = Tensor::new(&[9u32, 0, 4, 2], &Device::Cpu).unwrap();
    let labels = labels.narrow(0, 1, 3).unwrap();
    let run = |z: &Tensor, labels: &Tensor| {
        let loss = SoftmaxNll.forward(z, labels).unwrap();
        let (dz, _) = SoftmaxNll.bwd(z, labels, &loss, &loss).unwrap();
        (
            values(&loss),
            values(&dz.unwrap()),
            values(&softmax(z).unwrap()),
        )
    };
    let fresh = Tensor::new(&[0u32, 4, 2], &Device::Cpu).unwrap();
    assert_eq!(run(&scattered(&z), &labels), run(&z, &fresh));
}

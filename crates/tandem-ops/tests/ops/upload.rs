//! Tensors of the host arrive on the GPU as they are, in whichever order of sizes.

use candle_core::{DType, Device, Tensor};
use tandem_ops::upload::Upload;

use crate::common::gpu;

#[test]
fn what_is_sent_arrives_also_when_it_grows_shrinks_and_is_a_view() {
    let upload = Upload::to(&gpu()).unwrap();
    let mut sent = Vec::new();
    for (step, len) in [5usize, 3, 70_000, 1, 12, 70_001].into_iter().enumerate() {
        let values = (0..2 * len).map(|i| ((i + step) % 251) as u32).collect();
        let all = Tensor::from_vec::<_, u32>(values, (len, 2), &Device::Cpu).unwrap();
        for dtype in [DType::U8, DType::U32, DType::F32] {
            // A column: its elements are not side by side.
            let column = all.to_dtype(dtype).unwrap().narrow(1, 1, 1).unwrap();
            sent.push((upload.tensor(&column).unwrap(), column));
        }
    }
    // Only now, so that no copy may have been made into memory that a later one reused.
    for (got, want) in sent {
        assert!(got.device().same_device(&gpu()) && got.dtype() == want.dtype());
        assert_eq!(got.dims(), want.dims());
        let values = |tensor: &Tensor| {
            let flat = tensor.flatten_all().unwrap().to_dtype(DType::U32).unwrap();
            flat.to_vec1::<u32>().unwrap()
        };
        assert_eq!(values(&got), values(&want));
    }
}

#[test]
fn what_no_step_sends_is_refused_by_name() {
    let doubles = Tensor::zeros(3, DType::F64, &Device::Cpu).unwrap();
    let refused = Upload::to(&gpu()).unwrap().tensor(&doubles).unwrap_err();
    assert!(refused.to_string().contains("upload"), "{refused}");
}

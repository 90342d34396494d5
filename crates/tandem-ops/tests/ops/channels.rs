//! A part of the channels is candle's own view of them, copied.

use candle_core::{DType, Tensor};
use tandem_ops::channels;

use crate::common::{gpu, values};

#[test]
fn the_gpus_copy_is_the_view_in_each_type_and_from_an_offset() {
    for shape in [&[3usize, 6, 5, 7][..], &[4, 6], &[1, 6, 2, 2]] {
        let count = shape.iter().product::<usize>() as f32;
        let all = Tensor::arange(0f32, 2.0 * count, &gpu()).unwrap();
        // The second half of a larger buffer.
        let x = all.narrow(0, count as usize, count as usize).unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let x = x.reshape(shape).unwrap().to_dtype(dtype).unwrap();
            for (start, len) in [(0, 3), (3, 3), (1, 4), (0, 6)] {
                let got = channels::part(&x, start, len).unwrap();
                let want = x.narrow(1, start, len).unwrap();
                assert!(got.is_contiguous() && got.dtype() == dtype);
                assert_eq!(got.dims(), want.dims());
                assert_eq!(values(&got), values(&want));
            }
        }
    }
}

//! Softmax and the negative log-likelihood of the right class, the mean over the batch.
//!
//! `loss = 1/N Σ_n (log Σ_c exp z[n, c] − z[n, label_n])`. Maximum and sum are found in one pass
//! over the logits, rescaling the sum when the maximum grows, so nothing overflows.
//! Shapes: logits `(N, C)`, labels u32 `(N,)`, loss `()`. The paper's Section 3.5: multinomial
//! logistic regression.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::{slice, with_cpu};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

/// The loss.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftmaxNll;

impl SoftmaxNll {
    pub fn forward(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        logits.contiguous()?.apply_op2(&labels.contiguous()?, *self)
    }
}

/// Maximum of a row and the sum of `exp(z − maximum)`, in one pass.
fn max_and_sum<T: Real>(row: &[T]) -> (T, T) {
    let mut max = row[0];
    let mut sum = T::ZERO;
    for z in row {
        if *z > max {
            sum *= (max - *z).exp();
            max = *z;
        }
        // A class ruled out by −∞ adds nothing, and −∞ − −∞ would be NaN while it is the maximum.
        if *z != T::from_f64(f64::NEG_INFINITY) {
            sum += (*z - max).exp();
        }
    }
    (max, sum)
}

/// Probabilities `(N, C)` of logits `(N, C)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use tandem_ops::softmax_nll::softmax;
///
/// let p = softmax(&Tensor::new(&[[300f32, 300.0]], &Device::Cpu)?)?;
/// assert_eq!(p.to_vec2::<f32>()?, [[0.5, 0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    let (n, c) = logits.dims2()?;
    if c == 0 {
        let dims = format!("{:?}", logits.dims());
        return Err(OpError::shape("softmax", "there must be a class", dims).into());
    }
    let logits = logits.contiguous()?;
    fn rows<T: Real>(z: &[T], c: usize) -> Vec<T> {
        z.chunks_exact(c)
            .flat_map(|row| {
                let (max, sum) = max_and_sum(row);
                row.iter().map(move |z| (*z - max).exp() / sum)
            })
            .collect()
    }
    match logits.dtype() {
        DType::F32 => with_cpu::<f32, _>(&[Some(&logits)], |z| {
            Tensor::from_vec(rows(z[0], c), (n, c), logits.device())
        }),
        DType::F64 => with_cpu::<f64, _>(&[Some(&logits)], |z| {
            Tensor::from_vec(rows(z[0], c), (n, c), logits.device())
        }),
        other => Err(OpError::dtype("softmax", other).into()),
    }
}

fn loss<T: Real>(z: &[T], labels: &[u32], classes: usize) -> Result<T> {
    let mut total = T::ZERO;
    for (row, (z, label)) in z.chunks_exact(classes).zip(labels).enumerate() {
        let Some(right) = z.get(*label as usize) else {
            return Err(OpError::Label {
                op: "softmax-nll",
                row,
                label: *label,
                classes,
            }
            .into());
        };
        let (max, sum) = max_and_sum(z);
        total += sum.ln() + max - *right;
    }
    Ok(total / T::from_f64(labels.len() as f64))
}

impl CustomOp2 for SoftmaxNll {
    fn name(&self) -> &'static str {
        "softmax-nll"
    }

    fn cpu_fwd(
        &self,
        z: &CpuStorage,
        zl: &Layout,
        labels: &CpuStorage,
        ll: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (&[n, classes], &[rows]) = (zl.dims(), ll.dims()) else {
            let shapes = format!("logits {:?}, labels {:?}", zl.dims(), ll.dims());
            return Err(OpError::shape("softmax-nll", "logits (N, C), labels (N,)", shapes).into());
        };
        if n != rows || n == 0 || classes == 0 {
            let shapes = format!("logits {:?}, labels {:?}", zl.dims(), ll.dims());
            return Err(OpError::shape("softmax-nll", "one label a row", shapes).into());
        }
        let Some((start, end)) = ll.contiguous_offsets() else {
            return Err(OpError::shape(
                "softmax-nll",
                "labels must be contiguous",
                format!("{ll:?}"),
            )
            .into());
        };
        let labels = &labels.as_slice::<u32>()?[start..end];
        let loss = match z {
            CpuStorage::F32(_) => {
                CpuStorage::F32(vec![loss(slice::<f32>(z, zl)?, labels, classes)?])
            }
            CpuStorage::F64(_) => {
                CpuStorage::F64(vec![loss(slice::<f64>(z, zl)?, labels, classes)?])
            }
            other => return Err(OpError::dtype("softmax-nll", other.dtype()).into()),
        };
        Ok((loss, Shape::from(())))
    }

    /// `dz = (softmax(z) − onehot(label)) / N · dloss`.
    fn bwd(
        &self,
        z: &Tensor,
        labels: &Tensor,
        _loss: &Tensor,
        dloss: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, classes) = z.dims2()?;
        let z = z.contiguous()?;
        let labels = labels.to_vec1::<u32>()?;
        let scale = dloss.to_dtype(DType::F64)?.to_scalar::<f64>()? / n as f64;
        fn gradient<T: Real>(z: &[T], labels: &[u32], classes: usize, scale: T) -> Vec<T> {
            let mut dz = Vec::with_capacity(z.len());
            for (z, label) in z.chunks_exact(classes).zip(labels) {
                let (max, sum) = max_and_sum(z);
                let first = dz.len();
                dz.extend(z.iter().map(|z| (*z - max).exp() / sum * scale));
                dz[first + *label as usize] -= scale;
            }
            dz
        }
        let dz = match z.dtype() {
            DType::F32 => with_cpu::<f32, _>(&[Some(&z)], |t| {
                Tensor::from_vec(
                    gradient(t[0], &labels, classes, scale as f32),
                    (n, classes),
                    z.device(),
                )
            })?,
            DType::F64 => with_cpu::<f64, _>(&[Some(&z)], |t| {
                Tensor::from_vec(
                    gradient(t[0], &labels, classes, scale),
                    (n, classes),
                    z.device(),
                )
            })?,
            other => return Err(OpError::dtype("softmax-nll", other).into()),
        };
        Ok((Some(dz), None))
    }
}

//! Softmax and the negative log-likelihood of the right class, the mean over the batch.
//!
//! `loss = 1/N Σ_n (log Σ_c exp z[n, c] − z[n, label_n])`. Maximum and sum are found in one pass
//! over the logits, rescaling the sum when the maximum grows, so nothing overflows.
//! Shapes: logits `(N, C)`, labels u32 `(N,)`, loss `()`. The paper's Section 3.5: multinomial
//! logistic regression.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::slice;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

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
    logits.contiguous()?.apply_op1_no_bwd(&Softmax)
}

/// Rows and classes of logits `(N, C)` with at least one class.
fn rows_and_classes(op: &'static str, logits: &Layout) -> Result<(usize, usize)> {
    match logits.dims() {
        &[n, c] if c > 0 => Ok((n, c)),
        dims => {
            let what = "logits must be (N, C) with at least one class";
            Err(OpError::shape(op, what, format!("{dims:?}")).into())
        }
    }
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, z: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, classes) = rows_and_classes("softmax", l)?;
        fn rows<T: Real>(z: &[T], classes: usize) -> Vec<T> {
            z.chunks_exact(classes)
                .flat_map(|row| {
                    let (max, sum) = max_and_sum(row);
                    row.iter().map(move |z| (*z - max).exp() / sum)
                })
                .collect()
        }
        let p = match z {
            CpuStorage::F32(_) => CpuStorage::F32(rows(slice::<f32>(z, l)?, classes)),
            CpuStorage::F64(_) => CpuStorage::F64(rows(slice::<f64>(z, l)?, classes)),
            other => return Err(OpError::dtype("softmax", other.dtype()).into()),
        };
        Ok((p, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, z: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        crate::cuda::softmax_nll::softmax(rows_and_classes("softmax", l)?, z, l)
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
        let (_, classes) = sizes(zl, ll)?;
        let labels = labels_of(labels, ll)?;
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        z: &CudaStorage,
        zl: &Layout,
        labels: &CudaStorage,
        ll: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        crate::cuda::softmax_nll::loss(sizes(zl, ll)?, z, zl, labels, ll)
    }

    fn bwd(
        &self,
        z: &Tensor,
        labels: &Tensor,
        _loss: &Tensor,
        dloss: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (z, labels) = (z.contiguous()?, labels.contiguous()?);
        let dz = z.apply_op3_no_bwd(&labels, &dloss.contiguous()?, &SoftmaxNllBackward)?;
        Ok((Some(dz), None))
    }
}

/// Rows and classes, of logits and labels that go together.
fn sizes(zl: &Layout, ll: &Layout) -> Result<(usize, usize)> {
    let shapes = || format!("logits {:?}, labels {:?}", zl.dims(), ll.dims());
    let (&[n, classes], &[rows]) = (zl.dims(), ll.dims()) else {
        return Err(OpError::shape("softmax-nll", "logits (N, C), labels (N,)", shapes()).into());
    };
    if n != rows || n == 0 || classes == 0 {
        return Err(OpError::shape("softmax-nll", "one label a row", shapes()).into());
    }
    Ok((n, classes))
}

fn labels_of<'a>(labels: &'a CpuStorage, ll: &Layout) -> Result<&'a [u32]> {
    let Some((start, end)) = ll.contiguous_offsets() else {
        let layout = format!("{ll:?}");
        return Err(OpError::shape("softmax-nll", "labels must be contiguous", layout).into());
    };
    Ok(&labels.as_slice::<u32>()?[start..end])
}

/// `dz = (softmax(z) − onehot(label)) / N · dloss`.
struct SoftmaxNllBackward;

impl CustomOp3 for SoftmaxNllBackward {
    fn name(&self) -> &'static str {
        "softmax-nll-backward"
    }

    fn cpu_fwd(
        &self,
        z: &CpuStorage,
        zl: &Layout,
        labels: &CpuStorage,
        ll: &Layout,
        dloss: &CpuStorage,
        dl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, classes) = sizes(zl, ll)?;
        let labels = labels_of(labels, ll)?;
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
        let dz = match z {
            CpuStorage::F32(_) => {
                let scale = f64::from(slice::<f32>(dloss, dl)?[0]) / n as f64;
                let z = slice::<f32>(z, zl)?;
                CpuStorage::F32(gradient(z, labels, classes, scale as f32))
            }
            CpuStorage::F64(_) => {
                let scale = slice::<f64>(dloss, dl)?[0] / n as f64;
                CpuStorage::F64(gradient(slice::<f64>(z, zl)?, labels, classes, scale))
            }
            other => return Err(OpError::dtype("softmax-nll", other.dtype()).into()),
        };
        Ok((dz, zl.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        z: &CudaStorage,
        zl: &Layout,
        labels: &CudaStorage,
        ll: &Layout,
        dloss: &CudaStorage,
        dl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = sizes(zl, ll)?;
        crate::cuda::softmax_nll::backward(sizes, (z, zl), (labels, ll), (dloss, dl))
    }
}

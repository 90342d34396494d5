//! Convolution by cuDNN, in a build with the feature `cudnn`.
//!
//! cuDNN computes the convolution and its two gradients; bias, ReLU and the bias's gradient are
//! `kernels/bias.cu`, as around cuBLAS. Its algorithms are those that are products of matrices, which
//! tensor cores have, and that add in a fixed order; sums are f32 for every element type, in TF32 only
//! where candle's own switch allows it. The whole batch is one part, and the workspace has a bound.
//! What cuDNN does not support, cuBLAS computes.

use super::bias;
use super::conv::{Gradients, OP, Order, Parts, given};
use super::element::{Element, for_element, size, view};
use super::launch::Buffer;
use super::linear::Placed;
use super::timing::spanned;
use crate::conv::{Geometry, WORKSPACE};
use crate::error::OpError;
use candle_core::cuda_backend::cudarc::cudnn::result::CudnnError;
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t as DataAlgorithm,
    cudnnConvolutionBwdFilterAlgo_t as FilterAlgorithm,
    cudnnConvolutionFwdAlgo_t as ForwardAlgorithm, cudnnConvolutionMode_t as Mode,
    cudnnMathType_t as Math, cudnnStatus_t as Status, cudnnTensorFormat_t as Format,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType,
    FilterDescriptor, TensorDescriptor,
};
use candle_core::cuda_backend::{DeviceId, WrapErr, gemm_reduced_precision_f32};
use candle_core::{CudaDevice, CudaStorage, Result, WithDType};
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::Arc;

const FORWARD: ForwardAlgorithm =
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
const DATA: DataAlgorithm = DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
const FILTER: FilterAlgorithm = FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

/// The output, or nothing where cuDNN does not support it.
pub(super) fn forward(
    g: &Geometry,
    relu: bool,
    x: Placed<'_>,
    w: Placed<'_>,
    b: Placed<'_>,
) -> Result<Option<CudaStorage>> {
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        if !aligned::<T>(&[x, w]) {
            return Ok(None);
        }
        let described = Described::<T>::of(device, g)?;
        let op = ConvForward {
            conv: &described.conv,
            x: &described.x,
            w: &described.w,
            y: &described.y,
        };
        let pass = Pass::of::<T>(device, g, "cudnn_forward");
        let Some(bytes) = pass.workspace(|| op.get_workspace_size(FORWARD))? else {
            return Ok(None);
        };
        let parts = Parts::whole(g);
        let (x, w) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, w.0, w.1)?);
        let mut workspace = Buffer::<u8>::new(device, bytes)?;
        let mut m = Buffer::<T>::new(device, g.n * parts.output())?;
        // SAFETY: the descriptors are of `g`, from whose shapes the views are and by which the
        // output was allocated, all contiguous (N, C, H, W); the workspace has the bytes asked for.
        let done = pass.run::<T>(device, || unsafe {
            op.launch(FORWARD, Some(&mut workspace.slice), once::<T>(), &x, &w, &mut m.slice)
        })?;
        if !done {
            return Ok(None);
        }
        let mut y = Buffer::<T>::new(device, g.n * parts.output())?;
        let b = view::<T>(OP, b.0, b.1)?;
        let maps = parts.maps(Order::PicturesFirst, g.n);
        bias::spread(device, maps, &m, b, y.slice.as_view_mut(), relu)?;
        Ok(Some(y.into_storage(device)))
    })
}

/// The gradients of weight and bias where `x` is given, that of the input where `w` is; or nothing
/// where cuDNN does not support them.
pub(super) fn backward(
    g: &Geometry,
    x: Option<Placed<'_>>,
    w: Option<Placed<'_>>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<Option<Gradients>> {
    let device = &dy.0.device;
    for_element!(OP, dy.0, T => {
        let inputs: Vec<_> = x.into_iter().chain(w).collect();
        if !aligned::<T>(&inputs) {
            return Ok(None);
        }
        let described = Described::<T>::of(device, g)?;
        let data = ConvBackwardData {
            conv: &described.conv,
            dx: &described.x,
            w: &described.w,
            dy: &described.y,
        };
        let filter = ConvBackwardFilter {
            conv: &described.conv,
            x: &described.x,
            dw: &described.w,
            dy: &described.y,
        };
        let of_data = Pass::of::<T>(device, g, "cudnn_input_gradient");
        let of_filter = Pass::of::<T>(device, g, "cudnn_weight_gradient");
        let data_bytes = match w {
            Some(_) => of_data.workspace(|| data.get_workspace_size(DATA))?,
            None => Some(0),
        };
        let filter_bytes = match x {
            Some(_) => of_filter.workspace(|| filter.get_workspace_size(FILTER))?,
            None => Some(0),
        };
        let (Some(data_bytes), Some(filter_bytes)) = (data_bytes, filter_bytes) else {
            return Ok(None);
        };

        let parts = Parts::whole(g);
        let (x, w, y) = (given::<T>(x)?, given::<T>(w)?, given::<T>(y)?);
        let dy = view::<T>(OP, dy.0, dy.1)?;
        let mut masked = Buffer::<T>::new(device, g.n * parts.output())?;
        let sums = bias::sums(g.n);
        let mut partial = Buffer::<f32>::new(device, sums * parts.outputs())?;
        let here = &mut partial.slice.as_view_mut();
        let maps = parts.maps(Order::PicturesFirst, g.n);
        bias::gather(device, maps, y, dy, &mut masked, here)?;

        let mut workspace = Buffer::<u8>::new(device, data_bytes.max(filter_bytes))?;
        let masked = masked.slice.as_view();
        let mut input = None;
        if let Some(w) = w {
            let mut dx = Buffer::<T>::new(device, g.n * parts.input())?;
            // SAFETY: as in `forward`; the workspace has at least the bytes asked for.
            let done = of_data.run::<T>(device, || unsafe {
                data.launch(DATA, Some(&mut workspace.slice), once::<T>(), &mut dx.slice, &w, &masked)
            })?;
            if !done {
                return Ok(None);
            }
            input = Some(dx.into_storage(device));
        }
        let mut parameters = None;
        if let Some(x) = x {
            let mut dw = Buffer::<T>::new(device, parts.outputs() * g.taps())?;
            // SAFETY: as in `forward`; the workspace has at least the bytes asked for.
            let done = of_filter.run::<T>(device, || unsafe {
                filter.launch(FILTER, Some(&mut workspace.slice), once::<T>(), &x, &mut dw.slice, &masked)
            })?;
            if !done {
                return Ok(None);
            }
            let db = bias::total::<T>(device, &partial, sums, parts.outputs())?;
            parameters = Some([dw.into_storage(device), db.into_storage(device)]);
        }
        Ok(Some(Gradients { input, parameters }))
    })
}

/// Whether all lie at multiples of 16 bytes, which is what cuDNN's kernels load. Memory of its own
/// begins at such a one.
fn aligned<T>(inputs: &[Placed<'_>]) -> bool {
    let place = |(_, layout): &Placed<'_>| layout.start_offset() * size_of::<T>();
    inputs.iter().all(|input| place(input).is_multiple_of(16))
}

/// The output is the result, times one and with nothing added.
fn once<T: WithDType>() -> (T, T) {
    (T::from_f64(1.0), T::from_f64(0.0))
}

/// A convolution in cuDNN's terms: all tensors contiguous `(N, C, H, W)`.
struct Described<T> {
    x: TensorDescriptor<T>,
    w: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
    /// f32: the type sums are kept in.
    conv: ConvDescriptor<f32>,
}

impl<T: Element + CudnnDataType> Described<T> {
    fn of(device: &CudaDevice, g: &Geometry) -> Result<Self> {
        device.cuda_stream().context().bind_to_thread().w()?;
        let cudnn = handle(device)?;
        let layout = Format::CUDNN_TENSOR_NCHW;
        let int = |sizes: [usize; 4]| -> Result<[i32; 4]> {
            let mut all = [0; 4];
            for (place, value) in all.iter_mut().zip(sizes) {
                *place = size(OP, value)?;
            }
            Ok(all)
        };
        let x = int([g.n, g.groups * g.c, g.size.0, g.size.1])?;
        let w = int([g.groups * g.o, g.c, g.kernel.0, g.kernel.1])?;
        let y = int([g.n, g.groups * g.o, g.out.0, g.out.1])?;
        let [p, q, s, t] = int([g.padding.0, g.padding.1, g.stride.0, g.stride.1])?;
        let mut conv =
            cudnn.create_conv2d::<f32>([p, q], [s, t], [1, 1], Mode::CUDNN_CROSS_CORRELATION)?;
        conv.set_group_count(size(OP, g.groups)?)?;
        conv.set_math_type(match (T::SUFFIX, gemm_reduced_precision_f32()) {
            ("f32", false) => Math::CUDNN_FMA_MATH,
            // Permits TF32.
            ("f32", true) => Math::CUDNN_DEFAULT_MATH,
            _ => Math::CUDNN_TENSOR_OP_MATH,
        })?;
        Ok(Self {
            x: cudnn.create_4d_tensor(layout, x)?,
            w: cudnn.create_4d_filter(layout, w)?,
            y: cudnn.create_4d_tensor(layout, y)?,
            conv,
        })
    }
}

/// One of cuDNN's three computations for a convolution of an element type on a device, with TF32 or
/// without. Its name is what `bench` prints.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Pass {
    name: &'static str,
    device: DeviceId,
    g: Geometry,
    element: &'static str,
    tf32: bool,
}

impl Pass {
    fn of<T: Element>(device: &CudaDevice, g: &Geometry, name: &'static str) -> Self {
        Self {
            name,
            device: device.id(),
            g: *g,
            element: T::SUFFIX,
            tf32: gemm_reduced_precision_f32(),
        }
    }

    /// Values of input, weight and output.
    fn values(&self) -> usize {
        let (g, parts) = (&self.g, Parts::whole(&self.g));
        g.n * (parts.input() + parts.output()) + g.groups * g.o * g.taps()
    }

    /// Bytes of workspace; none where cuDNN does not support it, or needs more than a copy of each
    /// tensor, in another order, and as much as cuBLAS's way has.
    fn workspace(
        self,
        ask: impl FnOnce() -> std::result::Result<usize, CudnnError>,
    ) -> Result<Option<usize>> {
        if let Some(known) = THREAD.with_borrow(|thread| thread.workspaces.get(&self).copied()) {
            return Ok(known);
        }
        let bound = WORKSPACE + self.values() * size_of::<f32>();
        let found = supported(ask())?.filter(|bytes| *bytes <= bound);
        THREAD.with_borrow_mut(|thread| thread.workspaces.insert(self, found));
        Ok(found)
    }

    /// Queues `work`, timed where `bench` asks for it; false where cuDNN does not support it after
    /// all, and is not asked again.
    fn run<T>(
        self,
        device: &CudaDevice,
        work: impl FnOnce() -> std::result::Result<(), CudnnError>,
    ) -> Result<bool> {
        let what = || {
            let bytes = self.values() * size_of::<T>();
            let outputs = self.g.n * Parts::whole(&self.g).output();
            let operations = 2 * outputs * self.g.taps();
            (self.name.to_owned(), bytes as u64, operations as u64)
        };
        let done = spanned(device, what, || supported(work()))?.is_some();
        if !done {
            THREAD.with_borrow_mut(|thread| thread.workspaces.insert(self, None));
        }
        Ok(done)
    }
}

/// The value, or nothing where cuDNN does not support what was asked.
fn supported<V>(answer: std::result::Result<V, CudnnError>) -> Result<Option<V>> {
    let first = Status::CUDNN_STATUS_NOT_SUPPORTED as u32;
    match answer {
        Ok(value) => Ok(Some(value)),
        // Its kinds follow it.
        Err(CudnnError(status)) if (first..first + 1000).contains(&(status as u32)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a thread has of cuDNN.
#[derive(Default)]
struct Thread {
    /// One must not be used by two threads. They are never given back, for cudarc panics where a GPU
    /// that is gone does not take one.
    handles: HashMap<DeviceId, ManuallyDrop<Arc<Cudnn>>>,
    /// Asking takes longer than a launch.
    workspaces: HashMap<Pass, Option<usize>>,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// cuDNN's handle for a device on this thread.
fn handle(device: &CudaDevice) -> Result<Arc<Cudnn>> {
    THREAD.with_borrow_mut(|thread| {
        if let Some(handle) = thread.handles.get(&device.id()) {
            return Ok(Arc::clone(handle));
        }
        let handle = Cudnn::new(device.cuda_stream()).map_err(|error| OpError::Launch {
            entry: "cudnnCreate".to_owned(),
            what: format!("{error}; it must be cuDNN 9 for this build's CUDA and driver"),
        })?;
        let kept = ManuallyDrop::new(handle.clone());
        thread.handles.insert(device.id(), kept);
        Ok(handle)
    })
}

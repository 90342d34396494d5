//! Convolution by cuDNN, in a build with the feature `cudnn`.
//!
//! cuDNN computes the convolution and its two gradients; bias, ReLU and the bias's gradient are
//! `kernels/bias.cu`, as around cuBLAS. Sums are f32 for every element type, in TF32 only where
//! candle's own switch allows it. Of cuDNN's algorithms those are taken that add in a fixed order and
//! whose workspace stays within [`WORKSPACE`]: the one its heuristics put first, or else the matrix
//! product without atomics. Where neither suits a convolution, cuBLAS computes it.

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
    cudnnMathType_t as Math, cudnnTensorFormat_t as Format,
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

/// The output, or nothing where cuDNN has no algorithm for it.
pub(super) fn forward(
    g: &Geometry,
    relu: bool,
    x: Placed<'_>,
    w: Placed<'_>,
    b: Placed<'_>,
) -> Result<Option<CudaStorage>> {
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        let described = Described::<T>::of(device, g)?;
        let op = ConvForward {
            conv: &described.conv,
            x: &described.x,
            w: &described.w,
            y: &described.y,
        };
        use ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM as GEMM;
        let chosen = THREAD.with_borrow_mut(|thread| {
            *thread.forward.entry(key::<T>(device, g)).or_insert_with(|| {
                // All of them add in a fixed order.
                let wanted = [op.pick_algorithm().ok(), Some(GEMM)];
                first_that_fits(wanted, |a| op.get_workspace_size(a))
            })
        });
        let Some((algorithm, bytes)) = chosen else {
            return Ok(None);
        };
        let parts = Parts::whole(g);
        let (x, w) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, w.0, w.1)?);
        let mut workspace = Buffer::<u8>::new(device, bytes)?;
        let mut m = Buffer::<T>::new(device, g.n * parts.output())?;
        // SAFETY: the descriptors are of `g`, from whose shapes the views are and by which the
        // output was allocated, all contiguous (N, C, H, W); the workspace has the bytes asked for.
        timed::<T>(device, "cudnn_forward", g, || unsafe {
            op.launch(algorithm, Some(&mut workspace.slice), once::<T>(), &x, &w, &mut m.slice)
        })?;
        let mut y = Buffer::<T>::new(device, g.n * parts.output())?;
        let b = view::<T>(OP, b.0, b.1)?;
        let maps = parts.maps(Order::PicturesFirst, g.n);
        bias::spread(device, maps, &m, b, y.slice.as_view_mut(), relu)?;
        Ok(Some(y.into_storage(device)))
    })
}

/// The gradients of weight and bias where `x` is given, that of the input where `w` is; or nothing
/// where cuDNN has no algorithm for them.
pub(super) fn backward(
    g: &Geometry,
    x: Option<Placed<'_>>,
    w: Option<Placed<'_>>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<Option<Gradients>> {
    let device = &dy.0.device;
    for_element!(OP, dy.0, T => {
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
        use DataAlgorithm::{
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 as DATA_BY_ATOMICS,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_1 as DATA_BY_GEMM,
        };
        use FilterAlgorithm::{
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 as FILTER_BY_ATOMICS,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1 as FILTER_BY_GEMM,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3 as FILTER_BY_ATOMICS_TOO,
        };
        let chosen = THREAD.with_borrow_mut(|thread| {
            *thread.backward.entry(key::<T>(device, g)).or_insert_with(|| {
                let picked = data.pick_algorithm().ok().filter(|a| *a != DATA_BY_ATOMICS);
                let wanted = [picked, Some(DATA_BY_GEMM)];
                let of_data = first_that_fits(wanted, |a| data.get_workspace_size(a))?;
                let atomics = [FILTER_BY_ATOMICS, FILTER_BY_ATOMICS_TOO];
                let picked = filter.pick_algorithm().ok().filter(|a| !atomics.contains(a));
                let wanted = [picked, Some(FILTER_BY_GEMM)];
                Some((of_data, first_that_fits(wanted, |a| filter.get_workspace_size(a))?))
            })
        });
        let Some(((of_data, data_bytes), (of_filter, filter_bytes))) = chosen else {
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
            timed::<T>(device, "cudnn_input_gradient", g, || unsafe {
                data.launch(of_data, Some(&mut workspace.slice), once::<T>(), &mut dx.slice, &w, &masked)
            })?;
            input = Some(dx.into_storage(device));
        }
        let mut parameters = None;
        if let Some(x) = x {
            let mut dw = Buffer::<T>::new(device, parts.outputs() * g.taps())?;
            // SAFETY: as in `forward`; the workspace has at least the bytes asked for.
            timed::<T>(device, "cudnn_weight_gradient", g, || unsafe {
                filter.launch(of_filter, Some(&mut workspace.slice), once::<T>(), &x, &mut dw.slice, &masked)
            })?;
            let db = bias::total::<T>(device, &partial, sums, parts.outputs())?;
            parameters = Some([dw.into_storage(device), db.into_storage(device)]);
        }
        Ok(Some(Gradients { input, parameters }))
    })
}

/// The output is the result, times one and with nothing added.
fn once<T: WithDType>() -> (T, T) {
    (T::from_f64(1.0), T::from_f64(0.0))
}

/// Queues `work`, and says what it moves and computes where `bench` times it.
fn timed<T>(
    device: &CudaDevice,
    name: &str,
    g: &Geometry,
    work: impl FnOnce() -> std::result::Result<(), CudnnError>,
) -> Result<()> {
    let what = || {
        let (parts, weights) = (Parts::whole(g), g.groups * g.o * g.taps());
        let values = g.n * (parts.input() + parts.output()) + weights;
        let operations = 2 * g.n * parts.output() * g.taps();
        let bytes = values * size_of::<T>();
        (name.to_owned(), bytes as u64, operations as u64)
    };
    spanned(device, what, || Ok(work()?))
}

/// The first of the algorithms that cuDNN has for this convolution within the workspace, and the
/// bytes it needs.
fn first_that_fits<A: Copy>(
    wanted: [Option<A>; 2],
    bytes: impl Fn(A) -> std::result::Result<usize, CudnnError>,
) -> Option<Chosen<A>> {
    let known = wanted.into_iter().flatten();
    let mut sized = known.filter_map(|a| Some((a, bytes(a).ok()?)));
    sized.find(|(_, bytes)| *bytes <= WORKSPACE)
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

/// A convolution of an element type on a device, with TF32 or without.
type Key = (DeviceId, Geometry, &'static str, bool);

fn key<T: Element>(device: &CudaDevice, g: &Geometry) -> Key {
    (device.id(), *g, T::SUFFIX, gemm_reduced_precision_f32())
}

/// An algorithm, and the bytes of workspace it needs.
type Chosen<A> = (A, usize);

/// For the gradients of the input and of the weight.
type Backward = (Chosen<DataAlgorithm>, Chosen<FilterAlgorithm>);

/// What a thread has of cuDNN.
#[derive(Default)]
struct Thread {
    /// One must not be used by two threads. They are never given back, for cudarc panics where a GPU
    /// that is gone does not take one.
    handles: HashMap<DeviceId, ManuallyDrop<Arc<Cudnn>>>,
    /// What was chosen for a convolution, if anything suits it: asking takes longer than a launch.
    forward: HashMap<Key, Option<Chosen<ForwardAlgorithm>>>,
    backward: HashMap<Key, Option<Backward>>,
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

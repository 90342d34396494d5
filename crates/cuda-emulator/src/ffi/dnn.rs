//! `libcudnn`: convolutions of two dimensions and their gradients. Handles and descriptors are numbers.

mod passes;

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::mem::discriminant;
use std::sync::{Mutex, PoisonError};

use super::convolution::{Application, Convolution, Pass, Tensor};
use super::product::Element;
use super::{Handle, handle, id, put};
use crate::driver::{driver, report};

pub use passes::*;

/// `cudnnStatus_t` of cuDNN 9.
pub type DnnStatus = c_int;

const SUCCESS: DnnStatus = 0;
const NOT_INITIALIZED: DnnStatus = 1001;
const BAD_PARAM: DnnStatus = 2000;
const SHAPE_MISMATCH: DnnStatus = 2008;
const NOT_SUPPORTED: DnnStatus = 3000;
const EXECUTION_FAILED: DnnStatus = 5000;

/// What a handle or a descriptor stands for; a descriptor for nothing until it is set.
#[derive(Debug, Clone, Copy)]
enum Object {
    Library { stream: u64 },
    Tensor(Option<Tensor>),
    Filter(Option<Tensor>),
    Convolution(Option<Convolution>),
}

static OBJECTS: Mutex<BTreeMap<u64, Object>> = Mutex::new(BTreeMap::new());

fn with<R>(f: impl FnOnce(&mut BTreeMap<u64, Object>) -> R) -> R {
    f(&mut OBJECTS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn object(of: Handle) -> Option<Object> {
    with(|objects| objects.get(&id(of)).copied())
}

/// # Safety
///
/// `to` is null or valid for writing a `T`.
unsafe fn give<T>(to: *mut T, value: T) -> DnnStatus {
    // SAFETY: the caller vouches for the pointer.
    unsafe { put(to, value) }.map_or(BAD_PARAM, |()| SUCCESS)
}

/// # Safety
///
/// `to` is null or valid for writing a handle.
unsafe fn create(to: *mut Handle, object: Object) -> DnnStatus {
    let made = with(|objects| {
        let next = objects.keys().max().map_or(0xd00, |last| last + 1);
        objects.insert(next, object);
        next
    });
    // SAFETY: the caller vouches for the pointer.
    unsafe { give(to, handle(made)) }
}

fn destroy(object: Handle) -> DnnStatus {
    with(|objects| objects.remove(&id(object))).map_or(BAD_PARAM, |_| SUCCESS)
}

/// Makes a handle or descriptor stand for another object of its kind.
fn set(descriptor: Handle, made: Object) -> DnnStatus {
    with(|objects| match objects.get_mut(&id(descriptor)) {
        Some(own) if discriminant(own) == discriminant(&made) => {
            *own = made;
            SUCCESS
        }
        _ => BAD_PARAM,
    })
}

fn stream(library: Handle) -> Option<u64> {
    match object(library) {
        Some(Object::Library { stream }) => Some(stream),
        _ => None,
    }
}

/// `cudnnGetVersion`.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnGetVersion() -> usize {
    92101
}

/// `cudnnCreate`.
///
/// # Safety
///
/// Pointers are valid as the cuDNN documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudnnCreate(library: *mut Handle) -> DnnStatus {
    if driver().current().is_err() {
        return NOT_INITIALIZED;
    }
    // SAFETY: the caller vouches for the pointer.
    unsafe { create(library, Object::Library { stream: 0 }) }
}

/// `cudnnSetStream`.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnSetStream(library: Handle, stream: Handle) -> DnnStatus {
    set(library, Object::Library { stream: id(stream) })
}

macro_rules! objects {
    ($($create:ident $destroy:ident $object:expr;)*) => {$(
        #[doc = concat!("`", stringify!($create), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuDNN documentation asks.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(descriptor: *mut Handle) -> DnnStatus {
            // SAFETY: the caller vouches for the pointer.
            unsafe { create(descriptor, $object) }
        }

        #[doc = concat!("`", stringify!($destroy), "`.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $destroy(descriptor: Handle) -> DnnStatus {
            destroy(descriptor)
        }
    )*};
}
objects! {
    cudnnCreateTensorDescriptor cudnnDestroyTensorDescriptor Object::Tensor(None);
    cudnnCreateFilterDescriptor cudnnDestroyFilterDescriptor Object::Filter(None);
    cudnnCreateConvolutionDescriptor cudnnDestroyConvolutionDescriptor Object::Convolution(None);
}

/// `cudnnDestroy`, which a lost device does not do.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnDestroy(library: Handle) -> DnnStatus {
    match stream(library).map(|stream| driver().stream_device(stream)) {
        None => NOT_INITIALIZED,
        Some(Err(_)) => EXECUTION_FAILED,
        Some(Ok(_)) => destroy(library),
    }
}

/// Of a `cudnnDataType_t` and a `cudnnTensorFormat_t`.
fn tensor(
    name: &str,
    element: c_int,
    format: c_int,
    sizes: [c_int; 4],
) -> Result<Tensor, DnnStatus> {
    let element = match (element, format) {
        (0, 0) => Element::F32,
        (2, 0) => Element::F16,
        (9, 0) => Element::Bf16,
        _ => {
            report(&format!(
                "{name}: data type {element} in format {format} is not supported"
            ));
            return Err(NOT_SUPPORTED);
        }
    };
    let sizes = sizes.map(|size| usize::try_from(size).unwrap_or(0));
    match sizes.contains(&0) {
        true => Err(BAD_PARAM),
        false => Ok(Tensor { element, sizes }),
    }
}

/// `cudnnSetTensor4dDescriptor`: f32, f16 and bf16, of format NCHW.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnSetTensor4dDescriptor(
    descriptor: Handle,
    format: c_int,
    element: c_int,
    n: c_int,
    c: c_int,
    h: c_int,
    w: c_int,
) -> DnnStatus {
    match tensor("cudnnSetTensor4dDescriptor", element, format, [n, c, h, w]) {
        Err(status) => status,
        Ok(made) => set(descriptor, Object::Tensor(Some(made))),
    }
}

/// `cudnnSetTensor4dDescriptorEx`: tensors without gaps, as [`cudnnSetTensor4dDescriptor`] makes them.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub extern "C" fn cudnnSetTensor4dDescriptorEx(
    descriptor: Handle,
    element: c_int,
    n: c_int,
    c: c_int,
    h: c_int,
    w: c_int,
    n_stride: c_int,
    c_stride: c_int,
    h_stride: c_int,
    w_stride: c_int,
) -> DnnStatus {
    let strides = [n_stride, c_stride, h_stride, w_stride].map(i64::from);
    let [c_long, h_long, w_long] = [c, h, w].map(i64::from);
    if strides != [c_long * h_long * w_long, h_long * w_long, w_long, 1] {
        report(&format!(
            "cudnnSetTensor4dDescriptorEx: {n} x {c} x {h} x {w} with strides {strides:?} is not supported"
        ));
        return NOT_SUPPORTED;
    }
    cudnnSetTensor4dDescriptor(descriptor, 0, element, n, c, h, w)
}

/// `cudnnSetFilter4dDescriptor`: f32, f16 and bf16, of format NCHW.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnSetFilter4dDescriptor(
    descriptor: Handle,
    element: c_int,
    format: c_int,
    o: c_int,
    c: c_int,
    h: c_int,
    w: c_int,
) -> DnnStatus {
    match tensor("cudnnSetFilter4dDescriptor", element, format, [o, c, h, w]) {
        Err(status) => status,
        Ok(made) => set(descriptor, Object::Filter(Some(made))),
    }
}

/// `cudnnSetConvolution2dDescriptor`: cross-correlations without dilation, summed in f32.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub extern "C" fn cudnnSetConvolution2dDescriptor(
    descriptor: Handle,
    padding_h: c_int,
    padding_w: c_int,
    stride_h: c_int,
    stride_w: c_int,
    dilation_h: c_int,
    dilation_w: c_int,
    mode: c_int,
    compute: c_int,
) -> DnnStatus {
    if (dilation_h, dilation_w, mode, compute) != (1, 1, 1, 0) {
        report(&format!(
            "cudnnSetConvolution2dDescriptor: dilation {dilation_h} x {dilation_w}, mode {mode}, compute type {compute} are not supported"
        ));
        return NOT_SUPPORTED;
    }
    let size = |v: c_int| usize::try_from(v).ok();
    let strides = [stride_h, stride_w].map(|s| size(s).filter(|s| *s > 0));
    let (Some(top), Some(left), [Some(down), Some(right)]) =
        (size(padding_h), size(padding_w), strides)
    else {
        return BAD_PARAM;
    };
    let made = Convolution {
        padding: [top, left],
        stride: [down, right],
        groups: 1,
    };
    set(descriptor, Object::Convolution(Some(made)))
}

fn convolution(descriptor: Handle) -> Option<Convolution> {
    match object(descriptor) {
        Some(Object::Convolution(made)) => made,
        _ => None,
    }
}

/// `cudnnSetConvolutionGroupCount`.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnSetConvolutionGroupCount(descriptor: Handle, groups: c_int) -> DnnStatus {
    match (convolution(descriptor), usize::try_from(groups)) {
        (Some(made), Ok(groups @ 1..)) => set(
            descriptor,
            Object::Convolution(Some(Convolution { groups, ..made })),
        ),
        _ => BAD_PARAM,
    }
}

/// `cudnnSetConvolutionMathType`: all of them give f32's values.
#[unsafe(no_mangle)]
pub extern "C" fn cudnnSetConvolutionMathType(descriptor: Handle, math: c_int) -> DnnStatus {
    match convolution(descriptor) {
        Some(_) if (0..=3).contains(&math) => SUCCESS,
        _ => BAD_PARAM,
    }
}

/// The application that the descriptors of a pass describe.
fn application(pass: Pass, tensors: [Handle; 3], how: Handle) -> Result<Application, DnnStatus> {
    let [x, w, y] = pass.in_order(tensors);
    let [
        Some(Object::Tensor(Some(x))),
        Some(Object::Filter(Some(w))),
        Some(Object::Convolution(Some(how))),
        Some(Object::Tensor(Some(y))),
    ] = [x, w, how, y].map(object)
    else {
        return Err(BAD_PARAM);
    };
    let application = Application { x, w, y, how };
    if application.fits() {
        return Ok(application);
    }
    report(&format!(
        "{}: x {:?}, w {:?}, y {:?} do not fit {how:?}",
        pass.name(),
        x.sizes,
        w.sizes,
        y.sizes
    ));
    Err(SHAPE_MISMATCH)
}

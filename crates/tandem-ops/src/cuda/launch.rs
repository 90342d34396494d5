//! The only unsafe code of this crate, but for three calls in `cudnn.rs`: memory that is not yet
//! written, kernel launches, matrix products by cuBLAS, a few questions to the driver and NVRTC, and
//! two settings of a device.
//!
//! What can go wrong in C and what is done about it here:
//!
//! - A kernel takes its arguments by position, without types. They are compared with the parameters
//!   that its PTX declares before the first byte is handed over.
//! - A kernel can write through any pointer. Arguments are views that borrow their memory, shared to
//!   read and exclusive to write; cudarc orders work on them and keeps them until it is done.
//! - A kernel or a product can go beyond a buffer's end. Products are checked here; for kernels,
//!   the host side of each operation derives the sizes it passes from the same layouts as its views,
//!   and the emulator checks every access in the tests.
//! - Fresh memory is not initialised. [`Buffer`] hands it out for kernels that write every element.

use super::compile::{self, Kernels, Module};
use super::driver::Version;
use super::element::{Element, size};
use super::product::Product;
use super::signature::Kind;
use super::timing::spanned;
use crate::error::OpError;
use candle_core::cuda_backend::cudarc::cublas::sys as blas;
use candle_core::cuda_backend::cudarc::driver::sys as driver;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaView, CudaViewMut, DevicePtr, DevicePtrMut,
    DeviceRepr, DriverError, LaunchArgs, LaunchConfig, PinnedHostSlice, PushKernelArg,
    ValidAsZeroBits,
};
use candle_core::cuda_backend::cudarc::{cublas, nvrtc};
use candle_core::cuda_backend::{CudaDType, WrapErr, gemm_reduced_precision_f32};
use candle_core::{CudaDevice, CudaStorage, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Memory for a kernel's output: every element must be written before it is read.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    pub(super) slice: CudaSlice<T>,
}

impl<T: DeviceRepr> Buffer<T> {
    pub(super) fn new(device: &CudaDevice, len: usize) -> Result<Self> {
        // SAFETY: the elements are plain numbers, for which every bit pattern is a value, and the
        // callers launch a kernel or a product that writes all of them.
        let slice = unsafe { device.alloc::<T>(len.max(1))? };
        Ok(Self { slice })
    }
}

impl<T: CudaDType> Buffer<T> {
    pub(super) fn into_storage(self, device: &CudaDevice) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(self.slice, device.clone())
    }
}

/// Memory of the host that no device need stage: any GPU copies to it and from it directly.
pub(super) fn pinned<T: DeviceRepr + ValidAsZeroBits>(
    device: &CudaDevice,
    len: usize,
) -> Result<PinnedHostSlice<T>> {
    let stream = device.cuda_stream();
    let portable = driver::CU_MEMHOSTALLOC_PORTABLE;
    // SAFETY: as for `Buffer::new`: plain numbers, and the callers copy over all of them.
    unsafe {
        stream
            .context()
            .alloc_pinned_with_flags(len.max(1), portable)
    }
    .w()
}

/// Memory that is read, byte by byte.
pub(super) fn as_bytes<'a, T: CudaDType>(view: &CudaView<'a, T>) -> CudaView<'a, u8> {
    // SAFETY: the elements are plain numbers, whose bytes are values of u8.
    unsafe { view.transmute(view.len() * size_of::<T>()) }.expect("as many bytes as it has")
}

/// The same of memory that is written.
pub(super) fn as_bytes_mut<T: CudaDType>(buffer: &mut Buffer<T>) -> CudaViewMut<'_, u8> {
    let bytes = buffer.slice.num_bytes();
    // SAFETY: as above, and every pattern of bits is a value of a plain number.
    unsafe { buffer.slice.transmute_mut(bytes) }.expect("as many bytes as it has")
}

/// Something a kernel takes.
pub(super) trait Argument {
    fn kind(&self) -> Kind;
    /// Bytes of device memory that the kernel reads or writes of it.
    fn bytes(&self) -> usize {
        0
    }
    fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>);
}

macro_rules! scalar {
    ($type:ty, $kind:expr) => {
        impl Argument for $type {
            fn kind(&self) -> Kind {
                $kind
            }
            fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>) {
                arguments.arg(&*self);
            }
        }
    };
}
scalar!(u32, Kind::U32);
scalar!(i32, Kind::U32);
scalar!(u64, Kind::Wide);
scalar!(f32, Kind::F32);

/// Memory that is read.
impl<T> Argument for CudaView<'_, T> {
    fn kind(&self) -> Kind {
        Kind::Wide
    }
    fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }
    fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>) {
        arguments.arg(&*self);
    }
}

/// Part of a buffer that is written.
impl<T> Argument for CudaViewMut<'_, T> {
    fn kind(&self) -> Kind {
        Kind::Wide
    }
    fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }
    fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>) {
        arguments.arg(self);
    }
}

/// Memory that is written.
impl<T> Argument for Buffer<T> {
    fn kind(&self) -> Kind {
        Kind::Wide
    }
    fn bytes(&self) -> usize {
        self.slice.len() * size_of::<T>()
    }
    fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>) {
        arguments.arg(&mut self.slice);
    }
}

/// Memory that is read and written in place.
pub(super) struct InPlace<'a, T>(pub CudaViewMut<'a, T>);

impl<T> Argument for InPlace<'_, T> {
    fn kind(&self) -> Kind {
        self.0.kind()
    }
    fn bytes(&self) -> usize {
        2 * self.0.bytes()
    }
    fn push<'a>(&'a mut self, arguments: &mut LaunchArgs<'a>) {
        self.0.push(arguments);
    }
}

/// Blocks and threads a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub blocks: (u32, u32, u32),
    pub threads: u32,
}

impl Grid {
    /// A thread for each of `count`.
    pub(super) fn of(op: &'static str, count: usize) -> Result<Self> {
        Ok(Self {
            blocks: (size(op, count.div_ceil(256))?, 1, 1),
            threads: 256,
        })
    }
}

/// Queues one kernel on the device's stream.
pub(super) fn launch(
    device: &CudaDevice,
    kernels: Kernels,
    entry: &str,
    grid: Grid,
    arguments: &mut [&mut dyn Argument],
) -> Result<()> {
    let loaded = loaded(device, kernels)?;
    let kinds: Vec<Kind> = arguments.iter().map(|argument| argument.kind()).collect();
    let function = match loaded.get(entry) {
        Some((declared, function)) if *declared == kinds => function,
        other => {
            let declared = other.map(|(declared, _)| declared);
            return Err(OpError::Launch {
                entry: entry.to_owned(),
                what: format!("it declares {declared:?} and was given {kinds:?}"),
            }
            .into());
        }
    };
    let bytes: usize = arguments.iter().map(|argument| argument.bytes()).sum();
    let stream = device.cuda_stream();
    let mut builder = stream.launch_builder(function);
    for argument in arguments {
        argument.push(&mut builder);
    }
    let config = LaunchConfig {
        grid_dim: grid.blocks,
        block_dim: (grid.threads, 1, 1),
        shared_mem_bytes: 0,
    };
    let what = || (entry.to_owned(), bytes as u64, 0);
    spanned(device, what, || {
        // SAFETY: number and types of the arguments are those of the entry point, checked above;
        // what is written is borrowed exclusively; the sizes follow from the layouts of the views,
        // as the operation's host side checks.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    })
}

/// The kernels of a file on a GPU by name, with their parameters.
type Loaded = HashMap<String, (Vec<Kind>, CudaFunction)>;

/// The kernels of a file for a device, compiled the first time they are asked for. However often a
/// GPU is opened, its context is the same: it keeps them until the program ends.
fn loaded(device: &CudaDevice, kernels: Kernels) -> Result<Arc<Loaded>> {
    type Modules = HashMap<(usize, Kernels), Arc<Loaded>>;
    static MODULES: OnceLock<Mutex<Modules>> = OnceLock::new();
    let stream = device.cuda_stream();
    let context = stream.context();
    let key = (context.ordinal(), kernels);
    // Held while compiling: a second thread waits for the same kernels rather than compile them too.
    let mut modules = MODULES
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = modules.get(&key) {
        return Ok(loaded.clone());
    }
    let (major, minor) = context.compute_capability().w()?;
    let Module { ptx, signatures } = compile::module(kernels, (major * 10 + minor).unsigned_abs())?;
    let module = context.load_module(nvrtc::Ptx::from_src(ptx)).w()?;
    let with_function = |(name, kinds): (String, Vec<Kind>)| {
        let function = module.load_function(&name).w()?;
        Ok((name, (kinds, function)))
    };
    let loaded: Result<Loaded> = signatures.into_iter().map(with_function).collect();
    let loaded = Arc::new(loaded?);
    modules.insert(key, loaded.clone());
    Ok(loaded)
}

/// The version of CUDA that the driver serves: 13000 for 13.0.
pub(super) fn driver_version() -> std::result::Result<u32, DriverError> {
    let mut version = 0;
    // SAFETY: it writes one integer through the pointer, which outlives the call.
    unsafe { driver::cuDriverGetVersion(&raw mut version) }.result()?;
    Ok(version.unsigned_abs())
}

/// NVRTC: its version, and the compute capabilities it compiles for.
pub(super) struct Compiler {
    pub version: Version,
    pub capabilities: Vec<u32>,
}

pub(super) fn compiler() -> std::result::Result<Compiler, String> {
    let fail = |error: nvrtc::result::NvrtcError| format!("NVRTC does not answer: {error}");
    let (mut major, mut minor, mut count) = (0, 0, 0);
    // SAFETY: both functions write one integer through each pointer, which outlives the call.
    unsafe {
        nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor)
            .result()
            .map_err(fail)?;
        nvrtc::sys::nvrtcGetNumSupportedArchs(&raw mut count)
            .result()
            .map_err(fail)?;
    }
    let mut capabilities = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: it writes as many integers as the call above said, and the vector has that length.
    unsafe { nvrtc::sys::nvrtcGetSupportedArchs(capabilities.as_mut_ptr()) }
        .result()
        .map_err(fail)?;
    Ok(Compiler {
        version: Version {
            major: major.unsigned_abs(),
            minor: minor.unsigned_abs(),
        },
        capabilities: capabilities.into_iter().map(i32::unsigned_abs).collect(),
    })
}

/// Queues a batch of matrix products on the device's stream; see [`Product`].
///
/// Sums are kept in f32, and rounded once where `C` is shorter; `C` is f32 or of the factors' type.
pub(super) fn multiply<T: Element, C: Element>(
    device: &CudaDevice,
    product: &Product,
    a: &CudaView<'_, T>,
    b: &CudaView<'_, T>,
    c: &mut CudaViewMut<'_, C>,
) -> Result<()> {
    let sizes = product.checked(a.len(), b.len(), c.len())?;
    let compute = match T::SUFFIX {
        "f32" => Compute::of_f32(),
        _ => Compute::Exact,
    };
    let operation = |transposed: bool| match transposed {
        true => blas::cublasOperation_t::CUBLAS_OP_T,
        false => blas::cublasOperation_t::CUBLAS_OP_N,
    };
    let (one, beta) = (1f32, if product.accumulate { 1f32 } else { 0f32 });
    let stream = device.cuda_stream();
    let handle = device.cublas_handle();
    let what = || {
        let c_bytes = product.m * product.n * size_of::<C>();
        let once = (product.m + product.n) * product.k * size_of::<T>() + c_bytes;
        let again = if product.accumulate { c_bytes } else { 0 };
        let operations = 2 * product.m * product.n * product.k;
        let all = |one: usize| (product.batch * one) as u64;
        ("product".to_owned(), all(once + again), all(operations))
    };
    let (a, _a_in_use) = a.device_ptr(&stream);
    let (b, _b_in_use) = b.device_ptr(&stream);
    let (c, _c_in_use) = c.device_ptr_mut(&stream);
    // cuBLAS stores columns first: a row-major C = A B is its Cᵀ = Bᵀ Aᵀ.
    spanned(device, what, || {
        // SAFETY: the handle lives as long as the device; the pointers hold at least as many elements
        // as `checked` found these sizes to need; alpha and beta are f32, as the compute types ask.
        unsafe {
            cublas::result::gemm_strided_batched_ex(
                *handle.handle(),
                operation(product.transpose_b),
                operation(product.transpose_a),
                sizes.n,
                sizes.m,
                sizes.k,
                (&raw const one).cast(),
                b as *const _,
                data_type::<T>(),
                sizes.pitch_b,
                sizes.stride_b,
                a as *const _,
                data_type::<T>(),
                sizes.pitch_a,
                sizes.stride_a,
                (&raw const beta).cast(),
                c as *mut _,
                data_type::<C>(),
                sizes.n,
                sizes.stride_c,
                sizes.batch,
                match compute {
                    Compute::Exact => blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                    Compute::Tf32 => blas::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
                },
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .w()
    })
}

fn data_type<T: Element>() -> blas::cudaDataType_t {
    match T::SUFFIX {
        "f16" => blas::cudaDataType_t::CUDA_R_16F,
        "bf16" => blas::cudaDataType_t::CUDA_R_16BF,
        _ => blas::cudaDataType_t::CUDA_R_32F,
    }
}

/// How products of f32 are computed.
enum Compute {
    Exact,
    Tf32,
}

impl Compute {
    /// candle's own switch, so that all products of a program agree.
    fn of_f32() -> Self {
        match gemm_reduced_precision_f32() {
            true => Self::Tf32,
            false => Self::Exact,
        }
    }
}

/// Turns off the events that cudarc records for each use of each tensor.
pub(super) fn order_by_stream_alone(device: &CudaDevice) {
    // SAFETY: the device was opened with one stream, which all its work goes to, in order: a use
    // after an allocation, a free after a use. A copy to another device is ordered by
    // `device::send` in both directions.
    unsafe { device.disable_event_tracking() }
}

/// The pool that a context's memory comes from; none where the driver has no pools, as with some
/// virtual GPUs.
fn pool(context: &CudaContext) -> std::result::Result<Option<driver::CUmemoryPool>, DriverError> {
    use driver::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    context.bind_to_thread()?;
    if context.attribute(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? == 0 {
        return Ok(None);
    }
    let mut pool = std::ptr::null_mut();
    // SAFETY: the call writes a handle that lives as long as the device.
    unsafe { driver::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()) }.result()?;
    Ok(Some(pool))
}

/// Lets the device's memory pool keep what is freed. By default it gives everything back to the
/// driver at each synchronisation and asks for it again in the next step.
pub(super) fn keep_freed_memory(device: &CudaDevice) -> Result<()> {
    use driver::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as THRESHOLD;
    let Some(pool) = pool(device.cuda_stream().context()).w()? else {
        return Ok(());
    };
    let mut threshold = u64::MAX;
    // SAFETY: the pool is the device's, and the attribute a 64-bit integer.
    unsafe { driver::cuMemPoolSetAttribute(pool, THRESHOLD, (&raw mut threshold).cast()) }
        .result()
        .w()
}

/// Bytes that the pool keeps and nothing uses.
pub(super) fn kept_memory(device: &CudaDevice) -> std::result::Result<usize, DriverError> {
    use driver::CUmemPool_attribute::{
        CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT as RESERVED, CU_MEMPOOL_ATTR_USED_MEM_CURRENT as USED,
    };
    let Some(pool) = pool(device.cuda_stream().context())? else {
        return Ok(0);
    };
    let bytes = |attribute| {
        let mut bytes = 0u64;
        // SAFETY: the pool is the device's, and both attributes are 64-bit integers.
        unsafe { driver::cuMemPoolGetAttribute(pool, attribute, (&raw mut bytes).cast()) }
            .result()
            .map(|()| bytes)
    };
    Ok(bytes(RESERVED)?.saturating_sub(bytes(USED)?) as usize)
}

/// Keeps cuBLAS from adding partial sums in a 16-bit type, which by default it may where the result
/// has one.
pub(super) fn sum_in_f32(device: &CudaDevice) -> Result<()> {
    let mode = blas::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    // SAFETY: the handle lives as long as the device.
    unsafe { blas::cublasSetMathMode(*device.cublas_handle().handle(), mode) }
        .result()
        .w()
}

/// Lets GPU `to` read what GPU `from` holds, in its default pool too; false where the driver has no
/// direct way between the two, or refuses it.
pub(super) fn enable_peer_access(from: &CudaDevice, to: &CudaDevice) -> Result<bool> {
    use driver::cudaError_enum::{CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, CUDA_SUCCESS};
    /// `CUmemAccessDesc`, whose fields have other names from version to version.
    #[repr(C)]
    struct Access {
        location: driver::CUmemLocationType,
        device: i32,
        flags: driver::CUmemAccess_flags,
    }
    let (from, to) = (from.cuda_stream(), to.cuda_stream());
    let (from, to) = (from.context(), to.context());
    let access = Access {
        location: driver::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
        device: to.cu_device(),
        flags: driver::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    let (mut can, source) = (0, pool(from).w()?);
    to.bind_to_thread().w()?;
    // SAFETY: both contexts live as long as their devices, and the receiver's is bound to this
    // thread; each pointer is to a value of the type the function writes or reads, and outlives it.
    unsafe {
        driver::cuDeviceCanAccessPeer(&raw mut can, to.cu_device(), from.cu_device())
            .result()
            .w()?;
        if can == 0 {
            return Ok(false);
        }
        let enabled = driver::cuCtxEnablePeerAccess(from.cu_ctx(), 0);
        if enabled != CUDA_SUCCESS && enabled != CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED {
            return Ok(false);
        }
        let Some(pool) = source else { return Ok(true) };
        let given = driver::cuMemPoolSetAccess(pool, (&raw const access).cast(), 1);
        Ok(given == CUDA_SUCCESS)
    }
}

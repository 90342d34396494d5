//! The queue by which a GPU is sent its batches; see [`crate::upload`].

use super::launch::{Buffer, pinned};
use crate::error::OpError;
use crate::storage::on_cuda;
use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaStream, DeviceRepr, PinnedHostSlice, ValidAsZeroBits,
};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::{CudaDevice, CudaStorage, DType, Result, Shape, Storage, Tensor, WithDType};
use std::sync::Arc;

const OP: &str = "upload";

#[derive(Debug)]
pub(crate) struct Queue {
    streams: Streams,
    bytes: Stages<u8>,
    words: Stages<u32>,
    values: Stages<f32>,
}

#[derive(Debug)]
struct Streams {
    device: CudaDevice,
    work: Arc<CudaStream>,
    copies: Arc<CudaStream>,
}

impl Queue {
    pub fn to(device: &CudaDevice) -> Result<Self> {
        let work = device.cuda_stream();
        let copies = work.context().new_stream().w()?;
        Ok(Self {
            streams: Streams {
                device: device.clone(),
                work,
                copies,
            },
            bytes: Stages::default(),
            words: Stages::default(),
            values: Stages::default(),
        })
    }

    /// `tensor` of the CPU, on the GPU.
    pub fn send(&mut self, tensor: &Tensor) -> Result<Tensor> {
        let sent = match tensor.dtype() {
            DType::U8 => self.bytes.send(tensor, &self.streams),
            DType::U32 => self.words.send(tensor, &self.streams),
            DType::F32 => self.values.send(tensor, &self.streams),
            other => Err(OpError::dtype(OP, other).into()),
        }?;
        Ok(on_cuda(sent, tensor.shape()))
    }

    /// `bytes` of the host, as many as `shape` has elements, on the GPU.
    pub fn send_bytes(&mut self, bytes: &[u8], shape: &Shape) -> Result<Tensor> {
        let sent = self.bytes.send_slice(bytes, &self.streams)?;
        Ok(on_cuda(sent, shape))
    }
}

/// Two that take turns: while one is copied the host fills the other.
#[derive(Debug)]
struct Stages<T> {
    next: Option<Stage<T>>,
    last: Option<Stage<T>>,
}

impl<T> Default for Stages<T> {
    fn default() -> Self {
        Self {
            next: None,
            last: None,
        }
    }
}

impl<T: WithDType + CudaDType + DeviceRepr + ValidAsZeroBits> Stages<T> {
    fn send(&mut self, tensor: &Tensor, streams: &Streams) -> Result<CudaStorage> {
        let tensor = tensor.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets())
        else {
            unreachable!("a contiguous tensor of the CPU was given")
        };
        self.send_slice(&storage.as_slice::<T>()?[start..end], streams)
    }

    fn send_slice(&mut self, values: &[T], streams: &Streams) -> Result<CudaStorage> {
        let stage = match self.next.take() {
            Some(stage) if stage.host.len() >= values.len() => stage,
            _ => Stage::new(values.len(), streams)?,
        };
        self.next = self.last.take();
        self.last.insert(stage).send(values, streams)
    }
}

/// Memory of the host and of the GPU that values pass through. The tensor made of them is a copy, so
/// that its memory belongs to the work queue alone.
#[derive(Debug)]
struct Stage<T> {
    host: PinnedHostSlice<T>,
    gpu: Buffer<T>,
    /// From the host's memory to the GPU's: then the host may write again.
    copied: CudaEvent,
    /// Out of the GPU's memory: then the next copy may begin.
    taken: CudaEvent,
}

impl<T: WithDType + CudaDType + DeviceRepr + ValidAsZeroBits> Stage<T> {
    fn new(len: usize, streams: &Streams) -> Result<Self> {
        let context = streams.work.context();
        let stage = Self {
            host: pinned(&streams.device, len)?,
            gpu: Buffer::new(&streams.device, len)?,
            copied: context.new_event(None).w()?,
            taken: context.new_event(None).w()?,
        };
        // The work queue may still use the memory that it was given for the stage.
        stage.taken.record(&streams.work).w()?;
        Ok(stage)
    }

    fn send(&mut self, values: &[T], streams: &Streams) -> Result<CudaStorage> {
        let Streams {
            device,
            work,
            copies,
        } = streams;
        copies.wait(&self.taken).w()?;
        if !self.copied.try_is_complete().w()? {
            self.copied.synchronize().w()?;
        }
        let host = &mut self.host.as_mut_slice().w()?[..values.len()];
        host.copy_from_slice(values);
        let mut gpu = self.gpu.slice.slice_mut(..values.len());
        // As a plain slice: the pinned memory's own event would make the host wait without asking.
        copies.memcpy_htod(&*host, &mut gpu).w()?;
        self.copied.record(copies).w()?;
        work.wait(&self.copied).w()?;
        let mut sent = Buffer::new(device, values.len())?;
        work.memcpy_dtod(&gpu, &mut sent.slice).w()?;
        self.taken.record(work).w()?;
        Ok(sent.into_storage(device))
    }
}

impl<T> Drop for Stage<T> {
    fn drop(&mut self) {
        // The GPU may still read the host's memory. One that is lost no longer does.
        let _ = self.copied.synchronize();
    }
}

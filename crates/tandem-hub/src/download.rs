//! One file from the hub to its blob in the cache: resumed, and verified before it has its name.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use hf_hub::repository::HFRepository;
use hf_hub::{HFError, RepoType};

use crate::checksum::Hasher;
use crate::error::plain;
use crate::explain::{REPETITIONS, Request, Trouble, answered, file, pause};
use crate::tree::Listed;
use crate::{HubError, Progress};

/// How far a download is.
pub(crate) struct Meter<'a> {
    done: Cell<u64>,
    total: u64,
    report: RefCell<&'a mut dyn FnMut(Progress)>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(total: u64, report: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            done: Cell::new(0),
            total,
            report: RefCell::new(report),
        }
    }

    /// Begins again, with so many bytes done.
    pub(crate) fn start_at(&self, done: u64) {
        self.done.set(done);
    }

    pub(crate) fn add(&self, file: &str, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        (self.report.borrow_mut())(Progress {
            file: &plain(file),
            done: self.done.get(),
            total: self.total,
        });
    }

    pub(crate) fn take_back(&self, bytes: u64) {
        self.done.set(self.done.get() - bytes);
    }
}

/// Whether the file at `path` is there with the listed length.
pub(crate) fn is_whole(path: &Path, listed: &Listed) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == listed.size)
}

/// Bytes of `listed` that are still to come from the hub.
pub(crate) fn missing(request: &Request, commit: &str, listed: &Listed) -> u64 {
    let repository = request.repository;
    let id = listed.checksum.id();
    // Where Python could make no links, the file is in the snapshot and there is no blob.
    let pointer = repository.snapshot(commit).join(&listed.path);
    if is_whole(&repository.blob(id), listed) || is_whole(&pointer, listed) {
        return 0;
    }
    let part = fs::metadata(repository.incomplete(id)).map_or(0, |metadata| metadata.len());
    listed.size.saturating_sub(part)
}

/// Makes the file's blob be there. Whole blobs are believed: they were verified when they were written.
///
/// # Errors
///
/// If the hub refuses, the connection is cut [`REPETITIONS`] times without a byte between, length or
/// checksum are wrong, or the disk does not take it.
pub(crate) async fn fetch<T: RepoType>(
    hub: &HFRepository<T>,
    request: &Request<'_>,
    commit: &str,
    listed: &Listed,
    meter: &Meter<'_>,
) -> Result<(), HubError> {
    let pointer = request.repository.snapshot(commit).join(&listed.path);
    let blob = request.repository.blob(listed.checksum.id());
    let is_there = || is_whole(&blob, listed) || is_whole(&pointer, listed);
    if is_there() {
        meter.add(&listed.path, listed.size);
        return Ok(());
    }
    let _lock = request.repository.lock(listed.checksum.id()).await?;
    if is_there() {
        meter.add(&listed.path, listed.size);
        return Ok(());
    }
    let mut part = Part::open(request, listed, meter).await?;
    let mut is_last = false;
    loop {
        match part.complete(hub, request, commit).await {
            Err(error @ (HubError::Length { .. } | HubError::Checksum { .. })) => {
                is_last |= !part.is_pieced;
                part.restart()?;
                if is_last {
                    return Err(error);
                }
                is_last = true;
            }
            other => break other?,
        }
    }
    fs::rename(&part.path, &blob).map_err(|source| file("write", blob, source))
}

/// The first bytes of a blob.
struct Part<'a, 'm> {
    listed: &'a Listed,
    meter: &'a Meter<'m>,
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Hasher,
    /// Whether it is of more than one answer: what an earlier process left may have been spoilt, and
    /// what came after it may have been the file's beginning.
    is_pieced: bool,
}

impl<'a, 'm> Part<'a, 'm> {
    async fn open(
        request: &Request<'_>,
        listed: &'a Listed,
        meter: &'a Meter<'m>,
    ) -> Result<Self, HubError> {
        let path = request.repository.incomplete(listed.checksum.id());
        let failed = |source| file("open", path.clone(), source);
        fs::create_dir_all(path.parent().expect("it is in blobs/")).map_err(failed)?;
        let file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        let hasher = listed.checksum.hasher(listed.size);
        let mut part = Self {
            listed,
            meter,
            path,
            file,
            length: 0,
            hasher,
            is_pieced: false,
        };
        part.read_what_is_there().await?;
        Ok(part)
    }

    async fn read_what_is_there(&mut self) -> Result<(), HubError> {
        let failed = |source| file("read", self.path.clone(), source);
        let there = self.file.metadata().map_err(failed)?.len();
        if there > self.listed.size {
            return self.restart();
        }
        let mut buffer = vec![0; there.min(1 << 20) as usize];
        while self.length < there {
            let read = self.file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            self.hasher.update(&buffer[..read]);
            self.length += read as u64;
            // Other files are on their way, on the same thread.
            tokio::task::yield_now().await;
        }
        self.is_pieced = self.length > 0;
        self.meter.add(&self.listed.path, self.length);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.file
            .set_len(0)
            .map_err(|source| file("write", self.path.clone(), source))?;
        self.meter.take_back(self.length);
        self.length = 0;
        self.is_pieced = false;
        self.hasher = self.listed.checksum.hasher(self.listed.size);
        Ok(())
    }

    /// Appends what is missing, asking again from where a connection was cut, and verifies the whole.
    async fn complete<T: RepoType>(
        &mut self,
        hub: &HFRepository<T>,
        request: &Request<'_>,
        commit: &str,
    ) -> Result<(), HubError> {
        // Begun anew each time it would come as far and no further.
        let (mut repetitions, mut furthest) = (0, self.length);
        while self.length < self.listed.size {
            let before = self.length;
            match self.append(hub, request, commit).await {
                Err(Trouble::Lasting(error)) => return Err(error),
                // It ended as it should, and the hub has no more.
                Ok(()) if self.length == before => {
                    return Err(self.wrong_length(request, before));
                }
                _ if self.length > furthest => repetitions = 0,
                _ if repetitions < REPETITIONS => repetitions += 1,
                Err(Trouble::Passing(error)) => return Err(error),
                Ok(()) => return Err(self.wrong_length(request, self.length)),
            }
            furthest = furthest.max(self.length);
            if self.length < self.listed.size {
                pause(request.settings, repetitions).await;
            }
        }
        let empty = self.listed.checksum.hasher(self.listed.size);
        let found = std::mem::replace(&mut self.hasher, empty).finish();
        if found != self.listed.checksum.id() {
            return Err(HubError::Checksum {
                file: self.listed.path.clone(),
                repository: request.repository.name().into(),
                found,
                wanted: self.listed.checksum.id().into(),
            });
        }
        self.file
            .sync_data()
            .map_err(|source| file("write", self.path.clone(), source))
    }

    /// Appends one answer of the hub, as much of it as comes.
    async fn append<T: RepoType>(
        &mut self,
        hub: &HFRepository<T>,
        request: &Request<'_>,
        commit: &str,
    ) -> Result<(), Trouble> {
        let answer = hub
            .download_file_stream()
            .filename(&self.listed.path)
            .revision(commit)
            .range(self.length..self.listed.size)
            .send();
        let answer = answered(request, request.settings.patience, answer);
        let (size, mut pieces) = answer.await.map_err(|error| match error {
            // There is no such range: the hub's file is shorter than it is listed.
            HFError::Http { context } if context.status.as_u16() == 416 => {
                Trouble::Lasting(self.wrong_length(request, self.length))
            }
            error => request.explain(error),
        })?;
        // hf-hub does not say whether the range or the whole file comes, but how long it is.
        if self.length > 0 && size == Some(self.listed.size) {
            self.restart().map_err(Trouble::Lasting)?;
            let reason = "it sends the whole file where the rest was asked for";
            return Err(Trouble::Passing(request.cut(reason.into())));
        }
        let is_rest = self.length > 0;
        while let Some(bytes) = pieces.next().await {
            let bytes = bytes.map_err(|error| request.explain(error))?;
            self.is_pieced |= is_rest;
            let length = self.length + bytes.len() as u64;
            if length > self.listed.size {
                return Err(Trouble::Lasting(self.wrong_length(request, length)));
            }
            self.file
                .write_all(&bytes)
                .map_err(|source| Trouble::Lasting(file("write", self.path.clone(), source)))?;
            self.hasher.update(&bytes);
            self.length = length;
            self.meter.add(&self.listed.path, bytes.len() as u64);
        }
        Ok(())
    }

    fn wrong_length(&self, request: &Request, found: u64) -> HubError {
        HubError::Length {
            file: self.listed.path.clone(),
            repository: request.repository.name().into(),
            found,
            wanted: self.listed.size,
        }
    }
}

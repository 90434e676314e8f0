//! Streams of work, events between them, and graphs of work recorded once. Each gives back what it took when it is dropped;
//! what goes wrong then is of no use to anyone.

use super::{
    device::Context,
    functions::{Address, Handle, constants::*},
};
use crate::train::step::StepError;
use std::{ptr, sync::Arc};

/// Work that the device does in order.
pub struct Stream {
    context: Arc<Context>,
    handle: Handle,
}

// SAFETY: a stream may be used from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub fn new(context: &Arc<Context>) -> Result<Stream, StepError> {
        context.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: it writes a handle.
        let status =
            unsafe { (context.driver().cuStreamCreate)(&mut handle, CU_STREAM_NON_BLOCKING) };
        context.check(status, "while a stream was made")?;
        let context = context.clone();
        Ok(Stream { context, handle })
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Writes to the device behind what is under way.
    ///
    /// # Safety
    /// `to` has room, and `from` stays as it is until the stream was waited for.
    pub unsafe fn upload(&self, to: Address, from: &[u8]) -> Result<(), StepError> {
        let upload = self.context.driver().cuMemcpyHtoDAsync_v2;
        // SAFETY: by the caller.
        let status = unsafe { upload(to, from.as_ptr().cast(), from.len(), self.handle) };
        self.context.check(status, "while numbers went there")
    }

    /// Reads from the device behind what is under way.
    ///
    /// # Safety
    /// `from` holds as many bytes, and nobody touches `to` until the stream was waited for.
    pub unsafe fn download(&self, to: &mut [u8], from: Address) -> Result<(), StepError> {
        let download = self.context.driver().cuMemcpyDtoHAsync_v2;
        // SAFETY: by the caller.
        let status = unsafe { download(to.as_mut_ptr().cast(), from, to.len(), self.handle) };
        self.context.check(status, "while numbers came back")
    }

    /// Copies on the device behind what is under way.
    ///
    /// # Safety
    /// Both sides hold as many bytes and do not overlap.
    pub unsafe fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), StepError> {
        let copy = self.context.driver().cuMemcpyDtoDAsync_v2;
        // SAFETY: by the caller.
        let status = unsafe { copy(to, from, bytes, self.handle) };
        self.context.check(status, "while it copied")
    }

    /// Fills with zeros behind what is under way.
    ///
    /// # Safety
    /// `at` has room.
    pub unsafe fn zero(&self, at: Address, bytes: usize) -> Result<(), StepError> {
        // SAFETY: by the caller.
        let status = unsafe { (self.context.driver().cuMemsetD8Async)(at, 0, bytes, self.handle) };
        self.context.check(status, "while memory was cleared")
    }

    /// Until everything is done. What went wrong in the work shows here.
    pub fn wait(&self) -> Result<(), StepError> {
        self.context.enter()?;
        // SAFETY: the handle is its own.
        let status = unsafe { (self.context.driver().cuStreamSynchronize)(self.handle) };
        self.context.check(status, "while it computed")
    }

    /// What comes behind waits for what the event marks, on whatever stream.
    pub fn wait_for(&self, event: &Event) -> Result<(), StepError> {
        let wait = self.context.driver().cuStreamWaitEvent;
        // SAFETY: both handles are their own.
        let status = unsafe { wait(self.handle, event.handle, 0) };
        self.context
            .check(status, "while one stream waited for another")
    }

    /// Records what `work` asks of this stream instead of doing it. `work` must take no memory.
    pub fn record(&self, work: impl FnOnce() -> Result<(), StepError>) -> Result<Graph, StepError> {
        let driver = self.context.driver();
        // SAFETY: the handle is its own.
        let begun = unsafe {
            (driver.cuStreamBeginCapture_v2)(self.handle, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        };
        self.context.check(begun, "while recording began")?;
        let done = work();
        let mut graph = ptr::null_mut();
        // SAFETY: recording has begun; it writes a handle. It must end also where `work` failed.
        let ended = unsafe { (driver.cuStreamEndCapture)(self.handle, &mut graph) };
        done?;
        self.context.check(ended, "while recording ended")?;
        let mut ready = ptr::null_mut();
        // SAFETY: the graph was recorded just now; it writes a handle.
        let status = unsafe { (driver.cuGraphInstantiateWithFlags)(&mut ready, graph, 0) };
        // SAFETY: what is ready does not need the recording any more.
        unsafe { (driver.cuGraphDestroy)(graph) };
        self.context
            .check(status, "while a recording was readied")?;
        let context = self.context.clone();
        Ok(Graph { context, ready })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.wait();
        // SAFETY: the handle is its own.
        unsafe { (self.context.driver().cuStreamDestroy_v2)(self.handle) };
    }
}

/// Work recorded once, to be done as often as wanted.
pub struct Graph {
    context: Arc<Context>,
    ready: Handle,
}

// SAFETY: a graph is used by one thread at a time, for it is launched through `&mut`.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Sync for Graph {}

impl Graph {
    /// Does it on a stream.
    pub fn launch(&mut self, stream: &Stream) -> Result<(), StepError> {
        // SAFETY: both handles are their own.
        let status = unsafe { (self.context.driver().cuGraphLaunch)(self.ready, stream.handle) };
        self.context.check(status, "when the kernels were launched")
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: the handle is its own; the driver keeps what is under way.
        unsafe { (self.context.driver().cuGraphExecDestroy)(self.ready) };
    }
}

/// A mark in a stream.
pub struct Event {
    context: Arc<Context>,
    handle: Handle,
}

// SAFETY: an event may be used from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// One that tells no time.
    pub fn new(context: &Arc<Context>) -> Result<Event, StepError> {
        Event::with(context, CU_EVENT_DISABLE_TIMING)
    }

    /// One that tells when it was passed.
    pub fn timed(context: &Arc<Context>) -> Result<Event, StepError> {
        Event::with(context, CU_EVENT_DEFAULT)
    }

    fn with(context: &Arc<Context>, flags: u32) -> Result<Event, StepError> {
        context.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: it writes a handle.
        let status = unsafe { (context.driver().cuEventCreate)(&mut handle, flags) };
        context.check(status, "while an event was made")?;
        let context = context.clone();
        Ok(Event { context, handle })
    }

    /// Marks what a stream has been asked for until now.
    pub fn mark(&self, stream: &Stream) -> Result<(), StepError> {
        // SAFETY: both handles are their own.
        let status = unsafe { (self.context.driver().cuEventRecord)(self.handle, stream.handle) };
        self.context
            .check(status, "when an event was put into a stream")
    }

    /// Until it is passed.
    pub fn wait(&self) -> Result<(), StepError> {
        self.context.enter()?;
        // SAFETY: the handle is its own.
        let status = unsafe { (self.context.driver().cuEventSynchronize)(self.handle) };
        self.context.check(status, "while it computed")
    }

    /// Seconds from an earlier one to this; both are timed and passed.
    pub fn seconds_since(&self, earlier: &Event) -> Result<f64, StepError> {
        let mut milliseconds = 0.0;
        let elapsed = self.context.driver().cuEventElapsedTime;
        // SAFETY: both handles are their own; it writes a number.
        let status = unsafe { elapsed(&mut milliseconds, earlier.handle, self.handle) };
        self.context.check(status, "while time was taken")?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: the handle is its own; the driver keeps it until it is passed.
        unsafe { (self.context.driver().cuEventDestroy_v2)(self.handle) };
    }
}

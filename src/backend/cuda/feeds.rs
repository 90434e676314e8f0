//! What is fed: put together on the host, sent to the device on a stream of its own while the run before still computes, and
//! taken over there once that is done.

use super::{
    allocation::Pinned,
    device::Context,
    emit::normalize::KNOWN,
    memory::Memory,
    program::Argument,
    recording::Recording,
    stream::{Event, Stream},
};
use crate::{
    backend::lookup,
    plan::{BufferId, Plan},
    train::step::StepError,
};
use std::sync::Arc;

/// Fields are dropped in their order: the stream waits before what it works on goes.
pub struct Feeds {
    upload: Stream,
    list: Vec<Fed>,
    /// Behind the last run's use of what was fed.
    used: Event,
    /// Makes of pixels what one of the feeds holds, once it is known what their levels are.
    intake: Option<Intake>,
}

struct Intake {
    feed: usize,
    launch: Recording,
    ready: bool,
}

/// What is fed under one name.
struct Fed {
    name: String,
    buffer: BufferId,
    bytes: usize,
    /// On the host, until it is uploaded.
    staging: Pinned,
    uploaded: Event,
    /// Whether a micro-batch reads it, so that it must be fed.
    read: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unfed,
    /// The next run takes it over as it is.
    Waiting,
    /// The next run makes numbers of it.
    Pixels,
    Taken,
}

impl Feeds {
    /// `intake` takes pixels over, and tells for which feed.
    pub fn new(
        context: &Arc<Context>,
        plan: &Plan,
        intake: Option<(usize, Recording)>,
    ) -> Result<Feeds, StepError> {
        let fed = |(at, (name, buffer)): (usize, &(String, BufferId))| {
            let bytes = plan.buffers[*buffer].bytes();
            Ok(Fed {
                name: name.clone(),
                buffer: *buffer,
                bytes,
                staging: Pinned::new(context, bytes)?,
                uploaded: Event::new(context)?,
                read: lookup::is_read(plan, at),
                state: State::Unfed,
            })
        };
        let list = plan.feeds.iter().enumerate().map(fed);
        Ok(Feeds {
            upload: Stream::new(context)?,
            list: list.collect::<Result<_, StepError>>()?,
            used: Event::new(context)?,
            intake: intake.map(|(feed, launch)| Intake {
                feed,
                launch,
                ready: false,
            }),
        })
    }

    /// Numbers for a feed, as many as it takes.
    pub fn feed(&mut self, memory: &Memory, at: usize, values: &[f32]) -> Result<(), StepError> {
        self.stage(memory, at, bytemuck::cast_slice(values))?;
        self.list[at].state = State::Waiting;
        Ok(())
    }

    /// From now on, pixels are made numbers of by this. `false` where nothing takes pixels over.
    pub fn normalize_by(
        &mut self,
        memory: &Memory,
        compute: &Stream,
        levels: &[[f32; 256]; 3],
    ) -> Result<bool, StepError> {
        let Some(intake) = &mut self.intake else {
            return Ok(false);
        };
        let levels = levels.as_flattened();
        assert_eq!(levels.len(), KNOWN, "so many are laid out for");
        memory.write(compute, Argument::Levels, bytemuck::cast_slice(levels))?;
        intake.ready = true;
        Ok(true)
    }

    /// Pixels in the place of the numbers that are made of them.
    pub fn feed_pixels(&mut self, memory: &Memory, pixels: &[u8]) -> Result<(), StepError> {
        let Some(Intake {
            feed, ready: true, ..
        }) = self.intake
        else {
            let told = "nobody has told what the levels of pixels are";
            return Err(StepError::Backend(told.into()));
        };
        let fed = &self.list[feed];
        let wanted = fed.bytes / size_of::<f32>();
        if pixels.len() != wanted {
            return Err(StepError::InputLength {
                name: fed.name.clone(),
                wanted,
                got: pixels.len(),
            });
        }
        self.stage(memory, feed, pixels)?;
        self.list[feed].state = State::Pixels;
        Ok(())
    }

    /// Sends bytes to where they wait.
    fn stage(&mut self, memory: &Memory, at: usize, bytes: &[u8]) -> Result<(), StepError> {
        let to = memory.at(Argument::Staged(at))?;
        let fed = &mut self.list[at];
        // What was staged before must have left the host, and have been taken over on the device.
        fed.uploaded.wait()?;
        fed.staging.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        self.upload.wait_for(&self.used)?;
        // SAFETY: the part was laid out for this feed, and what is staged stays until it is uploaded.
        unsafe {
            self.upload
                .upload(to, &fed.staging.bytes()[..bytes.len()])?
        };
        fed.uploaded.mark(&self.upload)
    }

    /// The first that a micro-batch reads and nobody has fed.
    pub fn unfed(&self) -> Option<&str> {
        let mut unfed = self.list.iter().filter(|fed| fed.read);
        let unfed = unfed.find(|fed| fed.state == State::Unfed)?;
        Some(&unfed.name)
    }

    /// What was fed goes to where kernels read it, behind those that still read what was there.
    pub fn take_over(&mut self, memory: &Memory, compute: &Stream) -> Result<(), StepError> {
        for (at, fed) in self.list.iter_mut().enumerate() {
            match (fed.state, &mut self.intake) {
                (State::Waiting, _) => {
                    compute.wait_for(&fed.uploaded)?;
                    let to = memory.at(Argument::Buffer(fed.buffer))?;
                    let from = memory.at(Argument::Staged(at))?;
                    // SAFETY: both parts were laid out for this feed.
                    unsafe { compute.copy(to, from, fed.bytes)? };
                }
                (State::Pixels, Some(intake)) => {
                    compute.wait_for(&fed.uploaded)?;
                    intake.launch.run(compute)?;
                }
                _ => continue,
            }
            fed.state = State::Taken;
        }
        self.used.mark(compute)
    }
}

//! The thread that hands out jobs and puts their answers together.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, sync_channel},
    },
    time::Duration,
};

use super::{
    Batch, DataError, Dataset,
    dataset::View,
    order::Slot,
    stored::Encoded,
    tally::{Skipped, Tally},
};

/// \[size, size, 3\], or why the image cannot be read.
type Pixels = Result<Vec<u8>, String>;

/// The places of a run without end, each with the bytes of its image where they were read ahead; it ends with the thread
/// that reads.
pub type Places = Box<dyn Iterator<Item = (Slot, Option<Encoded>)> + Send>;

/// One image to prepare.
pub struct Job {
    pub image: usize,
    /// What was read ahead of it.
    pub encoded: Option<Encoded>,
    pub view: View,
    pub answer: SyncSender<Pixels>,
}

/// A place whose image is being prepared.
struct Pending {
    slot: Slot,
    /// Images before this one that cannot be read.
    passed: usize,
    image: usize,
    answer: Receiver<Pixels>,
}

pub struct Gather {
    dataset: Arc<Dataset>,
    /// Images in a part of a batch.
    part: usize,
    /// Whether they stay pixels.
    raw: bool,
    places: Places,
    jobs: Sender<Job>,
    /// Jobs given out and not yet put into a batch: as many at most, in the order they were given.
    under_way: usize,
    pending: VecDeque<Pending>,
    tally: Tally,
    stop: Arc<AtomicBool>,
}

impl Gather {
    pub fn new(
        dataset: Arc<Dataset>,
        (part, raw): (usize, bool),
        places: Places,
        jobs: Sender<Job>,
        under_way: usize,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            part,
            raw,
            places,
            jobs,
            under_way,
            pending: VecDeque::new(),
            tally: Tally::new(dataset.len()),
            stop,
            dataset,
        }
    }

    /// Runs until too many images fail or the other end of `deliver` is closed.
    pub fn run(
        mut self,
        start_step: u64,
        parts: usize,
        deliver: &SyncSender<Result<Batch, DataError>>,
    ) {
        for step in start_step.. {
            for part in 0..parts {
                let batch = self.batch(step, part);
                let failed = batch.is_err();
                if deliver.send(batch).is_err() || failed {
                    return;
                }
            }
        }
    }

    fn batch(&mut self, step: u64, part: usize) -> Result<Batch, DataError> {
        let length = self.dataset.image_len();
        let room = |wanted: bool| if wanted { self.part * length } else { 0 };
        let mut pixels = Vec::with_capacity(room(self.raw));
        let mut images = vec![0.0; room(!self.raw)];
        let mut names = Vec::with_capacity(self.part);
        for at in 0..self.part {
            while self.pending.len() < self.under_way {
                let (slot, encoded) = self.places.next().ok_or(DataError::LoaderEnded)?;
                let pending = self.ask(slot, 0, encoded)?;
                self.pending.push_back(pending);
            }
            let pending = self.pending.pop_front().expect("jobs are under way");
            let (image, read) = self.await_readable(pending)?;
            match images.chunks_exact_mut(length).nth(at) {
                Some(planes) => self.dataset.normalizer().apply(&read, planes),
                None => pixels.extend(read),
            }
            names.push(self.dataset.name(image));
        }
        Ok(Batch {
            step,
            part,
            images,
            pixels,
            names,
            skipped: self.tally.take_new(),
            waited: Duration::ZERO,
        })
    }

    /// Waits for the image of a place, or for the next that can be read.
    fn await_readable(&mut self, mut pending: Pending) -> Result<(usize, Vec<u8>), DataError> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(DataError::LoaderEnded);
            }
            match pending.answer.recv() {
                Err(_) => return Err(DataError::LoaderEnded),
                Ok(Ok(pixels)) => {
                    self.tally.fill();
                    return Ok((pending.image, pixels));
                }
                Ok(Err(reason)) => {
                    let name = self.dataset.name(pending.image);
                    self.tally.skip(pending.image, Skipped { name, reason })?;
                    pending = self.ask(pending.slot, pending.passed + 1, None)?;
                }
            }
        }
    }

    /// Has the first image that may fill a place prepared, passing over `passed` and those known to be unreadable. What was
    /// read ahead is the place's own image; another is read where it lies.
    fn ask(
        &self,
        slot: Slot,
        mut passed: usize,
        encoded: Option<Encoded>,
    ) -> Result<Pending, DataError> {
        let image = loop {
            // The tally has ended the run before every image is known to be unreadable.
            let image = slot.image(passed).ok_or(DataError::LoaderEnded)?;
            if !self.tally.is_unreadable(image) {
                break image;
            }
            passed += 1;
        };
        let (answer, receiver) = sync_channel(1);
        let view = View {
            epoch: slot.epoch,
            passed,
        };
        let job = Job {
            image,
            encoded: encoded.filter(|_| passed == 0),
            view,
            answer,
        };
        let sent = self.jobs.send(job);
        sent.map_err(|_| DataError::LoaderEnded)?;
        Ok(Pending {
            slot,
            passed,
            image,
            answer: receiver,
        })
    }
}

//! Batches, made in background threads and delivered in order.
//!
//! ```text
//! gather (order, one thread) --job--> workers (decode, crop, resize, flip) --pixels--> gather (normalise) --batch--> next
//! ```
//!
//! Each job carries the channel of its answer, and answers are awaited in the order the jobs were given: any number
//! of workers, finishing in any order, gives the same batches. A fixed number of jobs is under way and one batch
//! waits ready, which bounds the memory. A worker reads its image by itself, unless archives are read from front to back:
//! then a [`Stream`] reads ahead of the jobs, on a thread of its own, and each job carries the bytes.
//!
//! Where an image cannot be read, the next one of the epoch's order takes its place: which one depends on the seed, the
//! epoch, the place, and which files can be read, so the length of an epoch never changes, and a resumed run goes on
//! alike.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    DataConfig, DataError, Dataset, Order, Source,
    buffered::Buffered,
    dataset::Scratch,
    gather::{Gather, Job, Places},
    stream::Stream,
    tally::Skipped,
};

/// What one optimizer step sees, or one part of it.
#[derive(Debug)]
pub struct Batch {
    /// The optimizer step, counted from 0.
    pub step: u64,
    /// Which part of the step's batch, counted from 0.
    pub part: usize,
    /// \[images, 3, size, size\], normalised; empty where they were asked for as pixels.
    pub images: Vec<f32>,
    /// \[images, size, size, 3\], red, green and blue as they were cut and resized; empty unless they were asked for.
    pub pixels: Vec<u8>,
    /// The file of each image.
    pub names: Vec<String>,
    /// Images that could not be read and were met for the first time; another stands in the place of each.
    pub skipped: Vec<Skipped>,
    /// How long the caller waited for it.
    pub waited: Duration,
}

/// Delivers the batches of a run, from any step on. Dropping it ends its threads.
pub struct Loader {
    dataset: Arc<Dataset>,
    order: Order,
    stop: Arc<AtomicBool>,
    /// `None` once an error was delivered, or while dropping.
    ready: Option<Receiver<Result<Batch, DataError>>>,
    failure: DataError,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts to load batches of `batch` images, the first for `start_step`.
    ///
    /// # Errors
    /// As [`Dataset::open`]; fewer images than a batch takes; a thread cannot be started.
    pub fn new(config: &DataConfig, batch: usize, start_step: u64) -> Result<Self, DataError> {
        Self::in_parts(config, batch, batch, start_step)
    }

    /// As [`new`](Self::new), but delivers each batch in parts of `part` images, which must divide `batch`: the same
    /// images in the same order, in the memory of a micro-batch.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if `part` does not divide `batch`.
    pub fn in_parts(
        config: &DataConfig,
        batch: usize,
        part: usize,
        start_step: u64,
    ) -> Result<Self, DataError> {
        Self::start(config, batch, (part, false), start_step)
    }

    /// As [`in_parts`](Self::in_parts), but as pixels, which whoever takes them normalises.
    ///
    /// # Errors
    /// As [`in_parts`](Self::in_parts).
    pub fn of_pixels(
        config: &DataConfig,
        batch: usize,
        part: usize,
        start_step: u64,
    ) -> Result<Self, DataError> {
        Self::start(config, batch, (part, true), start_step)
    }

    fn start(
        config: &DataConfig,
        batch: usize,
        (part, raw): (usize, bool),
        start_step: u64,
    ) -> Result<Self, DataError> {
        let dataset = Dataset::open(config)?;
        check_batch(&dataset, config, batch, part)?;
        let dataset = Arc::new(dataset);
        let mut order = Order::new(dataset.len(), batch, config.seed);
        if let Some((shards, buffer)) = dataset.buffered() {
            order = order.through(Buffered::new(shards.bounds(), buffer));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (deliver, ready) = sync_channel(1);
        let mut loader = Self {
            dataset: dataset.clone(),
            order,
            stop: stop.clone(),
            ready: Some(ready),
            failure: DataError::LoaderEnded,
            threads: Vec::new(),
        };
        // Younger than `loader`, so that an error below closes the jobs before it joins the threads already started.
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let workers = worker_count(config.workers);
        for number in 0..workers {
            let (dataset, queue, stop) = (dataset.clone(), queue.clone(), stop.clone());
            loader.spawn(format!("images-{number}"), move || {
                work(&dataset, &queue, &stop)
            })?;
        }
        // Enough that a slow image does not idle the other workers.
        let under_way = 4 * workers;
        let places = loader.places(start_step, under_way)?;
        let gather = Gather::new(dataset, (part, raw), places, jobs, under_way, stop);
        loader.spawn("batches".into(), move || {
            gather.run(start_step, batch / part, &deliver)
        })?;
        Ok(loader)
    }

    /// The next batch, or part of one; waits for it if it is not ready.
    ///
    /// # Errors
    /// Too many images cannot be read. The loader then stops: every further call gives the same error.
    #[allow(clippy::should_implement_trait)] // An iterator could not fail.
    pub fn next(&mut self) -> Result<Batch, DataError> {
        loop {
            if let Some(batch) = self.next_within(Duration::MAX)? {
                return Ok(batch);
            }
        }
    }

    /// As [`next`](Self::next), but waits no longer than `patience`; `None` if nothing was ready by then.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_within(&mut self, patience: Duration) -> Result<Option<Batch>, DataError> {
        let Some(ready) = &self.ready else {
            return Err(self.failure.clone());
        };
        let start = Instant::now();
        let batch = match ready.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(DataError::LoaderEnded),
            Ok(batch) => batch,
        };
        match batch {
            Ok(batch) => Ok(Some(Batch {
                waited: start.elapsed(),
                ..batch
            })),
            Err(error) => {
                self.ready = None;
                self.failure = error.clone();
                Err(error)
            }
        }
    }

    /// The images the batches are made of.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Where each step stands in its epoch.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The places from a step on; of archives that are read from front to back, with images that were read, up to `ahead`
    /// of them beside those that wait to be drawn.
    fn places(&mut self, start_step: u64, ahead: usize) -> Result<Places, DataError> {
        let Some((shards, _)) = self.dataset.buffered() else {
            let slots = self.order.samples_from(start_step);
            return Ok(Box::new(slots.map(|slot| (slot, None))));
        };
        let (hand_out, places) = sync_channel(ahead);
        let stream = Stream::new(shards.clone(), &self.order, start_step, self.stop.clone());
        self.spawn("archives".into(), move || {
            for (slot, encoded) in stream {
                if hand_out.send((slot, Some(encoded))).is_err() {
                    return;
                }
            }
        })?;
        Ok(Box::new(places.into_iter()))
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), DataError> {
        let thread = thread::Builder::new()
            .name(name)
            .spawn(run)
            .map_err(DataError::no_thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Closing this end wakes `gather`, which closes the jobs, which wakes the workers.
        self.ready = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself, and `next` has reported it.
            let _ = thread.join();
        }
    }
}

fn check_batch(
    dataset: &Dataset,
    config: &DataConfig,
    batch: usize,
    part: usize,
) -> Result<(), DataError> {
    let out_of_range = |key, got: usize, wanted: String| {
        Err(DataError::OutOfRange {
            key,
            got: got.to_string(),
            wanted,
        })
    };
    if batch == 0 {
        return out_of_range("train.batch", batch, "at least 1".into());
    }
    if part == 0 || !batch.is_multiple_of(part) {
        let wanted = format!("a divisor of train.batch = {batch}");
        return out_of_range("train.micro_batch", part, wanted);
    }
    if dataset.len() < batch {
        return Err(DataError::TooFewImages {
            found: dataset.len(),
            batch,
            place: match &config.images {
                Source::Folder(root) => root.display().to_string(),
                Source::Synthetic { .. } => "the synthetic set".into(),
            },
        });
    }
    Ok(())
}

/// 0 asks for one worker per core less one, which is left to the training step.
fn worker_count(asked: usize) -> usize {
    match asked {
        0 => thread::available_parallelism().map_or(1, |cores| cores.get().max(2) - 1),
        asked => asked,
    }
}

fn work(dataset: &Dataset, queue: &Mutex<Receiver<Job>>, stop: &AtomicBool) {
    let mut scratch = Scratch::default();
    let take = || {
        let queue = queue.lock().expect("receiving does not panic");
        queue.recv()
    };
    while let Ok(job) = take() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let pixels = dataset.augment(job.image, job.encoded, job.view, &mut scratch);
        // Nobody waits for the answer any more if the loader was dropped meanwhile.
        let _ = job.answer.send(pixels);
    }
}

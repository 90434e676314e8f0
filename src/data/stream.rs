//! Archives read from front to back, ahead of the images that are asked for.
//!
//! ```text
//! order of reading --> tape (one archive at a time, in blocks) --> held (a buffer) -- order of drawing --> places
//! ```
//!
//! Both orders are known beforehand, so nothing of this is ever stored: a run that resumes reads what waits in the buffer
//! there, and goes on.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Order,
    order::{Reads, Samples, Slot},
    shards::Shards,
    stored::Encoded,
};

/// Bytes read at once, or one image where that is more: a hundredth of a second of a spinning disk's time goes into finding
/// them, and several into reading them.
const BLOCK: usize = 4 << 20;

/// The images of a run from a step on, without end, read in the order they lie in and handed out in that of the run.
pub struct Stream<F> {
    tape: Tape<F>,
    reads: Reads,
    places: Samples,
    /// How many images are held at most.
    buffer: usize,
    /// Read and not yet handed out, by epoch and image.
    held: HashMap<(u64, usize), Encoded>,
    stop: Arc<AtomicBool>,
}

impl Stream<File> {
    /// `order` is one through a buffer. The stream ends once `stop` is set.
    pub fn new(shards: Arc<Shards>, order: &Order, start_step: u64, stop: Arc<AtomicBool>) -> Self {
        let tape = Tape::new(shards, BLOCK, |path| File::open(path));
        Self::of(tape, order, start_step, stop)
    }
}

impl<F> Stream<F> {
    fn of(tape: Tape<F>, order: &Order, start_step: u64, stop: Arc<AtomicBool>) -> Self {
        let reads = order.reads_from(start_step);
        let reads = reads.expect("the order is one through a buffer");
        Self {
            tape,
            buffer: reads.buffer(),
            reads,
            places: order.samples_from(start_step),
            held: HashMap::new(),
            stop,
        }
    }
}

impl<F: Read + Seek> Iterator for Stream<F> {
    type Item = (Slot, Encoded);

    fn next(&mut self) -> Option<(Slot, Encoded)> {
        while self.held.len() < self.buffer {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let (epoch, image) = self.reads.next()?;
            let encoded = self.tape.read(image).map_err(|error| error.to_string());
            self.held.insert((epoch, image), encoded);
        }
        let slot = self.places.next()?;
        let drawn = (slot.epoch, slot.image(0)?);
        let encoded = self.held.remove(&drawn);
        Some((
            slot,
            encoded.expect("an image is drawn from those that wait"),
        ))
    }
}

/// Reads archives from front to back, and holds one open; one that is begun again is opened anew.
struct Tape<F> {
    shards: Arc<Shards>,
    /// Bytes.
    block: usize,
    open: Open<F>,
    archive: Option<Archive<F>>,
}

/// How an archive is opened.
type Open<F> = Box<dyn Fn(&Path) -> io::Result<F> + Send>;

struct Archive<F> {
    number: usize,
    file: BufReader<F>,
    /// Bytes before the next that `file` gives.
    at: u64,
}

impl<F> Tape<F> {
    fn new(
        shards: Arc<Shards>,
        block: usize,
        open: impl Fn(&Path) -> io::Result<F> + Send + 'static,
    ) -> Self {
        Self {
            shards,
            block,
            open: Box::new(open),
            archive: None,
        }
    }
}

impl<F: Read + Seek> Tape<F> {
    fn read(&mut self, image: usize) -> io::Result<Vec<u8>> {
        let (number, span) = self.shards.place(image);
        let ahead = |open: &Archive<F>| open.number == number && open.at <= span.start;
        let mut archive = match self.archive.take().filter(ahead) {
            Some(archive) => archive,
            None => Archive {
                number,
                file: BufReader::with_capacity(
                    self.block,
                    (self.open)(self.shards.archive(number))?,
                ),
                at: 0,
            },
        };
        // No file is so long that the distance between two places in it overflows.
        let distance = span.start.wrapping_sub(archive.at) as i64;
        archive.file.seek_relative(distance)?;
        let bytes = span.read(&mut archive.file)?;
        archive.at = span.end();
        // Only now: behind a failure, nobody knows where an archive stands.
        self.archive = Some(archive);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;

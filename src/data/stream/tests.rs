use super::*;
use crate::{data::buffered::Buffered, random::Key};
use std::{
    collections::HashSet,
    fs::OpenOptions,
    io::SeekFrom,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};
use tempfile::TempDir;

/// Archives of random numbers of images, of random lengths and with something beside them.
struct Case {
    _folder: TempDir,
    paths: Vec<PathBuf>,
    shards: Arc<Shards>,
    batch: usize,
    order: Order,
    buffer: usize,
    log: Log,
}

/// What is done to the files, in turn.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Done>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Done {
    Opened(PathBuf),
    /// From one byte to before another.
    Read(u64, u64),
}

impl Log {
    fn get(&self) -> MutexGuard<'_, Vec<Done>> {
        self.0.lock().unwrap()
    }

    fn bytes(&self) -> u64 {
        let length = |done: &Done| match done {
            Done::Opened(_) => 0,
            Done::Read(from, to) => to - from,
        };
        self.get().iter().map(length).sum()
    }

    fn opened(&self) -> Vec<PathBuf> {
        let path = |done: &Done| match done {
            Done::Opened(path) => Some(path.clone()),
            Done::Read(..) => None,
        };
        self.get().iter().filter_map(path).collect()
    }
}

struct Watched {
    file: File,
    log: Log,
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let from = self.file.stream_position()?;
        let read = self.file.read(bytes)?;
        let done = Done::Read(from, from + read as u64);
        self.log.get().push(done);
        Ok(read)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Case {
    fn new(number: u64) -> Self {
        let key = Key::new(number).with("case");
        let sizes = (0..=key.below(0, 6)).map(|archive| key.below(1 + archive, 12) as usize);
        let mut sizes: Vec<_> = sizes.collect();
        sizes.push(2);
        let images: usize = sizes.iter().sum();
        let batch = 1 + key.below(50, images.min(6) as u64) as usize;
        let buffer = 1 + key.below(51, images as u64 + 3) as usize;
        Self::of(&sizes, batch, buffer)
    }

    fn of(sizes: &[usize], batch: usize, buffer: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mut paths = Vec::new();
        for (archive, size) in sizes.iter().enumerate() {
            let path = folder.path().join(format!("{archive:03}.tar"));
            let mut tar = tar::Builder::new(File::create(&path).unwrap());
            for image in 0..*size {
                let key = Key::new(archive as u64).at(image as u64);
                for (extension, most) in [("cls", 9), ("png", 3000), ("json", 700)] {
                    let key = key.with(extension);
                    let length = key.below(0, most);
                    let bytes: Vec<_> = (1..=length).map(|at| key.bits(at) as u8).collect();
                    let mut header = tar::Header::new_gnu();
                    header.set_size(length);
                    let name = format!("{image:04}.{extension}");
                    tar.append_data(&mut header, name, &bytes[..]).unwrap();
                }
            }
            tar.into_inner().unwrap();
            paths.push(path);
        }
        let shards = Arc::new(Shards::open(folder.path(), paths.clone()).unwrap());
        let buffered = Buffered::new(shards.bounds(), buffer);
        let buffer = buffered.buffer();
        let order = Order::new(shards.len(), batch, 5).through(buffered);
        Self {
            _folder: folder,
            paths,
            shards,
            batch,
            order,
            buffer,
            log: Log::default(),
        }
    }

    fn stream(&self, block: usize, step: u64) -> Stream<Watched> {
        self.log.get().clear();
        let log = self.log.clone();
        let tape = Tape::new(self.shards.clone(), block, move |path| {
            log.get().push(Done::Opened(path.to_owned()));
            let (file, log) = (File::open(path)?, log.clone());
            Ok(Watched { file, log })
        });
        Stream::of(tape, &self.order, step, Arc::default())
    }

    fn steps(&self) -> u64 {
        self.order.steps_per_epoch()
    }

    /// How many images an epoch draws.
    fn drawn(&self) -> usize {
        self.steps() as usize * self.batch
    }
}

#[test]
fn from_any_step_on_images_come_in_their_order_with_their_bytes() {
    for number in 0..20 {
        let case = Case::new(number);
        let read = |image| case.shards.read(image).unwrap();
        let bytes: Vec<_> = (0..case.shards.len()).map(read).collect();
        for step in 0..2 * case.steps() + 1 {
            let mut stream = case.stream(100, step);
            for place in case.order.samples_from(step).take(2 * case.shards.len()) {
                let (slot, encoded) = stream.next().unwrap();
                let image = place.image(0).unwrap();
                assert_eq!((slot.epoch, slot.image(0)), (place.epoch, Some(image)));
                assert_eq!(encoded.unwrap(), bytes[image]);
                assert_eq!(stream.held.len(), case.buffer - 1);
            }
        }
    }
}

#[test]
fn an_epoch_reads_each_archive_once_from_front_to_back() {
    for number in 0..40 {
        for block in [1, 700, BLOCK] {
            let case = Case::new(number);
            let mut stream = case.stream(block, 0);
            let epochs = 4;
            (0..epochs * case.drawn()).for_each(|_| drop(stream.next()));
            let mut at = u64::MAX;
            let mut reads = 0;
            for done in &*case.log.get() {
                match done {
                    Done::Opened(_) => at = 0,
                    Done::Read(from, to) => {
                        assert!(*from >= at, "{from} after {at}");
                        at = *to;
                        reads += 1;
                    }
                }
            }
            // What waits may be of one epoch more.
            let opened = case.log.opened();
            let most = (epochs + 2) * case.paths.len();
            assert!(opened.len() <= most, "{} > {most}", opened.len());
            if block == BLOCK {
                assert!(reads <= opened.len(), "{reads} > {}", opened.len());
            }
        }
    }
}

#[test]
fn a_resumed_stream_reads_what_waits_and_no_more() {
    for number in 0..40 {
        let case = Case::new(number);
        for step in 0..case.steps() {
            // Nothing is read ahead in so small a block.
            let mut stream = case.stream(1, step);
            let (slot, encoded) = stream.next().unwrap();
            let drawn = (slot.epoch, slot.image(0).unwrap());
            stream.held.insert(drawn, encoded);
            let read: u64 = stream
                .held
                .values()
                .map(|e| e.as_ref().unwrap().len() as u64)
                .sum();
            assert_eq!(case.log.bytes(), read);
            let archives: HashSet<_> = stream
                .held
                .keys()
                .map(|(epoch, image)| (*epoch, case.shards.place(*image).0))
                .collect();
            assert!(case.log.opened().len() <= archives.len());
            let place = case.order.place(step);
            let before = &case.order.permutation(place.epoch)[..place.position];
            let again = |image: &&usize| stream.held.contains_key(&(place.epoch, **image));
            assert_eq!(before.iter().find(again), None);
        }
    }
}

#[test]
fn a_stream_that_is_stopped_reads_nothing_more() {
    let case = Case::of(&[10, 10], 4, 6);
    let mut stream = case.stream(1, 0);
    assert!(stream.next().is_some());
    stream.stop.store(true, Ordering::Relaxed);
    case.log.get().clear();
    assert!(stream.next().is_none());
    assert_eq!(*case.log.get(), []);
}

/// Why images cannot be read, by number, in an epoch.
fn failures(stream: &mut Stream<Watched>, epoch: u64, drawn: usize) -> Vec<(usize, String)> {
    let mut failures = Vec::new();
    for (slot, encoded) in stream.by_ref().take(drawn) {
        assert_eq!(slot.epoch, epoch);
        if let Err(reason) = encoded {
            failures.push((slot.image(0).unwrap(), reason));
        }
    }
    failures.sort();
    failures
}

#[test]
fn images_that_a_cut_archive_has_lost_cannot_be_read_and_the_others_can() {
    let case = Case::of(&[9, 9, 9], 3, 4);
    let mut stream = case.stream(1, 0);
    assert_eq!(failures(&mut stream, 0, 27), []);
    // In the middle of the last image but three of the second archive.
    let (_, span) = case.shards.place(14);
    let left = span.end() - 1;
    let file = OpenOptions::new().write(true).open(&case.paths[1]).unwrap();
    file.set_len(left).unwrap();
    // What is waiting for the next epoch was read before.
    let waiting: Vec<_> = stream.held.keys().map(|(_, image)| *image).collect();
    let lost = (14..18).filter(|image| case.shards.place(*image).1.end() > left);
    let lost: Vec<_> = lost.collect();
    let found = failures(&mut stream, 1, 27);
    let found: Vec<_> = found.iter().map(|(image, _)| *image).collect();
    let still: Vec<_> = lost
        .iter()
        .copied()
        .filter(|i| !waiting.contains(i))
        .collect();
    assert_eq!(found, still);
    let again = failures(&mut stream, 2, 27);
    assert_eq!(
        again.iter().map(|(image, _)| *image).collect::<Vec<_>>(),
        lost
    );
    let told = "the archive has become shorter, and ends before it does";
    assert!(again.iter().all(|(_, reason)| reason == told), "{again:?}");
}

#[test]
fn an_archive_that_has_gone_is_named_with_each_of_its_images_and_may_come_back() {
    let case = Case::of(&[5, 5, 5], 3, 4);
    let aside = case.paths[1].with_extension("aside");
    std::fs::rename(&case.paths[1], &aside).unwrap();
    let mut stream = case.stream(64, 0);
    let found = failures(&mut stream, 0, 15);
    assert_eq!(
        found.iter().map(|(image, _)| *image).collect::<Vec<_>>(),
        [5, 6, 7, 8, 9]
    );
    assert!(
        found
            .iter()
            .all(|(_, reason)| reason.starts_with("No such file"))
    );
    std::fs::rename(&aside, &case.paths[1]).unwrap();
    assert!(failures(&mut stream, 1, 15).len() <= case.buffer);
    assert_eq!(failures(&mut stream, 2, 15), []);
}

//! What a set of images amounts to: every one read, decoded and measured, as training would.

mod report;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hasher},
    path::Path,
    time::Instant,
};

use rayon::prelude::*;
use serde::Serialize;

use super::{
    DataError, Fault, Header, MAX_SIZE,
    crop::central_square,
    decode::decode,
    resample::Resampler,
    stored::{Beside, Stored},
};
use crate::text::paths::shown;

/// What is looked at, and how closely.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Side of what a network would see, in pixels, 1 to [`MAX_SIZE`].
    pub size: usize,
    /// Looks at so many images from all over the set; all of them where `None`.
    pub sample: Option<usize>,
}

/// Images found, before any is looked at.
pub struct Found {
    path: String,
    stored: Stored,
    beside: Beside,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// As it was given.
    pub path: String,
    /// All there are.
    pub images: usize,
    /// Tar archives that hold them; 0 for a folder of files.
    pub archives: usize,
    /// All counts below are of those looked at.
    pub looked_at: usize,
    /// Those that can be decoded.
    pub readable: usize,
    /// How many there are of each.
    pub formats: BTreeMap<&'static str, usize>,
    /// Of those that can be read, in pixels, as they are seen.
    pub width: Spread,
    /// As the width.
    pub height: Spread,
    /// Of each, as it is stored.
    pub bytes: Spread,
    /// Of all together.
    pub total_bytes: u64,
    /// Those of one channel of colour.
    pub grey: usize,
    /// Those with a channel of transparency.
    pub alpha: usize,
    /// More than 8 bits a sample.
    pub deep: usize,
    /// Stored in another orientation than they are seen.
    pub turned: usize,
    /// Side of what the network would see, in pixels.
    pub size: usize,
    /// Red, green and blue in \[0, 1\], of the central squares at `size` pixels, every image counting alike; what
    /// `data.mean` and `data.std` of a recipe take. `None` if no image can be read.
    pub statistics: Option<Statistics>,
    /// That looked.
    pub threads: usize,
    /// Read, decoded and resized by all threads together.
    pub images_per_s: f64,
    /// What training would meet.
    pub problems: Problems,
    /// Other files by their extension.
    pub passed_over: BTreeMap<String, usize>,
}

/// The middle of an even number of values is the lower of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spread {
    /// The least.
    pub min: u64,
    /// The middle one.
    pub median: u64,
    /// The greatest.
    pub max: u64,
}

/// Of red, green and blue, in \[0, 1\].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// Of all pixels.
    pub mean: [f64; 3],
    /// The deviation from it.
    pub std: [f64; 3],
}

/// Files that training passes over or had better not see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Problems {
    /// Those training would pass over.
    pub unreadable: Vec<Named<String>>,
    /// More pixels than are decoded; these are not among the unreadable.
    pub too_large: Vec<Named<String>>,
    /// A side is shorter than `size`: they are enlarged.
    pub small: Vec<Named<[u32; 2]>>,
    /// Images of the very same bytes, by their length and 64 bits of a hash.
    pub duplicates: Vec<Vec<String>>,
    /// Folders that cannot be looked into; training refuses to begin.
    pub closed: Vec<Named<String>>,
}

/// A file, and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named<T> {
    /// The file as a user would open it.
    pub name: String,
    /// What is the matter.
    pub what: T,
}

impl Found {
    /// Finds the images of a folder or a tar archive.
    ///
    /// # Errors
    /// Nothing is there, no images, or both images and archives; an archive cannot be read.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        let (stored, beside) = Stored::open(path)?;
        let path = shown(path);
        Ok(Self {
            path,
            stored,
            beside,
        })
    }

    /// All there are.
    pub fn images(&self) -> usize {
        self.stored.len()
    }

    /// How many of them would be looked at.
    pub fn looked_at(&self, options: &Options) -> usize {
        let all = self.images();
        options.sample.map_or(all, |sample| sample.clamp(1, all))
    }

    /// Looks at the images on all cores. `done` hears of each one.
    ///
    /// # Errors
    /// The size is out of range.
    pub fn survey(self, options: &Options, done: &(dyn Fn() + Sync)) -> Result<Survey, DataError> {
        if !(1..=MAX_SIZE).contains(&options.size) {
            return Err(DataError::OutOfRange {
                key: "data.size",
                got: options.size.to_string(),
                wanted: format!("1 to {MAX_SIZE}"),
            });
        }
        let (all, count) = (self.images(), self.looked_at(options));
        let started = Instant::now();
        let looked: Vec<Look> = (0..count)
            .into_par_iter()
            .map_init(Resampler::default, |resampler, at| {
                // In u128: a million times a million overflows nothing then, on any machine.
                let image = (at as u128 * all as u128 / count as u128) as usize;
                let look = Look::at(&self.stored, image, options.size, resampler);
                done();
                look
            })
            .collect();
        let images_per_s = count as f64 / started.elapsed().as_secs_f64();
        Ok(self.sum_up(looked, options.size, images_per_s))
    }

    fn sum_up(self, looked: Vec<Look>, size: usize, images_per_s: f64) -> Survey {
        let Self {
            path,
            stored,
            beside,
        } = self;
        let headers: Vec<&Header> = looked
            .iter()
            .filter_map(|look| look.header.as_ref().ok())
            .collect();
        let count = |is: fn(&Header) -> bool| headers.iter().filter(|header| is(header)).count();
        let mut formats = BTreeMap::new();
        for header in &headers {
            *formats.entry(header.format).or_default() += 1;
        }
        let sums = looked
            .iter()
            .map(|look| look.sums)
            .fold(Sums::default(), Sums::add);
        Survey {
            path,
            images: stored.len(),
            archives: match &stored {
                Stored::Files(_) => 0,
                Stored::Shards(shards) => shards.count(),
            },
            looked_at: looked.len(),
            readable: headers.len(),
            formats,
            width: Spread::of(headers.iter().map(|header| header.width.into())),
            height: Spread::of(headers.iter().map(|header| header.height.into())),
            bytes: Spread::of(looked.iter().map(|look| look.bytes)),
            total_bytes: looked.iter().map(|look| look.bytes).sum(),
            grey: count(|header| header.grey),
            alpha: count(|header| header.alpha),
            deep: count(|header| header.deep),
            turned: count(|header| header.turned),
            size,
            statistics: (!headers.is_empty()).then(|| sums.statistics(headers.len() * size * size)),
            threads: rayon::current_num_threads(),
            images_per_s,
            problems: problems(&stored, &beside, &looked, size),
            passed_over: beside.others,
        }
    }
}

/// What is seen of one image.
struct Look {
    image: usize,
    bytes: u64,
    hash: u64,
    header: Result<Header, Trouble>,
    sums: Sums,
}

enum Trouble {
    TooLarge(String),
    Unreadable(String),
}

impl Look {
    fn at(stored: &Stored, image: usize, size: usize, resampler: &mut Resampler) -> Self {
        let mut look = Self {
            image,
            bytes: 0,
            hash: 0,
            header: Err(Trouble::Unreadable(String::new())),
            sums: Sums::default(),
        };
        let bytes = match stored.read(image) {
            Ok(bytes) => bytes,
            Err(error) => {
                look.header = Err(Trouble::Unreadable(error.to_string()));
                return look;
            }
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        look.hash = hasher.finish();
        look.bytes = bytes.len() as u64;
        look.header = match decode(&bytes) {
            Ok((header, pixels)) => {
                let part = central_square(pixels.width(), pixels.height());
                look.sums = Sums::of(&resampler.resize(&pixels, part, size as u32));
                Ok(header)
            }
            Err(fault @ Fault::TooLarge { .. }) => Err(Trouble::TooLarge(fault.to_string())),
            Err(fault) => Err(Trouble::Unreadable(fault.to_string())),
        };
        look
    }
}

/// Of samples and of their squares, red, green and blue. Whole numbers, so that any number of threads gives the same.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    samples: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    fn of(pixels: &[u8]) -> Self {
        let mut sums = Self::default();
        for pixel in pixels.chunks_exact(3) {
            for (channel, sample) in pixel.iter().enumerate() {
                sums.samples[channel] += u64::from(*sample);
                sums.squares[channel] += u64::from(*sample) * u64::from(*sample);
            }
        }
        sums
    }

    fn add(mut self, other: Self) -> Self {
        for channel in 0..3 {
            self.samples[channel] += other.samples[channel];
            self.squares[channel] += other.squares[channel];
        }
        self
    }

    fn statistics(self, pixels: usize) -> Statistics {
        let mean = |sum: u64| sum as f64 / pixels as f64 / 255.0;
        let std = |channel: usize| {
            let square = self.squares[channel] as f64 / pixels as f64 / (255.0 * 255.0);
            let variance = square - mean(self.samples[channel]).powi(2);
            variance.max(0.0).sqrt()
        };
        Statistics {
            mean: self.samples.map(mean),
            std: [0, 1, 2].map(std),
        }
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        match &values[..] {
            [] => Self::default(),
            [min, ..] => Self {
                min: *min,
                median: values[(values.len() - 1) / 2],
                max: values[values.len() - 1],
            },
        }
    }
}

fn problems(stored: &Stored, beside: &Beside, looked: &[Look], size: usize) -> Problems {
    let mut problems = Problems::default();
    for look in looked {
        let name = || stored.name(look.image);
        match &look.header {
            Ok(header) if (header.width.min(header.height) as usize) < size => {
                let what = [header.width, header.height];
                problems.small.push(Named { name: name(), what });
            }
            Ok(_) => {}
            Err(Trouble::TooLarge(what)) => {
                let what = what.clone();
                problems.too_large.push(Named { name: name(), what });
            }
            Err(Trouble::Unreadable(what)) => {
                let what = what.clone();
                problems.unreadable.push(Named { name: name(), what });
            }
        }
    }
    problems.duplicates = duplicates(looked)
        .into_iter()
        .map(|group| group.into_iter().map(|image| stored.name(image)).collect())
        .collect();
    problems.closed = beside
        .closed
        .iter()
        .map(|closed| Named {
            name: shown(&closed.path),
            what: closed.reason.clone(),
        })
        .collect();
    problems
}

/// Groups of images of the same bytes, in the order of the first of each. Empty files are no pictures, alike or not.
fn duplicates(looked: &[Look]) -> Vec<Vec<usize>> {
    let mut groups = HashMap::<(u64, u64), Vec<usize>>::new();
    for look in looked.iter().filter(|look| look.bytes > 0) {
        let group = groups.entry((look.hash, look.bytes)).or_default();
        group.push(look.image);
    }
    let mut groups: Vec<_> = groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect();
    groups.sort_unstable();
    groups
}

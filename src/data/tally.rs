//! Images that cannot be read: counted, and too many of them end the run.

use std::collections::HashSet;

use super::DataError;

/// A share of unreadable images up to this is passed over, in percent of those tried.
pub const TOLERATED_PERCENT: usize = 5;

/// So many may be unreadable whatever their share: a share of a few says nothing.
pub const TOLERATED_ALWAYS: usize = 10;

/// An image that cannot be read and was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// As [`Dataset::name`](super::Dataset::name) says.
    pub name: String,
    /// Why it cannot be read.
    pub reason: String,
}

/// Counts along the order of the samples, so that a run ends at the same place for any number of threads.
#[derive(Debug)]
pub struct Tally {
    /// In the set.
    images: usize,
    /// Places filled.
    filled: usize,
    unreadable: HashSet<usize>,
    /// To be named when there are too many.
    first: Vec<Skipped>,
    /// Since they were last taken.
    new: Vec<Skipped>,
}

/// So many are named in a message.
const NAMED: usize = 3;

impl Tally {
    pub fn new(images: usize) -> Self {
        Self {
            images,
            filled: 0,
            unreadable: HashSet::new(),
            first: Vec::new(),
            new: Vec::new(),
        }
    }

    pub fn is_unreadable(&self, image: usize) -> bool {
        self.unreadable.contains(&image)
    }

    pub fn fill(&mut self) {
        self.filled += 1;
    }

    /// Notes an image that cannot be read, each once.
    ///
    /// # Errors
    /// There are too many of them by now.
    pub fn skip(&mut self, image: usize, skipped: Skipped) -> Result<(), DataError> {
        if !self.unreadable.insert(image) {
            return Ok(());
        }
        if self.first.len() < NAMED {
            self.first.push(skipped.clone());
        }
        self.new.push(skipped);
        let unreadable = self.unreadable.len();
        let too_many = 100 * unreadable > TOLERATED_PERCENT * self.tried();
        let all = unreadable == self.images;
        match (unreadable > TOLERATED_ALWAYS && too_many) || all {
            true => Err(self.too_many()),
            false => Ok(()),
        }
    }

    /// Those noted since the last call.
    pub fn take_new(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.new)
    }

    fn too_many(&self) -> DataError {
        DataError::TooManyUnreadable {
            unreadable: self.unreadable.len(),
            tried: self.tried(),
            first: self.first.clone(),
        }
    }

    /// Images looked at; all of them from the second epoch on.
    fn tried(&self) -> usize {
        (self.filled + self.unreadable.len()).min(self.images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the images are looked at until the run ends, if every so many cannot be read.
    fn ends_at(images: usize, every: usize) -> Option<usize> {
        let mut tally = Tally::new(images);
        (0..images).find(|image| {
            let skipped = Skipped {
                name: image.to_string(),
                reason: "torn".into(),
            };
            match (image + 1) % every {
                0 => tally.skip(*image, skipped).is_err(),
                _ => {
                    tally.fill();
                    false
                }
            }
        })
    }

    #[test]
    fn a_run_ends_past_the_share_and_the_least_number() {
        assert_eq!(ends_at(1000, 1), Some(10));
        assert_eq!(ends_at(1000, 10), Some(109));
        // Just under and just over one in twenty.
        assert_eq!(ends_at(100_000, 21), None);
        assert_eq!(ends_at(100_000, 19), Some(208));
        // The least number is not reached; but without a single image nothing can go on.
        assert_eq!(ends_at(20, 2), None);
        assert_eq!(ends_at(3, 1), Some(2));
    }

    #[test]
    fn an_image_counts_once() {
        let mut tally = Tally::new(1000);
        let skipped = Skipped {
            name: "a.jpg".into(),
            reason: "torn".into(),
        };
        for _ in 0..100 {
            tally.skip(7, skipped.clone()).unwrap();
        }
        assert_eq!(tally.take_new(), [skipped]);
        assert_eq!(tally.take_new(), []);
    }
}

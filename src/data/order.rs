//! Which samples a step sees: arithmetic on the step number, so that a run resumes where it stopped.

use std::{sync::Arc, vec};

use super::buffered::{Buffered, shuffle};
use crate::random::Key;

/// The order of samples of a run: every epoch a fresh permutation cut into whole batches, the short rest left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    images: usize,
    batch: usize,
    seed: u64,
    /// Where archives are read from front to back; else any image may stand anywhere in an epoch.
    buffered: Option<Buffered>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Counted from 0.
    pub epoch: u64,
    /// How many samples of the epoch's permutation come before the step's first.
    pub position: usize,
}

impl Order {
    /// The order of so many images in batches of so many.
    ///
    /// # Panics
    /// Unless `batch` is at least 1 and at most `images`.
    pub fn new(images: usize, batch: usize, seed: u64) -> Self {
        assert!(
            (1..=images).contains(&batch),
            "an epoch has at least one step"
        );
        Self {
            images,
            batch,
            seed,
            buffered: None,
        }
    }

    /// As the images come that are read from front to back. The archives hold as many as the order has.
    pub(super) fn through(self, buffered: Buffered) -> Self {
        assert_eq!(
            buffered.images(),
            self.images,
            "one order of the same images"
        );
        let buffered = Some(buffered);
        Self { buffered, ..self }
    }

    /// Whole batches in an epoch, at least 1.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.images / self.batch) as u64
    }

    fn samples_per_epoch(&self) -> usize {
        self.images / self.batch * self.batch
    }

    /// Epoch and position of a step, counted from 0.
    pub fn place(&self, step: u64) -> Place {
        let steps = self.steps_per_epoch();
        Place {
            epoch: step / steps,
            position: (step % steps) as usize * self.batch,
        }
    }

    /// The permutation of an epoch: sample indices, a pure function of seed and epoch.
    pub fn permutation(&self, epoch: u64) -> Vec<usize> {
        if let Some(buffered) = &self.buffered {
            return buffered.as_drawn(self.key(epoch));
        }
        let mut samples: Vec<usize> = (0..self.images).collect();
        shuffle(&mut samples, self.key(epoch));
        samples
    }

    fn key(&self, epoch: u64) -> Key {
        Key::new(self.seed).with("order").at(epoch)
    }

    /// The samples of a run from a step on, without end.
    pub fn samples_from(&self, step: u64) -> Samples {
        let Place { epoch, position } = self.place(step);
        Samples {
            order: self.clone(),
            epoch,
            permutation: self.permutation(epoch).into(),
            position,
        }
    }

    /// The samples of a run from a step on as they are read, without end; `None` where each is read by itself.
    pub(super) fn reads_from(&self, step: u64) -> Option<Reads> {
        let Place { epoch, position } = self.place(step);
        let buffered = self.buffered.clone()?;
        let images = self.reads(&buffered, epoch, position).into_iter();
        Some(Reads {
            order: self.clone(),
            buffered,
            epoch,
            images,
        })
    }

    /// The images of an epoch as they are read, without those that come before a place or are left out at its end.
    fn reads(&self, buffered: &Buffered, epoch: u64, position: usize) -> Vec<usize> {
        let mut wanted = vec![false; self.images];
        for image in &self.permutation(epoch)[position..self.samples_per_epoch()] {
            wanted[*image] = true;
        }
        let mut images = buffered.as_read(self.key(epoch));
        images.retain(|image| wanted[*image]);
        images
    }
}

/// Endless: one place after the other.
pub struct Samples {
    order: Order,
    epoch: u64,
    permutation: Arc<[usize]>,
    position: usize,
}

/// One place in an epoch, and the images that may fill it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Counted from 0.
    pub epoch: u64,
    position: usize,
    permutation: Arc<[usize]>,
}

impl Iterator for Samples {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        if self.position == self.order.samples_per_epoch() {
            self.epoch += 1;
            self.permutation = self.order.permutation(self.epoch).into();
            self.position = 0;
        }
        self.position += 1;
        Some(Slot {
            epoch: self.epoch,
            position: self.position - 1,
            permutation: self.permutation.clone(),
        })
    }
}

impl Slot {
    /// The image that fills this place if the first `passed` that could cannot be read: the epoch's permutation from
    /// this place on, the images left out at its end included, and round again. `None` once all had their turn.
    pub fn image(&self, passed: usize) -> Option<usize> {
        let images = self.permutation.len();
        (passed < images).then(|| self.permutation[(self.position + passed) % images])
    }
}

/// Endless: epochs, and images as they are read.
pub struct Reads {
    order: Order,
    buffered: Buffered,
    epoch: u64,
    images: vec::IntoIter<usize>,
}

impl Reads {
    /// How many of them wait to be drawn, at most.
    pub fn buffer(&self) -> usize {
        self.buffered.buffer()
    }
}

impl Iterator for Reads {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<(u64, usize)> {
        if self.images.len() == 0 {
            self.epoch += 1;
            self.images = self.order.reads(&self.buffered, self.epoch, 0).into_iter();
        }
        self.images.next().map(|image| (self.epoch, image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation_and_each_epoch_another() {
        let order = Order::new(1000, 64, 5);
        let first = order.permutation(0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, order.permutation(0));
        assert_ne!(first, order.permutation(1));
        assert_ne!(first, Order::new(1000, 64, 6).permutation(0));
    }

    #[test]
    fn all_permutations_are_equally_likely() {
        let mut counts = std::collections::HashMap::<Vec<usize>, f64>::new();
        let order = Order::new(4, 1, 1);
        for epoch in 0..24_000 {
            *counts.entry(order.permutation(epoch)).or_default() += 1.0;
        }
        assert_eq!(counts.len(), 24);
        let chi2: f64 = counts.values().map(|c| (c - 1000.0).powi(2) / 1000.0).sum();
        assert!(
            chi2 < 49.7,
            "chi-squared {chi2:.1} over 23 degrees of freedom (p = 0.001 at 49.7)"
        );
    }

    #[test]
    fn steps_fall_into_epochs_without_the_short_batch() {
        let order = Order::new(10, 4, 0);
        assert_eq!(order.steps_per_epoch(), 2);
        let places: Vec<_> = (0..5).map(|step| order.place(step)).collect();
        let expected = [(0, 0), (0, 4), (1, 0), (1, 4), (2, 0)];
        assert_eq!(
            places,
            expected.map(|(epoch, position)| Place { epoch, position })
        );
    }

    #[test]
    fn samples_go_on_where_a_step_stands() {
        let order = Order::new(10, 4, 0);
        let from = |step: u64, count: usize| -> Vec<_> {
            let slots = order.samples_from(step).take(count);
            slots
                .map(|slot| (slot.epoch, slot.image(0).unwrap()))
                .collect()
        };
        let from_start = from(0, 40);
        for step in 0..5 {
            let place = order.place(step);
            let resumed = from(step, 16);
            assert_eq!(resumed, from_start[step as usize * 4..][..16]);
            assert_eq!(resumed[0].0, place.epoch);
            assert_eq!(resumed[0].1, order.permutation(place.epoch)[place.position]);
        }
    }

    #[test]
    fn a_place_is_offered_every_image_once() {
        let order = Order::new(10, 4, 0);
        let permutation = order.permutation(0);
        for (position, slot) in order.samples_from(0).take(8).enumerate() {
            let mut offered: Vec<_> = (0..10).map(|passed| slot.image(passed).unwrap()).collect();
            assert_eq!(offered[1], permutation[position + 1]);
            assert_eq!(slot.image(10), None);
            offered.sort_unstable();
            assert_eq!(offered, (0..10).collect::<Vec<_>>());
        }
    }
}

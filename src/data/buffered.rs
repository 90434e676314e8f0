//! The order of images that are read from front to back: archive after archive, and mixed in a buffer.
//!
//! An epoch takes the archives in random order, each from front to back. What has been read waits in the buffer; the
//! next image is any of those that wait, and the next one read takes its place. So the image at a place of the order
//! is read fewer than a buffer's length of places behind it, and may have waited for any number of them.

use std::sync::Arc;

use crate::random::Key;

/// Archives that are read from front to back, and how many of their images wait to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffered {
    /// The number of each archive's first image, and behind them the number of images.
    bounds: Arc<[usize]>,
    /// At least 1.
    buffer: usize,
}

impl Buffered {
    /// `bounds` begins with 0 and never falls; a buffer of more images than there are is one of them all.
    pub fn new(bounds: Arc<[usize]>, buffer: usize) -> Self {
        assert!(buffer >= 1, "an image waits before it is drawn");
        let mut buffered = Self { bounds, buffer };
        buffered.buffer = buffer.min(buffered.images().max(1));
        buffered
    }

    pub fn images(&self) -> usize {
        *self
            .bounds
            .last()
            .expect("the number of images stands last")
    }

    /// How many images wait, at most.
    pub fn buffer(&self) -> usize {
        self.buffer
    }

    /// The images of an epoch as they are read.
    pub fn as_read(&self, epoch: Key) -> Vec<usize> {
        let mut archives: Vec<_> = self
            .bounds
            .windows(2)
            .map(|ends| ends[0]..ends[1])
            .collect();
        shuffle(&mut archives, epoch.with("archives"));
        archives.into_iter().flatten().collect()
    }

    /// The images of an epoch as they are drawn.
    pub fn as_drawn(&self, epoch: Key) -> Vec<usize> {
        let key = epoch.with("buffer");
        let mut images = self.as_read(epoch);
        // The buffer is the stretch that begins at `place`: the image drawn from it changes places with the first one,
        // and the next one read stands at its end already.
        for place in 0..images.len() {
            let waiting = self.buffer.min(images.len() - place);
            let drawn = place + key.below(place as u64, waiting as u64) as usize;
            images.swap(place, drawn);
        }
        images
    }
}

/// Every order is equally likely.
pub fn shuffle<T>(items: &mut [T], key: Key) {
    // Fisher and Yates: the item for the last free place is any of those left.
    for last in (1..items.len()).rev() {
        let chosen = key.below(last as u64, last as u64 + 1) as usize;
        items.swap(last, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn epoch(number: u64) -> Key {
        Key::new(3).at(number)
    }

    /// Archives of up to `most` images each, some of none, and a buffer.
    fn any(case: u64, most: u64) -> Buffered {
        let key = Key::new(case).with("case");
        let mut bounds = vec![0];
        for archive in 0..=key.below(0, 9) {
            let images = key.below(archive + 1, most + 1) as usize;
            bounds.push(bounds[bounds.len() - 1] + images);
        }
        let images = bounds[bounds.len() - 1] as u64;
        let buffer = 1 + key.below(100, images + 5) as usize;
        Buffered::new(bounds.into(), buffer)
    }

    /// By place.
    fn inverse(order: &[usize]) -> Vec<usize> {
        let mut places = vec![usize::MAX; order.len()];
        for (place, image) in order.iter().enumerate() {
            assert_eq!(places[*image], usize::MAX, "{image} comes twice");
            places[*image] = place;
        }
        places
    }

    /// As the words say it, with a buffer that is one.
    fn drawn_from_a_real_buffer(buffered: &Buffered, epoch: Key) -> Vec<usize> {
        let key = epoch.with("buffer");
        let mut unread = buffered.as_read(epoch).into_iter();
        let mut waiting: std::collections::VecDeque<_> =
            unread.by_ref().take(buffered.buffer()).collect();
        let mut drawn = Vec::new();
        while !waiting.is_empty() {
            let chosen = key.below(drawn.len() as u64, waiting.len() as u64) as usize;
            waiting.swap(0, chosen);
            drawn.extend(waiting.pop_front());
            waiting.extend(unread.next());
        }
        drawn
    }

    #[test]
    fn an_epoch_is_a_permutation_that_a_buffer_makes() {
        for case in 0..200 {
            let buffered = any(case, 30);
            let (read, drawn) = (buffered.as_read(epoch(1)), buffered.as_drawn(epoch(1)));
            assert_eq!(drawn, drawn_from_a_real_buffer(&buffered, epoch(1)));
            let images = buffered.images();
            assert_eq!((read.len(), drawn.len()), (images, images));
            let (read_at, drawn_at) = (inverse(&read), inverse(&drawn));
            for image in 0..images {
                assert!(
                    read_at[image] < drawn_at[image] + buffered.buffer(),
                    "{image} is drawn before it is read"
                );
            }
        }
    }

    #[test]
    fn archives_are_read_whole_and_from_front_to_back() {
        for case in 0..200 {
            let buffered = any(case, 30);
            let read = buffered.as_read(epoch(case));
            let at = inverse(&read);
            for ends in buffered.bounds.windows(2) {
                let places = &at[ends[0]..ends[1]];
                assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1));
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let buffered = Buffered::new([0, 100, 200, 300, 400].into(), 50);
        let orders: Vec<_> = (0..20)
            .map(|number| buffered.as_drawn(epoch(number)))
            .collect();
        for (number, order) in orders.iter().enumerate() {
            assert_eq!(*order, buffered.as_drawn(epoch(number as u64)));
            assert!(!orders[..number].contains(order), "{number}");
        }
        let firsts: std::collections::HashSet<_> = (0..20)
            .map(|number| buffered.as_read(epoch(number))[0])
            .collect();
        assert_eq!(firsts.len(), 4, "each archive comes first at times");
    }

    #[test]
    fn a_buffer_of_one_is_the_order_of_reading_and_one_of_all_makes_every_order() {
        let one = Buffered::new([0, 3, 7].into(), 1);
        assert_eq!(one.as_drawn(epoch(0)), one.as_read(epoch(0)));
        let all = Buffered::new([0, 2, 4].into(), usize::MAX);
        assert_eq!(all.buffer(), 4);
        let mut counts = HashMap::<Vec<usize>, f64>::new();
        for number in 0..24_000 {
            *counts.entry(all.as_drawn(epoch(number))).or_default() += 1.0;
        }
        assert_eq!(counts.len(), 24);
        let chi2: f64 = counts.values().map(|c| (c - 1000.0).powi(2) / 1000.0).sum();
        assert!(
            chi2 < 49.7,
            "chi-squared {chi2:.1} over 23 degrees of freedom (p = 0.001 at 49.7)"
        );
    }

    #[test]
    fn an_image_waits_as_long_as_chance_has_it() {
        // 1 in 64 is drawn each time: the wait is geometric, 64 places on average and over 448 once in 1,100 images.
        let buffered = Buffered::new([0, 50_000].into(), 64);
        let (read, drawn) = (buffered.as_read(epoch(0)), buffered.as_drawn(epoch(0)));
        let (read_at, drawn_at) = (inverse(&read), inverse(&drawn));
        let waits: Vec<_> = (64..49_000)
            .map(|i| drawn_at[i] + 64 - read_at[i])
            .collect();
        let mean = waits.iter().sum::<usize>() as f64 / waits.len() as f64;
        assert!((mean - 64.0).abs() < 1.5, "{mean}");
        let long = waits.iter().filter(|wait| **wait > 448).count() as f64;
        let expected = (63.0_f64 / 64.0).powi(448) * waits.len() as f64;
        assert!(
            (long - expected).abs() < 5.0 * expected.sqrt(),
            "{long}, {expected}"
        );
    }

    #[test]
    fn a_million_images_are_put_in_order_at_once() {
        let bounds: Vec<_> = (0..=1000).map(|archive| 1000 * archive).collect();
        let buffered = Buffered::new(bounds.into(), 4096);
        let started = std::time::Instant::now();
        let order = buffered.as_drawn(epoch(0));
        assert_eq!(order.len(), 1_000_000);
        // 0.02 s on an idle core.
        assert!(
            started.elapsed().as_secs_f64() < 1.0,
            "{:?}",
            started.elapsed()
        );
    }
}

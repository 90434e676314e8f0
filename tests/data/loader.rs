//! Batches: the same for any number of threads, from any step on.

use std::{
    fs,
    time::{Duration, Instant},
};

use mimc::data::{Batch, DataConfig, DataError, Loader, Source};

use super::{config, folder, photographs};

fn bits(batches: &[Batch]) -> Vec<u32> {
    batches
        .iter()
        .flat_map(|b| &b.images)
        .map(|v| v.to_bits())
        .collect()
}

fn take(loader: &mut Loader, count: usize) -> Vec<Batch> {
    (0..count).map(|_| loader.next().unwrap()).collect()
}

#[test]
fn any_number_of_workers_gives_the_same_bits() {
    let root = photographs(11);
    for source in [
        Source::Folder(root.path().to_owned()),
        Source::Synthetic { count: 11 },
    ] {
        // Two steps to an epoch: well into the third one.
        let run = |workers| {
            let config = DataConfig {
                workers,
                ..config(source.clone())
            };
            take(&mut Loader::new(&config, 4, 0).unwrap(), 5)
        };
        let one = run(1);
        assert_eq!(
            one.iter().map(|b| b.step).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
        assert!(
            one.iter()
                .all(|b| b.images.len() == 4 * 3 * 40 * 40 && b.names.len() == 4)
        );
        for workers in [2, 5] {
            let several = run(workers);
            assert_eq!(bits(&one), bits(&several));
            assert!(one.iter().zip(&several).all(|(a, b)| a.names == b.names));
        }
    }
}

#[test]
fn a_later_start_gives_what_an_earlier_one_would_have() {
    let config = config(Source::Synthetic { count: 10 });
    let all = take(&mut Loader::new(&config, 4, 0).unwrap(), 7);
    for start in [1, 2, 5] {
        let resumed = take(
            &mut Loader::new(&config, 4, start as u64).unwrap(),
            7 - start,
        );
        assert_eq!(resumed[0].step, start as u64);
        assert_eq!(bits(&all[start..]), bits(&resumed));
    }
}

#[test]
fn parts_are_pieces_of_the_whole_batch() {
    let config = config(Source::Synthetic { count: 13 });
    let whole = take(&mut Loader::new(&config, 6, 1).unwrap(), 3);
    let parts = take(&mut Loader::in_parts(&config, 6, 2, 1).unwrap(), 9);
    assert_eq!(bits(&whole), bits(&parts));
    let places: Vec<_> = parts.iter().map(|b| (b.step, b.part)).collect();
    assert_eq!(places[..4], [(1, 0), (1, 1), (1, 2), (2, 0)]);
}

#[test]
fn batches_follow_the_permutation_and_every_epoch_shows_other_views() {
    let config = config(Source::Synthetic { count: 6 });
    let mut loader = Loader::new(&config, 6, 0).unwrap();
    let epochs = take(&mut loader, 2);
    for (epoch, batch) in epochs.iter().enumerate() {
        let order = loader.order().permutation(epoch as u64);
        let names: Vec<_> = order.iter().map(|i| loader.dataset().name(*i)).collect();
        assert_eq!(batch.names, names);
    }
    let view = |epoch: &Batch, name: &String| {
        let at = epoch.names.iter().position(|n| n == name).unwrap();
        bits(std::slice::from_ref(epoch))[at * 4800..][..4800].to_vec()
    };
    for name in &epochs[0].names {
        assert_ne!(view(&epochs[0], name), view(&epochs[1], name), "{name}");
    }
}

#[test]
fn dropping_a_loader_ends_its_threads_at_once() {
    let config = DataConfig {
        size: 512,
        ..config(Source::Synthetic { count: 1000 })
    };
    // Dropped at once, while the first batch is in the making, and while a batch waits to be taken.
    for (batch, wait) in [(1000, 0), (1000, 50), (1, 300)] {
        let loader = Loader::new(&config, batch, 0).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let start = Instant::now();
        drop(loader);
        // The whole batch would take over ten seconds.
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn an_unreadable_image_ends_the_loader_with_its_name() {
    let root = photographs(5);
    fs::write(root.path().join("b/999.jpg"), b"\xff\xd8 damaged").unwrap();
    let mut loader = Loader::new(&folder(root.path()), 6, 0).unwrap();
    let error = loader.next().unwrap_err();
    assert!(matches!(&error, DataError::Unreadable { path, .. } if path.ends_with("b/999.jpg")));
    assert_eq!(loader.next().unwrap_err(), error);
}

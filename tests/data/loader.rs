//! Batches: the same for any number of threads, from any step on.

use std::{
    fs,
    time::{Duration, Instant},
};

use mimc::data::{Batch, DataConfig, Dataset, Loader, Normalizer, Source};

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
fn pixels_become_the_images_once_they_are_normalised() {
    let root = photographs(7);
    let config = config(Source::Folder(root.path().to_owned()));
    let images = take(&mut Loader::in_parts(&config, 6, 2, 0).unwrap(), 6);
    let pixels = take(&mut Loader::of_pixels(&config, 6, 2, 0).unwrap(), 6);
    let normalizer = Normalizer::new(config.mean, config.std);
    for (images, pixels) in images.iter().zip(&pixels) {
        assert!(images.pixels.is_empty() && pixels.images.is_empty());
        assert_eq!(images.names, pixels.names);
        let length = pixels.pixels.len() / pixels.names.len();
        let mut made = vec![0.0; pixels.pixels.len()];
        for (pixels, planes) in pixels.pixels.chunks(length).zip(made.chunks_mut(length)) {
            normalizer.apply(pixels, planes);
        }
        assert!(made == images.images);
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

/// Damages some of the files of a folder in as many ways, and returns their names.
fn damage(dataset: &Dataset, images: impl IntoIterator<Item = usize>) -> Vec<String> {
    let damage = |image: usize| {
        let name = dataset.name(image);
        let bytes = fs::read(&name).unwrap();
        let left = match image % 3 {
            0 => b"",
            1 => b"\xff\xd8\xff damaged".as_slice(),
            _ => &bytes[..bytes.len() / 2],
        };
        fs::write(&name, left).unwrap();
        name
    };
    images.into_iter().map(damage).collect()
}

fn names(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|b| b.names.clone()).collect()
}

fn skipped(batches: &[Batch]) -> Vec<String> {
    let skipped = batches.iter().flat_map(|b| &b.skipped);
    skipped.map(|skipped| skipped.name.clone()).collect()
}

#[test]
fn the_next_readable_image_takes_the_place_of_an_unreadable_one() {
    let root = photographs(23);
    let config = folder(root.path());
    let mut loader = Loader::new(&config, 5, 0).unwrap();
    let order = loader.order().clone();
    let whole = take(&mut loader, 12);
    // Four in a row: the last places of the first epoch, and the first images that it leaves out.
    let broken = damage(loader.dataset(), order.permutation(0)[18..22].to_vec());
    let mut loader = Loader::new(&config, 5, 0).unwrap();
    let damaged = take(&mut loader, 12);

    let steps: Vec<_> = damaged.iter().map(|b| b.step).collect();
    assert_eq!(steps, (0..12).collect::<Vec<_>>());
    for (place, (was, is)) in names(&whole).iter().zip(names(&damaged)).enumerate() {
        let view = |batches: &[Batch]| bits(batches)[place * 4800..][..4800].to_vec();
        if broken.contains(was) {
            let (epoch, position) = (place / 20, place % 20);
            let permutation = order.permutation(epoch as u64);
            let mut next = (position..).map(|at| loader.dataset().name(permutation[at % 23]));
            assert_eq!(next.find(|name| !broken.contains(name)), Some(is));
        } else {
            assert!(*was == is && view(&whole) == view(&damaged), "{place}");
        }
    }
    // Each is named once, in the order they are met.
    assert_eq!(skipped(&damaged), broken);
    assert!(damaged[..3].iter().all(|b| b.skipped.is_empty()));
}

#[test]
fn a_file_that_vanishes_is_unreadable() {
    let root = photographs(23);
    let mut loader = Loader::new(&folder(root.path()), 5, 0).unwrap();
    // Far enough ahead that it has not been read.
    let gone = loader.dataset().name(loader.order().permutation(0)[19]);
    fs::remove_file(&gone).unwrap();
    let batches = take(&mut loader, 5);
    assert_eq!(skipped(&batches), [gone]);
    assert!(batches[3].skipped[0].reason.starts_with("No such file"));
}

#[test]
fn unreadable_images_leave_the_bits_to_seed_and_place() {
    let root = photographs(23);
    let config = |workers| DataConfig {
        workers,
        ..folder(root.path())
    };
    let dataset = Dataset::open(&config(1)).unwrap();
    damage(&dataset, [4, 5, 9, 13, 15]);
    let all = take(&mut Loader::new(&config(1), 4, 0).unwrap(), 13);
    for workers in [2, 5] {
        let several = take(&mut Loader::new(&config(workers), 4, 0).unwrap(), 13);
        assert_eq!(bits(&all), bits(&several));
        assert_eq!(skipped(&all), skipped(&several));
    }
    for start in [1, 4, 7] {
        let resumed = take(
            &mut Loader::new(&config(3), 4, start as u64).unwrap(),
            13 - start,
        );
        assert_eq!(bits(&all[start..]), bits(&resumed));
    }
    let parts = take(&mut Loader::in_parts(&config(3), 4, 2, 0).unwrap(), 26);
    assert_eq!(bits(&all), bits(&parts));
    // Standing in twice in an epoch, an image is seen in two views.
    let epoch = all[..5]
        .iter()
        .flat_map(|b| b.images.chunks(4800))
        .collect::<Vec<_>>();
    for (at, view) in epoch.iter().enumerate() {
        assert!(!epoch[..at].contains(view), "{at}");
    }
}

#[test]
fn too_many_unreadable_images_end_the_loader_with_their_names() {
    let root = photographs(60);
    let config = folder(root.path());
    let dataset = Dataset::open(&config).unwrap();
    damage(&dataset, (0..60).filter(|image| image % 4 == 0));
    assert_eq!(dataset.center_from(0), dataset.center(1));
    let told = |workers| {
        let config = DataConfig {
            workers,
            ..config.clone()
        };
        let mut loader = Loader::new(&config, 6, 0).unwrap();
        let batches = std::iter::from_fn(|| loader.next().ok()).take(20).count();
        (batches, loader.next().unwrap_err())
    };
    let (batches, error) = told(1);
    assert!(
        batches < 10,
        "the eleventh of fifteen lies in the first epoch"
    );
    assert_eq!(told(4), (batches, error.clone()));
    let text = error.to_string();
    assert!(text.starts_with("11 of the first "), "{text}");
    assert!(
        text.contains(" images cannot be read, and more than 5 % are too many: "),
        "{text}"
    );
    assert!(
        text.contains("(the file is empty)") && text.ends_with(" and 8 more"),
        "{text}"
    );
    assert!(error.help().contains("`mimc data`"));
}

#[test]
fn a_set_without_one_readable_image_ends_at_once() {
    let root = photographs(3);
    let config = folder(root.path());
    damage(&Dataset::open(&config).unwrap(), 0..3);
    let error = Loader::new(&config, 2, 0).unwrap().next().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("3 of the first 3 images cannot be read"),
        "{error}"
    );
}

#[test]
fn the_wait_for_a_batch_is_told() {
    let config = DataConfig {
        size: 128,
        workers: 1,
        ..config(Source::Synthetic { count: 40 })
    };
    let mut loader = Loader::new(&config, 40, 0).unwrap();
    let started = Instant::now();
    let first = loader.next().unwrap().waited;
    assert!(Duration::ZERO < first && first <= started.elapsed());
    // A batch that lies ready costs no wait. Others may hold the machine up at any one, not at all.
    let ready = (0..5).map(|_| {
        std::thread::sleep(2 * first);
        loader.next().unwrap().waited
    });
    let least = ready.min().unwrap();
    assert!(least < first, "{least:?} after {first:?}");
}

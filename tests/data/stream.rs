//! Tar archives read from front to back, through a buffer.

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek, Write},
    time::{Duration, Instant},
};

use mimc::data::{Batch, DataConfig, Loader};

use super::{
    folder,
    shards::{batches, bits, shards, tar},
};

fn buffered(config: DataConfig, buffer: usize) -> DataConfig {
    let shuffle_buffer = Some(buffer);
    DataConfig {
        shuffle_buffer,
        ..config
    }
}

fn names(batches: &[Batch]) -> Vec<&str> {
    let names = batches.iter().flat_map(|batch| &batch.names);
    names.map(String::as_str).collect()
}

/// What was seen of each image.
fn views(batches: &[Batch]) -> BTreeMap<&str, &[f32]> {
    let views = batches
        .iter()
        .flat_map(|b| b.images.chunks(b.images.len() / b.names.len()));
    names(batches).into_iter().zip(views).collect()
}

#[test]
fn a_buffer_changes_the_order_and_nothing_else() {
    let root = shards();
    let whole = batches(&folder(root.path()), 0, 9);
    for buffer in [1, 2, 5, 12, 4096] {
        let config = buffered(folder(root.path()), buffer);
        let drawn = batches(&config, 0, 9);
        assert_ne!(names(&drawn), names(&whole));
        let loader = Loader::new(&config, 4, 0).unwrap();
        for epoch in 0..3 {
            let steps = 3 * epoch..3 * epoch + 3;
            assert_eq!(views(&drawn[steps.clone()]), views(&whole[steps.clone()]));
            let order = loader.order().permutation(epoch as u64);
            let expected: Vec<_> = order.iter().map(|i| loader.dataset().name(*i)).collect();
            assert_eq!(names(&drawn[steps]), expected);
        }
    }
}

#[test]
fn any_number_of_workers_and_any_start_give_the_same_bits() {
    let root = shards();
    for buffer in [1, 3, 12] {
        // Two images are left out at the end of each epoch.
        let run = |workers, from: usize| {
            let config = DataConfig {
                workers,
                ..buffered(folder(root.path()), buffer)
            };
            let mut loader = Loader::in_parts(&config, 10, 5, from as u64).unwrap();
            let parts: Vec<_> = (2 * from..10).map(|_| loader.next().unwrap()).collect();
            parts
        };
        let one = run(1, 0);
        for workers in [2, 5] {
            let several = run(workers, 0);
            assert_eq!(bits(&several), bits(&one));
            assert_eq!(names(&several), names(&one));
        }
        for from in 1..5 {
            assert_eq!(bits(&run(3, from)), bits(&one[2 * from..]));
        }
    }
}

/// Three archives of scenes, some of which are no images, and none of which is long.
fn damaged() -> tempfile::TempDir {
    let root = tempfile::TempDir::new().unwrap();
    for (archive, broken) in [("a", [3, 4]), ("b", [0, 8]), ("c", [6, 7])] {
        let files: Vec<_> = (0..9)
            .map(|image| match broken.contains(&image) {
                true => (format!("{image}.png"), b"\x89PNG damaged".to_vec()),
                false => (format!("{image}.png"), super::png_of(image)),
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), &bytes[..]))
            .collect();
        fs::write(root.path().join(archive).with_extension("tar"), tar(&files)).unwrap();
    }
    root
}

#[test]
fn the_next_image_drawn_takes_the_place_of_an_unreadable_one() {
    let root = damaged();
    let config = |workers| DataConfig {
        workers,
        ..buffered(folder(root.path()), 5)
    };
    let take = |workers, from: usize| batches(&config(workers), from as u64, 18 - from);
    let all = take(1, 0);
    let skipped = |batches: &[Batch]| -> Vec<_> {
        let skipped = batches.iter().flat_map(|batch| batch.skipped.clone());
        skipped.collect()
    };
    assert_eq!(
        skipped(&all).len(),
        6,
        "each is met in three epochs, and named once"
    );
    for workers in [2, 5] {
        let several = take(workers, 0);
        assert_eq!(bits(&several), bits(&all));
        assert_eq!(skipped(&several), skipped(&all));
    }
    for from in 1..18 {
        assert_eq!(bits(&take(3, from)), bits(&all[from..]));
    }
    let loader = Loader::new(&config(1), 4, 0).unwrap();
    let broken: Vec<_> = skipped(&all)
        .iter()
        .map(|skipped| skipped.name.clone())
        .collect();
    for (place, name) in names(&all).iter().enumerate() {
        let order = loader.order().permutation(place as u64 / 24);
        let from_here = order.iter().cycle().skip(place % 24);
        let mut offered = from_here.map(|image| loader.dataset().name(*image));
        assert_eq!(
            offered.find(|name| !broken.contains(name)).as_deref(),
            Some(*name)
        );
    }
}

#[test]
fn an_archive_that_has_gone_is_passed_over_image_by_image() {
    let root = shards();
    let config = buffered(folder(root.path()), 3);
    let mut loader = Loader::new(&config, 4, 0).unwrap();
    // It may have been read already, but not for the fourth epoch.
    fs::remove_file(root.path().join("b.TAR")).unwrap();
    let batches: Vec<_> = (0..12).map(|_| loader.next().unwrap()).collect();
    let skipped: Vec<_> = batches.iter().flat_map(|batch| &batch.skipped).collect();
    assert!(skipped.len() == 1 && skipped[0].name.ends_with("b.TAR/000005.png"));
    assert!(skipped[0].reason.starts_with("No such file"));
    assert!(
        names(&batches[9..])
            .iter()
            .all(|name| !name.contains("b.TAR"))
    );
}

#[test]
fn dropping_a_loader_ends_the_reading_at_once() {
    const LENGTH: u64 = 4_000_256;
    let root = tempfile::TempDir::new().unwrap();
    // Two gigabytes, of which the disk holds the headers alone.
    let mut file = fs::File::create(root.path().join("a.tar")).unwrap();
    for number in 0..500 {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("{number}.png")).unwrap();
        header.set_size(LENGTH);
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        file.seek_relative(LENGTH as i64).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    let config = buffered(folder(root.path()), 500);
    for wait in [0, 50] {
        let loader = Loader::new(&config, 4, 0).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let start = Instant::now();
        drop(loader);
        // Filling the buffer takes seconds.
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
    }
}

//! The fuzz targets on their corpus and on mutations of it, the same each time.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use mimc::random::Key;
use std::{fs, panic::catch_unwind, path::Path};
use targets::TARGETS;

/// Of each target, unless the variable `MIMC_FUZZ` says how many.
const MUTATIONS: u64 = 1500;
/// What mutations put in.
const PIECES: &[&str] = &[
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "\"",
    "'",
    ",",
    ": ",
    "\n",
    "- ",
    " ",
    "...",
    "->",
    "*",
    "**",
    "//",
    "%",
    "-",
    "0",
    "1",
    "2147483648",
    "1e308",
    "null",
    "if",
    "else",
    "prev",
    "i",
    "x",
    "image",
    "batch",
    "\u{e9}",
    "\u{0}",
    "\u{ff}\u{ff}",
];

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new("fuzz/corpus").join(target);
    let files = fs::read_dir(folder).expect("each target has a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("listed").path()).collect();
    paths.sort();
    let read = |path: &Path| fs::read(path).expect("a file of the corpus");
    paths
        .iter()
        .map(|path| (path.display().to_string(), read(path)))
        .collect()
}

/// One to four changes: a byte flipped, a piece put in, a range removed, moved or repeated, a tail of another file.
fn mutated(bytes: &[u8], others: &[(String, Vec<u8>)], key: Key) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let below = |n: usize, place: u64| key.below(place, n.max(1) as u64) as usize;
    for round in 0..1 + below(4, 0) as u64 {
        let draw = |n: usize, place: u64| below(n, 1 + 8 * round + place);
        let at = draw(changed.len(), 0).min(changed.len());
        let end = (at + draw(32, 1)).min(changed.len());
        match draw(6, 2) {
            0 if !changed.is_empty() => {
                let at = at.min(changed.len() - 1);
                changed[at] ^= 1 << draw(8, 3);
            }
            1 => {
                changed.drain(at..end);
            }
            2 => {
                let piece = changed[at..end].repeat(2);
                changed.splice(at..end, piece);
            }
            3 => {
                let piece: Vec<u8> = changed.drain(at..end).collect();
                let to = draw(changed.len(), 4).min(changed.len());
                changed.splice(to..to, piece);
            }
            4 => {
                let other = &others[draw(others.len(), 5)].1;
                changed.truncate(at);
                changed.extend(&other[draw(other.len(), 6).min(other.len())..]);
            }
            _ => {
                let piece = PIECES[draw(PIECES.len(), 7)];
                changed.splice(at..at, piece.bytes());
            }
        }
    }
    changed
}

#[test]
fn no_target_panics_on_its_corpus_or_near_it() {
    let asked = std::env::var("MIMC_FUZZ").map(|n| n.parse().expect("MIMC_FUZZ is a number"));
    let mutations = asked.unwrap_or(MUTATIONS);
    for (name, target) in TARGETS {
        let files = corpus(name);
        assert!(files.len() > 2, "the corpus of {name} is small");
        for (path, bytes) in &files {
            assert!(catch_unwind(|| target(bytes)).is_ok(), "{path}");
        }
        for n in 0..mutations {
            let key = Key::new(n).with(name);
            let (path, bytes) = &files[key.below(1 << 32, files.len() as u64) as usize];
            let changed = mutated(bytes, &files, key);
            if catch_unwind(|| target(&changed)).is_err() {
                let kept = std::env::temp_dir().join(format!("mimc_fuzz_{name}_{n}"));
                fs::write(&kept, &changed).expect("the temporary folder can be written");
                panic!("{name}, mutation {n} of {path}: see {}", kept.display());
            }
        }
    }
}

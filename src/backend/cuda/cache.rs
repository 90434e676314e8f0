//! Compiled kernels on disk, so that each is compiled once for a machine. An entry is used only if it is whole and of the
//! very kernel that is asked for; any other is written anew.
//!
//! ```text
//! ~/.cache/mimc/kernels/<key>    16 bytes that say what it is, the key, the checksum of the CUBIN, the CUBIN
//! ```

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use twox_hash::XxHash3_128;

/// A folder of compiled kernels.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// What a compiled kernel is a function of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u128);

/// Changes with the layout of an entry.
const MARK: &[u8; 16] = b"mimc cubin v1\0\0\n";
const HEAD: usize = MARK.len() + 16 + 16;

impl Key {
    /// Of a kernel's source, all options of its compiler, and the compiler's name and version.
    pub fn new(source: &str, options: &[String], compiler: &str) -> Key {
        let mut hasher = XxHash3_128::new();
        for text in [source, compiler]
            .into_iter()
            .chain(options.iter().map(String::as_str))
        {
            hasher.write(&(text.len() as u64).to_le_bytes());
            hasher.write(text.as_bytes());
        }
        Key(hasher.finish_128())
    }
}

impl Cache {
    /// The user's own: `$XDG_CACHE_HOME/mimc/kernels`, or below `~/.cache`. `None` where neither is told.
    pub fn of_user() -> Option<Cache> {
        let told = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let caches = told("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| told("HOME").map(|home| Path::new(&home).join(".cache")));
        caches.map(|caches| Cache::at(caches.join("mimc/kernels")))
    }

    /// Any folder, made when it is first written to.
    pub fn at(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// Where the entries are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The CUBIN of a key, if it is there and whole.
    pub fn get(&self, key: Key) -> Option<Vec<u8>> {
        let mut entry = fs::read(self.path(key)).ok()?;
        let sound = entry.len() > HEAD && entry[..HEAD] == head(key, &entry[HEAD..]);
        sound.then(|| entry.split_off(HEAD))
    }

    /// Keeps a CUBIN. Whoever reads meanwhile sees the old entry or the new, and never half of one.
    ///
    /// # Errors
    /// Where the folder cannot be written to; the kernel is then compiled again the next time.
    pub fn put(&self, key: Key, cubin: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&head(key, cubin))?;
        file.write_all(cubin)?;
        file.persist(self.path(key))?;
        Ok(())
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(format!("{:032x}", key.0))
    }
}

fn head(key: Key, cubin: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let (mark, rest) = head.split_at_mut(MARK.len());
    let (of_key, checksum) = rest.split_at_mut(16);
    mark.copy_from_slice(MARK);
    of_key.copy_from_slice(&key.0.to_le_bytes());
    checksum.copy_from_slice(&XxHash3_128::oneshot(cubin).to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_used_only_if_every_bit_of_it_is_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(folder.path().join("not there yet"));
        let key = Key::new("source", &["--std=c++17".into()], "nvrtc 13.0");
        assert_eq!(cache.get(key), None);
        cache.put(key, b"a cubin").expect("written");
        assert_eq!(cache.get(key).as_deref(), Some(&b"a cubin"[..]));

        let path = cache.path(key);
        let whole = fs::read(&path).expect("read");
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, damaged).expect("written");
            assert_eq!(cache.get(key), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("written");
            assert_eq!(cache.get(key), None, "cut at {length}");
        }
        // Another kernel's entry under this name.
        let other = Key::new("source", &[], "nvrtc 13.0");
        cache.put(other, b"a cubin").expect("written");
        fs::copy(cache.path(other), &path).expect("copied");
        assert_eq!(cache.get(key), None);

        cache.put(key, b"a cubin").expect("written anew");
        assert_eq!(cache.get(key).as_deref(), Some(&b"a cubin"[..]));
    }

    #[test]
    fn a_key_depends_on_every_part() {
        let of = |source: &str, option: &str, compiler: &str| {
            Key::new(source, &[option.to_owned()], compiler)
        };
        let key = of("s", "o", "c");
        assert_eq!(key, of("s", "o", "c"));
        for other in [
            of("t", "o", "c"),
            of("s", "p", "c"),
            of("s", "o", "d"),
            of("so", "", "c"),
        ] {
            assert_ne!(key, other);
        }
    }
}

//! safetensors files of f32 tensors, written and read one tensor at a time: a model and its optimizer state need not fit
//! into memory a second time.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use twox_hash::xxhash3_128::Hasher;

/// The format's own limit on its header, in bytes.
const HEADER_LIMIT: u64 = 100_000_000;

/// Name and shape of one tensor.
pub type Entry = (String, Vec<usize>);

/// Stands for a seal that is not known yet.
const UNSEALED: &str = "00000000000000000000000000000000";

/// Writes a whole file: a header with one note, then each tensor as `fill` gives it, called in order with its index and
/// its elements, twice. The bytes depend on the arguments alone.
///
/// The note is made around the file's seal, 32 hexadecimal digits: a checksum over all its bytes (XXH3 of 128 bits), the
/// seal itself counted as zeros. The note must hold it once, in front of any other text of that kind.
///
/// # Errors
/// Of `to` and of `fill`.
pub fn write(
    to: &mut dyn Write,
    note: (&str, &dyn Fn(&str) -> String),
    entries: Vec<Entry>,
    mut fill: impl FnMut(usize, &mut [f32]) -> io::Result<()>,
) -> io::Result<()> {
    let (key, note) = note;
    let mut hasher = Hasher::new();
    let open = header((key, note(UNSEALED)), &entries).map_err(io::Error::other)?;
    hasher.write(&open);
    each(&entries, &mut fill, |bytes| {
        hasher.write(bytes);
        Ok(())
    })?;
    let sealed = header((key, note(&seal(&hasher))), &entries).map_err(io::Error::other)?;
    to.write_all(&sealed)?;
    each(&entries, &mut fill, |bytes| to.write_all(bytes))
}

/// The bytes of one tensor after the other, as they stand in a file.
fn each(
    entries: &[Entry],
    fill: &mut impl FnMut(usize, &mut [f32]) -> io::Result<()>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut values = Vec::new();
    for (index, (_, dims)) in entries.iter().enumerate() {
        values.resize(dims.iter().product(), 0.0);
        fill(index, &mut values)?;
        swap_to_little_endian(&mut values);
        take(bytemuck::cast_slice(&values))?;
    }
    Ok(())
}

fn seal(hasher: &Hasher) -> String {
    format!("{:032x}", hasher.finish_128())
}

/// The length of the header, and the header.
fn header(
    (key, text): (&str, String),
    entries: &[Entry],
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let mut end = 0;
    let tensors = entries.iter().map(|(name, shape)| {
        let start = end;
        end += shape.iter().product::<usize>() * size_of::<f32>();
        let info = TensorInfo {
            dtype: Dtype::F32,
            shape: shape.clone(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    // One note only: a map of several would be written in an order that changes from run to run.
    let notes = HashMap::from([(key.to_owned(), text)]);
    let metadata = Metadata::new(Some(notes), tensors.collect())?;
    let mut header = serde_json::to_vec(&metadata)?;
    // The format aligns its data to 8 bytes with spaces.
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], &header].concat())
}

/// A file whose header has been read and whose length agrees with it.
#[derive(Debug)]
pub struct TensorFile {
    file: File,
    metadata: Metadata,
    /// Where tensor data start, in bytes.
    data: u64,
}

impl TensorFile {
    /// # Errors
    /// Of the file system; [`io::ErrorKind::InvalidData`] with a sentence why this is no whole safetensors file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut word = [0; 8];
        if length < 8 {
            return Err(invalid(format!(
                "it holds {length} bytes, less than a header"
            )));
        }
        file.read_exact(&mut word)?;
        let header_length = u64::from_le_bytes(word);
        let room = HEADER_LIMIT.min(length - 8);
        if header_length > room {
            return Err(invalid(format!(
                "it is no safetensors file, or not all of one: its header would take {header_length} bytes, and {room} are there"
            )));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| invalid(format!("its header does not parse: {error}")))?;
        let data = 8 + header_length;
        let wanted = data + metadata.data_len() as u64;
        if length != wanted {
            return Err(invalid(format!(
                "it should be {wanted} bytes long by its header, but is {length}"
            )));
        }
        Ok(Self {
            file,
            metadata,
            data,
        })
    }

    /// Reads the whole file and says whether `seal` is its own: see [`write()`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn is_sealed_with(&mut self, seal: &str) -> io::Result<bool> {
        let mut hasher = Hasher::new();
        let mut header = vec![0; self.data as usize];
        self.file.rewind()?;
        self.file.read_exact(&mut header)?;
        let mut places = header.windows(seal.len());
        let Some(at) = places.position(|bytes| bytes == seal.as_bytes()) else {
            return Ok(false);
        };
        header[at..at + seal.len()].fill(b'0');
        hasher.write(&header);
        let mut part = vec![0; 1 << 20];
        loop {
            match self.file.read(&mut part) {
                Ok(0) => return Ok(self::seal(&hasher) == seal),
                Ok(length) => hasher.write(&part[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A text of the header.
    pub fn note(&self, key: &str) -> Option<&str> {
        let notes = self.metadata.metadata().as_ref()?;
        notes.get(key).map(String::as_str)
    }

    /// All tensors with their shapes and element types, by name.
    pub fn tensors(&self) -> BTreeMap<String, &TensorInfo> {
        self.metadata.tensors().into_iter().collect()
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// Of the file system; [`io::ErrorKind::InvalidData`] if there is no such tensor of f32 with as many elements.
    pub fn read(&mut self, name: &str, to: &mut [f32]) -> io::Result<()> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| invalid(format!("it holds no tensor `{name}`")))?;
        let (start, end) = info.data_offsets;
        if info.dtype != Dtype::F32 || end - start != size_of_val(to) {
            return Err(invalid(format!(
                "its tensor `{name}` is {} {:?}, not {} values of f32",
                info.dtype,
                info.shape,
                to.len()
            )));
        }
        self.file.seek(SeekFrom::Start(self.data + start as u64))?;
        self.file.read_exact(bytemuck::cast_slice_mut(to))?;
        swap_to_little_endian(to);
        Ok(())
    }
}

/// The same swap both ways; nothing to do on most machines.
fn swap_to_little_endian(values: &mut [f32]) {
    if cfg!(target_endian = "big") {
        for value in values {
            *value = f32::from_bits(value.to_bits().swap_bytes());
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let entries = vec![("b".into(), vec![2, 3]), ("a".into(), vec![1])];
        let note = |seal: &str| format!("sealed {seal}");
        write(&mut bytes, ("note", &note), entries, |index, to| {
            for (i, value) in to.iter_mut().enumerate() {
                *value = (10 * index + i) as f32;
            }
            Ok(())
        })
        .expect("written to memory");
        bytes
    }

    fn is_whole(file: &mut TensorFile) -> bool {
        let note = file.note("note").map(str::to_owned);
        let seal = note
            .as_deref()
            .and_then(|note| note.strip_prefix("sealed "));
        seal.is_some_and(|seal| file.is_sealed_with(seal).expect("read"))
    }

    fn open(bytes: &[u8]) -> io::Result<TensorFile> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("t.safetensors");
        std::fs::write(&path, bytes)?;
        TensorFile::open(&path)
    }

    #[test]
    fn the_safetensors_crate_reads_what_is_written() {
        let bytes = sample();
        let read = safetensors::SafeTensors::deserialize(&bytes).expect("valid");
        let b = read.tensor("b").expect("there");
        assert_eq!((b.dtype(), b.shape()), (Dtype::F32, &[2, 3][..]));
        let values = b.data().chunks_exact(4);
        let values = values.map(|v| f32::from_le_bytes(v.try_into().expect("four bytes")));
        assert!(values.eq([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut file = open(&sample()).expect("valid");
        assert!(is_whole(&mut file));
        assert_eq!(file.note("other"), None);
        let mut values = [0.0; 6];
        file.read("b", &mut values).expect("read");
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        file.read("a", &mut values[..1]).expect("read");
        assert_eq!(values[0], 10.0);
        let wrong = file.read("a", &mut values).expect_err("has one element");
        assert_eq!(
            wrong.to_string(),
            "its tensor `a` is F32 [1], not 6 values of f32"
        );
    }

    #[test]
    fn damage_is_told() {
        let bytes = sample();
        let reason = |bytes: &[u8]| open(bytes).expect_err("damaged").to_string();
        assert_eq!(reason(&[]), "it holds 0 bytes, less than a header");
        assert!(reason(b"not a safetensors file").starts_with("it is no safetensors file"));
        assert!(reason(&bytes[..bytes.len() - 1]).contains("by its header, but is"));
        assert!(reason(&bytes[..40]).starts_with("it is no safetensors file"));
        let mut scrambled = bytes.clone();
        scrambled[20] = b'"';
        assert!(reason(&scrambled).starts_with("its header does not parse"));
    }

    #[test]
    fn every_bit_is_sealed() {
        let bytes = sample();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let passes = open(&flipped).is_ok_and(|mut file| is_whole(&mut file));
            assert!(!passes, "bit {bit} of {}", 8 * bytes.len());
        }
    }
}

//! The bytes of a file.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::text::units::bytes as told;

/// No image that is read needs a larger file; one that claims to be an image and is larger is refused unread.
pub const MAX_BYTES: u64 = 1 << 31;

/// The whole of a file.
///
/// # Errors
/// Of the file system; the file is larger than [`MAX_BYTES`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = check(file.metadata()?.len())?;
    // One byte more, so that the end is met without growing.
    let mut bytes = Vec::with_capacity(length + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of a file that is to be held in memory.
///
/// # Errors
/// It is larger than [`MAX_BYTES`].
pub fn check(length: u64) -> io::Result<usize> {
    if length > MAX_BYTES {
        let (length, limit) = (told(length), told(MAX_BYTES));
        return Err(io::Error::other(format!(
            "the file takes {length}, and more than {limit} are refused"
        )));
    }
    Ok(length as usize)
}

//! Names of files for people.

use std::path::Path;

/// A path on one line: what is no letter for a screen is spelt out (`two\nlines.jpg`, `caf\xe9.jpg`), and all else is
/// as it stands.
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter.is_control() {
                true => text.extend(letter.escape_default()),
                false => text.push(letter),
            }
        }
        let odd = chunk.invalid().iter();
        text.extend(odd.map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_stand_on_one_line() {
        let shown = |name: &str| shown(Path::new(name));
        assert_eq!(shown("a b/ñ 'c'.jpg"), "a b/ñ 'c'.jpg");
        assert_eq!(shown("two\nlines\t\u{1b}[31m"), "two\\nlines\\t\\u{1b}[31m");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_spelt_out() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let name = OsStr::from_bytes(b"caf\xe9.jpg");
        assert_eq!(shown(Path::new(name)), "caf\\xe9.jpg");
    }
}

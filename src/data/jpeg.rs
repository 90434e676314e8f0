//! Whether a JPEG is whole. The decoder fills what is missing with grey and does not say so.

const END_OF_IMAGE: u8 = 0xd9;

/// Whether the markers of a JPEG lead to its end. What follows the end does not count: phones append films, and what is
/// embedded in a segment does not either: cameras put a whole thumbnail there.
pub fn ends(bytes: &[u8]) -> bool {
    let mut at = 2; // Behind the start of the image.
    while let Some(found) = bytes.get(at..).and_then(marker) {
        at += found + 1;
        match bytes[at] {
            END_OF_IMAGE => return true,
            // Two bytes that say how many bytes the segment takes, themselves included.
            _ => match bytes.get(at + 1..at + 3) {
                Some(length) => at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return false,
            },
        }
    }
    false
}

/// Where the next marker is that has a segment, or ends the image. Inside a scan 0xff is followed by 0 or a restart
/// marker; before a marker it may be repeated.
fn marker(bytes: &[u8]) -> Option<usize> {
    let mut pairs = bytes.windows(2);
    pairs.position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0x01 | 0xd0..=0xd8 | 0xff))
}

#[cfg(test)]
mod tests {
    use super::ends;

    #[test]
    fn only_the_end_of_the_image_itself_counts() {
        let start = b"\xff\xd8\xff\xe0\x00\x04ab".as_slice();
        let scan = b"\xff\xff\xda\x00\x03x12\xff\x003\xff\xd04".as_slice();
        let thumbnail = b"\xff\xe1\x00\x08\xff\xda\x00\x02\xff\xd9".as_slice();
        let end = b"\xff\xd9".as_slice();
        let cases: [(&[&[u8]], bool); 8] = [
            (&[start, scan, end], true),
            (&[start, thumbnail, scan, end], true),
            (&[start, scan, end, b"film \xff\xda and more"], true),
            (&[start, scan, scan, end], true),
            (&[start, scan], false),
            (&[start, thumbnail, scan], false),
            (&[start, thumbnail], false),
            (&[b"\xff\xd8\xff\xe0\xff\xd9"], false),
        ];
        for (parts, whole) in cases {
            assert_eq!(ends(&parts.concat()), whole, "{parts:?}");
        }
        let whole = [start, thumbnail, scan, end].concat();
        for cut in 0..whole.len() {
            assert!(!ends(&whole[..cut]), "{cut}");
        }
    }
}

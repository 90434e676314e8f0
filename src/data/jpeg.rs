//! JPEGs: read by zune-jpeg itself, of whose headers the crate `image` makes three passes; and whether one is whole, for the
//! decoder fills what is missing with grey and does not say so.

use image::metadata::Orientation;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::decode::Fault;

const END_OF_IMAGE: u8 = 0xd9;

/// A JPEG of which the headers have been read.
pub struct Jpeg<'b> {
    decoder: JpegDecoder<ZCursor<&'b [u8]>>,
    /// In pixels, as it is stored.
    pub width: u32,
    /// In pixels, as it is stored.
    pub height: u32,
    /// Whether it has one channel.
    pub grey: bool,
}

impl<'b> Jpeg<'b> {
    /// # Errors
    /// The headers are damaged, or of a kind that is not read.
    pub fn open(bytes: &'b [u8]) -> Result<Self, Fault> {
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(damaged)?;
        let dimensions = decoder.dimensions().unwrap_or_default();
        let [width, height] = [dimensions.0, dimensions.1].map(|side| side as u32);
        let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        let out = if grey {
            ColorSpace::Luma
        } else {
            ColorSpace::RGB
        };
        decoder.set_options(decoder.options().jpeg_set_out_colorspace(out));
        Ok(Self {
            decoder,
            width,
            height,
            grey,
        })
    }

    /// As which it is to be seen. Metadata that cannot be read is no reason to do without the picture.
    pub fn orientation(&self) -> Orientation {
        let exif = self.decoder.exif();
        let told = exif.and_then(|exif| Orientation::from_exif_chunk(exif));
        told.unwrap_or(Orientation::NoTransforms)
    }

    /// One sample for each pixel where it is grey, else three, in memory that may have held something else.
    ///
    /// # Errors
    /// What is behind the headers is damaged.
    pub fn samples(mut self, mut samples: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let channels = if self.grey { 1 } else { 3 };
        samples.clear();
        // A damaged picture shows nothing of the one before: the decoder may leave samples as they are.
        samples.resize(channels * self.width as usize * self.height as usize, 0);
        self.decoder.decode_into(&mut samples).map_err(damaged)?;
        Ok(samples)
    }
}

fn damaged(error: impl ToString) -> Fault {
    Fault::Damaged(error.to_string())
}

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
    let is_marker = |&at: &usize| {
        let next = bytes.get(at + 1);
        next.is_some_and(|next| !matches!(next, 0x00 | 0x01 | 0xd0..=0xd8 | 0xff))
    };
    memchr::memchr_iter(0xff, bytes).find(is_marker)
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

//! Images that are fed as pixels: what makes them what the network reads, in the place of a copy.

use super::{
    Argument, Emission,
    source::{Draft, Part},
};
use crate::{
    backend::cuda::program::Intake,
    plan::{Element, Plan, Work},
};

const THREADS: usize = 256;
/// The feed that holds images.
const IMAGES: &str = "image";
/// Red, green and blue.
const CHANNELS: usize = 3;
/// What a channel can be.
pub const LEVELS: usize = 256;

/// What each level of each channel is normalised to.
pub const KNOWN: usize = CHANNELS * LEVELS;

impl Emission<'_> {
    /// Takes images over, if the plan is fed any.
    pub fn intake(&mut self) -> Option<Intake> {
        let (feed, [images, height, width]) = images(self.plan)?;
        let area = height * width;
        // Those of a thread lie in one image, and begin where words begin.
        let each = if area.is_multiple_of(4) { 4 } else { 1 };
        let numbers = images * CHANNELS * area;
        let draft = Draft {
            stem: "normalize",
            note: format!("{images} images of {height} x {width} pixels"),
            parts: vec![Part::Element, Part::Vector],
            text: format!(
                "constexpr unsigned IMAGES = {images}, AREA = {area}, EACH = {each};\n{}",
                include_str!("../kernels/normalize.cu")
            ),
            grid: [(images * area / each).div_ceil(THREADS) as u32, 1, 1],
            block: THREADS as u32,
            shared: (KNOWN * Element::F32.bytes()) as u32,
        };
        let arguments = vec![
            Argument::Staged(feed),
            Argument::Levels,
            Argument::Buffer(self.plan.feeds[feed].1),
        ];
        let work = Work {
            bytes: (numbers * (1 + Element::F32.bytes())) as u64,
            ..Work::default()
        };
        (self.label, self.origin) = ("intake", IMAGES.into());
        self.launch(draft, arguments, work);
        let launch = self.launches.pop()?;
        Some(Intake { feed, launch })
    }
}

/// The feed that holds images in planes of three colours, how many there are and how large.
fn images(plan: &Plan) -> Option<(usize, [usize; 3])> {
    let at = plan.feeds.iter().position(|(name, _)| name == IMAGES)?;
    let buffer = &plan.buffers[plan.feeds[at].1];
    let &[images, CHANNELS, height, width] = &buffer.dims[..] else {
        return None;
    };
    let fits = buffer.element == Element::F32 && !buffer.is_empty();
    fits.then_some((at, [images, height, width]))
}

//! `mimc data`: what a folder of images amounts to.

use super::{Outcome, screen};
use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use mimc::data::survey::{Found, Options};
use std::{path::PathBuf, process::ExitCode};

/// Look at the images of a folder, as training would
///
/// Reads and decodes each one. Tells formats, sizes, the mean and deviation for the recipe, and which files cannot be
/// read, are too small, or are there twice. Exits with 1 if not one image can be read.
#[derive(Args)]
pub struct Arguments {
    /// A folder of images or of tar archives, or one .tar
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Side of what the network will see, in pixels: data.size
    #[arg(long, value_name = "N", default_value_t = 192, value_parser = value_parser!(u32).range(1..=8192))]
    size: u32,
    /// Look at so many images from all over, instead of all
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Print a JSON document, with every problem
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let options = Options {
        size: arguments.size as usize,
        sample: arguments.sample.map(|count| count as usize),
    };
    let found = Found::at(&arguments.path)?;
    let bar = bar(found.looked_at(&options));
    let survey = found.survey(&options, &|| bar.inc(1))?;
    bar.finish_and_clear();
    match arguments.json {
        true => screen::print_json(&survey)?,
        false => screen::print(&survey)?,
    }
    Ok(ExitCode::from(u8::from(survey.readable == 0)))
}

/// One line on a terminal, and nothing elsewhere but a note of how long it may take.
fn bar(images: usize) -> ProgressBar {
    if !screen::moves() || screen::quiet() {
        screen::note(format_args!("looking at {images} images"));
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{percent:>3} % {bar:12.cyan/blue.dim} {human_pos}/{human_len} images  {per_sec}  ETA {eta}")
        .expect("the template has only known keys")
        .progress_chars("━╸─");
    ProgressBar::new(images as u64).with_style(style)
}

//! `mimc reconstruct`: what a trained model makes of one's own photographs.

use super::{
    Outcome,
    arguments::{BackendArgument, Sets, Threads},
    failure::Failure,
    inspect::open,
    job::library,
    screen,
    sweep::{Sweep, sweep},
};
use clap::Args;
use image::RgbImage;
use mimc::{
    compile::compile_forward,
    data::{Normalizer, center, decode},
    diagnostic::SourceFile,
    ir::meta,
    recipe::Recipe,
    train::{
        checkpoint::Checkpoint,
        disk::RealDisk,
        from_recipe::checksums,
        gallery::Gallery,
        output::write_png,
        pictures::{View, sheet, strips},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Draw what a trained model makes of photographs behind masks
///
/// Takes the largest central square of each, whatever its size. The mask is that of the run's recipe, or of --set:
/// `--set model.masking.ratio=0.75`, `--set model.masking.unit=64`.
#[derive(Args)]
pub struct Arguments {
    /// A checkpoint, or the folder of a run: then its latest sound one
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// JPEG, PNG, WebP, GIF, TIFF or BMP
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// A column for each of these values: model.masking.ratio=0.2,0.4,0.6,0.8
    #[arg(long, value_name = "PATH=A,B,…", value_parser = sweep)]
    sweep: Option<Sweep>,
    /// Draws the masks; the same seed hides the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where to write the picture
    #[arg(
        short,
        long,
        value_name = "FILE.png",
        default_value = "reconstruction.png"
    )]
    output: PathBuf,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    sets: Sets,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let mut checkpoint = open(&arguments.checkpoint)?;
    arguments.threads.start()?;
    let pictures = arguments.images.iter().map(|path| photograph(path));
    let pictures: Vec<RgbImage> = pictures.collect::<Result<_, _>>()?;
    let own = &arguments.sets.sets;
    let (picture, losses) = match &arguments.sweep {
        None => {
            let (views, loss) = views(arguments, &mut checkpoint, own, &pictures)?;
            (sheet(&views), vec![loss])
        }
        Some(Sweep { path, values }) => {
            let mut columns: Vec<Vec<View>> = Vec::new();
            let mut losses = Vec::new();
            for value in values {
                let sets = [&own[..], &[format!("{path}={value}")]].concat();
                let (views, loss) = views(arguments, &mut checkpoint, &sets, &pictures)?;
                columns.push(views);
                losses.push(loss);
            }
            let strip = |image: usize| columns.iter().map(|views| views[image].clone()).collect();
            let images: Vec<Vec<View>> = (0..pictures.len()).map(strip).collect();
            (strips(&images, values), losses)
        }
    };
    write(&arguments.output, &picture)?;
    let names = arguments.sweep.iter().flat_map(|sweep| &sweep.values);
    let names = names
        .map(|value| format!("{value}: "))
        .chain([String::new()]);
    let told: Vec<String> = names
        .zip(&losses)
        .map(|(name, loss)| format!("{name}loss {loss:.4}"))
        .collect();
    screen::print(format_args!(
        "{}\n{}\n",
        told.join(", "),
        arguments.output.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The pictures with what the model makes of them, and its mean loss over all of them.
fn views(
    arguments: &Arguments,
    checkpoint: &mut Checkpoint,
    sets: &[String],
    pictures: &[RgbImage],
) -> Result<(Vec<View>, f32), Failure> {
    let state = checkpoint.state();
    let file = SourceFile::new(
        format!("the recipe of {}", checkpoint.path().display()),
        state.recipe.as_str(),
    );
    let recipe = Recipe::parse(&file, "recipe", sets)?;
    let library = library();
    let forward = compile_forward(&recipe, &library, pictures.len())?;
    let changed = checksums(&library) != state.graphs;
    if changed && sets.is_empty() {
        screen::warn("warning: graph files have changed since the checkpoint was written");
    }
    let has = |output: &str| meta(&forward).roots.iter().any(|root| root.name == output);
    if !(has("decoder") && has("mask")) {
        let message = "the model has no outputs `decoder` and `mask` to draw";
        return Err(Failure::new("backend", message, None));
    }
    let mut program = arguments.backend.chosen().prepare(forward)?;
    checkpoint.restore(&mut *program)?;
    let [mean, std] = [recipe.data.mean, recipe.data.std].map(|of| of.map(|value| value as f32));
    let normalizer = Normalizer::new(mean, std);
    let size = recipe.data.size;
    let images = pictures
        .iter()
        .map(|pixels| center(pixels, size, &normalizer));
    let images = images.collect();
    let mut gallery = Gallery::of(&mut *program, normalizer, size, images, arguments.seed);
    let views = gallery.views()?;
    let loss = program.output("loss")?[0];
    Ok((views, loss))
}

fn photograph(path: &Path) -> Result<RgbImage, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    let (_, pixels) = decode(&bytes).map_err(|fault| {
        let message = format!("cannot read {}: {fault}", path.display());
        Failure::new("data", message, None)
    })?;
    Ok(pixels)
}

pub fn write(path: &Path, picture: &RgbImage) -> Result<(), Failure> {
    write_png(&RealDisk, path, picture).map_err(|error| Failure::file("write", path, &error))
}

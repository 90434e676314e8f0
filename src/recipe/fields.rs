//! Every key of a recipe outside its model, one row each: parsing, defaults, ranges, `--set` and the documentation all
//! come from this table.

use super::Kind::{self, *};
use Fallback::{Is, Required, TenthOf};
use std::fmt;

/// One key.
#[derive(Debug)]
pub struct Field {
    /// Dotted: `train.optimizer.eps`.
    pub path: &'static str,
    /// What can be written.
    pub kind: Kind,
    /// Empty where the value has none.
    pub unit: &'static str,
    /// What stands for it if it is left out.
    pub default: Fallback,
    /// Of its numbers.
    pub range: Range,
    /// What it is, in a phrase.
    pub doc: &'static str,
}

/// What stands for a key that a recipe leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing: it must be written.
    Required,
    /// A YAML value.
    Is(&'static str),
    /// A tenth of another key's value.
    TenthOf(&'static str),
}

/// The numbers allowed, both ends included unless `open`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Whether `low` itself is left out.
    pub open: bool,
}

const ANY: Range = within(f64::NEG_INFINITY, f64::INFINITY);

const fn within(low: f64, high: f64) -> Range {
    let open = false;
    Range { low, high, open }
}

const fn above(low: f64) -> Range {
    Range {
        low,
        high: f64::INFINITY,
        open: true,
    }
}

const fn at_least(low: f64) -> Range {
    within(low, f64::INFINITY)
}

const fn row(
    path: &'static str,
    kind: Kind,
    unit: &'static str,
    default: Fallback,
    range: Range,
    doc: &'static str,
) -> Field {
    Field {
        path,
        kind,
        unit,
        default,
        range,
        doc,
    }
}

/// In the order a resolved recipe is written.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    row("doc", Text, "", Is("''"), ANY, "what the experiment is, and the score it should reach"),
    row("model", Model, "", Required, ANY, "the top graph, and for each of its graph-typed params which graph fills it with which params"),

    row("data.images", Text, "", Required, ANY, "a folder of images or of tar archives of them, nested or flat; one `.tar`; or `synthetic` for generated images"),
    row("data.count", Int, "images", Is("4096"), at_least(1.0), "how many images `synthetic` generates; a folder has as many as it has"),
    row("data.shuffle_buffer", Maybe(&Int), "images", Is("null"), at_least(1.0), "reads tar archives from front to back, and draws from so many images that wait; null to draw from all and read each where it lies"),
    row("data.validation", Maybe(&Text), "", Is("null"), ANY, "a folder of images that are never trained on; their loss is told on the way; null for none"),
    row("data.validation_count", Int, "images", Is("256"), at_least(1.0), "how many of them are looked at, spread over the folder"),
    row("data.size", Int, "pixels", Required, within(1.0, 8192.0), "side of what the network sees"),
    row("data.crop.scale", Floats(2), "share of the area", Is("[0.67, 1.0]"), within(1e-4, 1.0), "smallest and largest random crop"),
    row("data.crop.ratio", Floats(2), "width / height", Is("[0.75, 1.3333333333333333]"), within(0.01, 100.0), "narrowest and widest random crop"),
    row("data.flip", Bool, "", Is("true"), ANY, "mirror half of the images"),
    row("data.mean", Floats(3), "of 0 to 1", Is("[0.485, 0.456, 0.406]"), within(0.0, 1.0), "subtracted from red, green and blue"),
    row("data.std", Floats(3), "of 0 to 1", Is("[0.229, 0.224, 0.225]"), within(1e-4, 1e4), "divides red, green and blue after that"),
    row("data.workers", Int, "threads", Is("0"), within(0.0, 1024.0), "decode and augment; 0 for one per core less one"),

    row("train.epochs", Float, "epochs", Is("100"), Range { low: 0.0, high: 1e6, open: true }, "length of the run and of its schedule"),
    row("train.batch", Int, "images", Is("512"), within(1.0, 1e6), "per optimizer step, over all accumulation steps"),
    row("train.micro_batch", Maybe(&Int), "images", Is("null"), within(1.0, 1e6), "computed at once; null for the largest divisor of the batch that fits 4 GiB"),
    row("train.precision", OneOf(&["auto", "f32", "bf16"]), "", Is("auto"), ANY, "of what products read and activations are stored in; weights, their gradients and sums are f32; auto for bf16 on a GPU and f32 elsewhere"),
    row("train.recompute", Maybe(&Int), "blocks", Is("null"), within(0.0, 1e6), "of how many of those that repeat the inside is computed again for the gradient instead of being kept; it changes no bit; null for as many as `--memory` asks"),
    row("train.optimizer.name", OneOf(&["adamw"]), "", Is("adamw"), ANY, "how gradients move weights"),
    row("train.optimizer.betas", Floats(2), "", Is("[0.9, 0.999]"), within(0.0, 0.99999), "decay of the mean gradient and of its square"),
    row("train.optimizer.eps", Float, "", Is("1e-8"), within(1e-16, 1.0), "keeps the division away from zero"),
    row("train.optimizer.decay", Float, "", Is("0.05"), within(0.0, 1.0), "weight decay, decoupled from the gradient"),
    row("train.optimizer.clip", Maybe(&Float), "", Is("5.0"), above(0.0), "largest norm of the whole gradient; null for no limit"),
    row("train.schedule.name", OneOf(&["cosine", "multistep", "step", "linear", "constant"]), "", Is("cosine"), ANY, "how the learning rate falls after the warm-up"),
    row("train.schedule.base_lr", Float, "per 512 images", Is("2e-4"), within(0.0, 100.0), "learning rate after the warm-up"),
    row("train.schedule.warmup_lr", Float, "per 512 images", Is("1e-6"), within(0.0, 100.0), "learning rate the warm-up starts from"),
    row("train.schedule.min_lr", Float, "per 512 images", Is("1e-5"), within(0.0, 100.0), "learning rate at the end; cosine and linear"),
    row("train.schedule.warmup_epochs", Float, "epochs", TenthOf("train.epochs"), within(0.0, 1e6), "length of the warm-up, linear per step"),
    row("train.schedule.milestones", FloatList, "epochs", Is("[]"), above(0.0), "when multistep multiplies the rate by gamma; for step one number, the period"),
    row("train.schedule.gamma", Float, "", Is("0.1"), Range { low: 0.0, high: 1.0, open: true }, "factor of a milestone"),
    row("train.seed", Int, "", Is("0"), within(0.0, 9007199254740992.0), "of initial weights, masks, crops and their order"),
    row("train.checkpoint_every", Int, "steps", Is("100"), at_least(0.0), "optimizer steps between checkpoints; 0 for one at the end"),
    row("train.keep", Int, "checkpoints", Is("3"), at_least(1.0), "how many of the latest stay"),
    row("train.picture_every", Int, "steps", Is("100"), at_least(0.0), "optimizer steps between pictures; 0 for one at the end"),
    row("train.validate_every", Int, "steps", Is("100"), at_least(0.0), "optimizer steps between two looks at the images held out; 0 for one at the end"),
    row("train.log_every", Int, "steps", Is("10"), at_least(1.0), "optimizer steps between printed lines where there is no terminal"),
];

pub fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// The keys right under a section, each once: `crop` and `size` under `data`. The top is the empty section.
pub fn keys_under(section: &str) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for field in FIELDS {
        let rest = match section {
            "" => Some(field.path),
            _ => field
                .path
                .strip_prefix(section)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let key = rest.and_then(|rest| rest.split('.').next());
        keys.extend(key.filter(|key| !keys.contains(key)));
    }
    keys
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    let mut text =
        "| key | type | unit | default | range | |\n|---|---|---|---|---|---|\n".to_owned();
    for field in FIELDS {
        let Field {
            path,
            kind,
            unit,
            default,
            range,
            doc,
        } = field;
        text += &format!("| `{path}` | {kind} | {unit} | {default} | {range} | {doc} |\n");
    }
    text
}

impl Range {
    /// Whether a number is allowed; one that is not a number never is.
    pub fn contains(&self, value: f64) -> bool {
        (value > self.low || (!self.open && value == self.low)) && value <= self.high
    }
}

/// `above 0, at most 1`; nothing where everything is allowed.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let low = if self.open { "above" } else { "at least" };
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) if !self.open => write!(f, "{} to {}", self.low, self.high),
            (true, true) => write!(f, "{low} {}, at most {}", self.low, self.high),
            (true, false) => write!(f, "{low} {}", self.low),
            (false, true) => write!(f, "at most {}", self.high),
            (false, false) => Ok(()),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Required => f.write_str("required"),
            Is("''") => f.write_str("empty"),
            Is(yaml) => write!(f, "`{yaml}`"),
            TenthOf(path) => write!(f, "a tenth of `{path}`"),
        }
    }
}

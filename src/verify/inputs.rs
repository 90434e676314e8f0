//! What a program must be fed, and whether the file can feed it.

use super::{Reference, VerifyError};
use crate::ir::{Graph, meta, ops, ops::Input, ops::InputKind};

/// Which of the file's masks the program takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// One number per unit that is hidden together.
    Units,
    /// One number per token.
    Tokens,
}

impl Mask {
    pub fn key(self) -> &'static str {
        match self {
            Mask::Units => "train/unit_masks",
            Mask::Tokens => "train/masks",
        }
    }
}

/// The masks that fit the input `mask` of a graph. Nothing else may be left to chance.
pub fn mask(graph: &Graph, reference: &Reference) -> Result<Mask, VerifyError> {
    let inputs = || {
        let nodes = meta(graph).nodes.keys();
        nodes.filter_map(|&node| ops::own::<Input>(graph, node))
    };
    let is_mask = |input: &&Input| input.kind == InputKind::Feed && input.name == "mask";
    let Some(taken) = inputs().find(is_mask) else {
        return Err(VerifyError::NoMask {
            unit: reference.unit(),
        });
    };
    let drawn = inputs().filter(|input| matches!(input.kind, InputKind::Draw { .. }));
    if let Some(first) = drawn.map(|input| &input.name).min() {
        return Err(VerifyError::Random {
            input: first.clone(),
        });
    }
    let fits = |mask: &Mask| {
        let dims = reference.dims(mask.key()).unwrap_or_default();
        dims.get(1..) == Some(&taken.dims[..])
    };
    let masks = [Mask::Units, Mask::Tokens];
    masks.into_iter().find(fits).ok_or_else(|| {
        let units = reference.dims(Mask::Units.key()).unwrap_or_default();
        VerifyError::Shape {
            key: Mask::Units.key().to_owned(),
            theirs: units,
            ours: taken.dims.clone(),
        }
    })
}

//! As what values are stored: in bf16 what is rounded to it, in f32 all else.

use super::{Home, Lowering};
use crate::{
    ir::{
        Kind, Value, kind, ops,
        program::{Instr, RowOp, ValueId},
        rewrite::sources,
    },
    plan::Element,
};

impl Lowering<'_> {
    /// Of an output of the current node.
    pub(super) fn element(&self, output: usize) -> Element {
        let inputs = || sources(self.graph, self.current);
        let own = match kind(self.graph, self.current) {
            Kind::Pointwise(op) => return made(op),
            Kind::Copy => return self.stored(&inputs()[0]),
            Kind::Own(own) => own,
            _ => return Element::F32,
        };
        if let Some(fused) = own.get::<ops::Fused>() {
            let operands = self.all_stored(&inputs());
            of(&operands, &fused.code, fused.stores[output])
        } else if let Some(contraction) = own.get::<ops::Contraction>() {
            let Some(epilogue) = &contraction.epilogue else {
                return Element::F32;
            };
            let mut operands = vec![Element::F32];
            operands.extend(self.all_stored(&inputs()[contraction.operands()..]));
            of(&operands, &epilogue.code, epilogue.stores[output])
        } else if let Some(attention) = own.get::<ops::Attention>() {
            when(attention.rounds && output == 0)
        } else if let Some(gradient) = own.get::<ops::AttentionGradient>() {
            when(gradient.rounds(output))
        } else if own.get::<ops::Roll>().is_some()
            || own.get::<ops::Take>().is_some()
            || own.get::<ops::Detach>().is_some()
        {
            self.stored(&inputs()[0])
        } else if own.get::<ops::Concat>().is_some() {
            let parts = self.all_stored(&inputs());
            when(parts.iter().all(|&part| part == Element::Bf16))
        } else {
            Element::F32
        }
    }

    /// Of the buffer a value is in; what is drawn or a constant is f32.
    pub(super) fn stored(&self, value: &Value) -> Element {
        match self.homes.get(&(value.node, value.output)) {
            Some(Home::Buffer(buffer)) => self.plan.buffers[*buffer].element,
            _ => Element::F32,
        }
    }

    fn all_stored(&self, values: &[Value]) -> Vec<Element> {
        values.iter().map(|value| self.stored(value)).collect()
    }
}

/// Of a value of a body.
fn of(operands: &[Element], code: &[Instr], value: ValueId) -> Element {
    match value.checked_sub(operands.len()) {
        Some(made_by) => made(code[made_by].op),
        None => operands[value],
    }
}

fn made(op: RowOp) -> Element {
    when(op == RowOp::Bf16)
}

fn when(rounded: bool) -> Element {
    if rounded { Element::Bf16 } else { Element::F32 }
}

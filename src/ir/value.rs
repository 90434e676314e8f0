//! A value: one output of a node, seen through a view.

use super::{NodeIndex, ShapeTracker, view};

#[derive(Debug, Clone)]
pub struct Value {
    pub node: NodeIndex,
    pub output: u8,
    pub view: ShapeTracker,
}

/// A value as the graph holds it, on the edge into a node that reads it. Views are kilobytes: this one is not copied.
#[derive(Debug, Clone, Copy)]
pub struct Edge<'g> {
    pub node: NodeIndex,
    pub output: u8,
    pub view: &'g ShapeTracker,
}

impl Edge<'_> {
    pub fn value(&self) -> Value {
        Value {
            node: self.node,
            output: self.output,
            view: *self.view,
        }
    }
}

impl Value {
    /// Logical dims.
    pub fn dims(&self) -> Vec<usize> {
        view::dims(&self.view)
    }

    pub fn rank(&self) -> usize {
        self.view.len()
    }

    pub fn is_plain(&self) -> bool {
        view::is_plain(&self.view)
    }

    pub fn permute(&self, axes: &[usize]) -> Value {
        self.through(view::permute(&self.view, axes))
    }

    /// A new broadcast axis of size `n` before `axis`.
    pub fn expand(&self, axis: usize, n: usize) -> Value {
        self.through(view::expand(&self.view, axis, n))
    }

    pub fn squeeze(&self, axis: usize) -> Value {
        self.through(view::squeeze(&self.view, axis))
    }

    /// Broadcasts to `dims` by the usual rule: axes are aligned at the end, an axis of size 1 stretches. `None` where they differ.
    pub fn broadcast_to(&self, dims: &[usize]) -> Option<Value> {
        let own = self.dims();
        let lead = dims.len().checked_sub(own.len())?;
        let mut value = self.clone();
        for (axis, (&have, &want)) in own.iter().zip(&dims[lead..]).enumerate() {
            match have {
                _ if have == want => {}
                1 => value = value.squeeze(axis).expand(axis, want),
                _ => return None,
            }
        }
        for &want in dims[..lead].iter().rev() {
            value = value.expand(0, want);
        }
        Some(value)
    }

    pub fn through(&self, view: ShapeTracker) -> Value {
        Value {
            node: self.node,
            output: self.output,
            view,
        }
    }
}

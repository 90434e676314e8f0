//! Loop nests as index arithmetic.

use crate::plan::Access;
use std::ops::Range;

/// The axes of a loop nest without those of one element; neighbours of a group over which every access walks evenly are one.
pub struct Nest {
    pub dims: Vec<usize>,
    /// The axes that are left of each group.
    pub groups: Vec<Range<usize>>,
    /// Of every access, over the axes that are left.
    pub accesses: Vec<Access>,
}

impl Nest {
    pub fn merged(groups: &[&[usize]], accesses: &[&Access]) -> Nest {
        let offsets = accesses.iter().map(|access| Access {
            offset: access.offset,
            strides: Vec::new(),
        });
        let mut nest = Nest {
            dims: Vec::new(),
            groups: Vec::new(),
            accesses: offsets.collect(),
        };
        let mut axis = 0;
        for group in groups {
            let start = nest.dims.len();
            for &dim in *group {
                if dim != 1 {
                    let strides: Vec<usize> = accesses.iter().map(|a| a.strides[axis]).collect();
                    nest.push(dim, &strides, start);
                }
                axis += 1;
            }
            nest.groups.push(start..nest.dims.len());
        }
        nest
    }

    fn push(&mut self, dim: usize, strides: &[usize], start: usize) {
        let outer = self.dims.len().checked_sub(1).filter(|&a| a >= start);
        let evenly = |access: &(&Access, &usize), a: usize| access.0.strides[a] == dim * access.1;
        let joins = outer.filter(|&a| {
            let mut pairs = self.accesses.iter().zip(strides);
            pairs.all(|pair| evenly(&pair, a))
        });
        for (access, &stride) in self.accesses.iter_mut().zip(strides) {
            if joins.is_some() {
                access.strides.pop();
            }
            access.strides.push(stride);
        }
        match joins {
            Some(outer) => self.dims[outer] *= dim,
            None => self.dims.push(dim),
        }
    }

    /// Elements of a group.
    pub fn count(&self, group: usize) -> usize {
        self.dims[self.groups[group].clone()].iter().product()
    }

    /// The dims of a group, counted in steps of `step` elements along the last one.
    pub fn steps(&self, group: usize, step: usize) -> Vec<usize> {
        let mut dims = self.dims[self.groups[group].clone()].to_vec();
        if let Some(last) = dims.last_mut() {
            *last /= step;
        }
        dims
    }
}

/// `const unsigned i0 = flat / 96, i1 = flat % 96;`: where a flat index stands in a nest, nothing where it has no axes.
/// The last index is in multiples of `step`. Without the last line break.
pub fn coordinates(name: &str, flat: &str, dims: &[usize], step: usize) -> String {
    let index = |axis: usize| {
        let inner: usize = dims[axis + 1..].iter().product();
        let mut text = flat.to_string();
        if inner > 1 {
            text += &format!(" / {inner}");
        }
        if axis > 0 {
            text += &format!(" % {}", dims[axis]);
        }
        if step > 1 && axis + 1 == dims.len() {
            text += &format!(" * {step}");
        }
        format!("{name}{axis} = {text}")
    };
    let parts: Vec<String> = (0..dims.len()).map(index).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("const unsigned {};", parts.join(", ")),
    }
}

/// `12 + i0 * 96 + i1`
pub fn place(offset: usize, terms: &[(String, usize)]) -> String {
    let mut parts = Vec::new();
    if offset > 0 {
        parts.push(offset.to_string());
    }
    for (name, stride) in terms {
        match stride {
            0 => {}
            1 => parts.push(name.clone()),
            _ => parts.push(format!("{name} * {stride}")),
        }
    }
    match parts.is_empty() {
        true => "0".into(),
        false => parts.join(" + "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_join_where_every_access_walks_evenly() {
        let plain = Access::plain(&[2, 3, 1, 4]);
        let across = Access {
            offset: 5,
            strides: vec![4, 8, 0, 1],
        };
        let both = Nest::merged(&[&[2, 3], &[1, 4]], &[&plain, &across]);
        assert_eq!(both.dims, [2, 3, 4]);
        assert_eq!(both.groups, [0..2, 2..3]);
        assert_eq!(both.accesses[1].strides, [4, 8, 1]);
        let one = Nest::merged(&[&[2, 3, 1, 4]], &[&plain]);
        assert_eq!(
            (one.dims, one.accesses[0].strides.clone()),
            (vec![24], vec![1])
        );
    }

    #[test]
    fn indices_read_as_arithmetic() {
        assert_eq!(
            coordinates("i", "row", &[4, 6, 8], 1),
            "const unsigned i0 = row / 48, i1 = row / 8 % 6, i2 = row % 8;"
        );
        assert_eq!(
            coordinates("i", "row", &[4], 2),
            "const unsigned i0 = row * 2;"
        );
        assert_eq!(
            place(12, &[("i0".into(), 96), ("i1".into(), 0), ("i2".into(), 1)]),
            "12 + i0 * 96 + i2"
        );
        assert_eq!(place(0, &[]), "0");
    }
}

//! Arithmetic and movement in terms of luminal's primitives: what builds graphs writes in these.

use super::{Rewriter, Value, view};
use luminal::op::{
    Add, Contiguous, Exp2, LessThan, Log2, MaxReduce, Mod, Mul, Recip, Sin, Sqrt, SumReduce,
};

impl Rewriter<'_> {
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.binary(Add, a, b)
    }

    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.binary(Mul, a, b)
    }

    pub fn modulo(&mut self, a: &Value, b: &Value) -> Value {
        self.binary(Mod, a, b)
    }

    /// 1 where a < b, else 0.
    pub fn less(&mut self, a: &Value, b: &Value) -> Value {
        self.binary(LessThan, a, b)
    }

    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        let b = self.neg(b);
        self.add(a, &b)
    }

    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        let b = self.recip(b);
        self.mul(a, &b)
    }

    pub fn neg(&mut self, a: &Value) -> Value {
        self.scale(a, -1.0)
    }

    /// `a · x`
    pub fn scale(&mut self, a: &Value, x: f32) -> Value {
        let x = self.constant(x, &a.dims());
        self.mul(a, &x)
    }

    /// `a + x`
    pub fn offset(&mut self, a: &Value, x: f32) -> Value {
        let x = self.constant(x, &a.dims());
        self.add(a, &x)
    }

    pub fn recip(&mut self, a: &Value) -> Value {
        self.unary(Recip, a)
    }

    pub fn sqrt(&mut self, a: &Value) -> Value {
        self.unary(Sqrt, a)
    }

    pub fn exp2(&mut self, a: &Value) -> Value {
        self.unary(Exp2, a)
    }

    pub fn log2(&mut self, a: &Value) -> Value {
        self.unary(Log2, a)
    }

    pub fn sin(&mut self, a: &Value) -> Value {
        self.unary(Sin, a)
    }

    /// Natural exponential.
    pub fn exp(&mut self, a: &Value) -> Value {
        let a = self.scale(a, std::f32::consts::LOG2_E);
        self.exp2(&a)
    }

    /// Natural logarithm.
    pub fn log(&mut self, a: &Value) -> Value {
        let a = self.log2(a);
        self.scale(&a, std::f32::consts::LN_2)
    }

    /// 1, 0 or -1.
    pub fn sign(&mut self, a: &Value) -> Value {
        let zero = self.constant(0.0, &a.dims());
        let (above, below) = (self.less(&zero, a), self.less(a, &zero));
        self.sub(&above, &below)
    }

    /// Sum over one axis, which disappears.
    pub fn sum(&mut self, a: &Value, axis: usize) -> Value {
        self.reduce(SumReduce(axis), a, axis)
    }

    /// Maximum over one axis, which disappears.
    pub fn max(&mut self, a: &Value, axis: usize) -> Value {
        self.reduce(MaxReduce(axis), a, axis)
    }

    /// The same elements under other dims. Copies only where the view cannot say it.
    ///
    /// # Panics
    /// Unless both dims have as many elements.
    pub fn reshape(&mut self, a: &Value, dims: &[usize]) -> Value {
        let own = a.dims();
        assert_eq!(
            own.iter().product::<usize>(),
            dims.iter().product::<usize>(),
            "{own:?} as {dims:?}"
        );
        if own == dims {
            return a.clone();
        }
        if !a.is_plain() {
            if (0..own.len()).all(|axis| view::broadcasts(&a.view, axis))
                && !view::is_padded(&a.view)
            {
                return a.through(view::broadcast(dims));
            }
            let long = |d: &[usize]| d.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
            if long(&own) == long(dims) && !view::is_sliced(&a.view) && !view::is_padded(&a.view) {
                let mut value = a.clone();
                for axis in (0..own.len()).rev().filter(|&axis| own[axis] == 1) {
                    value = value.squeeze(axis);
                }
                for (axis, _) in dims.iter().enumerate().filter(|(_, n)| **n == 1) {
                    value = value.expand(axis, 1);
                }
                return value;
            }
        }
        let flat = self.contiguous(a);
        flat.through(view::plain(dims))
    }

    /// Elements `start..end` of an axis, in a buffer of their own.
    pub fn slice(&mut self, a: &Value, axis: usize, start: usize, end: usize) -> Value {
        if (start, end) == (0, a.dims()[axis]) {
            return a.clone();
        }
        let a = if view::is_sliced(&a.view) || view::is_padded(&a.view) {
            self.contiguous(a)
        } else {
            a.clone()
        };
        self.settle(&a.through(view::slice(&a.view, axis, start, end)))
    }

    /// With zeros before and after along an axis, in a buffer of its own.
    pub fn pad(&mut self, a: &Value, axis: usize, before: usize, after: usize) -> Value {
        if (before, after) == (0, 0) {
            return a.clone();
        }
        let stuck =
            view::is_sliced(&a.view) || view::is_padded(&a.view) || view::broadcasts(&a.view, axis);
        let a = if stuck { self.contiguous(a) } else { a.clone() };
        self.settle(&a.through(view::pad(&a.view, axis, before, after)))
    }

    /// Concatenation as a sum of padded tensors.
    ///
    /// # Panics
    /// Without parts.
    pub fn concat_by_pads(&mut self, parts: &[Value], axis: usize) -> Value {
        let total: usize = parts.iter().map(|p| p.dims()[axis]).sum();
        let mut before = 0;
        let mut sum: Option<Value> = None;
        for part in parts {
            let n = part.dims()[axis];
            let padded = self.pad(part, axis, before, total - before - n);
            before += n;
            sum = Some(match sum {
                None => padded,
                Some(s) => self.add(&s, &padded),
            });
        }
        sum.expect("a concatenation has parts")
    }

    /// `[count, rows]`: 1 where the column is the index.
    pub fn one_hot(&mut self, index: &Value, count: usize, rows: usize) -> Value {
        let index = self.reshape(index, &[count]).expand(1, rows);
        let row: Vec<f32> = (0..rows).map(|r| r as f32).collect();
        let row = self.table(&row, &[rows]).expand(0, count);
        let (below, above) = (self.less(&index, &row), self.less(&row, &index));
        let off = self.add(&below, &above);
        let off = self.neg(&off);
        self.offset(&off, 1.0)
    }

    /// `[m, k] x [k, n]`
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        let (m, n) = (a.dims()[0], b.dims()[1]);
        let product = self.mul(&a.expand(1, n), &b.permute(&[1, 0]).expand(0, m));
        self.sum(&product, 2)
    }

    /// Always a copy: the view enters a `Contiguous`.
    fn settle(&mut self, a: &Value) -> Value {
        let dims = a.dims();
        let node = self.node(Contiguous, std::slice::from_ref(a), vec![dims.clone()]);
        Value {
            node,
            output: 0,
            view: view::plain(&dims),
        }
    }
}

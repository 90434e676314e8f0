//! Attention and its gradients.

use super::access;
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::plan::{
    Access, BufferId, Element, Kernel,
    kernel::{Attention, AttentionBackward, Dropout},
};

struct Shape {
    batch: Vec<usize>,
    queries: usize,
    keys: usize,
    width: usize,
    value_width: usize,
}

/// As projections leave heads: the last axis of the batch inside of a row.
fn inside(batch: &[usize], rows: usize, width: usize) -> Access {
    let (heads, outer) = batch.split_last().expect("there are heads");
    let mut access = Access::plain(&[outer, &[rows, *heads, width]].concat());
    let rank = access.strides.len();
    access.strides.swap(rank - 3, rank - 2);
    access
}

impl Shape {
    fn place(
        &self,
        cases: &mut Cases,
        rows: usize,
        width: usize,
        element: Element,
    ) -> (BufferId, Access) {
        let dims = [&self.batch[..], &[rows, width]].concat();
        cases.reached(&inside(&self.batch, rows, width), &dims, element)
    }

    /// A bias that varies along some axes of the batch, queries and keys.
    fn bias(&self, cases: &mut Cases, varies: &[bool]) -> (BufferId, Access) {
        let dims = [&self.batch[..], &[self.queries, self.keys]].concat();
        let mut walk = access(0, &vec![0; dims.len()]);
        let mut stride = 1;
        for axis in (0..dims.len()).rev().filter(|&axis| varies[axis]) {
            walk.strides[axis] = stride;
            stride *= dims[axis];
        }
        cases.reached(&walk, &dims, Element::F32)
    }

    fn check(&self, cases: &mut Cases, element: Element, biases: &[&[bool]], rate: Option<f32>) {
        let [q, k] =
            [self.queries, self.keys].map(|rows| self.place(cases, rows, self.width, element));
        let v = self.place(cases, self.keys, self.value_width, element);
        let out = self.place(cases, self.queries, self.value_width, element);
        let rows = [&self.batch[..], &[self.queries]].concat();
        let weights = [&rows[..], &[self.keys]].concat();
        let dropout = rate.map(|rate| Dropout {
            stream: cases.stream("drop", weights[1..].iter().product()),
            access: Access::plain(&weights),
            rate,
        });
        let tolerance = match element {
            Element::F32 => 2e-5,
            Element::Bf16 => 1e-2,
        };
        let forward = Attention {
            batch: self.batch.clone(),
            queries: self.queries,
            keys: self.keys,
            width: self.width,
            value_width: self.value_width,
            scale: (self.width as f32).sqrt().recip(),
            q,
            k,
            v,
            biases: biases
                .iter()
                .map(|varies| self.bias(cases, varies))
                .collect(),
            dropout,
            out,
            log_sum: cases.reached(&Access::plain(&rows), &rows, Element::F32),
        };
        cases.kernel(Kernel::Attention(forward.clone()), tolerance);
        // Every other bias learns.
        let learning = (0..biases.len()).step_by(2);
        let backward = AttentionBackward {
            out_gradient: self.place(cases, self.queries, self.value_width, element),
            q_gradient: self.place(cases, self.queries, self.width, element),
            k_gradient: self.place(cases, self.keys, self.width, element),
            v_gradient: self.place(cases, self.keys, self.value_width, element),
            bias_gradients: learning
                .map(|at| (at, self.bias(cases, biases[at])))
                .collect(),
            forward,
        };
        cases.kernel(Kernel::AttentionBackward(backward), 4.0 * tolerance);
    }
}

fn shape(batch: &[usize], [queries, keys]: [usize; 2], [width, value_width]: [usize; 2]) -> Shape {
    Shape {
        batch: batch.to_vec(),
        queries,
        keys,
        width,
        value_width,
    }
}

fn agree(element: Element) {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let all = [true; 5];
    // Windows with relative positions that all share, and masks of windows.
    let windows = shape(&[2, 4, 3], [36, 36], [32, 32]);
    let positions = [false, false, true, true, true];
    windows.check(
        &mut cases,
        element,
        &[&positions, &[false, true, false, true, true]],
        None,
    );
    windows.check(&mut cases, element, &[&positions], Some(0.25));
    shape(&[2, 1, 2], [50, 50], [64, 64]).check(&mut cases, element, &[], None);
    shape(&[2, 1, 2], [17, 17], [24, 24]).check(
        &mut cases,
        element,
        &[&[false, false, true, true, true]],
        Some(0.5),
    );
    // Nothing square, nothing even, a bias of keys alone.
    shape(&[3, 1, 1], [5, 70], [13, 9]).check(
        &mut cases,
        element,
        &[&all, &all, &[true, false, false, false, true]],
        None,
    );
    shape(&[1, 1, 2], [1, 2], [8, 8]).check(&mut cases, element, &[], None);
    shape(&[1, 1, 2], [130, 33], [40, 72]).check(&mut cases, element, &[], None);
    cases.agree();
}

#[test]
fn attention_agrees_in_f32() {
    agree(Element::F32);
}

#[test]
fn attention_agrees_in_bf16() {
    agree(Element::Bf16);
}

/// More keys than any tile or shared memory holds.
#[test]
fn long_sequences_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for element in super::BOTH {
        shape(&[1, 1, 1], [40, 600], [64, 64]).check(
            &mut cases,
            element,
            &[&[false, false, true, true, true]],
            None,
        );
        shape(&[1, 1, 1], [600, 40], [32, 32]).check(&mut cases, element, &[], None);
    }
    cases.agree();
}

//! Copies of boxes between two strided layouts: gathers, scatters, broadcasts, transposes.

#[cfg(test)]
mod tests;

use std::ops::Range;

use half::bf16;
use pulp::Arch;

use super::nest::{Nest, Window};
use crate::backend::cpu::fetch::{LINE, fetch_near};
use crate::backend::cpu::half::{Convert, narrow, narrowed, widened};
use crate::plan::Element::{self, Bf16, F32};

/// Neighbouring axes of a nest that both sides walk evenly.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    axes: Range<usize>,
    from: usize,
    to: usize,
}

impl Loop {
    fn count(&self, window: &Window) -> usize {
        window.count(self.axes.clone())
    }
}

/// How to copy a box. Decided once; only the addresses and sizes change from box to box.
#[derive(Debug, Clone)]
pub struct Copy {
    outer: Vec<Loop>,
    inner: Inner,
    /// On the side that is read, and on that which is written.
    elements: [Element; 2],
}

/// The innermost loops.
#[derive(Debug, Clone)]
enum Inner {
    Element,
    /// Both sides contiguous.
    Run(Loop),
    /// The first loop is contiguous where it reads, the second where it writes.
    Transpose(Loop, Loop),
    Strided(Loop),
}

impl Copy {
    /// `from` and `to`: strides along the axes of the nest.
    pub fn new(nest: &Nest, from: &[usize], to: &[usize]) -> Copy {
        let mut outer = loops(nest, from, to);
        let mut take = |wanted: &dyn Fn(&Loop) -> bool| {
            (outer.iter().rposition(wanted)).map(|position| outer.remove(position))
        };
        let inner = if let Some(run) = take(&|l| l.from == 1 && l.to == 1) {
            Inner::Run(run)
        } else if let Some(write) = take(&|l| l.to == 1) {
            match take(&|l| l.from == 1) {
                Some(read) => Inner::Transpose(read, write),
                None => Inner::Strided(write),
            }
        } else {
            take(&|_| true).map_or(Inner::Element, Inner::Strided)
        };
        Copy {
            outer,
            inner,
            elements: [F32, F32],
        }
    }

    /// Between elements of these kinds, converting them on the way.
    pub fn between(self, from: Element, to: Element) -> Copy {
        Copy {
            elements: [from, to],
            ..self
        }
    }

    /// Copies the box of this window; `from` and `to` are the addresses of its first element.
    ///
    /// # Safety
    /// Every element of the box must be valid at both addresses. They may be the same element, but elements must not overlap otherwise.
    pub unsafe fn run(&self, window: &Window, from: *const u8, to: *mut u8) {
        let outer = &self.outer;
        // SAFETY: the loops stay inside the window.
        unsafe {
            match self.elements {
                [F32, F32] => self.walk::<f32, f32>(outer, window, from.cast(), to.cast()),
                [F32, Bf16] => self.walk::<f32, bf16>(outer, window, from.cast(), to.cast()),
                [Bf16, F32] => self.walk::<bf16, f32>(outer, window, from.cast(), to.cast()),
                [Bf16, Bf16] => self.walk::<bf16, bf16>(outer, window, from.cast(), to.cast()),
            }
        }
    }

    /// Asks for the box of this window to be brought near, where it is read in runs.
    pub fn fetch(&self, window: &Window, from: *const u8) {
        if let Inner::Run(run) = &self.inner {
            let bytes = self.elements[0].bytes();
            fetch(&self.outer, window, from, bytes, bytes * run.count(window));
        }
    }

    unsafe fn walk<A: Becomes<B>, B: std::marker::Copy>(
        &self,
        loops: &[Loop],
        window: &Window,
        from: *const A,
        to: *mut B,
    ) {
        // SAFETY: each index is below the window's size along the axes of its loop.
        unsafe {
            match (loops, &self.inner) {
                // What most boxes are: rows of runs.
                ([rows], Inner::Run(run)) => {
                    let n = run.count(window);
                    for i in 0..rows.count(window) {
                        A::run(from.add(i * rows.from), to.add(i * rows.to), n);
                    }
                }
                ([first, rest @ ..], _) => {
                    for i in 0..first.count(window) {
                        self.walk(rest, window, from.add(i * first.from), to.add(i * first.to));
                    }
                }
                ([], Inner::Element) => *to = (*from).becomes(),
                ([], Inner::Run(run)) => A::run(from, to, run.count(window)),
                ([], Inner::Transpose(read, write)) => {
                    let (rows, columns) = (read.count(window), write.count(window));
                    transpose(from, write.from, to, read.to, rows, columns);
                }
                ([], Inner::Strided(inner)) => {
                    strided(from, inner.from, to, inner.to, inner.count(window))
                }
            }
        }
    }
}

/// As [`Copy::fetch`], of elements of so many bytes and runs of so many.
fn fetch(loops: &[Loop], window: &Window, from: *const u8, element: usize, run: usize) {
    let Some((first, rest)) = loops.split_first() else {
        return (0..run)
            .step_by(LINE)
            .for_each(|place| fetch_near(from.wrapping_add(place)));
    };
    for i in 0..first.count(window) {
        let from = from.wrapping_add(i * first.from * element);
        fetch(rest, window, from, element, run);
    }
}

/// The axes along which a box has more than one element, merged where both sides allow.
fn loops(nest: &Nest, from: &[usize], to: &[usize]) -> Vec<Loop> {
    let mut loops: Vec<Loop> = vec![];
    for a in (0..nest.dims.len()).rev().filter(|&a| nest.tile[a] > 1) {
        // Sizes of inner axes are fixed where the tile spans them; the outermost may vary from box to box.
        if let Some(inner) = loops.last_mut() {
            let size: usize = nest.tile[inner.axes.clone()].iter().product();
            let spanned = inner.axes.clone().all(|i| nest.spans(i));
            if spanned && from[a] == size * inner.from && to[a] == size * inner.to {
                inner.axes.start = a;
                continue;
            }
        }
        loops.push(Loop {
            axes: a..a + 1,
            from: from[a],
            to: to[a],
        });
    }
    loops.reverse();
    loops
}

/// An element that is stored as a `B`.
trait Becomes<B>: std::marker::Copy + Default {
    fn becomes(self) -> B;

    /// Contiguous elements.
    unsafe fn run(from: *const Self, to: *mut B, n: usize);
}

impl Becomes<f32> for f32 {
    #[inline(always)]
    fn becomes(self) -> f32 {
        self
    }

    #[inline(always)]
    unsafe fn run(from: *const f32, to: *mut f32, n: usize) {
        // SAFETY: the caller's.
        unsafe { copy_run(from, to, n) }
    }
}

impl Becomes<bf16> for bf16 {
    #[inline(always)]
    fn becomes(self) -> bf16 {
        self
    }

    #[inline(always)]
    unsafe fn run(from: *const bf16, to: *mut bf16, n: usize) {
        // SAFETY: the caller's.
        unsafe { copy_run(from, to, n) }
    }
}

impl Becomes<f32> for bf16 {
    #[inline(always)]
    fn becomes(self) -> f32 {
        widened(self)
    }

    #[inline(always)]
    unsafe fn run(from: *const bf16, to: *mut f32, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            if n < SHORT {
                return (0..n).for_each(|i| *to.add(i) = widened(*from.add(i)));
            }
            Arch::new().dispatch(Convert {
                from,
                to,
                n,
                element: widened,
            });
        }
    }
}

impl Becomes<bf16> for f32 {
    #[inline(always)]
    fn becomes(self) -> bf16 {
        narrowed(self)
    }

    #[inline(always)]
    unsafe fn run(from: *const f32, to: *mut bf16, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            match n < SHORT {
                true => (0..n).for_each(|i| *to.add(i) = narrowed(*from.add(i))),
                false => narrow(from, to, n),
            }
        }
    }
}

/// Shorter runs are not worth a dispatch when elements of one kind become another.
const SHORT: usize = 8;

/// Contiguous elements. Short runs are copied in place: a call would cost more.
unsafe fn copy_run<T: std::marker::Copy>(from: *const T, to: *mut T, n: usize) {
    const SHORT: usize = 64;
    // SAFETY: `i + N <= n`; each piece is read before it is written, and the sides are equal or apart.
    unsafe {
        if n >= SHORT {
            std::ptr::copy(from, to, n);
            return;
        }
        let mut i = 0;
        while i + 16 <= n {
            copy_piece::<16, T>(from.add(i), to.add(i));
            i += 16;
        }
        while i + 4 <= n {
            copy_piece::<4, T>(from.add(i), to.add(i));
            i += 4;
        }
        while i < n {
            *to.add(i) = *from.add(i);
            i += 1;
        }
    }
}

#[inline(always)]
unsafe fn copy_piece<const N: usize, T: std::marker::Copy>(from: *const T, to: *mut T) {
    // SAFETY: an array has the alignment of its elements.
    unsafe { *to.cast::<[T; N]>() = *from.cast::<[T; N]>() }
}

unsafe fn strided<A: Becomes<B>, B: std::marker::Copy>(
    from: *const A,
    from_step: usize,
    to: *mut B,
    to_step: usize,
    n: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        match (from_step, to_step) {
            (0, 1) => std::slice::from_raw_parts_mut(to, n).fill((*from).becomes()),
            (_, 1) => (0..n).for_each(|i| *to.add(i) = (*from.add(i * from_step)).becomes()),
            _ => (0..n).for_each(|i| *to.add(i * to_step) = (*from.add(i * from_step)).becomes()),
        }
    }
}

/// `to[r·to_step + c] = from[c·from_step + r]`, in blocks that use whole cache lines on both sides.
unsafe fn transpose<A: Becomes<B>, B: std::marker::Copy>(
    from: *const A,
    from_step: usize,
    to: *mut B,
    to_step: usize,
    rows: usize,
    columns: usize,
) {
    const BLOCK: usize = 8;
    for row in (0..rows).step_by(BLOCK) {
        for column in (0..columns).step_by(BLOCK) {
            let (height, width) = (BLOCK.min(rows - row), BLOCK.min(columns - column));
            // SAFETY: the block lies inside rows × columns.
            unsafe {
                let from = from.add(column * from_step + row);
                let to = to.add(row * to_step + column);
                if height == BLOCK && width == BLOCK {
                    let mut block = [[A::default(); BLOCK]; BLOCK];
                    for (c, line) in block.iter_mut().enumerate() {
                        *line = *from.add(c * from_step).cast();
                    }
                    for r in 0..BLOCK {
                        *to.add(r * to_step).cast() = block.map(|line| line[r].becomes());
                    }
                } else {
                    for r in 0..height {
                        for c in 0..width {
                            *to.add(r * to_step + c) = (*from.add(c * from_step + r)).becomes();
                        }
                    }
                }
            }
        }
    }
}

//! Working memory of a thread, kept from task to task.

use std::cell::Cell;

/// A cache line, so that every value starts on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static IDLE: Cell<Vec<Vec<Line>>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with at least `len` floats of any content, on a cache line boundary.
pub fn with<R>(len: usize, work: impl FnOnce(*mut f32) -> R) -> R {
    // Taken, not borrowed: `work` may ask for more, and while it waits for other tasks another kernel may run on this thread.
    let mut idle = IDLE.take();
    let mut lines = idle.pop().unwrap_or_default();
    IDLE.set(idle);
    if lines.len() * 16 < len {
        lines.resize(len.div_ceil(16), Line([0.0; 16]));
    }
    let result = work(lines.as_mut_ptr().cast());
    let mut idle = IDLE.take();
    idle.push(lines);
    IDLE.set(idle);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_memory_is_apart_and_aligned() {
        with(100, |outer| {
            with(100, |inner| {
                assert!(outer.addr().abs_diff(inner.addr()) >= 400);
                assert!(outer.addr() % 64 == 0 && inner.addr() % 64 == 0);
            })
        });
        let again = with(100, |outer| outer.addr());
        assert_eq!(again, with(50, |outer| outer.addr()));
    }
}

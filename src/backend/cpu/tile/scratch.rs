//! Working memory of a thread, kept from task to task.

use std::cell::Cell;

use memmap2::MmapMut;

/// A cache line, so that every value starts on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Bytes of a large page.
const PAGE: usize = 2 << 20;

enum Piece {
    Lines(Vec<Line>),
    /// On large pages where the system grants them: a block whose rows lie far apart touches more small ones than the processor
    /// remembers where they are.
    Pages(MmapMut),
}

thread_local! {
    static IDLE: Cell<Vec<Piece>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with at least `len` floats of any content, on a cache line boundary.
pub fn with<R>(len: usize, work: impl FnOnce(*mut f32) -> R) -> R {
    // Taken, not borrowed: `work` may ask for more, and while it waits for other tasks another kernel may run on this thread.
    let mut idle = IDLE.take();
    let kept = idle.pop();
    IDLE.set(idle);
    let bytes = len * size_of::<f32>();
    let kept = kept.filter(|piece| piece.bytes() >= bytes);
    let mut piece = kept.unwrap_or_else(|| Piece::new(bytes));
    let result = work(piece.first());
    let mut idle = IDLE.take();
    idle.push(piece);
    IDLE.set(idle);
    result
}

impl Piece {
    fn new(bytes: usize) -> Piece {
        let pages = (bytes >= PAGE / 2).then(|| pages(bytes)).flatten();
        pages.map_or_else(
            || Piece::Lines(vec![Line([0.0; 16]); bytes.div_ceil(size_of::<Line>())]),
            Piece::Pages,
        )
    }

    /// From the first aligned address on.
    fn bytes(&self) -> usize {
        match self {
            Piece::Lines(lines) => size_of_val(&lines[..]),
            Piece::Pages(mapping) => mapping.len() - PAGE,
        }
    }

    fn first(&mut self) -> *mut f32 {
        match self {
            Piece::Lines(lines) => lines.as_mut_ptr().cast(),
            Piece::Pages(mapping) => {
                let first = mapping.as_mut_ptr();
                first.wrapping_add(first.align_offset(PAGE)).cast()
            }
        }
    }
}

/// As many whole pages as hold the bytes, and one more, of which the mapping's beginning and end are parts; untouched memory costs none.
fn pages(bytes: usize) -> Option<MmapMut> {
    let mapping = MmapMut::map_anon(bytes.next_multiple_of(PAGE) + PAGE).ok()?;
    #[cfg(target_os = "linux")]
    // Large pages are a matter of speed alone: a system without them serves small ones.
    let _ = mapping.advise(memmap2::Advice::HugePage);
    Some(mapping)
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

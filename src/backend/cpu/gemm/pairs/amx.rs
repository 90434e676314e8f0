//! Products of words by AMX: eight registers of sixteen rows of 64 bytes each, and one instruction that multiplies two of them. What
//! shape they have is a state of the thread, in which it is for one row of tiles at a time.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use pulp::x86::V4;

use super::super::isa::Tiles;
use super::super::tile::Product;

/// Rows of a register, and words of each.
pub const SIDE: usize = 16;

/// Rows of a tile: two registers.
const ROWS: usize = 2 * SIDE;

/// Each count of rows with one and two vectors.
macro_rules! tiles {
    ($($rows:literal)*) => {
        &[$(&[edge::<$rows, 1>, edge::<$rows, 2>]),*, &[edge::<ROWS, 1>, full]]
    };
}

pub const TILES: Tiles<V4> =
    tiles!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);

/// Whether the processor has the instructions, and the system lets this process use them. Asks it at the first call.
pub fn usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| has_instructions() && permitted())
}

fn has_instructions() -> bool {
    /// Bits of `edx` in leaf 7: AMX-BF16 and AMX-TILE.
    const FEATURES: u32 = 1 << 22 | 1 << 24;
    #[allow(
        unused_unsafe,
        reason = "safe in later versions of the language than the oldest we build with"
    )]
    // SAFETY: every processor with AVX-512, as `V4` is one, has the instruction and the leaf.
    let leaf = unsafe { __cpuid_count(7, 0) };
    leaf.edx & FEATURES == FEATURES
}

#[cfg(target_os = "linux")]
fn permitted() -> bool {
    /// `ARCH_REQ_XCOMP_PERM`, and the number of the registers' state, as in Linux's `asm/prctl.h` and its documentation of AMX.
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: a request by two numbers, without effect on memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

const NONE: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [0; 16],
    rows: [0; 16],
};

/// All eight registers whole.
const WHOLE: Shapes = {
    let mut shapes = NONE;
    let mut register = 0;
    while register < 8 {
        shapes.row_bytes[register] = 64;
        shapes.rows[register] = SIDE as u8;
        register += 1;
    }
    shapes
};

/// Registers 0, 1 and 2 as [`edge`] wants them: sums, left and right operand.
fn partly(rows: usize, columns: usize) -> Shapes {
    let mut shapes = NONE;
    let (rows, bytes) = (rows as u8, 4 * columns as u16);
    shapes.rows[..3].copy_from_slice(&[rows, rows, SIDE as u8]);
    shapes.row_bytes[..3].copy_from_slice(&[bytes, 64, bytes]);
    shapes
}

/// Makes the thread ready for [`full`] tiles.
pub fn enter() {
    // SAFETY: shapes of palette 1, on a processor that has it: the tables are of such a one.
    unsafe { load_shapes(&WHOLE) };
}

/// Gives the registers back: with them in use, a switch of threads takes longer.
pub fn leave() {
    // SAFETY: as above; no register is read before it is written again.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

/// # Safety
/// The processor has AMX, and the system permits its use.
#[inline]
unsafe fn load_shapes(shapes: &Shapes) {
    // SAFETY: 64 bytes are read.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) shapes, options(readonly, nostack, preserves_flags));
    }
}

/// A tile of 32 rows and 32 columns, behind [`enter`].
///
/// # Safety
/// As for [`super::super::tile::tile`]; `k` counts words, and is a multiple of [`SIDE`].
unsafe fn full(_: V4, product: &Product) {
    if product.columns < 2 * SIDE {
        // SAFETY: the caller's.
        unsafe {
            edges::<ROWS, 2>(product);
            load_shapes(&WHOLE);
        }
        return;
    }
    let Product { a, b, c, .. } = *product;
    // SAFETY: reads `k` words of 32 rows of `a`, and 32 columns of as many rows of `b`; reads and writes 32 × 32 of `c`.
    unsafe {
        asm!(
            "test {add}, {add}",
            "jz 2f",
            "tileloadd tmm0, [{c} + {c_row}]",
            "tileloadd tmm1, [{c} + {c_row} + 64]",
            "tileloadd tmm2, [{c_below} + {c_row}]",
            "tileloadd tmm3, [{c_below} + {c_row} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm6, [{b} + {b_row}]",
            "tileloadd tmm4, [{a} + {a_row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {b_row} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a_below} + {a_row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {a_below}, 64",
            "add {b}, {b_step}",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{c} + {c_row}], tmm0",
            "tilestored [{c} + {c_row} + 64], tmm1",
            "tilestored [{c_below} + {c_row}], tmm2",
            "tilestored [{c_below} + {c_row} + 64], tmm3",
            add = in(reg) u64::from(product.add),
            a = inout(reg) a.first => _,
            a_below = inout(reg) a.skip_rows(SIDE).first => _,
            a_row = in(reg) 4 * a.row,
            b = inout(reg) b.first => _,
            b_row = in(reg) 4 * b.row,
            b_step = in(reg) 4 * SIDE * b.row,
            c = in(reg) c.first,
            c_below = in(reg) c.skip_rows(SIDE).first,
            c_row = in(reg) 4 * c.row,
            steps = inout(reg) product.k / SIDE => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// A tile of any other size.
///
/// # Safety
/// As for [`full`], and that behind [`enter`] is done with.
unsafe fn edge<const R: usize, const VECTORS: usize>(_: V4, product: &Product) {
    // SAFETY: the caller's.
    unsafe { edges::<R, VECTORS>(product) };
}

/// One register of sums after the other. Of whole ones behind [`enter`], the shapes stay.
unsafe fn edges<const R: usize, const VECTORS: usize>(product: &Product) {
    for row in (0..R).step_by(SIDE) {
        for column in (0..product.columns).step_by(SIDE) {
            let part = Product {
                a: product.a.skip_rows(row),
                b: product.b.skip_columns(column),
                c: product.c.skip_rows(row).skip_columns(column),
                columns: SIDE.min(product.columns - column),
                ..*product
            };
            // SAFETY: parts of the operands that the caller promises to hold.
            unsafe {
                if !R.is_multiple_of(SIDE) || !product.columns.is_multiple_of(SIDE) {
                    load_shapes(&partly(SIDE.min(R - row), part.columns));
                }
                single(&part);
            }
        }
    }
}

/// One register of sums, in the shapes that are loaded.
unsafe fn single(product: &Product) {
    let Product { a, b, c, .. } = *product;
    // SAFETY: as for the full tile, by the rows and columns of the shapes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "test {add}, {add}",
            "jz 2f",
            "tileloadd tmm0, [{c} + {c_row}]",
            "2:",
            "tileloadd tmm1, [{a} + {a_row}]",
            "tileloadd tmm2, [{b} + {b_row}]",
            "tdpbf16ps tmm0, tmm1, tmm2",
            "add {a}, 64",
            "add {b}, {b_step}",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c} + {c_row}], tmm0",
            add = in(reg) u64::from(product.add),
            a = inout(reg) a.first => _,
            a_row = in(reg) 4 * a.row,
            b = inout(reg) b.first => _,
            b_row = in(reg) 4 * b.row,
            b_step = in(reg) 4 * SIDE * b.row,
            c = in(reg) c.first,
            c_row = in(reg) 4 * c.row,
            steps = inout(reg) product.k / SIDE => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _,
            options(nostack),
        );
    }
}

/// As [`super::Pairs::multiply_adds`].
pub fn multiply_adds(steps: usize) -> usize {
    /// Multiply-adds of one instruction, of which one turn has four.
    const EACH: usize = SIDE * SIDE * 2 * SIDE;
    let turns = (steps / 8).max(1);
    enter();
    // SAFETY: registers of whole shape, cleared before they are read.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {turns}",
            "jnz 2b",
            turns = inout(reg) turns => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nomem, nostack),
        );
    }
    leave();
    turns * 4 * EACH
}

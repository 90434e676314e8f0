use mimc::backend::cpu::Run;
use mimc::backend::cpu::rows::{Blocks, prepare, prepare_blocks};
use mimc::ir::program::RowOp;
use mimc::plan::kernel::{Operand, Rows, Store};
use mimc::plan::{Access, Plan};

use crate::harness::{Bench, assert_close, dense, instr, launch, reach, same_bits};
use crate::random::{Dice, injective};

/// A random row program, on buffers of its own.
pub fn any_rows(seed: u64) -> (Bench, Rows) {
    let mut dice = Dice::new(seed);
    let grid = dice.dims(4, 4000);
    let row = dice.dims(2, 12_000 / grid.iter().product::<usize>());
    any_rows_over(dice, grid, row)
}

/// Narrower than most of the matrices here.
pub const BLOCKS: Blocks = Blocks {
    aside: None,
    columns: 48,
};

/// A random row program over a matrix.
pub fn any_matrix(seed: u64) -> (Bench, Rows) {
    let mut dice = Dice::new(seed);
    let (m, n) = (1 + dice.below(100), 1 + dice.below(120));
    any_rows_over(dice, vec![m], vec![n])
}

fn any_rows_over(mut dice: Dice, grid: Vec<usize>, row: Vec<usize>) -> (Bench, Rows) {
    let mut bench = Bench::default();
    let reduces = dice.one_in(2);
    let dims: Vec<usize> = grid.iter().chain(&row).copied().collect();

    let mut operands = vec![];
    for _ in 0..1 + dice.below(4) {
        // Per row, broadcast over rows, or anything.
        let kind = dice.below(6);
        let access = dice.access(&dims, |dice, axis| match kind {
            0 => axis >= grid.len(),
            1 => axis < grid.len(),
            _ => dice.one_in(6),
        });
        operands.push(if dice.one_in(8) {
            let stream = bench.stream("noise", dice.pick(&[0, 7, 1 << 31]));
            Operand::Draw(stream, access)
        } else {
            Operand::Memory(bench.noise(reach(&access, &dims)), access)
        });
    }
    let over = reduces.then(|| row.iter().product());
    let len = dice.below(10);
    let (code, bounds) = dice.code(operands.len(), len, over);

    let mut stores: Vec<Store> = vec![];
    for _ in 0..1 + dice.below(3) {
        let value = bounds.len() - 1 - dice.below(bounds.len().min(4));
        let narrow = value >= operands.len()
            && matches!(
                code[value - operands.len()].op,
                RowOp::RowSum | RowOp::RowMax
            );
        let in_place = (operands.iter())
            .filter_map(|operand| match operand {
                Operand::Memory(buffer, access) => Some((*buffer, access)),
                Operand::Draw(..) => None,
            })
            .find(|(buffer, access)| {
                injective(access, &dims) && stores.iter().all(|store| store.buffer != *buffer)
            });
        let (buffer, access) = match in_place {
            Some((buffer, access)) if dice.one_in(2) => (buffer, access.clone()),
            _ => {
                let once = narrow && dice.one_in(2);
                let access = dice.access(&dims, |_, axis| once && axis >= grid.len());
                (bench.noise(reach(&access, &dims)), access)
            }
        };
        stores.push(Store {
            value,
            buffer,
            access,
        });
    }
    let rows = Rows {
        grid,
        row,
        operands,
        code,
        stores,
    };
    (bench, rows)
}

#[test]
fn random_programs_match_loops_on_any_number_of_threads() {
    for seed in 0..1500 {
        let (bench, rows) = any_rows(seed);
        let got = bench.after_any(&prepare(&rows, &bench.plan));
        assert_close(
            &got,
            &bench.rows(&rows),
            2e-4,
            &format!("seed {seed}: {rows:#?}"),
        );
    }
}

#[test]
fn blocks_of_a_matrix_give_the_same_bits() {
    for seed in 0..600 {
        let (bench, rows) = any_matrix(seed);
        let mut dice = Dice::new(seed + 1_000_000);
        let kernel = prepare_blocks(&rows, &bench.plan, BLOCKS);
        let mut cuts = |count: usize| {
            let mut cuts: Vec<usize> = (0..3).map(|_| dice.below(count + 1)).collect();
            cuts.extend([0, count]);
            cuts.sort();
            cuts
        };
        let (m, n) = (rows.grid[0], rows.row[0]);
        let (across, down) = (cuts(m), cuts(n));
        let down = if kernel.splits_columns() {
            down
        } else {
            vec![0, n]
        };
        let got = bench.after(2, |memory| {
            for rows in across.windows(2) {
                for columns in down.windows(2) {
                    let (rows, columns) = (rows[0]..rows[1], columns[0]..columns[1]);
                    kernel.run_block(memory, &launch(), rows, columns, std::ptr::null_mut());
                }
            }
        });
        let whole = bench.after(1, |memory| {
            prepare(&rows, &bench.plan).run(memory, &launch())
        });
        assert!(
            same_bits(&got, &whole),
            "seed {seed}, {across:?}, {down:?}: {rows:#?}"
        );
    }
}

/// `out = permuted in`, both dense.
fn copy(dims: &[usize], from: &[usize]) -> (Bench, Rows) {
    let mut bench = Bench::default();
    let len = dims.iter().product();
    let (source, target) = (bench.noise(len), bench.noise(len));
    let order: Vec<usize> = (0..dims.len()).collect();
    let rows = Rows {
        grid: dims.to_vec(),
        row: vec![],
        operands: vec![Operand::Memory(source, dense(dims, from))],
        code: vec![],
        stores: vec![Store {
            value: 0,
            buffer: target,
            access: dense(dims, &order),
        }],
    };
    (bench, rows)
}

#[test]
fn permutations_copy_every_element() {
    let cases: [(&[usize], &[usize]); 8] = [
        (&[300, 500], &[1, 0]),
        (&[2, 130, 70, 3], &[0, 3, 1, 2]),
        (&[2, 3, 130, 70], &[0, 2, 3, 1]),
        (&[2, 4, 7, 4, 7, 32], &[0, 1, 3, 2, 4, 5]),
        (&[2, 6, 6, 4, 4, 3], &[0, 5, 1, 3, 2, 4]),
        (&[2, 3, 6, 4, 6, 4], &[0, 2, 4, 3, 5, 1]),
        (&[5, 1, 1000], &[2, 1, 0]),
        (&[17, 3, 33], &[1, 2, 0]),
    ];
    for (dims, from) in cases {
        let (bench, rows) = copy(dims, from);
        let got = bench.after_any(&prepare(&rows, &bench.plan));
        assert_close(&got, &bench.rows(&rows), 0.0, &format!("{dims:?} {from:?}"));
    }
}

#[test]
fn stores_may_swap_what_they_read() {
    let mut bench = Bench::default();
    let (a, b) = (bench.noise(5000), bench.noise(5000));
    let access = dense(&[5000], &[0]);
    let store = |value, buffer| Store {
        value,
        buffer,
        access: access.clone(),
    };
    let rows = Rows {
        grid: vec![5000],
        row: vec![],
        operands: [a, b]
            .map(|buffer| Operand::Memory(buffer, access.clone()))
            .into(),
        code: vec![instr(RowOp::Add, &[0, 1])],
        stores: vec![store(1, a), store(0, b)],
    };
    let got = bench.after_any(&prepare(&rows, &bench.plan));
    assert_eq!(got[a], bench.data[b]);
    assert_eq!(got[b], bench.data[a]);
    // One of them gone, the sum must not be computed over what the other still needs.
    let rows = Rows {
        stores: vec![store(2, a), store(0, b)],
        ..rows
    };
    let got = bench.after_any(&prepare(&rows, &bench.plan));
    assert_close(&got, &bench.rows(&rows), 1e-7, "sum and copy");
}

#[test]
fn draws_of_later_micro_batches_continue_the_stream() {
    let mut bench = Bench::default();
    let stream = bench.stream("encoder.drop", 1 << 31);
    let out = bench.noise(3 * 100);
    let dims = [3, 100];
    let rows = Rows {
        grid: dims.to_vec(),
        row: vec![],
        operands: vec![Operand::Draw(
            stream,
            Access {
                offset: (1 << 31) - 50,
                strides: vec![1 << 31, 1],
            },
        )],
        code: vec![],
        stores: vec![Store {
            value: 0,
            buffer: out,
            access: dense(&dims, &[0, 1]),
        }],
    };
    let got = bench.after_any(&prepare(&rows, &bench.plan));
    assert_close(&got, &bench.rows(&rows), 0.0, "draws");
    assert!(got[out].iter().any(|&v| v != got[out][0]));
}

#[test]
fn an_empty_grid_writes_nothing() {
    let mut bench = Bench::default();
    let buffer = bench.noise(4);
    let access = dense(&[0, 4], &[0, 1]);
    let rows = Rows {
        grid: vec![0],
        row: vec![4],
        operands: vec![Operand::Memory(buffer, access.clone())],
        code: vec![instr(RowOp::RowSum, &[0]), instr(RowOp::Add, &[0, 1])],
        stores: vec![Store {
            value: 2,
            buffer,
            access,
        }],
    };
    let kernel = prepare(
        &rows,
        &Plan {
            ..bench.plan.clone()
        },
    );
    assert!(same_bits(&bench.after_any(&kernel), &bench.data));
}

//! Products as cublasLt is asked for them: rows or columns that are contiguous, sums that go on, many of a batch, both kinds of
//! elements. What it is to compute is what the CPU computes from the same kernel of a plan.

use super::emulator::emulator;
use mimc::{
    backend::{
        cpu::CpuStep,
        cuda::{
            CudaStep, Target, cache::Cache, emit, library::Libraries, program::Launch,
            search::Search,
        },
    },
    plan::{Access, Buffer, Element, Kernel, Place, Plan, Scheduled, kernel::Gemm},
    random::Key,
    train::step::{Draw, Step},
};

/// Images of the batch, rows, columns, and what is summed over.
const DIMS: [usize; 4] = [3, 16, 24, 40];

/// A matrix of so many rows and columns for each of the batch, its columns contiguous where it is `turned`.
fn walk([rows, columns]: [usize; 2], turned: bool, batch: bool) -> Access {
    let inner = if turned { [1, rows] } else { [columns, 1] };
    let outer = batch.then_some(rows * columns);
    Access {
        offset: 0,
        strides: outer.into_iter().chain(inner).collect(),
    }
}

fn plan(turned: [bool; 3], batch: bool, accumulate: bool) -> Plan {
    let [images, m, n, k] = DIMS;
    let images = if batch { images } else { 1 };
    let buffer = |len: usize, place| Buffer {
        dims: vec![images * len],
        element: Element::F32,
        place,
        origin: "".into(),
    };
    let gemm = |accumulate| {
        Kernel::Gemm(Gemm {
            batch: if batch { vec![images] } else { Vec::new() },
            m,
            n,
            k,
            a: (0, walk([m, k], turned[0], batch)),
            b: (1, walk([k, n], turned[1], batch)),
            rounds: [false; 2],
            c: (2, walk([m, n], turned[2], batch)),
            accumulate,
            epilogue: None,
        })
    };
    let scheduled = |kernel| Scheduled {
        kernel,
        origin: "product".into(),
        flops: (2 * images * m * n * k) as u64,
    };
    let first = [scheduled(gemm(false))];
    let second = accumulate.then(|| scheduled(gemm(true)));
    Plan {
        buffers: vec![
            buffer(m * k, Place::Feed),
            buffer(k * n, Place::Feed),
            buffer(m * n, Place::Arena(0)),
        ],
        accumulate: first.into_iter().chain(second).collect(),
        feeds: vec![("a".into(), 0), ("b".into(), 1)],
        outputs: vec![("loss".into(), 2)],
        arena: 4 * images * m * n,
        batch: 1,
        ..Plan::default()
    }
}

/// What the product holds behind two runs, each on numbers of its own.
pub fn computed(step: &mut dyn Step, plan: &Plan) -> Vec<Vec<f32>> {
    let run = |run: u64| {
        for (name, buffer) in &plan.feeds {
            let key = Key::new(run).with(name);
            let numbers = 0..plan.buffers[*buffer].len() as u64;
            let values: Vec<f32> = numbers.map(|at| key.normal(at) as f32).collect();
            step.feed(name, &values).expect("an input");
        }
        let draw = Draw {
            seed: 0,
            step: run,
            first_sample: 0,
        };
        step.accumulate(draw).expect("it runs");
        step.output("loss").expect("kept")
    };
    (0..2).map(run).collect()
}

#[test]
fn every_order_of_rows_and_columns_is_multiplied() {
    let Some(emulator) = emulator() else { return };
    let libraries = Libraries::open(&Search::only(std::slice::from_ref(&emulator.folder)));
    for case in 0..32u32 {
        let bit = |at: u32| case >> at & 1 == 1;
        let plan = plan([bit(0), bit(1), bit(2)], bit(3), bit(4));
        // Were it a kernel of ours, nothing would be asked of the library.
        let launches = emit(&plan, Target(90)).accumulate;
        let asked = launches
            .iter()
            .all(|s| matches!(s.launch, Launch::Product(_)));
        assert!(asked, "{case:05b}: {launches:?}");

        let cache = Cache::at(emulator.cache.join("products"));
        let gpu = CudaStep::on(&libraries, Some(cache), plan.clone());
        let got = computed(&mut gpu.expect("it is readied"), &plan);
        let wanted = computed(
            &mut CpuStep::new(plan.clone()).expect("it is readied"),
            &plan,
        );
        for (got, wanted) in got.iter().zip(&wanted) {
            for (got, wanted) in got.iter().zip(wanted) {
                assert!(
                    (got - wanted).abs() < 1e-4,
                    "{case:05b}: {got} for {wanted}"
                );
            }
        }
    }
}

//! Buffers of a test, and the plan that names them.

use std::sync::Arc;

use crate::backend::cpu::{Launch, Memory, Run};
use crate::plan::{Buffer, Place, Plan};
use crate::random::Key;

pub struct Testbed {
    pub plan: Plan,
    pub data: Vec<Vec<f32>>,
}

impl Testbed {
    /// Buffers of these sizes with numbers in [-1, 1).
    pub fn new(sizes: &[usize], seed: u64) -> Self {
        let buffers = sizes.iter().map(|&size| Buffer {
            dims: vec![size],
            place: Place::Feed,
            origin: Arc::from("test"),
        });
        let data = sizes.iter().zip(0..).map(|(&size, buffer)| {
            let key = Key::new(seed).at(buffer);
            let positions = 0..size as u64;
            positions.map(|i| key.uniform_f32(i) * 2.0 - 1.0).collect()
        });
        Testbed {
            plan: Plan {
                buffers: buffers.collect(),
                ..Plan::default()
            },
            data: data.collect(),
        }
    }

    /// The buffers after the kernel ran on `threads` threads.
    pub fn run(&self, kernel: &dyn Run, launch: &Launch, threads: usize) -> Vec<Vec<f32>> {
        let mut data = self.data.clone();
        let addresses = data.iter_mut().map(|buffer| buffer.as_mut_ptr()).collect();
        // SAFETY: the addresses outlive the run below.
        let memory = unsafe { Memory::new(addresses) };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("the system has threads");
        pool.install(|| kernel.run(&memory, launch));
        data
    }
}

/// The run with seed 0.
pub fn launch() -> Launch {
    Launch {
        key: Key::new(0),
        first_sample: 0,
    }
}

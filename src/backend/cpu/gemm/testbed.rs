//! Buffers of a test, and the plan that names them.

use std::sync::Arc;

use half::bf16;

use crate::backend::cpu::{Launch, Memory, Run};
use crate::plan::{Buffer, BufferId, Element, Place, Plan};
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
            element: Element::F32,
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
        let mut halves: Vec<Vec<bf16>> = (self.plan.buffers.iter().zip(&data))
            .map(|(buffer, data)| match buffer.element {
                Element::F32 => Vec::new(),
                Element::Bf16 => data.iter().map(|&x| bf16::from_f32(x)).collect(),
            })
            .collect();
        let addresses = (self.plan.buffers.iter().zip(&mut data).zip(&mut halves))
            .map(|((buffer, data), halves)| match buffer.element {
                Element::F32 => data.as_mut_ptr().cast(),
                Element::Bf16 => halves.as_mut_ptr().cast(),
            })
            .collect();
        // SAFETY: the addresses outlive the run below.
        let memory = unsafe { Memory::new(addresses) };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("the system has threads");
        pool.install(|| kernel.run(&memory, launch));
        for (data, halves) in data.iter_mut().zip(&halves) {
            for (x, half) in data.iter_mut().zip(halves) {
                *x = half.to_f32();
            }
        }
        data
    }

    /// Rounds the numbers of some buffers to bf16.
    pub fn round(&mut self, buffers: &[BufferId]) {
        for &buffer in buffers {
            for x in &mut self.data[buffer] {
                *x = bf16::from_f32(*x).to_f32();
            }
        }
    }

    /// With these buffers stored in bf16.
    pub fn halved(&self, buffers: &[BufferId]) -> Testbed {
        let mut plan = self.plan.clone();
        for &buffer in buffers {
            plan.buffers[buffer].element = Element::Bf16;
        }
        let data = self.data.clone();
        Testbed { plan, data }
    }
}

/// The run with seed 0.
pub fn launch() -> Launch {
    Launch {
        key: Key::new(0),
        first_sample: 0,
    }
}

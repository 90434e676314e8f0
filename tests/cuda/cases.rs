//! Plans of many kernels, each with buffers of its own: one program to compile for a whole kind.

use crate::emulator::{Machine, Memory, noise};
use mimc::{
    backend::{
        cpu,
        cuda::{self, Target},
    },
    plan::{
        Access, Buffer, BufferId, Element, Kernel, Place, Plan, Scheduled, Stream, check::check,
    },
    random::Key,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Cases {
    pub plan: Plan,
    /// What buffers hold that is not noise.
    contents: BTreeMap<BufferId, Vec<f32>>,
    /// Of each buffer: how far results may be off, relative to the larger of the number and the spread of all.
    tolerances: BTreeMap<BufferId, f32>,
}

impl Cases {
    pub fn buffer(&mut self, len: usize, element: Element) -> BufferId {
        self.plan.buffers.push(Buffer {
            dims: vec![len],
            element,
            place: Place::State,
            origin: "test".into(),
        });
        self.plan.buffers.len() - 1
    }

    /// A buffer as large as a walk over `dims` reaches.
    pub fn reached(
        &mut self,
        access: &Access,
        dims: &[usize],
        element: Element,
    ) -> (BufferId, Access) {
        let last = access.strides.iter().zip(dims).map(|(s, d)| s * (d - 1));
        let len = access.offset + last.sum::<usize>() + 1;
        (self.buffer(len, element), access.clone())
    }

    pub fn with(&mut self, values: Vec<f32>) -> BufferId {
        let buffer = self.buffer(values.len(), Element::F32);
        self.contents.insert(buffer, values);
        buffer
    }

    pub fn aside(&mut self, len: usize) -> BufferId {
        let buffer = self.buffer(len, Element::F32);
        self.plan.buffers[buffer].place = Place::Aside;
        buffer
    }

    pub fn stream(&mut self, purpose: &str, per_sample: usize) -> usize {
        self.plan.streams.push(Stream {
            purpose: purpose.into(),
            per_sample,
        });
        self.plan.streams.len() - 1
    }

    pub fn kernel(&mut self, kernel: Kernel, tolerance: f32) {
        for buffer in kernel.writes() {
            self.tolerances.insert(buffer, tolerance);
        }
        self.plan.accumulate.push(Scheduled {
            kernel,
            origin: format!("case {}", self.plan.accumulate.len()).into(),
            flops: 0,
        });
    }

    /// Runs all on the CPU's kernels and on the emitted ones, and compares every buffer.
    pub fn agree(self) {
        let plan = &self.plan;
        check(plan).expect("cases are sound");
        let program = cuda::emit(plan, Target(90));
        let mut memory = Memory::new(plan);
        for buffer in 0..plan.buffers.len() {
            if matches!(plan.buffers[buffer].place, Place::Aside) {
                continue;
            }
            let values = match self.contents.get(&buffer) {
                Some(values) => values.clone(),
                None => noise(buffer as u64, plan.buffers[buffer].len()),
            };
            memory.write(plan, buffer, &values);
        }
        let launch = cpu::Launch {
            key: Key::new(11).with("launch"),
            first_sample: 3,
        };
        let theirs = memory.clone();
        theirs.run_on_cpu(plan, &plan.accumulate, &launch);
        Machine::new(plan, &program).run(&program.accumulate, &memory, &launch);
        memory.check_guards();
        for scheduled in &plan.accumulate {
            for buffer in scheduled.kernel.writes() {
                if matches!(plan.buffers[buffer].place, Place::Aside) {
                    continue;
                }
                let [got, wanted] = [&memory, &theirs].map(|m| m.read(plan, buffer));
                let step = match plan.buffers[buffer].element {
                    Element::F32 => 0.0,
                    // One place of bf16, where sums round to different sides.
                    Element::Bf16 => 1.0 / 128.0,
                };
                let what = format!(
                    "{}, buffer {buffer}: {:#?}",
                    scheduled.origin, scheduled.kernel
                );
                assert_close(&got, &wanted, self.tolerances[&buffer] + step, &what);
            }
        }
    }
}

/// Relative to a number itself, or to the spread of all where that is larger.
pub fn assert_close(got: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    let finite = wanted.iter().filter(|x| x.is_finite());
    let squares: f64 = finite.clone().map(|&x| f64::from(x).powi(2)).sum();
    let spread = (squares / finite.count().max(1) as f64).sqrt() as f32;
    for (i, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
        let same = got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
        let error = (got - wanted).abs() / wanted.abs().max(spread);
        assert!(
            same || error <= tolerance,
            "element {i}: {got} for {wanted}, off by {error:e} of {spread}\n{what}"
        );
    }
}

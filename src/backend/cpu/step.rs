//! A plan, ready to train on the CPU.

use super::{Launch, Run, prepare, storage::Storage};
use crate::{
    ir::roots,
    optimizer,
    plan::{BufferId, Plan, Scheduled, Weight, check::check},
    random::Key,
    train::{
        signals::Stop,
        step::{Draw, Part, Step, StepError, WeightInfo},
    },
};

/// A compiled step whose kernels are prepared and whose memory is allocated.
pub struct CpuStep {
    plan: Plan,
    storage: Storage,
    weights: Vec<WeightInfo>,
    accumulate: Vec<Box<dyn Run>>,
    apply: Vec<Box<dyn Run>>,
    /// Of the last micro-batch; the update draws nothing.
    launch: Launch,
    /// Inputs of a micro-batch that nobody has fed yet.
    unfed: Vec<String>,
    /// Ends a micro-batch between two kernels.
    stop: Stop,
}

impl CpuStep {
    /// # Errors
    /// Where the system grants no memory of the plan's size, and on a plan that breaks a rule of [`check`].
    pub fn new(plan: Plan) -> Result<CpuStep, StepError> {
        let bytes = 4 * (plan.arena + plan.buffers.iter().map(|b| b.len()).sum::<usize>());
        let denied = |e| {
            StepError::Backend(format!(
                "no memory for the plan (about {} MB): {e}",
                bytes >> 20
            ))
        };
        // Kernels write through shared pointers: what makes that sound is checked before one runs.
        check(&plan)
            .map_err(|fault| StepError::Backend(format!("the plan is unsound: {fault}")))?;
        let storage = Storage::new(&plan).map_err(denied)?;
        let info = |w: &Weight| WeightInfo {
            name: w.name.clone(),
            dims: w.dims.clone(),
            decay: w.decay,
        };
        let ready = |list: &[Scheduled]| list.iter().map(|s| prepare(&s.kernel, &plan)).collect();
        let read = |buffer: &BufferId| {
            let mut kernels = plan.accumulate.iter().map(|s| &s.kernel);
            kernels.any(|kernel| kernel.reads().contains(buffer))
        };
        let feeds = plan.feeds.iter().filter(|(_, buffer)| read(buffer));
        Ok(CpuStep {
            stop: Stop::default(),
            unfed: feeds.map(|(name, _)| name.clone()).collect(),
            weights: plan.weights.iter().map(info).collect(),
            accumulate: ready(&plan.accumulate),
            apply: ready(&plan.apply),
            storage,
            plan,
            launch: Launch {
                key: Key::new(0),
                first_sample: 0,
            },
        })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn part(&self, part: Part, index: usize) -> Option<BufferId> {
        let weight = &self.plan.weights[index];
        let training = weight.training.as_ref();
        match part {
            Part::Value => Some(weight.value),
            Part::Gradient => training.map(|t| t.gradient),
            Part::FirstMoment => training.map(|t| t.first_moment),
            Part::SecondMoment => training.map(|t| t.second_moment),
        }
    }

    fn scalar(&self, output: &str) -> Result<f32, StepError> {
        self.output(output).map(|values| values[0])
    }
}

impl Step for CpuStep {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, part: Part, index: usize, to: &mut [f32]) {
        match self.part(part, index) {
            Some(buffer) => to.copy_from_slice(self.storage.get(buffer)),
            // A program that only looks has no gradients and no moments: they are zero.
            None => to.fill(0.0),
        }
    }

    fn write(&mut self, part: Part, index: usize, from: &[f32]) {
        if let Some(buffer) = self.part(part, index) {
            self.storage.get_mut(buffer).copy_from_slice(from);
        }
    }

    fn micro_batch(&self) -> usize {
        self.plan.batch
    }

    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError> {
        let Some((_, buffer)) = self.plan.feeds.iter().find(|(known, _)| known == name) else {
            let known = self
                .plan
                .feeds
                .iter()
                .map(|(known, _)| known.clone())
                .collect();
            return Err(StepError::UnknownInput {
                name: name.into(),
                known,
            });
        };
        let to = self.storage.get_mut(*buffer);
        if to.len() != values.len() {
            return Err(StepError::InputLength {
                name: name.into(),
                wanted: to.len(),
                got: values.len(),
            });
        }
        to.copy_from_slice(values);
        self.unfed.retain(|unfed| unfed != name);
        Ok(())
    }

    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        if let Some(name) = self.unfed.first() {
            return Err(StepError::Backend(format!("input `{name}` was not fed")));
        }
        self.launch = Launch {
            key: draw.key(),
            first_sample: draw.first_sample,
        };
        for kernel in &self.accumulate {
            if self.stop.requested() {
                return Err(StepError::Interrupted);
            }
            kernel.run(self.storage.memory(), &self.launch);
        }
        self.scalar(roots::LOSS)
    }

    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError> {
        let betas = self.plan.apply.iter().find_map(|s| match &s.kernel {
            crate::plan::Kernel::AdamW(sweep) => Some(sweep.betas),
            _ => None,
        });
        let betas =
            betas.ok_or_else(|| StepError::Backend("this program does not train".into()))?;
        for (name, value) in optimizer::scalars(betas, lr, update) {
            self.feed(name, &[value])?;
        }
        for kernel in &self.apply {
            kernel.run(self.storage.memory(), &self.launch);
        }
        self.scalar(roots::GRADIENT_NORM)
    }

    fn end_early_on(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, StepError> {
        let Some((_, buffer)) = self.plan.outputs.iter().find(|(known, _)| known == name) else {
            let known = self
                .plan
                .outputs
                .iter()
                .map(|(known, _)| known.clone())
                .collect();
            return Err(StepError::UnknownOutput {
                name: name.into(),
                known,
            });
        };
        Ok(self.storage.get(*buffer).to_vec())
    }
}

//! A plan, ready to train on the CPU.

use super::{Launch, Run, prepare, storage::Storage};
use crate::{
    backend::lookup,
    ir::roots,
    optimizer,
    plan::{Plan, Scheduled, check::check},
    random::Key,
    train::{
        step::{Draw, KernelTime, Part, Step, StepError, WeightInfo},
        stop::Stop,
    },
};
use std::time::{Duration, Instant};

/// A compiled step whose kernels are prepared and whose memory is allocated.
pub struct CpuStep {
    plan: Plan,
    storage: Storage,
    weights: Vec<WeightInfo>,
    accumulate: Vec<Box<dyn Run>>,
    apply: Vec<Box<dyn Run>>,
    /// Of every kernel of both programs, while they are measured.
    times: Option<Vec<Time>>,
    /// Of the last micro-batch; the update draws nothing.
    launch: Launch,
    /// Inputs of a micro-batch that nobody has fed yet.
    unfed: Vec<String>,
    /// Ends a micro-batch between two kernels.
    stop: Stop,
}

/// What a kernel took so far.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    runs: u32,
    spent: Duration,
}

impl CpuStep {
    /// # Errors
    /// Where the system grants no memory of the plan's size, and on a plan that breaks a rule of [`check`].
    pub fn new(plan: Plan) -> Result<CpuStep, StepError> {
        let bytes = plan.arena + plan.buffers.iter().map(|b| b.bytes()).sum::<usize>();
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
        let ready = |list: &[Scheduled]| list.iter().map(|s| prepare(&s.kernel, &plan)).collect();
        let read = (plan.feeds.iter().enumerate()).filter(|(at, _)| lookup::is_read(&plan, *at));
        Ok(CpuStep {
            stop: Stop::default(),
            unfed: read.map(|(_, (name, _))| name.clone()).collect(),
            weights: lookup::weights(&plan),
            accumulate: ready(&plan.accumulate),
            apply: ready(&plan.apply),
            times: None,
            storage,
            plan,
            launch: Launch {
                key: Key::new(0),
                first_sample: 0,
            },
        })
    }

    /// What it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the program of a micro-batch, which need not have a loss.
    ///
    /// # Errors
    /// Where something was not fed, and where it is stopped.
    pub fn run(&mut self, draw: Draw) -> Result<(), StepError> {
        if let Some(name) = self.unfed.first() {
            return Err(StepError::Backend(format!("input `{name}` was not fed")));
        }
        self.launch = Launch {
            key: draw.key(),
            first_sample: draw.first_sample,
        };
        for kernel in 0..self.accumulate.len() {
            if self.stop.requested() {
                return Err(StepError::Interrupted);
            }
            self.run_kernel(kernel);
        }
        Ok(())
    }

    /// Runs one kernel on what the buffers hold: a benchmark's way in. `accumulate` comes first, then `apply`, as in
    /// [`Step::kernel_times`].
    ///
    /// # Panics
    /// If there are not so many.
    pub fn run_kernel(&mut self, at: usize) {
        let kernel = match at.checked_sub(self.accumulate.len()) {
            None => &self.accumulate[at],
            Some(at) => &self.apply[at],
        };
        let Some(times) = &mut self.times else {
            return kernel.run(self.storage.memory(), &self.launch);
        };
        let started = Instant::now();
        kernel.run(self.storage.memory(), &self.launch);
        times[at].spent += started.elapsed();
        times[at].runs += 1;
    }

    fn scalar(&self, output: &str) -> Result<f32, StepError> {
        self.output(output).map(|values| values[0])
    }
}

impl Step for CpuStep {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, part: Part, index: usize, to: &mut [f32]) -> Result<(), StepError> {
        match lookup::part(&self.plan, part, index) {
            Some(buffer) => to.copy_from_slice(self.storage.get(buffer)),
            // A program that only looks has no gradients and no moments: they are zero.
            None => to.fill(0.0),
        }
        Ok(())
    }

    fn write(&mut self, part: Part, index: usize, from: &[f32]) -> Result<(), StepError> {
        if let Some(buffer) = lookup::part(&self.plan, part, index) {
            self.storage.get_mut(buffer).copy_from_slice(from);
        }
        Ok(())
    }

    fn micro_batch(&self) -> usize {
        self.plan.batch
    }

    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError> {
        let feed = lookup::feed(&self.plan, name, values.len())?;
        let to = self.storage.get_mut(self.plan.feeds[feed].1);
        to.copy_from_slice(values);
        self.unfed.retain(|unfed| unfed != name);
        Ok(())
    }

    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        self.run(draw)?;
        self.scalar(roots::LOSS)
    }

    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError> {
        if update == 0 {
            return Err(StepError::UpdateZero);
        }
        let betas = lookup::betas(&self.plan)?;
        for (name, value) in optimizer::scalars(betas, lr, update) {
            self.feed(name, &[value])?;
        }
        for kernel in 0..self.apply.len() {
            self.run_kernel(self.accumulate.len() + kernel);
        }
        self.scalar(roots::GRADIENT_NORM)
    }

    fn end_early_on(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn time_kernels(&mut self) -> bool {
        let kernels = self.accumulate.len() + self.apply.len();
        self.times = Some(vec![Time::default(); kernels]);
        true
    }

    fn kernel_times(&self) -> Vec<KernelTime> {
        let kernels = self.plan.accumulate.iter().chain(&self.plan.apply);
        let told = |(scheduled, time): (&Scheduled, &Time)| KernelTime {
            label: scheduled.kernel.label(),
            origin: scheduled.origin.clone(),
            work: scheduled.work(&self.plan),
            runs: time.runs,
            seconds: time.spent.as_secs_f64(),
        };
        let times = self.times.iter().flatten();
        kernels.zip(times).map(told).collect()
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, StepError> {
        let buffer = lookup::output(&self.plan, name)?;
        Ok(self.storage.read(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::{Options, compile},
        language::library::Library,
        plan::{BufferId, Place},
        recipe::Recipe,
    };

    /// Kernel by kernel, so that the first that is not the same is named.
    #[test]
    fn every_kernel_gives_the_same_bits_on_any_number_of_threads() {
        let sets = ["train.batch=2", "data.size=64", "model.masking.unit=16"].map(String::from);
        for (encoder, precision) in [
            "{ graph: vit.encoder, dim: 24, depth: 2, heads: 2, patch: 16 }",
            "{ graph: swin.encoder, dim: 24, depths: [2, 2], heads: [2, 3], window: 4 }",
        ]
        .into_iter()
        .flat_map(|encoder| ["f32", "bf16"].map(|precision| (encoder, precision)))
        {
            let own = [
                format!("model.encoder={encoder}"),
                format!("train.precision={precision}"),
            ];
            let sets = [&own[..], &sets].concat();
            let recipe = Recipe::load("quickstart", &sets).expect("a sound recipe");
            let options = Options::default();
            let step = || {
                let program = compile(&recipe, &Library::new(&[]), &options).expect("compiles");
                CpuStep::new(crate::plan::lower(&program.graph)).expect("fits")
            };
            let mut steps = [step(), step()];
            let image: Vec<f32> = (0..2 * 3 * 64 * 64)
                .map(|p| Key::new(3).normal(p) as f32)
                .collect();
            for step in &mut steps {
                for index in 0..step.weights.len() {
                    let key = Key::new(index as u64);
                    let values: Vec<f32> = (0..step.weights[index].len() as u64)
                        .map(|p| 0.1 * key.normal(p) as f32)
                        .collect();
                    step.write(Part::Value, index, &values).expect("written");
                }
                step.feed("image", &image).expect("an input");
            }
            let pools = [1, 3].map(|threads| {
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .expect("threads")
            });
            let names = steps[0].plan.accumulate.clone();
            for (at, scheduled) in names.iter().enumerate() {
                for (step, pool) in steps.iter().zip(&pools) {
                    pool.install(|| step.accumulate[at].run(step.storage.memory(), &step.launch));
                }
                let aside = |b: &BufferId| matches!(steps[0].plan.buffers[*b].place, Place::Aside);
                let writes = scheduled.kernel.writes().into_iter();
                for buffer in writes.filter(|b| !aside(b)) {
                    let [one, three] = [0, 1].map(|s: usize| steps[s].storage.read(buffer));
                    assert!(
                        one.iter()
                            .zip(&three)
                            .all(|(a, b)| a.to_bits() == b.to_bits()),
                        "buffer {buffer} of kernel {at}, {}: {:#?}",
                        scheduled.origin,
                        scheduled.kernel
                    );
                }
            }
        }
    }
}

//! A plan, ready to train on a GPU.
//!
//! What is fed waits in a part of its own until the run that uses it begins, so it goes to the device while the one before still
//! computes. A run returns once its loss is known; the backward part behind it goes on meanwhile.

use super::{
    allocation::Pinned,
    cache::Cache,
    compiler::Compiler,
    device::Context,
    emit,
    feeds::Feeds,
    library::{Libraries, Missing},
    memory::Memory,
    module::Module,
    product::Multiplier,
    program::{Argument, Launch, Program, Table, Target},
    recording::{Loader, Recording},
    stream::{Event, Stream},
};
use crate::{
    backend::lookup,
    data::Normalizer,
    ir::roots,
    optimizer,
    plan::{Element, Plan, check::check},
    train::{
        step::{Draw, KernelTime, Part, Step, StepError, WeightInfo},
        stop::Stop,
    },
};
use half::bf16;
use std::sync::Arc;

/// A compiled step whose kernels are loaded and whose memory is allocated.
///
/// Fields are dropped in their order: streams wait before what they work on goes.
pub struct CudaStep {
    /// Where everything is computed.
    compute: Stream,
    feeds: Feeds,
    /// Up to the loss.
    forward: Recording,
    /// Behind it.
    backward: Recording,
    apply: Recording,
    /// The numbers of the run under way, as [`Argument::Draws`] lists them.
    draws: Pinned,
    /// Of the run under way, and behind it.
    loss: Pinned,
    known: Event,
    memory: Memory,
    _modules: Vec<Module>,
    weights: Vec<WeightInfo>,
    plan: Plan,
    /// What was launched, for those who ask what it took.
    program: Program,
    /// Launches of the micro-batch up to the loss.
    told: usize,
    /// Asked before a run: recorded work does not end in the middle.
    stop: Stop,
    context: Arc<Context>,
}

impl CudaStep {
    /// On the first GPU that can be used, with kernels from the user's cache.
    ///
    /// # Errors
    /// As [`CudaStep::on`].
    pub fn new(plan: Plan) -> Result<CudaStep, StepError> {
        CudaStep::on(Libraries::here(), Cache::of_user(), plan)
    }

    /// With these libraries.
    ///
    /// # Errors
    /// [`StepError::NoGpu`], [`StepError::Memory`] before anything is compiled, [`StepError::Kernel`], and on a plan or a program
    /// that breaks a rule.
    pub fn on(
        libraries: &Libraries,
        cache: Option<Cache>,
        plan: Plan,
    ) -> Result<CudaStep, StepError> {
        // Kernels write through addresses: what makes that sound is checked before one runs.
        check(&plan)
            .map_err(|fault| StepError::Backend(format!("the plan is unsound: {fault}")))?;
        let absent = |missing: Missing| StepError::NoGpu(missing.to_string());
        let context = Context::new(libraries)?;
        let target = Target(context.device().capability);
        let program = emit(&plan, target);
        let compute = Stream::new(&context)?;
        let memory = Memory::new(&compute, &plan, &program)?;

        let nvrtc = libraries.nvrtc.clone().map_err(absent)?;
        let cubins = Compiler::new(nvrtc, cache, target)?.compile(&program.kernels)?;
        let modules = cubins.iter().map(|cubin| Module::load(&context, cubin));
        let modules = modules.collect::<Result<Vec<_>, _>>()?;
        let blas = libraries.blas.clone().map_err(absent)?;
        let loader = Loader {
            program: &program,
            modules: &modules,
            memory: &memory,
            multiplier: Multiplier::new(blas)?,
        };
        let told = up_to_loss(&plan, &program);
        let (forward, backward) = program.accumulate.split_at(told);
        let [forward, backward, apply] =
            [forward, backward, &program.apply].map(|launches| loader.load(launches));
        let intake = program.intake.as_ref().map(|intake| {
            let launch = loader.load(std::slice::from_ref(&intake.launch));
            launch.map(|launch| (intake.feed, launch))
        });
        Ok(CudaStep {
            feeds: Feeds::new(&context, &plan, intake.transpose()?)?,
            forward: forward?,
            backward: backward?,
            apply: apply?,
            draws: Pinned::new(&context, 8 * (1 + plan.streams.len()))?,
            loss: Pinned::new(&context, size_of::<f32>())?,
            known: Event::new(&context)?,
            weights: lookup::weights(&plan),
            stop: Stop::default(),
            _modules: modules,
            compute,
            memory,
            plan,
            program,
            told,
            context,
        })
    }

    fn write_draws(&mut self, draw: Draw) -> Result<(), StepError> {
        let key = draw.key();
        let keys = self.plan.streams.iter().map(|s| key.with(&s.purpose).0);
        let numbers: Vec<u64> = [draw.first_sample].into_iter().chain(keys).collect();
        // Those of the run before went to the device before its loss was known.
        self.draws
            .bytes_mut()
            .copy_from_slice(bytemuck::cast_slice(&numbers));
        let to = self.memory.at(Argument::Draws)?;
        // SAFETY: the part was laid out for as many numbers, and they stay until the next run.
        unsafe { self.compute.upload(to, self.draws.bytes()) }
    }
}

/// How many launches of a micro-batch there are up to the last that touches its loss.
fn up_to_loss(plan: &Plan, program: &Program) -> usize {
    let Some((_, loss)) = plan.outputs.iter().find(|(name, _)| name == roots::LOSS) else {
        return program.accumulate.len();
    };
    let of_loss = |argument: &Argument| match argument {
        Argument::Buffer(buffer) => buffer == loss,
        Argument::Table(table) => match program.tables.get(*table) {
            Some(Table::Addresses(buffers)) => buffers.contains(loss),
            _ => false,
        },
        _ => false,
    };
    let touches = |launch: &Launch| match launch {
        Launch::Kernel { arguments, .. } => arguments.iter().any(of_loss),
        Launch::Product(product) => of_loss(&product.c.memory),
    };
    let last = program.accumulate.iter().rposition(|s| touches(&s.launch));
    last.map_or(program.accumulate.len(), |at| at + 1)
}

impl Step for CudaStep {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, part: Part, index: usize, to: &mut [f32]) -> Result<(), StepError> {
        assert_eq!(to.len(), self.weights[index].len(), "as long as the weight");
        match lookup::part(&self.plan, part, index) {
            Some(buffer) => {
                let to = bytemuck::cast_slice_mut(to);
                self.context.enter()?;
                self.memory
                    .read(&self.compute, Argument::Buffer(buffer), to)
            }
            // A program that only looks has no gradients and no moments: they are zero.
            None => {
                to.fill(0.0);
                Ok(())
            }
        }
    }

    fn write(&mut self, part: Part, index: usize, from: &[f32]) -> Result<(), StepError> {
        assert_eq!(
            from.len(),
            self.weights[index].len(),
            "as long as the weight"
        );
        let Some(buffer) = lookup::part(&self.plan, part, index) else {
            return Ok(());
        };
        self.context.enter()?;
        let to = Argument::Buffer(buffer);
        self.memory
            .write(&self.compute, to, bytemuck::cast_slice(from))
    }

    fn micro_batch(&self) -> usize {
        self.plan.batch
    }

    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError> {
        let at = lookup::feed(&self.plan, name, values.len())?;
        self.context.enter()?;
        self.feeds.feed(&self.memory, at, values)
    }

    fn normalize_by(&mut self, normalizer: &Normalizer) -> Result<bool, StepError> {
        self.context.enter()?;
        let levels = normalizer.levels();
        (self.feeds).normalize_by(&self.memory, &self.compute, levels)
    }

    fn feed_pixels(&mut self, pixels: &[u8]) -> Result<(), StepError> {
        self.context.enter()?;
        self.feeds.feed_pixels(&self.memory, pixels)
    }

    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        if let Some(name) = self.feeds.unfed() {
            return Err(StepError::Backend(format!("input `{name}` was not fed")));
        }
        if self.stop.requested() {
            return Err(StepError::Interrupted);
        }
        self.context.enter()?;
        self.feeds.take_over(&self.memory, &self.compute)?;
        self.write_draws(draw)?;
        self.forward.run(&self.compute)?;
        let loss = lookup::output(&self.plan, roots::LOSS)?;
        let from = self.memory.at(Argument::Buffer(loss))?;
        // SAFETY: a loss is one number, and it is read behind the event.
        unsafe { self.compute.download(self.loss.bytes_mut(), from)? };
        self.known.mark(&self.compute)?;
        self.backward.run(&self.compute)?;
        self.known.wait()?;
        Ok(bytemuck::pod_read_unaligned(self.loss.bytes()))
    }

    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError> {
        if update == 0 {
            return Err(StepError::UpdateZero);
        }
        let betas = lookup::betas(&self.plan)?;
        for (name, value) in optimizer::scalars(betas, lr, update) {
            self.feed(name, &[value])?;
        }
        self.feeds.take_over(&self.memory, &self.compute)?;
        self.apply.run(&self.compute)?;
        self.output(roots::GRADIENT_NORM).map(|values| values[0])
    }

    fn end_early_on(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn time_kernels(&mut self) -> bool {
        let parts = [&mut self.forward, &mut self.backward, &mut self.apply];
        let measured = parts.map(|part| part.measure(&self.compute));
        measured.iter().all(Result::is_ok)
    }

    fn kernel_times(&self) -> Vec<KernelTime> {
        let (forward, backward) = self.program.accumulate.split_at(self.told);
        [
            self.forward.times(forward),
            self.backward.times(backward),
            self.apply.times(&self.program.apply),
        ]
        .concat()
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, StepError> {
        let buffer = lookup::output(&self.plan, name)?;
        let of = &self.plan.buffers[buffer];
        let mut bytes = vec![0; of.len() * of.element.bytes()];
        self.context.enter()?;
        self.memory
            .read(&self.compute, Argument::Buffer(buffer), &mut bytes)?;
        Ok(match of.element {
            Element::F32 => bytemuck::pod_collect_to_vec(&bytes),
            Element::Bf16 => {
                let stored: Vec<bf16> = bytes
                    .chunks_exact(2)
                    .map(|pair| bf16::from_le_bytes([pair[0], pair[1]]))
                    .collect();
                stored.iter().map(|x| x.to_f32()).collect()
            }
        })
    }
}

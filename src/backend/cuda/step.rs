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
    library::{Libraries, Missing},
    memory::Memory,
    module::Module,
    product::Multiplier,
    program::{Argument, Launch, Program, Table, Target},
    recording::{Loader, Recording},
    stream::{Event, Stream},
};
use crate::{
    ir::roots,
    optimizer,
    plan::{BufferId, Element, Kernel, Plan, Weight, check::check},
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
    /// On which what is fed goes to the device.
    upload: Stream,
    /// Up to the loss.
    forward: Recording,
    /// Behind it.
    backward: Recording,
    apply: Recording,
    feeds: Vec<Fed>,
    /// Behind the last run's use of what was fed.
    used: Event,
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

/// What is fed under one name.
struct Fed {
    /// On the host, until it is uploaded.
    staging: Pinned,
    uploaded: Event,
    /// Whether a micro-batch reads it, so that it must be fed.
    read: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unfed,
    /// The next run takes it over.
    Waiting,
    Taken,
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
        let feeds = plan.feeds.iter().map(|(_, buffer)| {
            let mut kernels = plan.accumulate.iter().map(|s| &s.kernel);
            Ok(Fed {
                staging: Pinned::new(&context, plan.buffers[*buffer].bytes())?,
                uploaded: Event::new(&context)?,
                read: kernels.any(|kernel| kernel.reads().contains(buffer)),
                state: State::Unfed,
            })
        });
        let info = |w: &Weight| WeightInfo {
            name: w.name.clone(),
            dims: w.dims.clone(),
            decay: w.decay,
        };
        Ok(CudaStep {
            upload: Stream::new(&context)?,
            forward: forward?,
            backward: backward?,
            apply: apply?,
            feeds: feeds.collect::<Result<_, StepError>>()?,
            used: Event::new(&context)?,
            draws: Pinned::new(&context, 8 * (1 + plan.streams.len()))?,
            loss: Pinned::new(&context, size_of::<f32>())?,
            known: Event::new(&context)?,
            weights: plan.weights.iter().map(info).collect(),
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

    /// What was fed goes to where kernels read it, behind those that still read what was there.
    fn take_over(&mut self) -> Result<(), StepError> {
        for (at, fed) in self.feeds.iter_mut().enumerate() {
            if fed.state != State::Waiting {
                continue;
            }
            let buffer = self.plan.feeds[at].1;
            let to = self.memory.at(Argument::Buffer(buffer))?;
            self.compute.wait_for(&fed.uploaded)?;
            let bytes = self.plan.buffers[buffer].bytes();
            // SAFETY: both parts were laid out for this feed.
            unsafe { self.compute.copy(to, self.memory.staged(at), bytes)? };
            fed.state = State::Taken;
        }
        self.used.mark(&self.compute)
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

    fn buffer_of(&self, output: &str) -> Result<BufferId, StepError> {
        let mut outputs = self.plan.outputs.iter();
        let found = outputs.find(|(known, _)| known == output);
        found.map(|(_, buffer)| *buffer).ok_or_else(|| {
            let known = self.plan.outputs.iter().map(|(known, _)| known.clone());
            StepError::UnknownOutput {
                name: output.into(),
                known: known.collect(),
            }
        })
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
        match self.part(part, index) {
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
        let Some(buffer) = self.part(part, index) else {
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
        let feeds = &self.plan.feeds;
        let Some(at) = feeds.iter().position(|(known, _)| known == name) else {
            return Err(StepError::UnknownInput {
                name: name.into(),
                known: feeds.iter().map(|(known, _)| known.clone()).collect(),
            });
        };
        let wanted = self.plan.buffers[feeds[at].1].len();
        if wanted != values.len() {
            return Err(StepError::InputLength {
                name: name.into(),
                wanted,
                got: values.len(),
            });
        }
        self.context.enter()?;
        let (to, fed) = (self.memory.staged(at), &mut self.feeds[at]);
        // What was staged before must have left the host, and have been taken over on the device.
        fed.uploaded.wait()?;
        let values: &[u8] = bytemuck::cast_slice(values);
        fed.staging.bytes_mut()[..values.len()].copy_from_slice(values);
        self.upload.wait_for(&self.used)?;
        // SAFETY: the part was laid out for this feed, and what is staged stays until it is uploaded.
        unsafe {
            self.upload
                .upload(to, &fed.staging.bytes()[..values.len()])?
        };
        fed.uploaded.mark(&self.upload)?;
        fed.state = State::Waiting;
        Ok(())
    }

    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        let mut feeds = self.feeds.iter().zip(&self.plan.feeds);
        let unfed = feeds.find(|(fed, _)| fed.read && fed.state == State::Unfed);
        if let Some((_, (name, _))) = unfed {
            return Err(StepError::Backend(format!("input `{name}` was not fed")));
        }
        if self.stop.requested() {
            return Err(StepError::Interrupted);
        }
        self.context.enter()?;
        self.take_over()?;
        self.write_draws(draw)?;
        self.forward.run(&self.compute)?;
        let loss = self.buffer_of(roots::LOSS)?;
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
        let betas = self.plan.apply.iter().find_map(|s| match &s.kernel {
            Kernel::AdamW(sweep) => Some(sweep.betas),
            _ => None,
        });
        let betas =
            betas.ok_or_else(|| StepError::Backend("this program does not train".into()))?;
        for (name, value) in optimizer::scalars(betas, lr, update) {
            self.feed(name, &[value])?;
        }
        self.take_over()?;
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
        let buffer = self.buffer_of(name)?;
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

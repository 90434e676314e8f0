//! Launches in their order: done one by one the first time, and recorded the second, to be launched at once from then on.

use super::{
    functions::Address,
    memory::Memory,
    module::{Function, Module, Shape},
    product::{self, Multiplier},
    program::{Launch, Program, Scheduled},
    stream::{Event, Graph, Stream},
};
use crate::train::step::{KernelTime, StepError};
use std::sync::Arc;

/// Part of a program, loaded.
#[derive(Default)]
pub struct Recording {
    launches: Vec<Ready>,
    /// Kernels are loaded when they are launched for the first time, and nothing may be loaded while it is recorded.
    begun: bool,
    graph: Option<Graph>,
    /// While it is measured: no graph then.
    clock: Option<Clock>,
}

enum Ready {
    Kernel {
        function: Function,
        shape: Shape,
        arguments: Vec<Address>,
    },
    Product(product::Ready),
}

/// When each launch began, and the last was done.
struct Clock {
    events: Vec<Event>,
    spent: Vec<f64>,
    runs: u32,
}

/// What it takes to load a program.
pub struct Loader<'a> {
    pub program: &'a Program,
    /// Of the program's kernels.
    pub modules: &'a [Module],
    pub memory: &'a Memory,
    pub multiplier: Arc<Multiplier>,
}

impl Loader<'_> {
    /// # Errors
    /// Where the program is unsound, and where a kernel asks for more than the device has.
    pub fn load(&self, launches: &[Scheduled]) -> Result<Recording, StepError> {
        let launches = launches
            .iter()
            .map(|scheduled| self.ready(&scheduled.launch));
        Ok(Recording {
            launches: launches.collect::<Result<_, _>>()?,
            ..Recording::default()
        })
    }

    fn ready(&self, launch: &Launch) -> Result<Ready, StepError> {
        let (kernel, grid, block, shared, arguments) = match launch {
            Launch::Product(product) => {
                let ready = product::Ready::new(&self.multiplier, self.memory, product)?;
                return Ok(Ready::Product(ready));
            }
            Launch::Kernel {
                kernel,
                grid,
                block,
                shared,
                arguments,
            } => (*kernel, *grid, *block, *shared, arguments),
        };
        let known = self
            .program
            .kernels
            .get(kernel)
            .zip(self.modules.get(kernel));
        let (source, module) = known.ok_or_else(|| {
            StepError::Backend(format!(
                "the program is unsound: there is no kernel {kernel}"
            ))
        })?;
        let arguments = arguments.iter().map(|&argument| self.memory.at(argument));
        Ok(Ready::Kernel {
            function: module.function(&source.name, shared)?,
            shape: Shape {
                grid,
                block,
                shared,
            },
            arguments: arguments.collect::<Result<_, _>>()?,
        })
    }
}

impl Recording {
    /// Puts everything into a stream.
    pub fn run(&mut self, stream: &Stream) -> Result<(), StepError> {
        if self.launches.is_empty() {
            return Ok(());
        }
        if let Some(mut clock) = self.clock.take() {
            let timed = self.run_timed(&mut clock, stream);
            self.clock = Some(clock);
            return timed;
        }
        // One alone gains nothing.
        if !self.begun || self.launches.len() == 1 {
            self.begun = true;
            return self
                .launches
                .iter()
                .try_for_each(|ready| ready.launch(stream));
        }
        let graph = match &mut self.graph {
            Some(graph) => graph,
            empty => {
                let launches = &self.launches;
                let all = || launches.iter().try_for_each(|ready| ready.launch(stream));
                empty.insert(stream.record(all)?)
            }
        };
        graph.launch(stream)
    }

    /// Measures every launch from now on, from zero.
    pub fn measure(&mut self, stream: &Stream) -> Result<(), StepError> {
        let event = |_| Event::timed(stream.context());
        let events = (0..=self.launches.len()).map(event);
        self.clock = Some(Clock {
            events: events.collect::<Result<_, _>>()?,
            spent: vec![0.0; self.launches.len()],
            runs: 0,
        });
        Ok(())
    }

    /// One by one, and to the end: what is measured does not go on while the host does something else.
    fn run_timed(&self, clock: &mut Clock, stream: &Stream) -> Result<(), StepError> {
        for (ready, event) in self.launches.iter().zip(&clock.events) {
            event.mark(stream)?;
            ready.launch(stream)?;
        }
        let end = &clock.events[self.launches.len()];
        end.mark(stream)?;
        end.wait()?;
        for (spent, pair) in clock.spent.iter_mut().zip(clock.events.windows(2)) {
            *spent += pair[1].seconds_since(&pair[0])?;
        }
        clock.runs += 1;
        Ok(())
    }

    /// What each launch took, with what the program says of it.
    pub fn times(&self, of: &[Scheduled]) -> Vec<KernelTime> {
        let Some(clock) = &self.clock else {
            return Vec::new();
        };
        let told = |(scheduled, &seconds): (&Scheduled, &f64)| KernelTime {
            label: scheduled.label,
            origin: scheduled.origin.clone(),
            work: scheduled.work,
            runs: clock.runs,
            seconds,
        };
        of.iter().zip(&clock.spent).map(told).collect()
    }
}

impl Ready {
    fn launch(&self, stream: &Stream) -> Result<(), StepError> {
        match self {
            Ready::Product(product) => product.launch(stream),
            Ready::Kernel {
                function,
                shape,
                arguments,
            } => {
                // SAFETY: the emitter hands each kernel the addresses that it takes, and the plan was checked: what they hold
                // is long enough, and no two launches of a run meet but in their order.
                unsafe { stream.launch(*function, *shape, arguments) }
            }
        }
    }
}

//! Memory over a training step: what lives while each kernel runs, and where in the arena it lies.

use super::{
    chart::{Frame, byte_ticks, short},
    kernels::{shape, three_digits},
    work::{Costed, Phase},
};
use crate::{
    plan::{Place, Plan, lives},
    text::units::{bytes, precise},
};
use maud::{Markup, html};
use serde::Serialize;

/// What bytes are for, from the bottom of the chart to its top.
const USES: [&str; 7] = [
    "weights",
    "gradients",
    "moments",
    "inputs and constants",
    "kept activations",
    "passing activations",
    "activation gradients",
];
/// The first of those that come and go.
const PASSING: usize = 4;

/// Bytes by use while each kernel runs, and every buffer that comes and goes.
pub struct Memory {
    /// When kernels begin, and when the last one ends.
    times: Vec<f64>,
    timed: bool,
    /// For each of [`USES`], and each kernel.
    live: Vec<Vec<u64>>,
    buffers: Vec<Lying>,
    arena: u64,
}

/// A buffer in the arena.
struct Lying {
    name: String,
    shape: String,
    use_of: usize,
    offset: u64,
    bytes: u64,
    /// The kernels it lives over, by their places: from the one to before the other.
    life: [usize; 2],
}

/// For the script.
#[derive(Serialize)]
pub struct Told {
    uses: [&'static str; 7],
    times: Vec<f64>,
    timed: bool,
    live: Vec<Vec<u64>>,
    /// Where the charts begin and end, in their units.
    left: f64,
    right: f64,
}

pub fn memory(plan: &Plan, kernels: &[Costed]) -> Memory {
    let lives = lives(plan);
    let timed = kernels.iter().all(|kernel| kernel.seconds.is_some());
    let mut times = vec![0.0];
    for kernel in kernels {
        let last = times.last().copied().unwrap_or(0.0);
        times.push(last + kernel.seconds.filter(|_| timed).unwrap_or(1.0));
    }
    let mut live = vec![vec![0; kernels.len()]; USES.len()];
    let mut buffers = Vec::new();
    let state = state_uses(plan);
    for (id, buffer) in plan.buffers.iter().enumerate() {
        let size = buffer.bytes() as u64;
        match (&buffer.place, lives[id]) {
            (Place::Aside, _) => {}
            (Place::Arena(offset), Some(life)) => {
                let last = life.last.min(kernels.len() - 1);
                let use_of = passing_use(kernels, life.first, last);
                (life.first..=last).for_each(|at| live[use_of][at] += size);
                buffers.push(Lying {
                    name: buffer.origin.to_string(),
                    shape: shape(&buffer.dims),
                    use_of,
                    offset: *offset as u64,
                    bytes: size,
                    life: [life.first, last + 1],
                });
            }
            (Place::Arena(_), None) => {}
            _ => live[state[id]].iter_mut().for_each(|bytes| *bytes += size),
        }
    }
    Memory {
        times,
        timed,
        live,
        buffers,
        arena: plan.arena as u64,
    }
}

/// Of buffers outside the arena.
fn state_uses(plan: &Plan) -> Vec<usize> {
    let mut uses = vec![3; plan.buffers.len()];
    for weight in &plan.weights {
        uses[weight.value] = 0;
        if let Some(training) = &weight.training {
            uses[training.gradient] = 1;
            uses[training.first_moment] = 2;
            uses[training.second_moment] = 2;
        }
    }
    uses
}

/// Kept is what the forward part makes and the backward part reads.
fn passing_use(kernels: &[Costed], first: usize, last: usize) -> usize {
    match (kernels[first].phase, kernels[last].phase) {
        (Phase::Forward, Phase::Forward) => PASSING + 1,
        (Phase::Forward, _) => PASSING,
        _ => PASSING + 2,
    }
}

impl Memory {
    pub fn told(&self) -> Told {
        Told {
            uses: USES,
            times: self.times.iter().copied().map(three_digits).collect(),
            timed: self.timed,
            live: self.live.clone(),
            left: Frame::LEFT,
            right: Frame::WIDTH - Frame::RIGHT,
        }
    }

    /// The most that lives at once, and the kernel that runs then.
    pub fn peak(&self) -> (u64, usize) {
        let total = |at: usize| self.live.iter().map(|live| live[at]).sum::<u64>();
        let kernels = 0..self.times.len() - 1;
        let peak = kernels.map(|at| (total(at), at));
        peak.max_by_key(|(bytes, at)| (*bytes, std::cmp::Reverse(*at)))
            .unwrap_or_default()
    }

    /// Both charts, and what their colours stand for.
    pub fn draw(&self) -> Markup {
        html! {
            div.legend {
                @for (at, name) in USES.iter().enumerate().rev() {
                    @if self.live[at].iter().any(|bytes| *bytes > 0) {
                        span { i class={ "swatch use-" (at) } {} (name) }
                    }
                }
            }
            figure {
                (self.stacked())
                figcaption {
                    "What lives while each kernel runs, for one micro-batch and the update behind it"
                    @if self.timed { "; the time is foretold" }
                    "."
                }
            }
            figure {
                (self.arena())
                figcaption {
                    "The arena: every box is a buffer, as wide as its life and as high as its size, where it lies. "
                    "Memory is shared by what does not live at the same time."
                }
            }
        }
    }

    fn frame(&self, height: f64, top: f64) -> Frame {
        Frame {
            height,
            x: 0.0..self.times.last().copied().unwrap_or(1.0),
            y: 0.0..top,
        }
    }

    fn axes(&self, frame: &Frame) -> Markup {
        let name = if self.timed { "time" } else { "kernel" };
        let timed = self.timed;
        let at = move |x: f64| match timed && x > 0.0 {
            true => precise(x),
            false => x.to_string(),
        };
        let ticks = byte_ticks(&frame.y, 5);
        frame.axes(name, at, &ticks, |y| bytes(y as u64))
    }

    fn stacked(&self) -> Markup {
        let (peak, _) = self.peak();
        let frame = self.frame(340.0, peak as f64 * 1.04);
        let kernels = self.times.len() - 1;
        let mut below = vec![0.0; kernels];
        let layers = self.live.iter().map(|live| {
            let above: Vec<f64> = below
                .iter()
                .zip(live)
                .map(|(low, more)| low + *more as f64)
                .collect();
            let path = frame.steps(&self.times, &below, &above);
            below = above;
            path
        });
        let layers: Vec<String> = layers.collect();
        html! {
            svg.chart id="memory-chart" viewBox=(frame.view_box()) role="img" aria-label={
                "Memory over a step; at most " (bytes(peak))
            } {
                @for (at, path) in layers.iter().enumerate() {
                    path class={ "use-" (at) } d=(path) {}
                }
                (self.axes(&frame))
                line.cursor y1="10" y2=(frame.height - 34.0) {}
            }
        }
    }

    fn arena(&self) -> Markup {
        let frame = self.frame(320.0, self.arena.max(1) as f64);
        html! {
            svg.chart id="arena-chart" viewBox=(frame.view_box()) role="img" aria-label={
                "Buffers in the arena of " (bytes(self.arena))
            } {
                @for buffer in &self.buffers {
                    @let [from, to] = buffer.life.map(|at| frame.x(self.times[at]));
                    @let top = frame.y((buffer.offset + buffer.bytes) as f64);
                    rect class={ "lying use-" (buffer.use_of) } x=(short(from)) y=(short(top))
                        width=(short((to - from).max(0.3))) height=(short((frame.y(buffer.offset as f64) - top).max(0.3))) {
                        title { (buffer.name) " " (buffer.shape) " " (bytes(buffer.bytes)) }
                    }
                }
                (self.axes(&frame))
            }
        }
    }
}

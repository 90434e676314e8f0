//! The report of a compiled recipe.

use super::{
    kernels,
    memory::{Memory, memory},
    page::{Page, Section, Tile, facts, tiles},
    parts,
    pictures::Pictures,
    work::{self, Costed, Phase, Sum},
};
use crate::{
    anatomy::Anatomy,
    backend::cuda::Target,
    compile::Program,
    pace::Pace,
    recipe::Recipe,
    summary::Summary,
    text::units::{bytes, duration, flops, grouped, lasting},
};
use maud::{Markup, html};

const SCRIPT: &str = include_str!("program.js");

/// A compiled recipe with all that is told of it.
pub struct Compiled<'a> {
    /// What was compiled.
    pub recipe: &'a Recipe,
    /// What came of it.
    pub program: &'a Program,
    /// Its [`Program::anatomy`].
    pub anatomy: &'a Anatomy,
    /// The same in numbers.
    pub summary: &'a Summary,
    /// Of the machine that would run it, where it is known.
    pub pace: Option<&'a Pace>,
    /// The GPU for which kernels are shown in CUDA as well, if any.
    pub target: Option<Target>,
}

/// Its page: parts, graph, kernels, memory, the recipe.
pub fn program(of: &Compiled) -> String {
    let Compiled {
        program, anatomy, ..
    } = of;
    let costed = work::costed(anatomy, of.pace);
    let memory = memory(&anatomy.plan, &costed);
    let pictures = Pictures::of(program, anatomy, &costed);
    let batch = [program.micro_batch, program.accumulations];
    let page = Page {
        title: &of.recipe.name,
        doc: &of.recipe.doc,
        foot: format!("mimc {}", env!("CARGO_PKG_VERSION")),
        data: kernels::data(
            anatomy,
            &costed,
            of.target,
            pictures.scopes,
            memory.told(),
            batch,
        ),
        script: SCRIPT,
        sections: vec![
            overview(of),
            model(of, &costed, &pictures.drawn),
            fusion(of),
            in_memory(&memory, &costed),
            recipe(of.recipe),
        ],
    };
    page.render()
}

fn overview(of: &Compiled) -> Section {
    let Summary {
        memory, kernels, ..
    } = of.summary;
    let Summary {
        forward_flops,
        backward_flops,
        ..
    } = *of.summary;
    let tokens = of.summary.parts.iter().find_map(|part| part.tokens);
    let step = of.summary.prediction.as_ref();
    let shown = [
        Tile {
            name: "parameters",
            value: grouped(of.summary.parameters),
            note: format!("{} weights", of.program.weights.len()),
        },
        Tile {
            name: "tokens",
            value: tokens.map_or(String::new(), grouped),
            note: "of an image, behind the encoder".into(),
        },
        Tile {
            name: "compute per image",
            value: flops(forward_flops + backward_flops),
            note: format!(
                "{} forward, {} backward",
                flops(forward_flops),
                flops(backward_flops)
            ),
        },
        Tile {
            name: "memory",
            value: bytes(memory.total),
            note: format!(
                "{} for a run, {} for weights and their state",
                bytes(memory.arena),
                bytes(memory.state)
            ),
        },
        Tile {
            name: "kernels",
            value: grouped(kernels.kernels),
            note: format!("of {} nodes before fusion", grouped(kernels.nodes)),
        },
        Tile {
            name: "step",
            value: step.map_or(String::new(), |step| lasting(step.step_seconds)),
            note: step.map_or(String::new(), |step| {
                format!("foretold, {:.1} images/s", step.images_per_second)
            }),
        },
        Tile {
            name: "run",
            value: step.map_or(String::new(), |step| duration(step.run_seconds)),
            note: match of.recipe.train.epochs {
                1.0 => "1 epoch".to_owned(),
                epochs => format!("{epochs} epochs"),
            },
        },
    ];
    let told = of.summary.facts().into_iter();
    let told: Vec<_> = told.map(|(name, fact)| (name.to_owned(), fact)).collect();
    Section {
        id: "overview",
        title: "Overview",
        lead: html! {},
        body: html! {
            (tiles(&shown))
            (facts(&told))
            @if !of.summary.warnings.is_empty() {
                ul.warnings {
                    @for warning in &of.summary.warnings { li { (warning.message) } }
                }
            }
        },
    }
}

fn model(of: &Compiled, costed: &[Costed], drawn: &[Markup]) -> Section {
    let sums = work::by_part(costed);
    let batch = of.program.micro_batch;
    let rows = parts::rows(&of.program.instances, &sums, batch);
    let mut update = Sum::default();
    for kernel in costed.iter().filter(|kernel| kernel.phase == Phase::Update) {
        update += kernel.sum();
    }
    let pane = |id: &str, title: &str, what: &str| {
        html! {
            div.pane id=(id) {
                div.bar {
                    h3 { (title) " " span.muted.count {} }
                    span.buttons {
                        button type="button" data-zoom="in" title="Zoom in" aria-label="Zoom in" { "+" }
                        button type="button" data-zoom="out" title="Zoom out" aria-label="Zoom out" { "−" }
                        button type="button" data-zoom="fit" title="Show all" { "fit" }
                    }
                }
                div.canvas tabindex="0" aria-label=(what) {}
            }
        }
    };
    Section {
        id: "model",
        title: "Model",
        lead: html! {
            p {
                "Choose a part to look inside, in the table or in the graph. On the left the nodes that its graph file comes to, "
                "on the right the kernels that fusion makes of them; what opens has a double border. "
                "Drag to move, turn the wheel to zoom."
            }
        },
        body: html! {
            div.bar {
                input.search type="search" id="tree-search" placeholder="find a part" aria-label="Find a part";
                span.buttons {
                    button type="button" id="tree-open" { "open all" }
                    button type="button" id="tree-close" { "close all" }
                }
            }
            (parts::table(&rows, batch, update, of.pace.is_some()))
            nav.crumbs id="crumbs" aria-label="The part that is shown" {}
            div.panes {
                (pane("before", "as written", "The graph of the part before fusion"))
                (pane("after", "behind fusion", "The kernels of the forward part"))
            }
            svg width="0" height="0" aria-hidden="true" style="position:absolute" {
                defs {
                    marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                        path d="M0 0.8L7 4L0 7.2Z" {}
                    }
                }
            }
            @for (at, picture) in drawn.iter().enumerate() {
                template id={ "picture-" (at) } { (picture) }
            }
        },
    }
}

fn fusion(of: &Compiled) -> Section {
    let timed = of.pace.is_some();
    Section {
        id: "kernels",
        title: "Kernels",
        lead: html! {
            p {
                "Every kernel of the part that is shown, in the order they run. Open one to see which nodes it was made of, "
                "what it does to each element, and how the plan lists it"
                @if of.target.is_some() { " and a GPU gets it" }
                ". A node that is computed "
                "a second time, because that is cheaper than keeping it, is marked " span.again { "again" } "."
            }
        },
        body: html! {
            div.bar {
                span.buttons role="group" aria-label="Part of the step" {
                    button type="button" data-phase="" aria-pressed="true" { "all" }
                    button type="button" data-phase="forward" aria-pressed="false" { "forward" }
                    button type="button" data-phase="backward" aria-pressed="false" { "backward" }
                    button type="button" data-phase="update" aria-pressed="false" { "update" }
                }
                input.search type="search" id="kernel-search" placeholder="find a kernel" aria-label="Find a kernel";
                label {
                    "sort by "
                    select id="kernel-sort" {
                        option value="order" { "order" }
                        @if timed { option value="seconds" { "time" } }
                        option value="flops" { "products" }
                        option value="bytes" { "memory moved" }
                        option value="nodes" { "nodes" }
                    }
                }
                span.muted id="kernel-count" aria-live="polite" {}
            }
            div.kernels id="kernel-list" {}
            button type="button" id="kernel-more" hidden { "show more" }
            noscript { p { "The list of kernels takes JavaScript, which this page brings along." } }
        },
    }
}

fn in_memory(memory: &Memory, costed: &[Costed]) -> Section {
    let (peak, at) = memory.peak();
    let during = costed.get(at).map_or("", |kernel| &kernel.scheduled.origin);
    Section {
        id: "memory",
        title: "Memory",
        lead: html! {
            p {
                "At most " strong { (bytes(peak)) } " live at once, while " code { (during) } " runs. "
                "The forward part piles up what the backward part will read."
            }
        },
        body: html! {
            (memory.draw())
            p.readout id="memory-readout" aria-live="off" {}
        },
    }
}

fn recipe(recipe: &Recipe) -> Section {
    Section {
        id: "recipe",
        title: "Recipe",
        lead: html! { p { "Every key with its value, whether it was written or is the default." } },
        body: html! { pre tabindex="0" { code { (recipe.to_yaml()) } } },
    }
}

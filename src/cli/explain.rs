//! `mimc explain`: what a name stands for.

use super::{
    Outcome,
    arguments::Sets,
    build, complete,
    failure::Failure,
    job::{Compiled, Job, library},
    screen,
};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::AUTO,
    diagnostic::{CODES, FAILURES, nearest},
    elaborate::{Instance, Weight, signatures},
    ir::ops::Init,
    language::{graph_file::GraphFile, library::Library},
    plan::{self, Work},
    recipe::{FIELDS, Field},
    text::{
        columns::{Align, WIDTH, broken, columns},
        units::{bytes, flops, grouped},
    },
};
use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

/// Explain a name: a graph, a built-in, a key of recipes, the code of a message, or a part of a model
///
/// `mimc explain nn.layer_norm`, `softmax`, `train.optimizer.eps`, `unknown-key`; and of the recipe compiled last, or of
/// --recipe: `mimc explain encoder.layers.0.blocks.1.attn`, or a weight of it.
#[derive(Args)]
pub struct Arguments {
    /// What is to be explained
    #[arg(value_name = "NAME")]
    name: String,
    /// The recipe whose model has the part [default: the one compiled last here]
    #[arg(long, value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: Option<String>,
    #[command(flatten)]
    sets: Sets,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let name = arguments.name.as_str();
    let library = library();
    let told = match general(name, &library)? {
        Some(text) if arguments.recipe.is_none() => text,
        general => match model(arguments)? {
            Some(compiled) => part(name, &compiled)?
                .or(general)
                .ok_or_else(|| unknown(name, &library, &compiled.program.instances))?,
            None => general.ok_or_else(|| unknown(name, &library, &[]))?,
        },
    };
    screen::print(told)?;
    Ok(ExitCode::SUCCESS)
}

/// What a name stands for in any recipe.
fn general(name: &str, library: &Library) -> Result<Option<String>, Failure> {
    if library.names().any(|known| known == name) {
        return Ok(Some(graph(&*library.get(name)?)));
    }
    let builtin = signatures().find(|(signature, _)| called(signature) == name);
    if let Some((signature, doc)) = builtin {
        return Ok(Some(told(signature, doc)));
    }
    let fields: Vec<&Field> = FIELDS
        .iter()
        .filter(|field| is_at_or_below(field.path, name))
        .collect();
    if !fields.is_empty() {
        return Ok(Some(keys(&fields)));
    }
    let code = CODES.iter().chain(FAILURES).find(|code| code.code == name);
    Ok(code.map(|code| told(code.code, code.meaning)))
}

/// A name above what it stands for.
fn told(name: &str, meaning: &str) -> String {
    format!("{name}\n\n{}\n", broken(meaning, WIDTH).join("\n"))
}

/// `softmax` of `softmax(x, pattern)`
fn called(signature: &str) -> &str {
    signature.split('(').next().unwrap_or(signature)
}

fn is_at_or_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A graph file as it stands, under where it is.
fn graph(file: &GraphFile) -> String {
    let source = &file.span.file;
    format!(
        "{}  {}\n\n{}\n",
        file.name,
        source.path,
        source.text.trim_end()
    )
}

fn keys(fields: &[&Field]) -> String {
    let rows = fields.iter().flat_map(|field| {
        let unit = match field.unit {
            "" => String::new(),
            unit if unit.starts_with("per ") => format!(", {unit}"),
            unit => format!(", in {unit}"),
        };
        let range = match field.range.to_string() {
            range if range.is_empty() => range,
            range => format!(", {range}"),
        };
        [
            vec![field.path.to_owned(), field.doc.to_owned()],
            vec![
                String::new(),
                format!(
                    "{}{unit}{range}; default {}",
                    field.kind.told(),
                    field.default
                ),
            ],
        ]
    });
    columns(&[Align::Left; 2], &rows.collect::<Vec<_>>())
}

/// The model to look in: that of the recipe named, or of the one compiled last, if any was.
fn model(arguments: &Arguments) -> Result<Option<Compiled>, Failure> {
    let mut job = match (&arguments.recipe, build::last()?) {
        (Some(recipe), _) => Job {
            recipe: recipe.clone(),
            sets: Vec::new(),
            backend: AUTO.to_owned(),
            memory: None,
            micro_batch: None,
        },
        (None, Some(last)) => last.job,
        (None, None) => return Ok(None),
    };
    job.sets.extend(arguments.sets.sets.iter().cloned());
    job.compile(job.load()?, false).map(Some)
}

/// An instance or a weight of a model.
fn part(name: &str, compiled: &Compiled) -> Result<Option<String>, Failure> {
    let program = &compiled.program;
    if let Some(weight) = program.weights.iter().find(|weight| weight.name == name) {
        return Ok(Some(weight_told(weight)));
    }
    let Some(instance) = program
        .instances
        .iter()
        .find(|instance| instance.path == name)
    else {
        return Ok(None);
    };
    let file = compiled.library.get(&instance.graph)?;
    let sections = [
        facts(instance, &file, compiled),
        steps(instance, &file),
        weights(instance, compiled),
        kernels(instance, compiled),
    ];
    let told: Vec<String> = sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect();
    Ok(Some(told.join("\n")))
}

fn weight_told(weight: &Weight) -> String {
    let decay = if weight.decay {
        "decays"
    } else {
        "does not decay"
    };
    let told = format!(
        "{}  {:?}, {} parameters, {decay}, begins as {}",
        weight.name,
        weight.dims,
        grouped(weight.len()),
        begun(&weight.init)
    );
    match told.chars().count() <= WIDTH {
        true => told + "\n",
        false => broken(&told, WIDTH).join("\n") + "\n",
    }
}

/// As graph files write it, with the numbers that it comes to.
fn begun(init: &Init) -> String {
    match init {
        Init::Fill(value) => format!("{value}"),
        Init::Normal { std } => format!("normal({std})"),
        Init::TruncNormal { std, bound } => format!("normal({std}) cut at ±{bound}"),
        Init::Uniform { bound } => format!("uniform(-{bound}, {bound})"),
    }
}

fn facts(instance: &Instance, file: &Arc<GraphFile>, compiled: &Compiled) -> String {
    let doc = file.doc.lines().next().unwrap_or("");
    let graph = format!("{} ({}): {doc}", instance.graph, file.span.file.path);
    format!(
        "{}  of {}\n\n{}\nshapes are of {} images at once\n",
        instance.path,
        compiled.recipe.name,
        broken(&graph, WIDTH).join("\n"),
        compiled.program.micro_batch
    )
}

/// Each input and step of the graph file with what it comes to here.
fn steps(instance: &Instance, file: &GraphFile) -> String {
    let shape = |name: &str| {
        let mut inside = instance.inside.iter();
        let dims = inside.find(|(tensor, _)| tensor == name);
        dims.map_or(String::new(), |(_, dims)| format!("{dims:?}"))
    };
    let inputs = file.inputs.iter().map(|input| {
        let name = &input.name.value;
        vec![name.clone(), shape(name), "an input".to_owned()]
    });
    let rows = file.steps.iter().map(|step| {
        let name = &step.name.value;
        let text: Vec<&str> = step
            .body
            .exprs()
            .iter()
            .map(|expr| expr.span.text())
            .collect();
        let text = text
            .join("; ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        vec![name.clone(), shape(name), text]
    });
    let header = ["step", "shape", ""].map(str::to_owned).to_vec();
    columns(
        &[Align::Left; 3],
        &[header]
            .into_iter()
            .chain(inputs)
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}

fn weights(instance: &Instance, compiled: &Compiled) -> String {
    let own = compiled
        .program
        .weights
        .iter()
        .filter(|weight| is_at_or_below(&weight.name, &instance.path));
    let rows: Vec<_> = own
        .map(|weight| {
            let decay = if weight.decay { "" } else { "no decay" };
            let below = weight.name.strip_prefix(&instance.path);
            let below = below.map_or(&*weight.name, |below| below.trim_start_matches('.'));
            vec![
                below.to_owned(),
                format!("{:?}", weight.dims),
                grouped(weight.len()),
                decay.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let total = vec![
        format!("{} weights", rows.len()),
        String::new(),
        grouped(instance.parameters),
    ];
    let header = ["weight", "shape", "parameters", ""]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<_> = [header].into_iter().chain(rows).chain([total]).collect();
    columns(
        &[Align::Left, Align::Left, Align::Right, Align::Left],
        &rows,
    )
}

/// The kernels that come from it, forward and backward, with what they ask for.
fn kernels(instance: &Instance, compiled: &Compiled) -> String {
    let plan = plan::lower(&compiled.program.graph);
    let mut groups: BTreeMap<(bool, &str), (usize, Work)> = BTreeMap::new();
    for scheduled in &plan.accumulate {
        let (path, backward) = match scheduled.origin.strip_suffix('\'') {
            Some(path) => (path, true),
            None => (&*scheduled.origin, false),
        };
        if is_at_or_below(path, &instance.path) {
            let group = groups
                .entry((backward, scheduled.kernel.label()))
                .or_default();
            *group = (group.0 + 1, group.1 + scheduled.work(&plan));
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let rows = groups
        .into_iter()
        .map(|((backward, label), (count, work))| {
            let part = if backward { "backward" } else { "forward" };
            vec![
                part.to_owned(),
                label.to_owned(),
                count.to_string(),
                match work.flops {
                    0 => String::new(),
                    some => flops(some),
                },
                bytes(work.bytes),
            ]
        });
    use Align::{Left, Right};
    let header = ["kernels", "", "", "products", "memory moved"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<_> = [header].into_iter().chain(rows).collect();
    columns(&[Left, Left, Right, Right, Right], &rows)
}

fn unknown(name: &str, library: &Library, parts: &[Instance]) -> Failure {
    let builtins: Vec<_> = signatures()
        .map(|(signature, _)| called(signature))
        .collect();
    let known = library
        .names()
        .chain(builtins)
        .chain(FIELDS.iter().map(|field| field.path));
    let known = known.chain(CODES.iter().chain(FAILURES).map(|code| code.code));
    let known = known.chain(parts.iter().map(|part| part.path.as_str()));
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "parts of a model are found with --recipe RECIPE; `mimc compile RECIPE --emit graph` lists them".into(),
    };
    Failure::new("name", format!("nothing is called `{name}`"), Some(help))
}

//! A model as one PyTorch module: a class for each graph file, with the names that checkpoints have.
//!
//! Elaboration traces what each use of a file computes. `merge` tells the uses of a file as one, `class` and `children` make a
//! class of them, `forward`, `write` and `builtins` say in Python what it computes. What the expressions call stands in `prelude.py`.

mod builtins;
mod children;
mod class;
mod forward;
mod merge;
mod params;
mod python;
mod write;

use crate::{
    compile::CHANNELS,
    diagnostic::Diagnostics,
    elaborate::{
        Feed, Mode, Setting, elaborate_traced,
        trace::{Literal, Traced},
    },
    ir::roots,
    language::library::Library,
    recipe::Recipe,
};
use class::{Class, Top, build};
use std::collections::{BTreeMap, HashMap, HashSet};

const PRELUDE: &str = include_str!("prelude.py");

/// Images in the example at the end of the module.
const IMAGES: usize = 2;

/// Classes that are made.
#[derive(Default)]
struct Done {
    classes: Vec<Class>,
    /// Class and place in it, by place in the trace.
    of: HashMap<usize, (usize, usize)>,
    names: HashSet<String>,
}

/// The model of a recipe as the text of a Python module that needs nothing but PyTorch. It takes any number of images.
///
/// # Errors
/// As [`compile`](crate::compile()) has of the model.
pub fn torch(recipe: &Recipe, library: &Library) -> Result<String, Diagnostics> {
    let size = recipe.data.size;
    let setting = Setting {
        batch: IMAGES,
        size,
        size_span: recipe.span("data.size").cloned(),
        chans: CHANNELS,
        mode: Mode::Train,
        keep: &|_| false,
    };
    let (elaborated, trace) = elaborate_traced(library, &recipe.model, &setting)?;
    let mut done = Done::default();
    let feeds: Vec<String> = elaborated
        .feeds
        .iter()
        .map(|feed| feed.name.clone())
        .collect();
    let outputs = trace[0].outputs[1..].iter().cloned();
    let top = Top {
        roots: [roots::LOSS.to_owned()]
            .into_iter()
            .chain(outputs)
            .collect(),
        feeds: &feeds,
    };
    for members in in_order(&trace) {
        let top = members.contains(&0).then_some(&top);
        done.add(&trace, members, top);
    }
    let classes: Vec<&str> = done
        .classes
        .iter()
        .map(|class| class.text.as_str())
        .collect();
    let main = main(&done.classes[done.class(0)].name, size, &elaborated.feeds);
    let body = [classes.join("\n\n"), main].join("\n\n");
    let doc = match recipe.doc.trim() {
        "" => recipe.name.clone(),
        doc => doc.replace('\\', "\\\\").replace('"', "'"),
    };
    let helpers = helpers(&body);
    Ok(format!(
        "\"\"\"{doc}\n\nWritten by mimc from the recipe `{}`.\n\"\"\"\n\n{helpers}\n\n{body}",
        recipe.name
    ))
}

/// The uses of each graph file, those that are called before those that call.
fn in_order(trace: &[Traced]) -> Vec<Vec<usize>> {
    // A file that calls itself does so a number of times: each depth is a group of its own.
    let mut keys: Vec<(&str, usize)> = Vec::new();
    for traced in trace {
        let mut depth = 0;
        let mut above = traced.parent;
        while let Some(parent) = above {
            depth += usize::from(trace[parent].graph == traced.graph);
            above = trace[parent].parent;
        }
        keys.push((&traced.graph, depth));
    }
    let mut groups: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    let mut calls: BTreeMap<(&str, usize), Vec<(&str, usize)>> = BTreeMap::new();
    for (id, key) in keys.iter().enumerate() {
        groups.entry(*key).or_default().push(id);
        if let Some(parent) = trace[id].parent {
            calls.entry(keys[parent]).or_default().push(*key);
        }
    }
    let mut order: Vec<(&str, usize)> = Vec::new();
    let mut open = vec![(keys[0], 0)];
    while let Some((key, next)) = open.pop() {
        let called = calls.get(&key).and_then(|called| called.get(next));
        match called {
            Some(called) => {
                open.push((key, next + 1));
                if !order.contains(called) {
                    open.push((*called, 0));
                }
            }
            None if order.contains(&key) => {}
            None => order.push(key),
        }
    }
    order
        .into_iter()
        .filter_map(|key| groups.remove(&key))
        .collect()
}

impl Done {
    /// One class for the uses of a file if it can be, else as few as there have to be.
    fn add(&mut self, trace: &[Traced], members: Vec<usize>, top: Option<&Top>) {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        if build(trace, &members, self, "", top).is_some() {
            groups.push(members);
        } else {
            for member in members {
                let fits = |group: &&mut Vec<usize>| {
                    let more = [&group[..], &[member]].concat();
                    build(trace, &more, self, "", top).is_some()
                };
                match groups.iter_mut().find(fits) {
                    Some(group) => group.push(member),
                    None => groups.push(vec![member]),
                }
            }
        }
        for group in groups {
            let plain = python::class_name(&trace[group[0]].graph);
            let numbered = (2..).map(|n| format!("{plain}{n}"));
            let mut names = [plain.clone()].into_iter().chain(numbered);
            let name = names
                .find(|name| !self.names.contains(name))
                .expect("numbers never end");
            let class = build(trace, &group, self, &name, top)
                .expect("one use of a file agrees with itself");
            for (place, member) in group.iter().enumerate() {
                self.of.insert(*member, (self.classes.len(), place));
            }
            self.names.insert(name);
            self.classes.push(class);
        }
    }

    fn class(&self, member: usize) -> usize {
        self.of[&member].0
    }

    /// What a use gives for a param of its class.
    fn value(&self, member: usize, param: usize) -> Option<Literal> {
        let (class, place) = self.of[&member];
        self.classes[class].params[param].values[place].clone()
    }

    /// The call that makes a use, in numbers alone.
    fn constructed(&self, member: usize) -> String {
        let class = &self.classes[self.class(member)];
        let args = class.params.iter().enumerate().map(|(place, param)| {
            let value = self.value(member, place).unwrap_or(Literal::Null);
            format!("{}={}", param.name, python::literal(&value))
        });
        format!("{}({})", class.name, args.collect::<Vec<_>>().join(", "))
    }
}

/// The parts of the prelude that a text calls, and those that they call.
fn helpers(text: &str) -> String {
    let parts: Vec<&str> = PRELUDE.trim_end().split("\n\n\n").collect();
    let says = |text: &str, name: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    let names = |part: &str| -> Vec<String> {
        let head = part.lines().next().unwrap_or_default();
        let head = head.strip_prefix("def ").unwrap_or(head);
        let end = head.find(['(', '=']).unwrap_or(head.len());
        head[..end]
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect()
    };
    let always = ["parameter_groups", "load"];
    let mut kept: Vec<bool> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            i == 0
                || names(part)
                    .iter()
                    .any(|name| always.contains(&name.as_str()) || says(text, name))
        })
        .collect();
    // What calls stands behind what it calls.
    for i in (0..parts.len()).rev() {
        let needed = (i + 1..parts.len()).any(|later| {
            kept[later] && names(parts[i]).iter().any(|name| says(parts[later], name))
        });
        kept[i] |= needed;
    }
    let kept = parts.iter().zip(kept).filter(|(_, kept)| *kept);
    kept.map(|(part, _)| *part)
        .collect::<Vec<_>>()
        .join("\n\n\n")
        + "\n"
}

/// A checkpoint's weights, if one is named, on a few images of noise.
fn main(model: &str, size: usize, feeds: &[Feed]) -> String {
    let fed = feeds.iter().map(|feed| {
        let dims: Vec<String> = feed.dims.iter().map(usize::to_string).collect();
        let comma = if dims.len() == 1 { "," } else { "" };
        let name = python::local(&feed.name);
        format!(
            ", {name}=torch.randint(2, ({}{comma})).float()",
            dims.join(", ")
        )
    });
    let fed: String = fed.collect();
    format!(
        "if __name__ == \"__main__\":
    model = {model}()
    if len(sys.argv) > 1:
        model.load_state_dict(load(sys.argv[1]))
    images = torch.randn({IMAGES}, {CHANNELS}, {size}, {size})
    print(model(images{fed})[\"loss\"].item())
"
    )
}

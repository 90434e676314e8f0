//! A program as text: the order of its launches, then every kernel.

use super::program::{Argument, Factor, Launch, Product, Program, Scheduled, Target};
use crate::{
    plan::Element,
    text::units::{bytes, grouped},
};

/// Both lists of launches as comments, then the sources.
pub fn print(program: &Program, target: Target) -> String {
    let kernels = grouped(program.kernels.len());
    let scratch = bytes(program.scratch as u64);
    let mut text = format!(
        "// sm_{}: {kernels} kernels, {scratch} of scratch\n",
        target.0
    );
    if let Some(intake) = &program.intake {
        text += &format!("//\n// intake\n//   {}\n", line(program, &intake.launch));
    }
    for (name, launches) in [
        ("accumulate", &program.accumulate),
        ("apply", &program.apply),
    ] {
        text += &format!("//\n// {name}: {} launches\n", grouped(launches.len()));
        for scheduled in launches {
            text += &format!("//   {}\n", line(program, scheduled));
        }
    }
    for kernel in &program.kernels {
        text += "\n";
        text += &kernel.source;
    }
    text
}

fn line(program: &Program, scheduled: &Scheduled) -> String {
    let what = launch(program, &scheduled.launch);
    format!("{what}: {}", scheduled.origin)
}

/// What is launched, over how many blocks, with which arguments.
pub fn launch(program: &Program, launch: &Launch) -> String {
    match launch {
        Launch::Kernel {
            kernel,
            grid: [x, y, z],
            block,
            shared,
            arguments,
        } => {
            let name = &program.kernels[*kernel].name;
            let mut text = format!("{name} {x}");
            for more in [y, z].into_iter().filter(|n| **n > 1) {
                text += &format!(" x {more}");
            }
            text += &format!(" blocks of {block}");
            if *shared > 0 {
                text += &format!(", {shared} bytes shared");
            }
            let list: Vec<String> = arguments.iter().map(argument).collect();
            format!("{text} ({})", list.join(", "))
        }
        Launch::Product(product) => call(product),
    }
}

fn argument(argument: &Argument) -> String {
    match argument {
        Argument::Buffer(buffer) => format!("%{buffer}"),
        Argument::Scratch(offset) => format!("scratch + {offset}"),
        Argument::Table(table) => format!("table {table}"),
        Argument::Draws => "draws".into(),
        Argument::Key(stream) => format!("key {stream}"),
        Argument::Staged(feed) => format!("feed {feed}"),
        Argument::Levels => "levels".into(),
    }
}

fn call(product: &Product) -> String {
    let Product {
        m,
        n,
        k,
        count,
        a,
        b,
        c,
        added,
        bias,
    } = product;
    let times = match count {
        1 => String::new(),
        count => format!("{count} times "),
    };
    let (sign, added) = match added {
        Some(added) if added == c => ("+=", String::new()),
        Some(added) => ("=", format!(" + {}", factor(added))),
        None => ("=", String::new()),
    };
    let bias = bias.map(|bias| format!(" + {} by column", argument(&bias.memory)));
    format!(
        "cublasLt {times}{m} x {n} x {k} ({} {sign} {} · {}{added}{})",
        factor(c),
        factor(a),
        factor(b),
        bias.unwrap_or_default()
    )
}

fn factor(factor: &Factor) -> String {
    let transposed = if factor.transposed { "ᵀ" } else { "" };
    let element = match factor.element {
        Element::F32 => "f32",
        Element::Bf16 => "bf16",
    };
    format!("{}{transposed} in {element}", argument(&factor.memory))
}

//! What a module computes when it is called, step by step.

use super::{
    class::{Builder, Step, Top},
    merge::Code,
    python,
    write::Site,
};
use std::collections::HashSet;

impl Builder<'_> {
    /// The lines of a call, behind its signature.
    pub fn forward(&mut self, steps: &[Step], top: Option<&Top>) -> Vec<String> {
        let first = self.first();
        let given: Vec<String> = top.map_or(Vec::new(), |top| given(steps, top.feeds));
        let needed: HashSet<String> = steps.iter().flat_map(|step| step.code.names()).collect();
        let mut args = vec!["self".to_owned()];
        args.extend(first.inputs.iter().map(|input| python::local(input)));
        args.extend(first.params.iter().map(|param| python::local(param)));
        args.extend(
            given
                .iter()
                .map(|name| format!("{}=None", python::local(name))),
        );
        let mut lines = Vec::new();
        if let Some(top) = top
            && !top.feeds.is_empty()
        {
            let feeds = top
                .feeds
                .iter()
                .map(|name| format!("{}: {}", python::quoted(name), python::local(name)));
            lines.push("for module in self.modules():".into());
            lines.push(format!(
                "    module.given = {{{}}}",
                feeds.collect::<Vec<_>>().join(", ")
            ));
        }
        for (name, input, axis) in first
            .sizes
            .iter()
            .filter(|(name, ..)| needed.contains(name))
        {
            lines.push(format!(
                "{} = {}.shape[{axis}]",
                python::local(name),
                python::local(input)
            ));
        }
        for step in steps {
            let mut own = self.step(step);
            if given.contains(&step.name)
                && let [line] = &mut own[..]
            {
                let name = python::local(&step.name);
                *line = format!("{line} if {name} is None else {name}");
            }
            match self.guard(None, &step.columns, &step.name, Site::Forward) {
                Some(test) => {
                    lines.push(format!("if {test}:"));
                    lines.extend(own.into_iter().map(|line| format!("    {line}")));
                }
                None => lines.extend(own),
            }
        }
        lines.push(match top {
            None => format!("return {}", self.result(&first.outputs[0])),
            Some(top) => {
                let pairs = top.roots.iter().zip(&first.outputs);
                let pairs = pairs
                    .map(|(root, name)| format!("{}: {}", python::quoted(root), self.result(name)));
                format!("return {{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        });
        let head = format!("def forward({}):", args.join(", "));
        let lines = match top {
            None => lines,
            // Constants are made where the images are.
            Some(_) => {
                let image = python::local(&first.inputs[0]);
                let inner = lines.into_iter().map(|line| format!("    {line}"));
                [format!("with {image}.device:")]
                    .into_iter()
                    .chain(inner)
                    .collect()
            }
        };
        let lines = lines.into_iter().map(|line| format!("    {line}"));
        [head].into_iter().chain(lines).collect()
    }

    fn result(&self, name: &str) -> String {
        match self.is_weight(name) {
            true => python::member("_parameters", name),
            false => python::local(name),
        }
    }

    fn step(&mut self, step: &Step) -> Vec<String> {
        let name = python::local(&step.name);
        let Code::Repeat { count, from, turn } = &step.code else {
            let value = self.writer(Site::Forward, &step.name).text(&step.code);
            return vec![format!("{name} = {value}")];
        };
        let mut writer = self.writer(Site::Forward, &step.name);
        let mut lines = vec![format!("{name} = {}", writer.text(from))];
        if let Some(turn) = turn {
            let value = writer.text(turn);
            let called = match &**turn {
                Code::Call(call) => Some(self.attribute(call)),
                _ => None,
            };
            let whole = called.map(|attribute| python::member("_modules", &attribute));
            let inside = whole
                .as_ref()
                .and_then(|of| value.strip_prefix(&format!("{of}[i]")));
            // Nothing else counts the turns: each of what is called has its own.
            match (whole, inside) {
                (Some(of), Some(rest)) if !says_i(rest) => {
                    lines.push(format!("for turn in {of}:"));
                    lines.push(format!("    {name} = turn{rest}"));
                }
                _ => {
                    let count = self.writer(Site::Forward, "").slot(count);
                    lines.push(format!("for i in range({count}):"));
                    lines.push(format!("    {name} = {value}"));
                }
            }
        }
        lines
    }
}

/// Whether a line reads the index of a fold.
fn says_i(line: &str) -> bool {
    let outside = line.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.into_iter().any(|word| word == "i")
}

/// What a caller may give: all that is fed, and the steps of the model that come from no tensor, as a mask does.
fn given(steps: &[Step], feeds: &[String]) -> Vec<String> {
    let made = steps.iter().filter_map(|step| match &step.code {
        Code::Call(call) if call.args.is_empty() => Some(&step.name),
        _ => None,
    });
    let mut names: Vec<String> = made.cloned().collect();
    for feed in feeds {
        if !names.contains(feed) {
            names.push(feed.clone());
        }
    }
    names
}

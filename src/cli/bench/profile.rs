//! Where the time of a step goes: by kind of kernel, by part of the model, by kernel.

use mimc::{
    backend::Ceiling,
    plan::Work,
    text::columns::{Align, columns},
    train::step::KernelTime,
};
use serde::Serialize;
use std::collections::HashMap;

/// A step's kernels, summed up in three ways; each is sorted, the longest first.
#[derive(Serialize)]
pub struct Profile {
    /// Of all kernels in one step.
    seconds: f64,
    kinds: Vec<Entry>,
    parts: Vec<Entry>,
    /// Every one, those of alike blocks together.
    kernels: Vec<Entry>,
}

/// Kernels that are told together.
#[derive(Serialize)]
struct Entry {
    /// `gemm`, `encoder.blocks.*'`, `gemm encoder.blocks.*.mlp.fc1`
    name: String,
    /// Runs of a kernel in one step.
    runs: f64,
    /// In one step.
    seconds: f64,
    /// Of the step's kernels, from 0 to 1.
    share: f64,
    gflop_per_s: f64,
    gb_per_s: f64,
    /// The time that the ceiling allows, by operations or by bytes, over the time it took. `null` without a ceiling.
    of_ceiling: Option<f64>,
}

/// Kernels listed one by one.
const LISTED: usize = 24;

impl Profile {
    /// Of so many steps.
    pub fn new(times: &[KernelTime], steps: u32, ceiling: Option<Ceiling>) -> Profile {
        let seconds = times.iter().map(|t| t.seconds).sum::<f64>() / f64::from(steps);
        let by = |name: fn(&KernelTime) -> String| entries(times, steps, seconds, ceiling, name);
        Profile {
            seconds,
            kinds: by(|time| time.label.to_owned()),
            parts: by(|time| part(&time.origin)),
            kernels: by(|time| format!("{} {}", time.label, place(&time.origin))),
        }
    }

    pub fn told(&self) -> String {
        let Profile {
            kinds,
            parts,
            kernels,
            ..
        } = self;
        let listed = &kernels[..kernels.len().min(LISTED)];
        let left = match kernels.len() - listed.len() {
            0 => String::new(),
            left => format!("and {left} more: --json has them all\n"),
        };
        [
            table("kind", kinds),
            table("part", parts),
            table("kernel", listed) + &left,
        ]
        .join("\n")
    }
}

fn entries(
    times: &[KernelTime],
    steps: u32,
    whole: f64,
    ceiling: Option<Ceiling>,
    name: fn(&KernelTime) -> String,
) -> Vec<Entry> {
    #[derive(Default)]
    struct Group {
        work: Work,
        runs: f64,
        seconds: f64,
        /// That the ceiling allows.
        allowed: f64,
    }
    let mut groups: HashMap<String, Group> = HashMap::new();
    let steps = f64::from(steps);
    for time in times {
        let runs = f64::from(time.runs) / steps;
        let group = groups.entry(name(time)).or_default();
        group.work = group.work + time.work.times(time.runs.into());
        group.runs += runs;
        group.seconds += time.seconds / steps;
        group.allowed += runs * ceiling.map_or(0.0, |c| c.seconds(&time.work));
    }
    let entry = |(name, group): (String, Group)| Entry {
        name,
        runs: group.runs,
        seconds: group.seconds,
        share: group.seconds / whole,
        gflop_per_s: group.work.flops as f64 / steps / group.seconds / 1e9,
        gb_per_s: group.work.bytes as f64 / steps / group.seconds / 1e9,
        of_ceiling: ceiling.map(|_| group.allowed / group.seconds),
    };
    let mut entries: Vec<Entry> = groups.into_iter().map(entry).collect();
    entries.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.name.cmp(&b.name)));
    entries
}

/// The stage that an origin is in, alike blocks together, forward and backward apart:
/// `encoder.layers.2.blocks.5.attn.qkv'` is part of `encoder.layers.2.blocks.*'`.
fn part(origin: &str) -> String {
    let (path, backward) = backward(origin);
    let names: Vec<&str> = path.split('.').collect();
    let part = match names.iter().rposition(|name| is_number(name)) {
        Some(block) => format!("{}.*", names[..block].join(".")),
        None => names[..names.len().min(2)].join("."),
    };
    part + backward
}

/// The origin in any of alike blocks: `encoder.layers.2.blocks.*.attn.qkv'`.
fn place(origin: &str) -> String {
    let (path, backward) = backward(origin);
    let mut names: Vec<&str> = path.split('.').collect();
    if let Some(block) = names.iter().rposition(|name| is_number(name)) {
        names[block] = "*";
    }
    names.join(".") + backward
}

fn backward(origin: &str) -> (&str, &str) {
    match origin.strip_suffix('\'') {
        Some(path) => (path, "'"),
        None => (origin, ""),
    }
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

/// A name that leaves room for the numbers on 80 columns: its kind, and of where it is the end.
fn shortened(name: &str) -> String {
    const MOST: usize = 32;
    let length = name.chars().count();
    if length <= MOST {
        return name.to_owned();
    }
    let kind = name.find(' ').map_or("", |end| &name[..=end]);
    let skipped = length + 1 + kind.chars().count() - MOST;
    format!("{kind}…{}", name.chars().skip(skipped).collect::<String>())
}

fn table(heading: &str, entries: &[Entry]) -> String {
    use Align::{Left, Right};
    let header = [heading, "runs", "ms", "share", "GFLOP/s", "GB/s", "ceiling"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(Entry::row));
    for row in &mut rows {
        row[0] = shortened(&row[0]);
    }
    columns(&[Left, Right, Right, Right, Right, Right, Right], &rows)
}

impl Entry {
    fn row(&self) -> Vec<String> {
        let some = |rate: f64| match rate {
            0.0 => String::new(),
            rate => format!("{rate:.0}"),
        };
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        vec![
            self.name.clone(),
            format!("{}", self.runs),
            format!("{:.1}", 1e3 * self.seconds),
            percent(self.share),
            some(self.gflop_per_s),
            format!("{:.1}", self.gb_per_s),
            self.of_ceiling.map_or(String::new(), percent),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(label: &'static str, origin: &str, seconds: f64) -> KernelTime {
        KernelTime {
            label,
            origin: origin.into(),
            work: Work {
                flops: 1_000_000_000,
                halves: 0,
                pointwise: 0,
                bytes: 1000,
            },
            runs: 2,
            seconds,
        }
    }

    #[test]
    fn alike_blocks_are_told_together_and_the_longest_first() {
        let times = [
            time("gemm", "encoder.layers.1.blocks.0.mlp.fc1", 0.2),
            time("gemm", "encoder.layers.1.blocks.1.mlp.fc1", 0.4),
            time("rows", "encoder.layers.1.blocks.1.norm1'", 1.0),
            time("rows", "loss", 0.4),
        ];
        let ceiling = Ceiling {
            flops: 1e10,
            halves: 1e10,
            bandwidth: 1e9,
        };
        let profile = Profile::new(&times, 2, Some(ceiling));
        let names = |entries: &[Entry]| -> Vec<String> {
            entries.iter().map(|entry| entry.name.clone()).collect()
        };
        assert_eq!(names(&profile.kinds), ["rows", "gemm"]);
        let parts = [
            "encoder.layers.1.blocks.*'",
            "encoder.layers.1.blocks.*",
            "loss",
        ];
        assert_eq!(names(&profile.parts), parts);
        let kernels = [
            "rows encoder.layers.1.blocks.*.norm1'",
            "gemm encoder.layers.1.blocks.*.mlp.fc1",
            "rows loss",
        ];
        assert_eq!(names(&profile.kernels), kernels);
        // Two kernels, one run each a step, a tenth of a second by the ceiling, 0.15 on the clock.
        let gemm = &profile.kinds[1];
        let near = |got: f64, wanted: f64| (got / wanted - 1.0).abs() < 1e-9;
        assert!(near(gemm.runs, 2.0) && near(gemm.seconds, 0.3));
        assert!(near(gemm.share, 0.3) && near(gemm.gflop_per_s, 2.0 / 0.3));
        assert!(near(
            gemm.of_ceiling.expect("a ceiling was given"),
            0.2 / 0.3
        ));
    }
}

//! A survey for people.

use std::fmt;

use super::{Named, Problems, Spread, Survey};
use crate::{
    data::{TOLERATED_ALWAYS, TOLERATED_PERCENT, folder::tell_kinds},
    text::{
        columns::{Align, WIDTH, broken, columns},
        units::{bytes, grouped},
    },
};

/// So many files of each problem are named.
const NAMED: usize = 5;

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title())?;
        f.write_str(&columns(&[Align::Left; 2], &self.facts()))?;
        if self.readable > 0 {
            writeln!(f, "\n{}", self.spreads())?;
        }
        if let Some(statistics) = self.statistics {
            let three = |values: [f64; 3]| {
                let [red, green, blue] = values.map(|value| format!("{value:.3}"));
                format!("[{red}, {green}, {blue}]")
            };
            writeln!(f, "data.mean  {}", three(statistics.mean))?;
            writeln!(f, "data.std   {}", three(statistics.std))?;
            let (count, size) = (images(self.readable), self.size);
            let squares = match self.readable {
                1 => "its central square",
                _ => "their central squares",
            };
            writeln!(f, "           of {count}, {squares} at {size} px\n")?;
        }
        f.write_str(&self.problems.told(self.size, self.looked_at))
    }
}

impl Survey {
    /// `photos: 12,345 images in 4 archives, 1.84 GiB`
    fn title(&self) -> String {
        let images = images(self.images);
        let place = match self.archives {
            0 => String::new(),
            1 => " in 1 archive".into(),
            count => format!(" in {} archives", grouped(count)),
        };
        match self.looked_at == self.images {
            true => format!(
                "{}: {images}{place}, {}",
                self.path,
                bytes(self.total_bytes)
            ),
            false => format!(
                "{}: {images}{place}; looked at {} from all over, {}",
                self.path,
                grouped(self.looked_at),
                bytes(self.total_bytes)
            ),
        }
    }

    fn facts(&self) -> Vec<Vec<String>> {
        let mut formats: Vec<_> = self.formats.iter().collect();
        formats.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let formats = formats
            .iter()
            .map(|(name, count)| format!("{} {name}", grouped(**count)));
        let kinds = [
            ("grey", self.grey),
            ("with alpha, which is dropped", self.alpha),
            ("of 16 bits, kept to 8", self.deep),
            ("turned upright", self.turned),
        ];
        let kinds = kinds.iter().filter(|(_, count)| *count > 0);
        let kinds = kinds.map(|(kind, count)| format!("{} {kind}", self.share(*count)));
        let rate = format!(
            "{:.0} images/s read, decoded and resized on {} threads",
            self.images_per_s, self.threads
        );
        let facts = [
            ("formats", formats.collect::<Vec<_>>().join(", ")),
            ("pictures", kinds.collect::<Vec<_>>().join(", ")),
            ("passed over", tell_kinds(&self.passed_over)),
            ("rate", rate),
        ];
        let told = facts.into_iter().filter(|(_, value)| !value.is_empty());
        told.map(|(key, value)| vec![key.to_owned(), value])
            .collect()
    }

    fn share(&self, count: usize) -> String {
        format!("{:.1} %", 100.0 * count as f64 / self.readable as f64)
    }

    fn spreads(&self) -> String {
        let row = |what: &str, spread: Spread, told: fn(u64) -> String| {
            let Spread { min, median, max } = spread;
            vec![what.to_owned(), told(min), told(median), told(max)]
        };
        let pixels = |value: u64| format!("{} px", grouped(value as usize));
        let header = ["", "least", "median", "most"].map(str::to_owned).to_vec();
        let rows = [
            header,
            row("width", self.width, pixels),
            row("height", self.height, pixels),
            row("file", self.bytes, bytes),
        ];
        columns(
            &[Align::Left, Align::Right, Align::Right, Align::Right],
            &rows,
        )
    }
}

impl Problems {
    fn told(&self, size: usize, looked_at: usize) -> String {
        let small = self.small.iter().take(NAMED);
        let small = small.map(
            |Named {
                 name,
                 what: [width, height],
             }| format!("  {name}: {width} × {height}\n"),
        );
        let alike = self.duplicates.iter().take(NAMED);
        let alike = alike.map(|group| match &group[..] {
            [one, other] => format!("  {one} = {other}\n"),
            [one, other, rest @ ..] => format!("  {one} = {other} and {} more\n", rest.len()),
            _ => unreachable!("a group has two or more"),
        });
        let again: usize = self.duplicates.iter().map(|group| group.len() - 1).sum();
        let smaller = format!("smaller than {size} px, to be enlarged");
        let kinds: [(&str, usize, usize, Vec<String>); 5] = [
            known("cannot be read", &self.unreadable),
            known("too many pixels", &self.too_large),
            known("folders that cannot be looked into", &self.closed),
            (
                &smaller,
                self.small.len(),
                self.small.len(),
                small.collect(),
            ),
            (
                "the same bytes as another",
                again,
                self.duplicates.len(),
                alike.collect(),
            ),
        ];
        let mut text = String::new();
        for (what, count, places, lines) in kinds.iter().filter(|kind| kind.1 > 0) {
            text += &format!("{what}: {}\n", grouped(*count));
            lines.iter().for_each(|line| text += line);
            if *places > lines.len() {
                let more = grouped(places - lines.len());
                text += &format!("  and {more} more; --json names them all\n");
            }
        }
        let lost = self.unreadable.len() + self.too_large.len();
        if lost > TOLERATED_ALWAYS && 100 * lost > TOLERATED_PERCENT * looked_at {
            text += &format!("A run stops where more than {TOLERATED_PERCENT} % cannot be read.\n");
        }
        match text.is_empty() {
            true => "no problems\n".into(),
            false => text,
        }
    }
}

/// A kind of problem, how many there are, how many could be named, and the first of them.
fn known<'a>(what: &'a str, problems: &[Named<String>]) -> (&'a str, usize, usize, Vec<String>) {
    let first = problems.iter().take(NAMED);
    let lines = first.map(|Named { name, what }| match name.chars().count() {
        // The name of a file is never broken: what is the matter goes below it.
        length if 4 + length + what.chars().count() > WIDTH => {
            let below = broken(what, WIDTH - 4).into_iter();
            let below: String = below.map(|line| format!("    {line}\n")).collect();
            format!("  {name}:\n{below}")
        }
        _ => format!("  {name}: {what}\n"),
    });
    (what, problems.len(), problems.len(), lines.collect())
}

fn images(count: usize) -> String {
    match count {
        1 => "1 image".into(),
        many => format!("{} images", grouped(many)),
    }
}

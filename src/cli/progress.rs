//! Tells a person at a terminal, or a log file, how a run is doing.

use super::screen;
use indicatif::{ProgressBar, ProgressStyle};
use mimc::{
    data::Skipped,
    text::{
        columns::{Align, WIDTH, broken, columns},
        units::{duration, grouped},
    },
    train::{
        changes::{Change, Meaning},
        metrics::Record,
        run::{Event, Observer, Started},
    },
};
use std::io::{self, Write};

/// Two lines that move with every step on a terminal, and elsewhere a line every so many steps; messages in between.
pub struct Progress {
    sink: Sink,
    log_every: u64,
    goal: u64,
    pace: Pace,
    /// Images passed over.
    unreadable: usize,
}

/// So many images that are passed over are named on the screen.
const NAMED: usize = 10;

enum Sink {
    Bar(ProgressBar),
    /// A lost line of progress is no reason to stop: errors of the writer are passed over.
    Lines(Box<dyn Write>),
    /// Warnings alone.
    Quiet(Box<dyn Write>),
}

impl Progress {
    /// Writes to standard error. `log_every` counts steps and matters only where standard error is no terminal.
    pub fn stderr(log_every: u64) -> Self {
        let sink = match (screen::quiet(), screen::moves()) {
            (true, _) => Sink::Quiet(Box::new(io::stderr())),
            (false, true) => Sink::Bar(new_bar()),
            (false, false) => Sink::Lines(Box::new(io::stderr())),
        };
        Self::new(sink, log_every)
    }

    /// Writes plain lines.
    #[cfg(test)]
    fn lines(to: impl Write + 'static, log_every: u64) -> Self {
        Self::new(Sink::Lines(Box::new(to)), log_every)
    }

    fn new(sink: Sink, log_every: u64) -> Self {
        Self {
            sink,
            log_every: log_every.max(1),
            goal: 0,
            pace: Pace::default(),
            unreadable: 0,
        }
    }

    fn say(&mut self, message: &str) {
        if !matches!(self.sink, Sink::Quiet(_)) {
            self.warn(message);
        }
    }

    fn warn(&mut self, message: &str) {
        match &mut self.sink {
            Sink::Bar(bar) => bar.println(message),
            Sink::Lines(to) | Sink::Quiet(to) => drop(writeln!(to, "{message}")),
        }
    }

    fn passed_over(&mut self, Skipped { name, reason }: &Skipped) {
        self.unreadable += 1;
        match self.unreadable {
            ..=NAMED => self.warn(&format!("passed over {name}: {reason}")),
            _ if self.unreadable == NAMED + 1 => {
                self.warn("more images are passed over; unreadable.txt names them all")
            }
            _ => {}
        }
    }

    fn begin(&mut self, started: &Started) {
        self.goal = started.goal;
        self.say(&describe(started));
        if let Sink::Bar(bar) = &self.sink {
            bar.set_length(started.goal);
            bar.set_position(started.step);
        }
    }

    fn step(&mut self, record: &Record) {
        self.pace.add(record);
        let width = self.goal.to_string().len();
        let place = format!("step {:>width$}/{}", record.step, self.goal);
        let numbers = format!(
            "loss {:.4}  lr {:.2e}  grad norm {:.2}",
            record.loss, record.lr, record.grad_norm
        );
        if let Some(held_out) = record.held_out {
            self.say(&format!(
                "held-out loss {held_out:.4} behind step {}",
                record.step
            ));
        }
        let pace = self.pace.tell(self.goal - record.step);
        let due = record.step.is_multiple_of(self.log_every)
            || record.step == self.goal
            || self.pace.steps_seen == 1;
        match &mut self.sink {
            Sink::Bar(bar) => {
                bar.set_message(format!("{place}  {pace}"));
                bar.set_prefix(numbers);
                bar.set_position(record.step);
            }
            Sink::Lines(to) if due => drop(writeln!(to, "{place}  {numbers}  {pace}")),
            Sink::Lines(_) | Sink::Quiet(_) => {}
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started(started) => self.begin(&started),
            Event::Step(record) => self.step(record),
            // For whoever draws curves.
            Event::Gradients(_) => {}
            Event::Unreadable(image) => self.passed_over(image),
            Event::SetAside(folder) => {
                self.say(&format!("moved the earlier run to {}", folder.display()))
            }
            Event::Damaged(error) => {
                self.warn(&format!("passed over a damaged checkpoint: {error}"))
            }
            Event::NothingToResume(folder) => {
                let folder = folder.display();
                self.warn(&format!(
                    "found no checkpoint in {folder}: starting at step 0"
                ));
            }
            Event::Changed(changes) => {
                self.warn("this has changed since the checkpoint:");
                self.warn(&changed_lines(changes));
            }
            Event::Tight { room, checkpoints } => {
                let kept = format!("{checkpoints} of them are kept at once");
                let told = format!(
                    "warning: {room}; {kept}, so the disk will be full before the run ends"
                );
                self.warn(&broken(&told, WIDTH).join("\n"));
            }
            Event::Resumed { checkpoint, step } => {
                self.say(&format!(
                    "resumed behind step {step} from {}",
                    checkpoint.display()
                ));
            }
            Event::Saved(path) => self.say(&format!("saved {}", path.display())),
            Event::Drawn(path) => self.say(&format!("drew {}", path.display())),
            Event::Stopping => {
                self.say("stopping: saving the last step; a second signal ends at once")
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            // The last state stays on the screen.
            bar.abandon();
        }
    }
}

/// Two lines of at most 80 columns: how far and how fast, and below it the numbers.
fn new_bar() -> ProgressBar {
    let template = "{percent:>3} % {bar:12.cyan/blue.dim} {wide_msg}
      {prefix}";
    let style = ProgressStyle::with_template(template)
        .expect("the template has only known keys")
        .progress_chars("━╸─");
    ProgressBar::new(0).with_style(style)
}

/// How fast a run goes, over about the last twenty steps.
#[derive(Debug, Default)]
struct Pace {
    steps: f64,
    images: f64,
    seconds: f64,
    waited: f64,
    steps_seen: u64,
}

impl Pace {
    const KEEP: f64 = 0.95;

    fn add(&mut self, record: &Record) {
        let add = |mean: &mut f64, value: f64| *mean = Self::KEEP * *mean + value;
        add(&mut self.steps, 1.0);
        add(&mut self.images, record.images_per_s * record.seconds);
        add(&mut self.seconds, record.seconds);
        add(&mut self.waited, record.data_wait);
        self.steps_seen += 1;
    }

    fn tell(&self, steps_left: u64) -> String {
        let waited = 100.0 * self.waited / self.seconds;
        // Where nobody waits, that is not worth a column.
        let waited = match waited < 0.5 {
            true => String::new(),
            false => format!("  data wait {waited:.0} %"),
        };
        format!(
            "{:.1} images/s{waited}  ETA {}",
            self.images / self.seconds,
            duration(steps_left as f64 * self.seconds / self.steps),
        )
    }
}

/// `training on 400 images: steps 1 to 200, batch 16 as 2 × 8, base lr 1.00e-3`
fn describe(started: &Started) -> String {
    let Started {
        images,
        names: _,
        batch,
        micro_batch,
        step,
        goal,
        total,
        rates,
    } = *started;
    let of_all = if goal < total {
        format!(" of {total}")
    } else {
        String::new()
    };
    if step >= goal {
        return format!("nothing to do: step {step} is made, and the run ends at {goal}{of_all}");
    }
    let parts = match batch / micro_batch {
        1 => String::new(),
        parts => format!(" as {parts} × {micro_batch}"),
    };
    format!(
        "training on {} images: steps {} to {goal}{of_all}, batch {batch}{parts}, base lr {:.2e}",
        grouped(images),
        step + 1,
        rates.base
    )
}

/// One line for each change, in columns.
fn changed_lines(changes: &[Change]) -> String {
    let row = |change: &Change| {
        let Change { key, was, is, .. } = change;
        let meaning = match change.meaning {
            Meaning::Goes(how) => how,
            Meaning::Same | Meaning::Another => "",
        };
        vec![
            format!("  {key}"),
            format!("{was} → {is}"),
            meaning.to_owned(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    columns(&[Align::Left; 3], &rows).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, path::Path, rc::Rc};

    use super::*;
    use mimc::train::{changes, schedule::Rates};

    #[derive(Clone, Default)]
    struct Page(Rc<RefCell<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(step: u64) -> Record {
        Record {
            step,
            epoch: 0,
            loss: 0.5,
            lr: 1e-3,
            grad_norm: 1.234,
            images_per_s: 64.0,
            data_wait: 0.01,
            seconds: 0.25,
            held_out: None,
        }
    }

    #[test]
    fn plain_lines_tell_what_a_person_wants_to_know() {
        let page = Page::default();
        let mut progress = Progress::lines(page.clone(), 50);
        progress.observe(Event::Started(Started {
            images: 400,
            names: "",
            batch: 16,
            micro_batch: 8,
            step: 0,
            goal: 120,
            total: 1000,
            rates: Rates {
                base: 1e-3,
                warmup: 1e-6,
                min: 0.0,
            },
        }));
        for step in 1..=120 {
            progress.observe(Event::Step(&record(step)));
        }
        progress.observe(Event::Saved(Path::new("a/step_000120.safetensors")));
        let text = String::from_utf8(page.0.borrow().clone()).expect("text");
        let line = |step: u64, eta: &str| {
            format!(
                "step {step:>3}/120  loss 0.5000  lr 1.00e-3  grad norm 1.23  64.0 images/s  data wait 4 %  ETA {eta}"
            )
        };
        let expected = [
            "training on 400 images: steps 1 to 120 of 1000, batch 16 as 2 × 8, base lr 1.00e-3"
                .to_owned(),
            line(1, "30s"),
            line(50, "18s"),
            line(100, "5s"),
            line(120, "0s"),
            "saved a/step_000120.safetensors".to_owned(),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_flood_of_unreadable_images_is_stemmed() {
        let page = Page::default();
        let mut progress = Progress::lines(page.clone(), 1);
        for image in 0..50 {
            progress.observe(Event::Unreadable(&Skipped {
                name: format!("{image}.jpg"),
                reason: "the file is empty".into(),
            }));
        }
        let text = String::from_utf8(page.0.borrow().clone()).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[9], "passed over 9.jpg: the file is empty");
        assert!(lines[10].contains("unreadable.txt"));
    }

    #[test]
    fn changed_lines_show_both_sides_and_what_comes_of_it() {
        let was = changes::settings("train: { epochs: 100, keep: 3 }");
        let is = changes::settings("train: { epochs: 200, keep: 5 }");
        assert_eq!(
            changed_lines(&changes::between(&was, &is)),
            "  train.epochs  100 → 200  the schedule is laid out anew; the step it stands at\n\
             \x20                          stays\n  \
             train.keep    3 → 5"
        );
    }
}

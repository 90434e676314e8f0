//! The folder of a run tells of itself: `report.html` and `manifest.json`, kept up while it goes on.

use super::manifest::{Machine, Manifest, Session};
use mimc::{
    export::report::{self, Ran, Times},
    text::units::{bytes, grouped},
    train::{
        error::TrainError,
        metrics::{self, Record},
        replace::replace,
        run::{Event, Gradients, Observer, Run, Started, Summary},
    },
};
use std::{
    fs, io,
    time::{Duration, Instant},
};

/// Writes what it hears. It is no result: where it cannot be written, that is told once and the run goes on without.
pub struct Chronicle<'a> {
    run: &'a Run,
    /// What the recipe says of itself.
    doc: String,
    backend: &'static str,
    /// Seconds of a step by kind of kernel, foretold.
    foretold: Vec<(String, f64)>,
    manifest: Option<Manifest>,
    goal: u64,
    total: u64,
    begun: Instant,
    /// Of this session.
    times: Times,
    gradients: Vec<(String, f32)>,
    gradients_of: u64,
    /// When the report was written last, and how long that took.
    written: Option<(Instant, Duration)>,
    failed: bool,
}

/// The report may take this share of the time.
const SHARE: u32 = 50;
/// Bytes of pictures in a report.
const PICTURES: usize = 12 << 20;
/// Pictures in a report: the first, the last, and some in between.
const SHOWN: usize = 6;

impl<'a> Chronicle<'a> {
    pub fn new(
        run: &'a Run,
        doc: String,
        backend: &'static str,
        foretold: Vec<(String, f64)>,
    ) -> Self {
        Self {
            run,
            doc,
            backend,
            foretold,
            manifest: None,
            goal: 0,
            total: 0,
            begun: Instant::now(),
            times: Times::default(),
            gradients: Vec::new(),
            gradients_of: 0,
            written: None,
            failed: false,
        }
    }

    /// Writes both for the last time. A run that did not begin leaves none.
    pub fn end(mut self, outcome: &Result<Summary, TrainError>) {
        let state = match outcome {
            Ok(summary) if summary.interrupted => "stopped".to_owned(),
            Ok(_) => "finished".to_owned(),
            Err(error) => format!("failed: {error}"),
        };
        if let Some(session) = self.manifest.as_mut().and_then(Manifest::session) {
            session.end(state);
            self.keep();
            self.write();
        }
    }

    /// A run that has nothing to do leaves everything as it is.
    fn begin(&mut self, started: &Started) {
        if started.step >= started.goal {
            return;
        }
        (self.goal, self.total) = (started.goal, started.total);
        self.begun = Instant::now();
        self.manifest = Some(Manifest::begin(self.run, started, self.backend));
        self.keep();
    }

    fn step(&mut self, record: &Record) {
        self.times.steps += record.seconds;
        self.times.waiting += record.data_wait;
        if let Some(session) = self.manifest.as_mut().and_then(Manifest::session) {
            session.steps[1] = record.step;
        }
    }

    fn hear_gradients(&mut self, told: &Gradients) {
        let of_each = told.weights.iter().zip(told.norms);
        self.gradients = of_each
            .map(|(weight, norm)| (weight.name.clone(), *norm))
            .collect();
        self.gradients_of = told.step;
    }

    /// Unless that would take too much of the time.
    fn write_now_and_then(&mut self) {
        let due = |(last, took): (Instant, Duration)| last.elapsed() > SHARE * took;
        if self.written.is_none_or(due) {
            self.write();
        }
    }

    fn keep(&mut self) {
        if let Some(manifest) = &self.manifest {
            let written = manifest.write(&self.run.output);
            self.pass_over("manifest.json", written);
        }
    }

    fn write(&mut self) {
        let began = Instant::now();
        let written = self.page().and_then(|page| {
            let output = &self.run.output;
            replace(output.disk(), &output.report(), |file| {
                file.write_all(page.as_bytes())
            })
        });
        self.pass_over("report.html", written);
        self.written = Some((Instant::now(), began.elapsed()));
    }

    fn pass_over(&mut self, file: &str, written: io::Result<()>) {
        if let (Err(error), false) = (written, self.failed) {
            self.failed = true;
            let folder = self.run.output.folder().display();
            super::screen::warn(format_args!("no {file} in {folder}: {error}"));
        }
    }

    fn page(&self) -> io::Result<String> {
        let output = &self.run.output;
        let records = metrics::read(&output.metrics())?;
        let all = self.begun.elapsed().as_secs_f64();
        let sessions = self.manifest.as_ref().map_or(&[][..], |m| &m.sessions);
        Ok(report::run(&Ran {
            title: &self.run.title,
            doc: &self.doc,
            state: sessions.last().map_or("", |session| &session.state),
            recipe: &self.run.recipe,
            records: &records,
            goal: self.goal,
            total: self.total,
            pictures: self.pictures()?,
            times: Times {
                besides: (all - self.times.steps).max(0.0),
                ..self.times
            },
            foretold: &self.foretold,
            gradients: (self.gradients_of, &self.gradients),
            facts: self.facts(),
        }))
    }

    /// The first, the last and some in between, as long as they are not too large.
    fn pictures(&self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let all = self.run.output.pictures()?;
        let count = all.len().min(SHOWN);
        let places = (0..count).map(|at| at * (all.len() - 1) / (count - 1).max(1));
        let mut pictures = Vec::new();
        let mut left = PICTURES;
        // The last one first: it is the one that counts.
        for place in places.rev() {
            let (step, path) = &all[place];
            let bytes = fs::read(path)?;
            if let Some(rest) = left.checked_sub(bytes.len()) {
                left = rest;
                pictures.push((*step, bytes));
            }
        }
        Ok(pictures)
    }

    fn facts(&self) -> Vec<(String, String)> {
        let Some(manifest) = &self.manifest else {
            return Vec::new();
        };
        let mut facts = vec![
            (
                "images".to_owned(),
                format!(
                    "{}, names {}",
                    grouped(manifest.images),
                    manifest.images_checksum
                ),
            ),
            (
                "recipe".to_owned(),
                format!("{}, {}", manifest.recipe, manifest.recipe_checksum),
            ),
        ];
        let sessions = manifest.sessions.iter().enumerate();
        facts.extend(sessions.map(|(at, session)| (format!("session {}", at + 1), told(session))));
        facts
    }
}

fn told(session: &Session) -> String {
    let Session {
        mimc,
        backend,
        machine,
        started,
        ended,
        state,
        steps: [first, last],
        ..
    } = session;
    let Machine {
        processor,
        cores,
        threads,
        memory,
        system,
    } = machine;
    let ended = ended
        .as_ref()
        .map_or(String::new(), |ended| format!(" to {ended}"));
    let memory = memory.map_or(String::new(), |memory| format!(", {}", bytes(memory)));
    format!(
        "{state}, steps {first} to {last}, {started}{ended}; mimc {mimc}, {backend}, {threads} threads on {cores} cores of \
         {processor}{memory}, {system}"
    )
}

impl Observer for Chronicle<'_> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started(started) => self.begin(&started),
            Event::Gradients(gradients) => self.hear_gradients(&gradients),
            Event::Step(record) => self.step(record),
            Event::Drawn(_) | Event::Saved(_) => self.write_now_and_then(),
            _ => {}
        }
    }
}

//! A model small enough to be written out, for tests: every pixel's colour is a linear function of itself, half of the
//! units hidden.

use crate::random::Key;
use crate::train::{
    step::{Draw, Part, Step, StepError, WeightInfo},
    stop::Stop,
};

/// Units per side of an image.
const UNITS: usize = 2;
const MATRIX: usize = 0;
const BIAS: usize = 1;
/// Value, gradient, moments.
type State = [Vec<f32>; 4];

pub struct Linear {
    weights: [WeightInfo; 2],
    state: [State; 2],
    /// Side of an image, in pixels.
    size: usize,
    batch: usize,
    micro_batch: usize,
    image: Vec<f32>,
    decoder: Vec<f32>,
    mask: Vec<f32>,
    /// Runs of [`Step::accumulate`] so far.
    pub runs: u64,
    /// What happens at a run, by its number.
    pub accident: Option<(u64, Accident)>,
}

pub enum Accident {
    LossIsNan,
    GradientIsInfinite,
    /// No number that a step reports shows it.
    MomentIsInfinite,
    Signal(Stop),
    /// A signal, and a program that ends in the middle of the run.
    Interrupt(Stop),
}

impl Linear {
    pub fn new(size: usize, batch: usize, micro_batch: usize) -> Self {
        let info = |name: &str, dims: &[usize]| WeightInfo {
            name: name.into(),
            dims: dims.to_vec(),
            decay: dims.len() > 1,
        };
        let state = |length: usize| -> State { std::array::from_fn(|_| vec![0.0; length]) };
        let mut model = Self {
            weights: [
                info("encoder.weight", &[3, 3]),
                info("decoder.0.bias", &[3]),
            ],
            state: [state(9), state(3)],
            size,
            batch,
            micro_batch,
            image: Vec::new(),
            decoder: Vec::new(),
            mask: Vec::new(),
            runs: 0,
            accident: None,
        };
        let key = Key::new(5);
        let start: Vec<f32> = (0..9).map(|i| key.normal(i) as f32 * 0.1).collect();
        model.write(Part::Value, MATRIX, &start).expect("written");
        model
    }

    /// The same model under another name of its first weight.
    pub fn renamed(mut self, name: &str) -> Self {
        self.weights[MATRIX].name = name.into();
        self
    }

    /// The same model with another shape of its first weight.
    pub fn reshaped(mut self, dims: &[usize]) -> Self {
        self.weights[MATRIX].dims = dims.into();
        self
    }

    /// All that an optimizer step changes, as bits.
    pub fn bits(&self) -> Vec<u32> {
        let parts = [Part::Value, Part::FirstMoment, Part::SecondMoment];
        let all = parts
            .iter()
            .flat_map(|&part| self.state.iter().flat_map(move |s| &s[slot(part)]));
        all.map(|value| value.to_bits()).collect()
    }

    /// The image and position of each colour, with whether it is hidden.
    fn pixels(&self) -> impl Iterator<Item = (usize, bool)> + use<> {
        let (size, mask) = (self.size, self.mask.clone());
        let unit = size / UNITS;
        (0..self.micro_batch * size * size).map(move |i| {
            let (image, y, x) = (i / (size * size), i / size % size, i % size);
            let hidden = mask[image * UNITS * UNITS + y / unit * UNITS + x / unit];
            (image * 3 * size * size + i % (size * size), hidden > 0.0)
        })
    }
}

impl Step for Linear {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, part: Part, index: usize, to: &mut [f32]) -> Result<(), StepError> {
        to.copy_from_slice(&self.state[index][slot(part)]);
        Ok(())
    }

    fn write(&mut self, part: Part, index: usize, from: &[f32]) -> Result<(), StepError> {
        self.state[index][slot(part)].copy_from_slice(from);
        Ok(())
    }

    fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError> {
        assert_eq!(name, "image");
        assert_eq!(values.len(), self.micro_batch * 3 * self.size * self.size);
        self.image = values.to_vec();
        Ok(())
    }

    /// Predicts `W (x · visible) + b` and takes the mean squared error over all pixels.
    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        let key = Key::new(draw.seed).with("mask").at(draw.step);
        let hidden = |image: usize, unit: usize| {
            let uniform = key
                .at(draw.first_sample + image as u64)
                .uniform(unit as u64);
            (uniform < 0.5) as u8 as f32
        };
        self.mask = (0..self.micro_batch)
            .flat_map(|image| (0..UNITS * UNITS).map(move |unit| hidden(image, unit)))
            .collect();
        let plane = self.size * self.size;
        let (matrix, bias) = (&self.state[MATRIX][0], &self.state[BIAS][0]);
        let (mut loss, mut gradients) = (0.0f64, [vec![0.0f64; 9], vec![0.0f64; 3]]);
        self.decoder = vec![0.0; self.image.len()];
        for (at, hidden) in self.pixels() {
            let seen = |c: usize| {
                if hidden {
                    0.0
                } else {
                    self.image[at + c * plane]
                }
            };
            for c in 0..3 {
                let prediction: f32 =
                    (0..3).map(|d| matrix[c * 3 + d] * seen(d)).sum::<f32>() + bias[c];
                self.decoder[at + c * plane] = prediction;
                let error = (prediction - self.image[at + c * plane]) as f64;
                loss += error * error;
                gradients[BIAS][c] += 2.0 * error;
                for d in 0..3 {
                    gradients[MATRIX][c * 3 + d] += 2.0 * error * seen(d) as f64;
                }
            }
        }
        let values = self.image.len() as f64;
        let accumulations = (self.batch / self.micro_batch) as f64;
        for (state, gradient) in self.state.iter_mut().zip(gradients) {
            for (sum, g) in state[slot(Part::Gradient)].iter_mut().zip(gradient) {
                *sum += (g / values / accumulations) as f32;
            }
        }
        self.runs += 1;
        match &self.accident {
            Some((run, accident)) if *run == self.runs => match accident {
                Accident::LossIsNan => return Ok(f32::NAN),
                Accident::GradientIsInfinite => {
                    self.state[BIAS][slot(Part::Gradient)][0] = f32::INFINITY
                }
                Accident::MomentIsInfinite => {
                    self.state[BIAS][slot(Part::SecondMoment)][0] = f32::INFINITY
                }
                Accident::Signal(stop) => drop(stop.request()),
                Accident::Interrupt(stop) => {
                    stop.request();
                    return Err(StepError::Interrupted);
                }
            },
            _ => {}
        }
        Ok((loss / values) as f32)
    }

    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError> {
        let squares = self
            .state
            .iter()
            .flat_map(|s| &s[slot(Part::Gradient)])
            .map(|g| g * g);
        let norm = squares.sum::<f32>().sqrt();
        let clip = (5.0 / (norm + 1e-6)).min(1.0);
        let correction = |beta: f32| 1.0 - beta.powi(update as i32);
        for (info, [value, gradient, first, second]) in self.weights.iter().zip(&mut self.state) {
            for i in 0..value.len() {
                let g = gradient[i] * clip;
                first[i] = 0.9 * first[i] + 0.1 * g;
                second[i] = 0.999 * second[i] + 0.001 * g * g;
                let decay = if info.decay { 0.05 } else { 0.0 };
                let step =
                    first[i] / correction(0.9) / ((second[i] / correction(0.999)).sqrt() + 1e-8);
                value[i] -= lr * (step + decay * value[i]);
                gradient[i] = 0.0;
            }
        }
        Ok(norm)
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, StepError> {
        match name {
            "decoder" => Ok(self.decoder.clone()),
            "mask" => Ok(self.mask.clone()),
            _ => Err(StepError::UnknownOutput {
                name: name.into(),
                known: vec!["decoder".into(), "mask".into()],
            }),
        }
    }
}

fn slot(part: Part) -> usize {
    match part {
        Part::Value => 0,
        Part::Gradient => 1,
        Part::FirstMoment => 2,
        Part::SecondMoment => 3,
    }
}

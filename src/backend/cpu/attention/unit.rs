//! What one index of the batch reads and writes.

use super::Heads;
use super::bias::{BiasRows, UnitBias};
use super::dropout::UnitDraws;
use crate::backend::cpu::gemm::matrix::{Matrix, offset_of};
use crate::backend::cpu::{Launch, Memory};

pub struct Unit<'a> {
    pub index: usize,
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub out: Matrix,
    pub biases: Vec<UnitBias>,
    pub draws: Option<UnitDraws<'a>>,
    log_sum: *mut f32,
    log_sum_stride: usize,
}

impl<'a> Unit<'a> {
    pub fn new<S>(
        heads: &'a Heads<S>,
        memory: &Memory,
        launch: &Launch,
        biases: &[BiasRows],
        index: usize,
    ) -> Self {
        let attention = &heads.attention;
        let batch = &attention.batch;
        let (buffer, access) = &attention.log_sum;
        let (outer, inner) = access.strides.split_at(batch.len());
        Unit {
            index,
            q: Matrix::at(memory, &attention.q, batch, index),
            k: Matrix::at(memory, &attention.k, batch, index),
            v: Matrix::at(memory, &attention.v, batch, index),
            out: Matrix::at(memory, &attention.out, batch, index),
            biases: biases.iter().map(|bias| bias.unit(index)).collect(),
            draws: heads.draws.as_ref().map(|draws| draws.unit(launch, index)),
            log_sum: memory
                .at(*buffer)
                .wrapping_add(access.offset + offset_of(batch, outer, index)),
            log_sum_stride: inner[0],
        }
    }

    /// Where the log-sum-exp of a query's scores goes.
    pub fn log_sum(&self, query: usize) -> *mut f32 {
        self.log_sum.wrapping_add(query * self.log_sum_stride)
    }
}

//! What one index of the batch reads and writes.

use super::Heads;
use super::bias::{BiasRows, UnitBias};
use super::dropout::UnitDraws;
use crate::backend::cpu::gemm::matrix::{Index, Matrix};
use crate::backend::cpu::gemm::stored::Stored;
use crate::backend::cpu::{Launch, Memory};

pub struct Unit<'a> {
    pub index: Index,
    pub q: Stored,
    pub k: Stored,
    pub v: Stored,
    pub out: Stored,
    /// One row: the log-sum-exp of each query's scores.
    pub log_sum: Matrix,
    pub biases: Vec<UnitBias>,
    pub draws: Option<UnitDraws<'a>>,
}

impl<'a> Unit<'a> {
    pub fn new<S: 'static>(
        heads: &'a Heads<S>,
        memory: &Memory,
        launch: &Launch,
        biases: &[BiasRows],
        number: usize,
    ) -> Self {
        let attention = &heads.attention;
        let index = Index::new(&attention.batch, number);
        let (buffer, access) = &attention.log_sum;
        let (outer, inner) = access.strides.split_at(attention.batch.len());
        let log_sum = Matrix {
            first: memory.at(*buffer),
            row: 0,
            column: inner[0],
        };
        Unit {
            q: heads.q.at(memory, &index),
            k: heads.k.at(memory, &index),
            v: heads.v.at(memory, &index),
            out: heads.out.at(memory, &index),
            log_sum: log_sum.shifted(access.offset + index.offset(outer)),
            biases: biases.iter().map(|bias| bias.unit(&index)).collect(),
            draws: heads.draws.as_ref().map(|draws| draws.unit(launch, &index)),
            index,
        }
    }
}

//! The texts of a page, each once.

use std::collections::HashMap;

/// What is named by its place stands here.
#[derive(Default)]
pub struct Words {
    at: HashMap<String, usize>,
    all: Vec<String>,
}

impl Words {
    /// The place of a text.
    pub fn at(&mut self, text: &str) -> usize {
        if let Some(&at) = self.at.get(text) {
            return at;
        }
        self.all.push(text.to_owned());
        self.at.insert(text.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }

    pub fn all(self) -> Vec<String> {
        self.all
    }
}

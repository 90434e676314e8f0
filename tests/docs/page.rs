//! Pages of Markdown and the blocks in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A page, by its path in the repository.
pub struct Page {
    pub name: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

/// A fenced block.
pub struct Block {
    /// `sh`, `console`, `yaml`
    pub language: String,
    /// Of its first line, from 1.
    pub line: usize,
    pub text: String,
    /// The file that the words before it say it is: "Save this as `recipes/mine.yaml`".
    pub saved_as: Option<String>,
    /// Of a block of `diff`, the file that it changes, named at the end of the line before: "in `recipes/mine.yaml`:"
    pub changes: Option<String>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page under `docs`, in the order of their names.
pub fn pages() -> Vec<Page> {
    let listed = fs::read_dir(root().join("docs")).expect("there are pages");
    let mut paths: Vec<PathBuf> = listed
        .map(|page| page.expect("can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root().join("README.md")])
        .collect();
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

impl Page {
    fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).expect("a page is text");
        let name = path
            .strip_prefix(root())
            .expect("it lies in the repository");
        Page {
            name: name.display().to_string(),
            blocks: blocks(&text),
            text,
        }
    }

    /// Lines without those of blocks, with their numbers.
    pub fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut inside = false;
        let lines = self.text.lines().enumerate();
        lines.filter_map(move |(at, line)| {
            let fence = line.starts_with("```");
            inside ^= fence;
            (!inside && !fence).then_some((at + 1, line))
        })
    }

    /// Commands that are set in by spaces, where no test looks for them.
    pub fn stray_commands(&self) -> impl Iterator<Item = &str> {
        let lines = self.prose().map(|(_, line)| line);
        lines.filter(|line| {
            let set_in = line.strip_prefix("    ");
            set_in.is_some_and(|line| {
                ["mimc ", "cargo ", "$ "]
                    .iter()
                    .any(|c| line.starts_with(c))
            })
        })
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut saved_as = None;
    let mut changes = None;
    for (at, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push(Block {
                    language: language.to_owned(),
                    line: at + 2,
                    text: String::new(),
                    saved_as: saved_as.take(),
                    changes: changes.take().filter(|_| language == "diff"),
                });
            }
            None if open => {
                let block = blocks.last_mut().expect("one is open");
                block.text += line;
                block.text += "\n";
            }
            None => {
                if let Some((_, file)) = line.split_once("Save this as `") {
                    saved_as = file.split('`').next().map(str::to_owned);
                }
                if let Some(before) = line.strip_suffix("`:") {
                    changes = before.rsplit('`').next().map(str::to_owned);
                }
            }
        }
    }
    assert!(!open, "a block does not end");
    blocks
}

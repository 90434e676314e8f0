//! What becomes of commands that are not run as they stand.

/// How a command is run here.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// As the page has it, to a good end.
    AsItStands,
    /// As the page has it, which shows what mimc says of a mistake: exit code 1.
    Fails,
    /// With more words, which make it cheap. An option that is there already takes this value.
    With(&'static str),
    /// As another that does the same.
    As(&'static str),
    /// Not at all, for this reason.
    NotHere(&'static str),
}
use How::{As, AsItStands, Fails, NotHere, With};

/// A large model with one narrow block in each stage, on two images.
const SMALL_SWIN: &str =
    "--steps 1 --set train.batch=2 --set model.encoder.depths=[1,1,1,1] --set model.encoder.dim=32";

/// Every command that is no command of mimc's, or takes too long, or is there to fail, by its page and as the page has it. A command of
/// mimc's that is not here is run as it stands.
pub const ROWS: &[(&str, &str, How)] = &[
    (
        "README.md",
        "cargo run --release -- run",
        As("mimc run --steps 2"),
    ),
    (
        "README.md",
        "cargo test --release",
        NotHere("this test is a part of it"),
    ),
    (
        "README.md",
        "mimc run swin_b --data photos --set train.batch=8 --steps 20",
        With(SMALL_SWIN),
    ),
    (
        "README.md",
        "mimc compile swin_b --set model.encoder.window=7",
        Fails,
    ),
    (
        "README.md",
        "mimc run swin_b --data photos",
        With(SMALL_SWIN),
    ),
    ("README.md", "mimc run mine", With("--steps 2")),
    (
        "README.md",
        "mimc run quickstart --resume",
        With("--steps 3"),
    ),
    (
        "docs/adding.md",
        "mimc compile quickstart --set model.masking.graph=mask.right_half",
        Fails,
    ),
    (
        "docs/adding.md",
        "cargo test --release --lib --no-run",
        NotHere("it builds what is being tested"),
    ),
    (
        "docs/adding.md",
        "valgrind --error-exitcode=1 target/release/deps/mimc-… backend::cpu",
        NotHere("it takes valgrind, and an hour"),
    ),
    (
        "docs/data.md",
        "mimc run swin_b --data archives --set data.shuffle_buffer=4096",
        With(SMALL_SWIN),
    ),
    (
        "docs/data.md",
        "mimc run swin_b --data photos/train --set data.validation=photos/val --set train.batch=64",
        With(SMALL_SWIN),
    ),
    (
        "docs/errors.md",
        "MIMC_UPDATE=1 cargo test --release --test errors",
        NotHere("another test, and it writes into the repository"),
    ),
    (
        "docs/gpu.md",
        "mimc run swin_b --data photos",
        With(SMALL_SWIN),
    ),
    (
        "docs/gpu.md",
        "mimc run swin_b --data photos --backend cuda",
        NotHere("it takes a GPU"),
    ),
    (
        "docs/torch.md",
        "MIMC_PYTHON=python3 cargo test --release --test torch",
        NotHere("another test, which takes PyTorch"),
    ),
    (
        "docs/tour.md",
        "cargo install --path .",
        NotHere("it builds what is being tested"),
    ),
    (
        "docs/tour.md",
        "source <(mimc completions bash)",
        AsItStands,
    ),
    (
        "docs/tour.md",
        "mimc run mine",
        With(
            "--set train.epochs=1 --set train.schedule.warmup_epochs=0.5 --set model.encoder.dim=16",
        ),
    ),
];

/// How a command of a page is run.
///
/// # Errors
/// Where it is none of mimc's and not in the table.
pub fn how(page: &str, command: &str) -> Result<How, String> {
    let row = ROWS.iter().find(|row| (row.0, row.1) == (page, command));
    match row {
        Some((.., how)) => Ok(*how),
        None if command.starts_with("mimc ") => Ok(AsItStands),
        None => Err("is no command of mimc's and not in tests/docs/table.rs".into()),
    }
}

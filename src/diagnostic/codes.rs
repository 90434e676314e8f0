//! Every code that a message can carry, with what it means.

/// A code and its meaning in one line.
#[derive(Debug)]
pub struct Code {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What is wrong where it is told.
    pub meaning: &'static str,
}

const fn row(code: &'static str, meaning: &'static str) -> Code {
    Code { code, meaning }
}

/// What can be wrong with, or doubtful about, a recipe and its graph files. Each has a case under `tests/errors`.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    // files
    row("unknown-recipe", "No file and no built-in recipe has this name."),
    row("unreadable", "The file cannot be read."),
    row("not-utf8", "The file is not UTF-8 text."),
    row("too-large", "Something is larger than mimc accepts: a file, a number, a tensor, a model."),
    row("too-deep", "Lists, expressions or graphs nest deeper than mimc accepts."),
    // YAML
    row("yaml-syntax", "This is not YAML, or not one document of it."),
    row("yaml-reference", "Anchors, aliases and tags are not part of the language."),
    row("yaml-key", "A key is a list or a mapping."),
    row("tab", "A tab indents the line."),
    row("control-character", "A character that is not text."),
    row("duplicate-key", "A key stands twice in one mapping."),
    // keys and values
    row("unknown-key", "There is no such key here."),
    row("missing-key", "A key that has to be there is not."),
    row("wrong-kind", "A mapping, a list or a single value was wanted, and another of them was found."),
    row("wrong-type", "The value is of another type than the one wanted."),
    row("out-of-range", "The number lies outside what is allowed."),
    row("keys-disagree", "Two keys of the recipe exclude each other."),
    row("set-syntax", "A `--set` argument is not PATH=VALUE."),
    row("set-path", "A `--set` path leads into something that is no mapping."),
    // graph files
    row("reserved-name", "This cannot be a name, or has a meaning of its own."),
    row("name-taken", "The name is bound already."),
    row("undefined-name", "The name is bound nowhere, or not where it is used."),
    row("unused", "Nothing uses this param, weight or step."),
    row("circle", "A value needs itself."),
    row("out-of-order", "A step is used above the line that makes it."),
    row("missing-expression", "There is no expression where one has to be."),
    row("expression-syntax", "The expression does not parse."),
    row("escaped-expression", "YAML escapes inside an expression."),
    row("duplicate-keyword", "A call gives the same keyword twice."),
    row("shape-syntax", "`...` stands where it cannot."),
    row("wrong-scope", "A scope is not one part of a weight's name."),
    row("untyped-param", "Nothing says the type of a param."),
    row("unknown-type", "There is no such type."),
    row("wrong-default", "The default does not fit its own param."),
    row("wrong-range", "The range of a param is no range."),
    // calls
    row("unknown-graph", "There is no graph of this name."),
    row("unknown-param", "The graph has no such param."),
    row("missing-param", "The graph has a param without a default, and nobody gives it."),
    row("given-twice", "A recipe sets a param that the calling graph gives."),
    row("not-a-choice", "The value is none of those that the param offers."),
    row("wrong-inputs", "The graph takes other tensors."),
    row("wrong-call", "The built-in is called with other arguments."),
    row("does-not-hold", "A condition under `require` does not hold."),
    // tensors
    row("size-differs", "One axis has two sizes."),
    row("shapes-differ", "The shapes of two tensors do not go together."),
    row("rank-differs", "The tensor has another number of axes."),
    row("too-many-axes", "A tensor of more than 6 axes."),
    row("empty-axis", "A tensor without elements."),
    row("wrong-size", "The size of an axis is not a whole number from 1."),
    row("division-by-zero", "A division by zero."),
    row("not-real", "The root of a negative number."),
    row("not-constant", "Rows are taken by something that is not known beforehand."),
    row("draw-over-batch", "Random numbers that would depend on how the batch is cut."),
    row("not-an-objective", "The first output of a model is not one number."),
    row("unfed-input", "A run feeds images alone, and the model wants more."),
    // patterns
    row("pattern-syntax", "The pattern does not parse, or is not one for this built-in."),
    row("does-not-divide", "An axis does not split into these factors."),
    row("unknown-size", "Nothing says the size of an axis."),
    row("unknown-axis", "The pattern has no such axis."),
    row("axis-lost", "An axis stands on one side of the arrow alone."),
    row("nothing-marked", "No axis is marked with brackets."),
    // weights
    row("buried-weights", "A call that owns weights stands inside an expression."),
    row("weight-off", "The weight is switched off where it is used."),
    row("idle-weight", "The loss does not depend on the weight."),
    row("no-fan-in", "The fan-in has nothing to be taken from."),
    // warnings
    row("against-advice", "A condition under `advise` does not hold."),
    row("doubtful-rate", "The learning rate is far from any that is known to work."),
    row("doubtful-warmup", "The warm-up takes more than half of the run."),
    row("doubtful-batch", "The batch is larger than makes sense."),
    row("doubtful-buffer", "The shuffle buffer holds less than a batch."),
    row("doubtful-mask", "Hidden pixels are nearer to visible ones, or farther from them, than is known to train well."),
];

/// What else can fail: the program, its files, the data.
#[rustfmt::skip]
pub const FAILURES: &[Code] = &[
    row("compile", "The micro-batch does not divide the batch, or the model lacks what is asked of it: a gradient, an encoder to exchange."),
    row("backend", "The backend cannot run the program."),
    row("data", "The images cannot be found or read, or are too few."),
    row("schedule", "The run has no steps, or its schedule does not fit it."),
    row("checkpoint", "A checkpoint cannot be written, read or gone on from."),
    row("non-finite", "The loss or the gradient is no number any more."),
    row("reference", "The file of a comparison lacks something."),
    row("folder", "Another process writes into the output folder, or it cannot be claimed."),
    row("memory", "The plan needs more memory than the machine or its control group grants."),
    row("threads", "The threads that compute cannot be started."),
    row("name", "Nothing is called so, or something is already."),
    row("sweep", "More settings are swept than a table has sides."),
    row("file", "A file of the program cannot be written or read."),
    row("output", "Standard output cannot be written."),
];

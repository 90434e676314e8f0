//! Names get their values when they are first reached, each once. A branch that is not taken is not reached.
//!
//! What a step needs is evaluated before it, from a list and not by recursion: a file may chain any number of steps.

use super::{
    Elaborator, limits,
    scope::{Frame, Goal, Path},
    source::Source,
    value::{Data, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    ir::Origin,
    language::{
        expression::{Expr, ExprKind},
        graph_file::{Step, StepBody},
        names::BARE_INITIALISERS,
    },
};

impl Elaborator<'_> {
    /// Gives a value to every name that an expression reaches.
    pub fn settle<'f>(&mut self, frame: &mut Frame<'f>, expr: &'f Expr) -> Result<()> {
        while let Some(goal) = self.unsettled(frame, expr)? {
            self.settle_goal(frame, goal);
        }
        Ok(())
    }

    /// Gives a value to one weight or step.
    pub fn settle_name<'f>(&mut self, frame: &mut Frame<'f>, name: &str) {
        if let Some(goal) = frame.goal(name) {
            self.settle_goal(frame, goal);
        }
    }

    /// A goal that a mistake keeps from its value is broken from then on; the others go on.
    fn settle_goal<'f>(&mut self, frame: &mut Frame<'f>, goal: Goal<'f>) {
        let mut open = vec![goal];
        while let Some(&goal) = open.last() {
            match self.advance(frame, goal) {
                Ok(Some(first)) => open.push(first),
                Ok(None) => {
                    open.pop();
                }
                Err(errors) => {
                    self.record(&frame.path, errors);
                    frame.broken.insert(goal.name());
                    open.pop();
                }
            }
        }
    }

    /// What the goal still needs, or nothing once it has its value.
    fn advance<'f>(&mut self, frame: &mut Frame<'f>, goal: Goal<'f>) -> Result<Option<Goal<'f>>> {
        let first = self.needed(frame, goal)?;
        if first.is_none() {
            self.reach(frame, goal)?;
        }
        Ok(first)
    }

    /// What has to have a value before the goal is evaluated; the library has seen that nothing needs itself.
    fn needed<'f>(&mut self, frame: &Frame<'f>, goal: Goal<'f>) -> Result<Option<Goal<'f>>> {
        let exprs: Vec<&'f Expr> = match goal {
            Goal::Step(step) => match &step.body {
                StepBody::Value(expr) => vec![expr],
                // `each` is settled once per turn, when `prev` and `i` are known.
                StepBody::Repeat { count, from, .. } => vec![count, from],
            },
            Goal::Weight(weight) => {
                if let Some(when) = &weight.when {
                    let first = self.unsettled(frame, when)?;
                    if first.is_some() || !self.holds(frame, when)? {
                        return Ok(first);
                    }
                }
                weight.exprs().collect()
            }
        };
        for expr in exprs {
            if let Some(first) = self.unsettled(frame, expr)? {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// The first weight or step without a value that the evaluation of an expression would meet.
    fn unsettled<'f>(&mut self, frame: &Frame<'f>, expr: &'f Expr) -> Result<Option<Goal<'f>>> {
        self.deeper(&expr.span, |this| match &expr.kind {
            ExprKind::Name(name) => Ok(frame.goal(name)),
            ExprKind::Choice {
                test,
                then,
                otherwise,
            } => {
                if let Some(goal) = this.unsettled(frame, test)? {
                    return Ok(Some(goal));
                }
                let holds = this.holds(frame, test)?;
                this.unsettled(frame, if holds { then } else { otherwise })
            }
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                let decides = matches!(expr.kind, ExprKind::Or(_));
                for operand in operands {
                    if let Some(goal) = this.unsettled(frame, operand)? {
                        return Ok(Some(goal));
                    }
                    if this.holds(frame, operand)? == decides {
                        break;
                    }
                }
                Ok(None)
            }
            _ => {
                for part in expr.children() {
                    if let Some(goal) = this.unsettled(frame, part)? {
                        return Ok(Some(goal));
                    }
                }
                Ok(None)
            }
        })
    }

    fn reach<'f>(&mut self, frame: &mut Frame<'f>, goal: Goal<'f>) -> Result<()> {
        match goal {
            Goal::Weight(weight) => self.create_weight(frame, weight),
            Goal::Step(step) => {
                let path = frame
                    .path
                    .step(step.scope.as_ref().unwrap_or(&step.name.value));
                let value = match &step.body {
                    StepBody::Value(expr) => {
                        self.stand_at(&path);
                        self.eval(frame, expr, Some(&path))?
                    }
                    StepBody::Repeat { .. } => self.repeat(frame, step, &path)?,
                };
                frame.values.insert(&step.name.value, value);
                Ok(())
            }
        }
    }

    /// A fold: every turn sees the value of the one before.
    fn repeat<'f>(&mut self, frame: &mut Frame<'f>, step: &'f Step, path: &Path) -> Result<Value> {
        let StepBody::Repeat { count, from, each } = &step.body else {
            unreachable!("only a repeated step is folded");
        };
        let turns = self.eval(frame, count, None)?;
        let Data::Int(n @ 0..) = turns.data else {
            let message = format!(
                "`repeat` is a whole number from 0, got {}",
                turns.describe()
            );
            return Err(super::about("wrong-type", message, count, &[(count, &turns)]).into());
        };
        if n as usize > limits::MAX_REPEAT {
            let message = format!("{n} repeats, at most {} are possible", limits::MAX_REPEAT);
            return Err(super::about("too-large", message, count, &[(count, &turns)]).into());
        }
        self.stand_at(path);
        let mut prev = self.eval(frame, from, None)?;
        // A fold inside the expressions of a fold brings its own.
        let outer = ["prev", "i"].map(|name| (name, frame.values.remove(name)));
        let mut folded = Ok(());
        for i in 0..n {
            let turn = Source::from_named(&each.span, vec![]);
            let index = Value {
                data: Data::Int(i),
                source: turn,
            };
            frame.values.insert("prev", prev.clone());
            frame.values.insert("i", index);
            match self.turn(frame, each, &path.step(&i.to_string())) {
                Ok(value) => prev = value,
                Err(errors) => {
                    folded = Err(errors);
                    break;
                }
            }
        }
        for (name, value) in outer {
            frame.values.remove(name);
            frame.values.extend(value.map(|value| (name, value)));
        }
        folded.map(|()| prev)
    }

    fn turn<'f>(&mut self, frame: &mut Frame<'f>, each: &'f Expr, path: &Path) -> Result<Value> {
        self.deeper(&each.span, |this| this.settle(frame, each))?;
        self.stand_at(path);
        self.eval(frame, each, Some(path))
    }

    /// Nodes made from now on come from here.
    pub fn stand_at(&mut self, path: &Path) {
        self.rewriter.set_origin(Origin {
            path: path.text().clone(),
            backward: false,
        });
    }
}

impl Frame<'_> {
    /// The value of a settled name.
    pub fn lookup(&self, name: &str, span: &Span) -> Result<Value> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        if self.broken.contains(name) {
            return Err(Diagnostics::follows());
        }
        if let Some(graph) = self.graphs.get(name) {
            return Ok(Value::written(
                Data::Graph(graph.clone()),
                &graph.graph.span,
            ));
        }
        if BARE_INITIALISERS.contains(&name) {
            let initialiser = super::builtins::bare_initialiser(name);
            return Ok(Value::written(Data::Initialiser(initialiser), span));
        }
        if self.off.contains(name) {
            let weight = self.file.weights.iter().find(|w| w.name.value == name);
            let error =
                Diagnostic::error("weight-off", format!("there is no weight `{name}` here"));
            let error = match weight.and_then(|weight| weight.when.as_ref()) {
                Some(when) => error.note_at(format!("`when: {when}` does not hold,"), &when.span),
                None => error,
            };
            return Err(error.at(span).into());
        }
        let error = Diagnostic::error("undefined-name", format!("`{name}` has no value here"));
        let error = error.at(span);
        let shapes = self.file.inputs.iter().flat_map(|input| input.exprs());
        let mut dimensions = shapes.filter(|e| matches!(&e.kind, ExprKind::Name(n) if n == name));
        Err(match dimensions.next() {
            Some(dimension) => error
                .note_at("it is the size of an axis", &dimension.span)
                .help("a number stands for this tensor, so its axes have no sizes"),
            None => error.suggest(name, self.values.keys().copied()),
        }
        .into())
    }
}

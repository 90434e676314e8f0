//! Copies of graphs and of single operators: luminal's `Graph` and its boxed operators cannot be cloned.

use super::{Graph, Own};
use luminal::op::{
    Add, Constant, Contiguous, Exp2, LessThan, Log2, MaxReduce, Mod, Mul, Operator, Recip, Sin,
    Sqrt, SumReduce,
};
use std::any::Any;

/// The same graph: same node indices, views, dims, origins and roots.
pub fn copy(graph: &Graph) -> Graph {
    let mut copy = Graph::new();
    copy.graph = graph.graph.map(|_, op| operator(&**op), |_, edge| *edge);
    copy.tensors = graph.tensors.clone();
    copy.no_delete = graph.no_delete.clone();
    copy.to_retrieve = graph.to_retrieve.clone();
    copy
}

/// The same operator.
///
/// # Panics
/// On an operator outside the contract; [`super::verify`] rules that out.
pub fn operator(op: &dyn Operator) -> Box<dyn Operator> {
    fn same<T: Operator + Clone + 'static>(op: &dyn Any) -> Option<Box<dyn Operator>> {
        let op: &T = op.downcast_ref()?;
        Some(Box::new(op.clone()))
    }
    let known = [
        same::<Own>,
        same::<Constant>,
        same::<Contiguous>,
        same::<Add>,
        same::<Mul>,
        same::<Mod>,
        same::<LessThan>,
        same::<Recip>,
        same::<Sqrt>,
        same::<Exp2>,
        same::<Log2>,
        same::<Sin>,
        same::<SumReduce>,
        same::<MaxReduce>,
    ];
    let found = known.iter().find_map(|same| same(op.as_any()));
    found.expect("a legal graph holds only known operators")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Rewriter, meta, new_graph, ops::InputKind, rewrite, verify::verify};

    #[test]
    fn a_copy_lives_on_its_own() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 3], InputKind::Feed);
        let y = r.exp(&x.permute(&[1, 0]));
        let y = r.max(&y, 0);
        r.add_root("y", &y);
        let copy = copy(&graph);
        Rewriter::new(&mut graph).retain_roots(|_| false);
        Rewriter::new(&mut graph).remove_dead();
        assert_eq!(graph.graph.node_count(), 0);
        assert_eq!(verify(&copy), Ok(()));
        assert_eq!(meta(&copy).roots[0].node, y.node);
        assert_eq!(rewrite::schedule(&copy).len(), 5);
    }
}

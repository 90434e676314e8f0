//! Epilogues: a row program over exactly the elements of a matrix product moves into the [`Contraction`] that makes it, and runs on
//! each block of rows while that is in the cache: bias, GELU, residual, layer scale.

mod nest;

use super::{flow::Flow, regions::Order, walk::Walk};
use crate::ir::{
    Graph, NodeIndex, Rewriter, Value, meta,
    ops::{Contraction, Epilogue, Fused, Role, own},
    program::{Instr, ValueId},
    rewrite,
};
use nest::Nest;
use rustc_hash::FxHashMap;

/// Gives each contraction at most one row program, each row program to the last of the products that it reads.
pub fn run(graph: &mut Graph) {
    let flow = Flow::of(graph);
    let mut order = Order::new(&flow);
    let places = flow.nodes.iter().enumerate();
    let at: FxHashMap<NodeIndex, usize> = places.map(|(i, node)| (node.id, i)).collect();
    for node in &flow.nodes {
        let mut products = products(graph, node.id);
        products.sort_by_key(|product| std::cmp::Reverse(at[product]));
        let joined = products.into_iter().find_map(|product| {
            let joined = Joined::of(graph, product, node.id)?;
            let [product, program] = [product, node.id].map(|node| order.group(at[&node]));
            order.join(product, program, &flow)?;
            Some(joined)
        });
        if let Some(joined) = joined {
            joined.put(&mut Rewriter::new(graph));
        }
    }
    Rewriter::new(graph).remove_dead();
}

/// The contractions that a row program reads and that could run it.
fn products(graph: &Graph, program: NodeIndex) -> Vec<NodeIndex> {
    let plain = |op: &Contraction| {
        op.epilogue.is_none() && !op.accumulate && !op.roles.contains(&Role::Batch)
    };
    match own::<Fused>(graph, program) {
        Some(_) => {
            let sources = rewrite::edges(graph, program)
                .into_iter()
                .map(|edge| edge.node);
            sources
                .filter(|&n| own(graph, n).is_some_and(plain))
                .collect()
        }
        None => Vec::new(),
    }
}

/// A contraction with a row program as its epilogue.
struct Joined {
    product: NodeIndex,
    program: NodeIndex,
    op: Contraction,
    inputs: Vec<Value>,
    /// The product is an output too, behind the program's.
    keeps_product: bool,
}

impl Joined {
    /// `None` unless the program runs over the product's elements in their order, and its rows are the product's.
    fn of(graph: &Graph, product: NodeIndex, program: NodeIndex) -> Option<Joined> {
        let contraction: &Contraction = own(graph, product)?;
        let fused: &Fused = own(graph, program)?;
        let read = rewrite::sources(graph, program);
        let (cached, further): (Vec<usize>, Vec<usize>) =
            (0..fused.operands).partition(|&i| read[i].node == product);
        let dims = contraction.product_dims();
        let whole = Walk::plain(dims.iter().product());
        let in_order = |&i: &usize| Walk::of(&read[i].view).is_some_and(|walk| walk == whole);
        let columns: usize = dims[dims.len() - contraction.row()..].iter().product();
        let row: usize = fused.axes[fused.axes.len() - fused.row..].iter().product();
        if !cached.iter().all(in_order) || !(fused.row == 0 || row == columns) {
            return None;
        }
        let mut inputs = rewrite::sources(graph, product);
        inputs.extend(further.iter().map(|&i| read[i].clone()));
        let nest = Nest::of(contraction, &fused.axes, &inputs)?;
        let keeps_product = rewrite::readers(graph, product)
            .iter()
            .any(|r| r.0 != program)
            || meta(graph).roots.iter().any(|r| r.node == product);
        let renamed = |&v: &ValueId| match further.iter().position(|&i| i == v) {
            Some(place) => 1 + place,
            None if v < fused.operands => 0,
            None => v - fused.operands + 1 + further.len(),
        };
        let code = fused.code.iter().map(|instr| Instr {
            op: instr.op,
            args: instr.args.iter().map(renamed).collect(),
        });
        let stores = fused.stores.iter().map(renamed);
        let epilogue = Epilogue {
            operands: 1 + further.len(),
            code: code.collect(),
            stores: stores.chain(keeps_product.then_some(0)).collect(),
        };
        Some(Joined {
            product,
            program,
            inputs: nest.views(&inputs)?,
            op: nest.contraction(contraction.rounds, epilogue),
            keeps_product,
        })
    }

    fn put(self, r: &mut Rewriter) {
        let origin = meta(r.graph()).nodes[&self.product].origin.clone();
        r.stand_in_for(self.program);
        r.set_origin(origin);
        let mut results = r.op(self.op, &self.inputs.iter().collect::<Vec<_>>());
        if self.keeps_product
            && let Some(product) = results.pop()
        {
            r.replace(self.product, 0, &product);
        }
        for (output, result) in results.iter().enumerate() {
            r.replace(self.program, output as u8, result);
        }
    }
}

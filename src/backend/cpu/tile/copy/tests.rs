use super::*;

/// Copies a whole nest tile by tile, and compares with element-by-element copying.
fn check(dims: &[usize], tile: &[usize], from: &[usize], to: &[usize]) -> Copy {
    let nest = Nest {
        dims: dims.to_vec(),
        tile: tile.to_vec(),
        row: dims.len() - 1,
        cut: false,
    };
    let reach = |strides: &[usize]| -> usize {
        strides
            .iter()
            .zip(dims)
            .map(|(s, d)| s * (d - 1))
            .sum::<usize>()
            + 1
    };
    let source: Vec<f32> = (0..reach(from)).map(|i| i as f32 + 0.5).collect();
    let (mut copied, mut expected) = (vec![0.0; reach(to)], vec![0.0; reach(to)]);
    let copy = Copy::new(&nest, from, to);
    let (whole, mut window) = (nest.whole(), nest.whole());
    let at = |strides: &[usize], index: &[usize]| -> usize {
        strides.iter().zip(index).map(|(s, i)| s * i).sum()
    };
    for t in 0..nest.tiles(0..dims.len(), &whole) {
        nest.place(0..dims.len(), &whole, t, &mut window);
        // SAFETY: the nest stays inside `reach` on both sides.
        unsafe {
            let from = source.as_ptr().add(at(from, &window.start));
            let to = copied.as_mut_ptr().add(at(to, &window.start));
            copy.run(&window, from.cast(), to.cast());
        }
    }
    for i in 0..dims.iter().product() {
        let mut rest = i;
        let mut index = vec![0; dims.len()];
        for a in (0..dims.len()).rev() {
            index[a] = rest % dims[a];
            rest /= dims[a];
        }
        expected[at(to, &index)] = source[at(from, &index)];
    }
    assert_eq!(copied, expected, "{dims:?} {tile:?} {from:?} {to:?}");
    copy
}

#[test]
fn dense_boxes_are_one_run() {
    let copy = check(&[4, 5, 6], &[2, 5, 6], &[30, 6, 1], &[30, 6, 1]);
    assert!(copy.outer.is_empty());
    assert!(matches!(copy.inner, Inner::Run(_)));
}

#[test]
fn every_kind_of_inner_loop() {
    // A permutation with inner runs of every short length.
    for n in 1..70 {
        check(&[3, 4, n], &[2, 4, n], &[n, 3 * n, 1], &[4 * n, n, 1]);
    }
    // Transposes, whole and in tiles, with ragged blocks.
    for (rows, columns) in [(8, 8), (17, 9), (64, 64), (100, 3), (3, 100)] {
        let copy = check(
            &[rows, columns],
            &[rows, columns],
            &[1, rows],
            &[columns, 1],
        );
        assert!(matches!(copy.inner, Inner::Transpose(..)));
        check(
            &[rows, columns],
            &[rows.min(16), columns.min(24)],
            &[1, rows],
            &[columns, 1],
        );
    }
    // Broadcast, strided reading and strided writing.
    check(&[5, 7], &[2, 7], &[1, 0], &[7, 1]);
    check(&[5, 7], &[2, 7], &[21, 3], &[7, 1]);
    check(&[5, 7], &[2, 7], &[7, 1], &[14, 2]);
    check(&[1], &[1], &[0], &[0]);
}

//! The highest of many values without sorting them all. Knows numbers only.

/// The documents of the highest values, above nothing at all; of equal ones the first.
pub fn top(values: &[f32], n: usize) -> Vec<usize> {
    let mut docs = Vec::with_capacity(2 * n);
    // What is no higher than the last of those that are kept need not be looked at again.
    let mut least = 0.0;
    for (doc, value) in values.iter().enumerate() {
        if *value > least {
            docs.push(doc);
            if docs.len() == 2 * n {
                keep_highest(values, n, &mut docs);
                least = docs.iter().map(|doc| values[*doc]).fold(f32::MAX, f32::min);
            }
        }
    }
    keep_highest(values, n, &mut docs);
    docs
}

fn keep_highest(values: &[f32], n: usize, docs: &mut Vec<usize>) {
    if docs.len() > n {
        docs.select_nth_unstable_by(n, |a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        docs.truncate(n);
    }
}

#[cfg(test)]
mod tests {
    use super::top;

    proptest::proptest! {
        #[test]
        fn the_highest_are_those_of_sorting_all(values in proptest::collection::vec(0_u8..9, 0..60), n in 1_usize..9) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut all: Vec<usize> = (0..values.len()).filter(|doc| values[*doc] > 0.0).collect();
            all.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
            all.truncate(n);
            all.sort_unstable();
            let mut found = top(&values, n);
            found.sort_unstable();
            proptest::prop_assert_eq!(found, all);
        }
    }
}

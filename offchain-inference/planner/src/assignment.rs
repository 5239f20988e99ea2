// SPDX-License-Identifier: Apache-2.0
//! The assignment of rows to columns of the least total cost (Kuhn and Munkres, by shortest
//! augmenting paths).

/// The column of each row. There are at least as many columns as rows; all costs are finite.
pub fn assign(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // Rows and columns count from 1; column 0 stands for the row that is being placed.
    let mut row_price = vec![0.0; rows + 1];
    let mut column_price = vec![0.0; columns + 1];
    let mut owner = vec![0; columns + 1];
    for row in 1..=rows {
        owner[0] = row;
        let mut least = vec![f64::INFINITY; columns + 1];
        let mut before = vec![0; columns + 1];
        let mut seen = vec![false; columns + 1];
        let mut column = 0;
        while owner[column] != 0 {
            seen[column] = true;
            let at = owner[column];
            let mut step = f64::INFINITY;
            let mut next = 0;
            for other in 1..=columns {
                if seen[other] {
                    continue;
                }
                let gap = cost(at - 1, other - 1) - row_price[at] - column_price[other];
                if gap < least[other] {
                    least[other] = gap;
                    before[other] = column;
                }
                if least[other] < step {
                    step = least[other];
                    next = other;
                }
            }
            for other in 0..=columns {
                if seen[other] {
                    row_price[owner[other]] += step;
                    column_price[other] -= step;
                } else {
                    least[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            owner[column] = owner[before[column]];
            column = before[column];
        }
    }
    let mut columns_of = vec![0; rows];
    for (column, &row) in owner.iter().enumerate().skip(1) {
        if row > 0 {
            columns_of[row - 1] = column - 1;
        }
    }
    columns_of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least total of rows from `row` on, with the columns that are left.
    fn least(costs: &[Vec<f64>], row: usize, used: &mut Vec<bool>) -> f64 {
        if row == costs.len() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..used.len() {
            if !used[column] {
                used[column] = true;
                best = best.min(costs[row][column] + least(costs, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_assignment_costs_less(costs in proptest::collection::vec(proptest::collection::vec(0f64..9.0, 6), 1..6)) {
            let columns = assign(costs.len(), 6, |i, j| costs[i][j]);
            let mut sorted = columns.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), costs.len());
            let total: f64 = columns.iter().zip(&costs).map(|(&j, row)| row[j]).sum();
            prop_assert!((total - least(&costs, 0, &mut vec![false; 6])).abs() < 1e-9);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Persistent homology of round-trip times: the times at which nodes join into groups (H0), and the
//! rings of nodes that have nothing near across them (H1).
//!
//! The Vietoris–Rips complex is filtered by round-trip time. Times need not obey the triangle
//! inequality: the complex is a flag complex filtered by the weight of edges, and barcodes move no
//! further than the largest change of an edge. Bars of H0 are the edges of the minimum spanning
//! tree. Bars of H1 come from a reduction of coboundaries over Z/2: edges of the tree are cleared
//! (they end bars of H0), the others are reduced from the longest to the shortest, and the earliest
//! triangle that is left in a column ends the bar of its edge (Bauer, "Ripser", arXiv 1908.02518).

use std::collections::HashMap;

/// The shortest round-trip time that counts, in tenths of a millisecond.
const SHORTEST: u32 = 5;

/// The most nodes of a computation of H1; larger swarms are represented by landmarks.
pub const LANDMARKS: usize = 64;

/// Bars of a swarm, in tenths of a millisecond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barcodes {
    /// Times at which groups join, ascending: one bar from 0 for each node but the first.
    pub h0: Vec<u32>,
    /// Births and deaths of rings, ascending; bars of no length are left out.
    pub h1: Vec<(u32, u32)>,
}

/// Symmetric distances between a few points.
struct Distances {
    n: usize,
    rows: Vec<u32>,
}

impl Distances {
    fn new(n: usize, rtt: impl Fn(usize, usize) -> u32) -> Self {
        let mut rows = vec![0; n * n];
        for i in 0..n {
            for j in 0..n {
                if i != j {
                    rows[i * n + j] = rtt(i, j).max(SHORTEST);
                }
            }
        }
        Self { n, rows }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.rows[i * self.n + j]
    }
}

/// Bars of `n` nodes with symmetric round-trip times.
pub fn barcodes(n: usize, rtt: impl Fn(usize, usize) -> u32) -> Barcodes {
    let all = Distances::new(n, rtt);
    let mut h0 = spanning_tree(&all);
    h0.sort_unstable();
    let chosen = landmarks(&all, LANDMARKS);
    let few = Distances::new(chosen.len(), |i, j| all.at(chosen[i], chosen[j]));
    Barcodes {
        h0,
        h1: rings(&few),
    }
}

/// Weights of the edges of the minimum spanning tree, by Prim's algorithm.
fn spanning_tree(distances: &Distances) -> Vec<u32> {
    let mut nearest: Vec<_> = (0..distances.n).map(|i| distances.at(0, i)).collect();
    let mut left: Vec<_> = (1..distances.n).collect();
    let mut tree = vec![];
    while let Some(place) = (0..left.len()).min_by_key(|&place| nearest[left[place]]) {
        let node = left.swap_remove(place);
        tree.push(nearest[node]);
        for &other in &left {
            nearest[other] = nearest[other].min(distances.at(node, other));
        }
    }
    tree
}

/// At most `most` nodes that are far from each other: first the one that is nearest to all, then
/// always the one farthest from those so far; the first of equal ones.
fn landmarks(distances: &Distances, most: usize) -> Vec<usize> {
    let n = distances.n;
    if n <= most {
        return (0..n).collect();
    }
    let sum = |i: &usize| (0..n).map(|j| u64::from(distances.at(*i, j))).sum::<u64>();
    let mut chosen = vec![(0..n).min_by_key(sum).unwrap_or(0)];
    let mut gaps: Vec<_> = (0..n).map(|i| distances.at(chosen[0], i)).collect();
    while chosen.len() < most {
        let next = (0..n).rev().max_by_key(|&i| gaps[i]).unwrap_or(0);
        chosen.push(next);
        for (i, gap) in gaps.iter_mut().enumerate() {
            *gap = (*gap).min(distances.at(next, i));
        }
    }
    chosen
}

/// Bars of H1.
fn rings(distances: &Distances) -> Vec<(u32, u32)> {
    let n = distances.n;
    let mut edges: Vec<_> = (0..n)
        .flat_map(|j| (0..j).map(move |i| (distances.at(i, j), i, j)))
        .collect();
    edges.sort_unstable();
    let mut rank = vec![0; n * n];
    for (place, &(_, i, j)) in edges.iter().enumerate() {
        rank[i * n + j] = place;
        rank[j * n + i] = place;
    }
    let mut groups = Groups::new(n);
    // An edge that joins two groups ends a bar of H0 and begins none of H1.
    let joins: Vec<_> = edges.iter().map(|&(_, i, j)| groups.join(i, j)).collect();
    // A triangle comes with its last edge; its number sorts it among all.
    let triangle = |i: usize, j: usize, k: usize| {
        let sides = [(i, j, k), (i, k, j), (j, k, i)];
        let last = sides.map(|(a, b, rest)| (rank[a * n + b], rest));
        let (edge, rest) = last.into_iter().max().unwrap_or_default();
        (edge * n + rest) as u32
    };
    let mut bars = vec![];
    let mut reduced: HashMap<u32, Vec<u32>> = HashMap::new();
    for (place, &(birth, i, j)) in edges.iter().enumerate().rev() {
        if joins[place] {
            continue;
        }
        let others = (0..n).filter(|&k| k != i && k != j);
        let mut column: Vec<_> = others.map(|k| triangle(i, j, k)).collect();
        column.sort_unstable();
        while let Some(other) = column.first().and_then(|first| reduced.get(first)) {
            column = sum(&column, other);
        }
        if let Some(&first) = column.first() {
            let death = edges[first as usize / n].0;
            if death > birth {
                bars.push((birth, death));
            }
            reduced.insert(first, column);
        }
    }
    bars.sort_unstable();
    bars
}

/// The sum of two sorted columns over Z/2.
fn sum(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut both = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => {
                both.push(a[i]);
                i += 1;
            },
            std::cmp::Ordering::Greater => {
                both.push(b[j]);
                j += 1;
            },
            std::cmp::Ordering::Equal => {
                i += 1;
                j += 1;
            },
        }
    }
    both.extend_from_slice(&a[i..]);
    both.extend_from_slice(&b[j..]);
    both
}

/// Disjoint sets of nodes.
struct Groups(Vec<usize>);

impl Groups {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn of(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    /// Joins the groups of two nodes. Returns true if they were two.
    fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a] = b;
        a != b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The upper triangle of a topology.
    fn topology(text: &str) -> Vec<Vec<u32>> {
        let data = |line: &&str| !line.starts_with(['#', 'n']) && !line.is_empty();
        let row = |line: &str| line.split(',').map(|v| v.parse().unwrap()).collect();
        text.lines().filter(data).map(row).collect()
    }

    macro_rules! golden {
        ($($name:ident: $file:literal, $n:literal;)*) => {$(
            #[test]
            fn $name() {
                let rows = topology(include_str!(concat!("../data/topologies/", $file, ".csv")));
                let rtt = |i: usize, j: usize| rows[i.min(j)][i.abs_diff(j) - 1];
                let found = barcodes($n, rtt);
                let golden = include_str!(concat!("../data/barcodes/", $file, "-", $n, ".csv"));
                let mut known = Barcodes::default();
                for line in golden.lines().skip(1) {
                    let bar: Vec<u32> = line.split(',').map(|v| v.parse().unwrap()).collect();
                    match bar[0] {
                        0 => known.h0.push(bar[2]),
                        _ => known.h1.push((bar[1], bar[2])),
                    }
                }
                assert!(known.h0.len() == $n - 1 && !known.h1.is_empty());
                assert_eq!(found, known);
            }
        )*};
    }

    golden! {
        ibm_has_the_bars_of_ripser: "ibm-13", 13;
        aws_has_the_bars_of_ripser: "aws-21", 21;
        forty_cities_have_the_bars_of_ripser: "wonder-235", 40;
        cities_have_the_bars_of_ripser: "wonder-235", 64;
        planetlab_has_the_bars_of_ripser: "planetlab-even-245", 64;
        seattle_has_the_bars_of_ripser: "seattle-1", 64;
    }

    #[test]
    fn a_ring_has_one_bar() {
        // Eight nodes in a circle: neighbours at 10, opposite ones at 40.
        let ring = |i: usize, j: usize| 10 * (i.abs_diff(j).min(8 - i.abs_diff(j))) as u32;
        let found = barcodes(8, ring);
        assert_eq!(found.h0, [10; 7]);
        assert_eq!(found.h1, [(10, 30)]);
    }

    #[test]
    fn one_node_and_two_have_no_rings() {
        assert_eq!(barcodes(1, |_, _| 9), Barcodes::default());
        let two = barcodes(2, |_, _| 9);
        assert_eq!((two.h0, two.h1), (vec![9], vec![]));
    }

    #[test]
    fn landmarks_are_far_from_each_other() {
        let line = Distances::new(100, |i, j| 10 * i.abs_diff(j) as u32);
        let chosen = landmarks(&line, 5);
        assert_eq!(chosen[0], 49);
        assert_eq!(chosen[1..3], [99, 0]);
        assert_eq!(chosen.len(), 5);
    }
}

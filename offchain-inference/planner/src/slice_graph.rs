// SPDX-License-Identifier: Apache-2.0
//! Slices of a model that is a graph (after MTPP of BSNS, arXiv 2407.19775): vertices with work and
//! outputs, cut into slices that run one after the other.
//!
//! Keys are priorities in Kahn's order of the vertices. A dynamic program over that order finds the
//! slices whose longest is shortest. The time of a slice is its work, its input from earlier slices
//! and its output to later ones. A straight decoder has one order, and the program alone is exact.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A model as a graph; times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SliceGraph {
    /// Work of each vertex.
    pub work: Vec<f64>,
    /// Time for the output of each vertex to another slice.
    pub output: Vec<f64>,
    /// Dependencies: (from, to), where `to` needs the output of `from`.
    pub edges: Vec<(usize, usize)>,
}

/// A graph that cannot be sliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// There are no vertices, or no slices are wanted.
    #[error("there is nothing to slice")]
    Nothing,
    /// The number of outputs differs, an edge goes to a missing vertex, or a time makes no sense.
    #[error("the graph has values that no graph has")]
    Values,
    /// The graph has a circle.
    #[error("the graph has a circle")]
    Circle,
}

/// Slices of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Slices {
    /// Vertices of each slice.
    pub slices: Vec<Vec<usize>>,
    /// Time of the longest slice.
    pub longest: f64,
}

/// Keys of a generation.
const POPULATION: usize = 30;
const ELITE: usize = 6;
const MUTANTS: usize = 5;

impl SliceGraph {
    /// The best slices of at most `evaluations` orders, at most `most` of them: the order of the
    /// vertices' numbers first, then those of a genetic algorithm over keys.
    pub fn slice(&self, most: usize, evaluations: usize, seed: u64) -> Result<Slices, SliceError> {
        self.check(most)?;
        let most = most.min(self.work.len());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let n = self.work.len();
        let numbers: Vec<_> = (0..n).map(|v| v as f64 / n as f64).collect();
        let mut left = evaluations.max(1);
        let mut population = vec![];
        while population.len() < POPULATION && left > 0 {
            let keys = if population.is_empty() {
                numbers.clone()
            } else {
                (0..n).map(|_| rng.random()).collect()
            };
            population.push(self.individual(keys, most)?);
            left -= 1;
        }
        loop {
            population.sort_by(|a: &(Vec<f64>, Slices), b| a.1.longest.total_cmp(&b.1.longest));
            if left == 0 || population.len() < POPULATION {
                return Ok(population.swap_remove(0).1);
            }
            for place in ELITE..POPULATION {
                if left == 0 {
                    break;
                }
                let keys = if place >= POPULATION - MUTANTS {
                    (0..n).map(|_| rng.random()).collect()
                } else {
                    let elite = &population[rng.random_range(0..ELITE)].0;
                    let other = &population[rng.random_range(ELITE..POPULATION)].0;
                    let both = elite.iter().zip(other);
                    both.map(|(a, b)| if rng.random_bool(0.7) { *a } else { *b })
                        .collect()
                };
                population[place] = self.individual(keys, most)?;
                left -= 1;
            }
        }
    }

    fn check(&self, most: usize) -> Result<(), SliceError> {
        let n = self.work.len();
        if n == 0 || most == 0 {
            return Err(SliceError::Nothing);
        }
        let times = self.work.iter().chain(&self.output);
        let edges = self.edges.iter().all(|&(from, to)| from < n && to < n);
        let valid = times.clone().all(|time| time.is_finite() && *time >= 0.0);
        if self.output.len() == n && edges && valid {
            Ok(())
        } else {
            Err(SliceError::Values)
        }
    }

    fn individual(&self, keys: Vec<f64>, most: usize) -> Result<(Vec<f64>, Slices), SliceError> {
        let slices = self.cut(&self.order(&keys)?, most);
        Ok((keys, slices))
    }

    /// Kahn's order; of the free vertices the one with the least key comes first.
    fn order(&self, keys: &[f64]) -> Result<Vec<usize>, SliceError> {
        let n = self.work.len();
        let mut needs = vec![0; n];
        self.edges.iter().for_each(|&(_, to)| needs[to] += 1);
        let mut done = vec![false; n];
        let mut order = vec![];
        for _ in 0..n {
            let free = (0..n).filter(|&v| !done[v] && needs[v] == 0);
            let next = free
                .min_by(|&a, &b| keys[a].total_cmp(&keys[b]))
                .ok_or(SliceError::Circle)?;
            done[next] = true;
            order.push(next);
            let outgoing = self.edges.iter().filter(|(from, _)| *from == next);
            outgoing.for_each(|&(_, to)| needs[to] -= 1);
        }
        Ok(order)
    }

    /// The slices of an order whose longest is shortest.
    fn cut(&self, order: &[usize], most: usize) -> Slices {
        let n = order.len();
        let costs = self.segments(order);
        // The longest slice of the best cut of the first vertices, and the start of its last slice.
        let mut known = vec![(f64::INFINITY, 0); n + 1];
        known[0].0 = 0.0;
        let mut cuts = vec![];
        let mut best = (f64::INFINITY, 0);
        for count in 1..=most {
            let mut next = vec![(f64::INFINITY, 0); n + 1];
            for to in 1..=n {
                for from in 0..to {
                    let longest = known[from].0.max(costs[from][to - from - 1]);
                    if longest < next[to].0 {
                        next[to] = (longest, from);
                    }
                }
            }
            if next[n].0 < best.0 {
                best = (next[n].0, count);
            }
            cuts.push(next.iter().map(|(_, from)| *from).collect::<Vec<_>>());
            known = next;
        }
        let mut slices = vec![];
        let mut to = n;
        for count in (0..best.1).rev() {
            let from = cuts[count][to];
            slices.push(order[from..to].to_vec());
            to = from;
        }
        slices.reverse();
        Slices {
            slices,
            longest: best.0,
        }
    }

    /// The time of each run of an order as a slice, by its first place and its length.
    fn segments(&self, order: &[usize]) -> Vec<Vec<f64>> {
        let n = order.len();
        let mut place = vec![0; n];
        order.iter().enumerate().for_each(|(at, &v)| place[v] = at);
        let mut inputs = vec![vec![]; n];
        let mut last = place.clone();
        for &(from, to) in &self.edges {
            inputs[to].push(from);
            last[from] = last[from].max(place[to]);
        }
        (0..n)
            .map(|first| {
                let (mut work, mut into) = (0.0, 0.0);
                let mut fed = vec![false; n];
                (first..n)
                    .map(|end| {
                        let vertex = order[end];
                        work += self.work[vertex];
                        for &from in &inputs[vertex] {
                            if place[from] < first && !fed[from] {
                                fed[from] = true;
                                into += self.output[from];
                            }
                        }
                        let leaves = |v: &&usize| last[**v] > end;
                        let out = order[first..=end].iter().filter(leaves);
                        work + into + out.map(|&v| self.output[v]).sum::<f64>()
                    })
                    .collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graphs() -> impl Strategy<Value = SliceGraph> {
        (2usize..7).prop_flat_map(|n| {
            let times = proptest::collection::vec((0.1f64..9.0, 0.0f64..3.0), n);
            let edges = proptest::collection::vec((0..n, 0..n), 0..10);
            (times, edges).prop_map(|(times, edges)| SliceGraph {
                work: times.iter().map(|t| t.0).collect(),
                output: times.iter().map(|t| t.1).collect(),
                edges: edges.into_iter().filter(|(a, b)| a < b).collect(),
            })
        })
    }

    /// The time of a slice, by its definition.
    fn time(graph: &SliceGraph, slice: &[usize]) -> f64 {
        let n = graph.work.len();
        let inside = |v: &usize| slice.contains(v);
        let crosses = |v: &usize| {
            let mut edges = graph.edges.iter();
            edges.any(|(a, b)| a == v && inside(a) != inside(b))
        };
        let work: f64 = slice.iter().map(|&v| graph.work[v]).sum();
        let out: f64 = slice
            .iter()
            .filter(|v| crosses(v))
            .map(|&v| graph.output[v])
            .sum();
        let feeds = |v: &usize| !inside(v) && graph.edges.iter().any(|(a, b)| a == v && inside(b));
        let into: f64 = (0..n).filter(|v| feeds(v)).map(|v| graph.output[v]).sum();
        work + out + into
    }

    /// The least longest slice over every order and every cut.
    fn least(graph: &SliceGraph, order: &mut Vec<usize>, most: usize) -> f64 {
        let n = graph.work.len();
        if order.len() == n {
            let cuts = (0..1u32 << (n - 1)).filter(|cuts| (cuts.count_ones() as usize) < most);
            return cuts
                .map(|cuts| {
                    let mut slices = vec![vec![]];
                    for (at, &vertex) in order.iter().enumerate() {
                        slices.last_mut().unwrap().push(vertex);
                        if cuts >> at & 1 == 1 && at + 1 < n {
                            slices.push(vec![]);
                        }
                    }
                    slices.iter().map(|s| time(graph, s)).fold(0.0, f64::max)
                })
                .fold(f64::INFINITY, f64::min);
        }
        let mut best = f64::INFINITY;
        for v in 0..n {
            let ready = |v| {
                graph
                    .edges
                    .iter()
                    .all(|(a, b)| *b != v || order.contains(a))
            };
            if !order.contains(&v) && ready(v) {
                order.push(v);
                best = best.min(least(graph, order, most));
                order.pop();
            }
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn small_graphs_are_cut_best(graph in graphs(), most in 1usize..4) {
            let found = graph.slice(most, 2000, 1).unwrap();
            let best = least(&graph, &mut vec![], most);
            prop_assert!(found.longest <= best * 1.05 && found.longest >= best * (1.0 - 1e-9));
            let longest = found.slices.iter().map(|s| time(&graph, s)).fold(0.0, f64::max);
            prop_assert!((longest - found.longest).abs() < 1e-9 * longest);
            prop_assert!(found.slices.len() <= most);
        }
    }

    #[test]
    fn a_straight_model_is_cut_in_the_middle() {
        let graph = SliceGraph {
            work: vec![1.0; 6],
            output: vec![0.1; 6],
            edges: (0..5).map(|v| (v, v + 1)).collect(),
        };
        let found = graph.slice(2, 1, 1).unwrap();
        assert_eq!(found.slices, [vec![0, 1, 2], vec![3, 4, 5]]);
        assert!((found.longest - 3.1).abs() < 1e-9);
    }

    #[test]
    fn circles_and_nonsense_are_refused() {
        let graph = |edges: Vec<(usize, usize)>, work: f64| SliceGraph {
            work: vec![work; 3],
            output: vec![0.0; 3],
            edges,
        };
        let circle = graph(vec![(0, 1), (1, 2), (2, 0)], 1.0);
        assert_eq!(circle.slice(2, 9, 1), Err(SliceError::Circle));
        let nowhere = graph(vec![(0, 7)], 1.0);
        assert_eq!(nowhere.slice(2, 9, 1), Err(SliceError::Values));
        assert_eq!(
            graph(vec![], f64::NAN).slice(2, 9, 1),
            Err(SliceError::Values)
        );
        assert_eq!(graph(vec![], 1.0).slice(0, 9, 1), Err(SliceError::Nothing));
    }
}

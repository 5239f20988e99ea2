// SPDX-License-Identifier: Apache-2.0
//! A biased random-key genetic algorithm (Gonçalves and Resende, 2011): a placement is written as
//! one key in [0, 1) a node; children take each key from an elite parent with a fixed chance.
//!
//! In its memetic form the best of each generation climb, and their results are written back into
//! their keys.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{climbing::climb, Found, Search, Solver};
use crate::{
    greedy::Origin,
    picture::Picture,
    placement::{Placement, Span},
};

/// The conversion of keys to a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// A key is the start of its node's span.
    Starts,
    /// Keys order the nodes; spans are laid end to end, from the first layer again past the last.
    Lanes,
}

/// The algorithm and its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Brkga {
    /// The conversion of keys.
    pub decoder: Decoder,
    /// True if the seeds are in the first population.
    pub warm: bool,
    /// Evaluations of climbing for each of three elites a generation; 0 for none.
    pub climbing: u64,
    /// Placements of a generation.
    pub population: usize,
    /// Generations without gain after which it ends.
    pub patience: u32,
}

impl Brkga {
    /// Without seeds and without climbing.
    pub const COLD: Self = Self {
        decoder: Decoder::Starts,
        warm: false,
        climbing: 0,
        population: 50,
        patience: 60,
    };
    /// With seeds, without climbing.
    pub const WARM: Self = Self {
        warm: true,
        ..Self::COLD
    };
    /// With seeds and climbing.
    pub const MEMETIC: Self = Self {
        climbing: 200,
        ..Self::WARM
    };
    /// Orders of nodes instead of starts.
    pub const LANES: Self = Self {
        decoder: Decoder::Lanes,
        ..Self::COLD
    };

    const ELITE: f64 = 0.2;
    const MUTANTS: f64 = 0.1;
    const FROM_ELITE: f64 = 0.7;
    const CLIMBERS: usize = 3;
}

struct Individual {
    keys: Vec<f64>,
    found: Found,
}

impl Solver for Brkga {
    fn origin(&self) -> Origin {
        Origin::Brkga
    }

    fn solve(&self, search: &mut Search, seeds: &[Placement], rng: &mut ChaCha8Rng) -> Found {
        let mut population = self.first(search, seeds, rng);
        sort(&mut population);
        let mut stalled = 0;
        while search.left() > 0 && stalled < self.patience {
            let before = population[0].found.total;
            if self.climbing > 0 {
                self.improve(search, &mut population, rng);
                sort(&mut population);
            }
            self.breed(search, &mut population, rng);
            sort(&mut population);
            stalled += 1;
            if population[0].found.total < before * (1.0 - 1e-6) {
                stalled = 0;
            }
        }
        population.swap_remove(0).found
    }
}

fn sort(population: &mut [Individual]) {
    population.sort_by(|a, b| a.found.total.total_cmp(&b.found.total));
}

impl Brkga {
    /// The first population: the seeds, the rest by chance.
    fn first(
        &self,
        search: &mut Search,
        seeds: &[Placement],
        rng: &mut ChaCha8Rng,
    ) -> Vec<Individual> {
        let n = search.picture.nodes().len();
        let seeds = if self.warm { seeds } else { &[] };
        let seeded = seeds.iter().take(self.population);
        let mut keys: Vec<_> = seeded.map(|s| encode(search.picture, &s.0)).collect();
        while keys.len() < self.population {
            keys.push((0..n).map(|_| rng.random()).collect());
        }
        let mut population = vec![];
        for keys in keys {
            // At least one, whatever the budget.
            if population.is_empty() || search.left() > 0 {
                population.push(self.individual(search, keys));
            }
        }
        population
    }

    fn individual(&self, search: &mut Search, keys: Vec<f64>) -> Individual {
        let spans = match self.decoder {
            Decoder::Starts => decode(search.picture, &keys),
            Decoder::Lanes => lanes(search.picture, &keys),
        };
        Individual {
            keys,
            found: search.found(spans),
        }
    }

    /// Lets the best and other elites climb.
    fn improve(&self, search: &mut Search, population: &mut [Individual], rng: &mut ChaCha8Rng) {
        let elite = self.elite(population.len());
        for climber in 0..Self::CLIMBERS {
            let place = if climber == 0 {
                0
            } else {
                rng.random_range(0..elite)
            };
            let individual = &mut population[place];
            let budget = self.climbing.min(search.left());
            climb(search, &mut individual.found, budget, 0.0, false, rng);
            individual.keys = encode(search.picture, &individual.found.spans);
        }
    }

    fn elite(&self, population: usize) -> usize {
        ((population as f64 * Self::ELITE) as usize).max(1)
    }

    /// The next generation: the elite, its children, and mutants.
    fn breed(&self, search: &mut Search, population: &mut [Individual], rng: &mut ChaCha8Rng) {
        let size = population.len();
        let elite = self.elite(size);
        let mutants = (size as f64 * Self::MUTANTS) as usize;
        let mut children = vec![];
        for place in elite..size {
            let keys = if place >= size - mutants {
                population[0].keys.iter().map(|_| rng.random()).collect()
            } else {
                let first = &population[rng.random_range(0..elite)].keys;
                let second = &population[rng.random_range(elite..size)].keys;
                let both = first.iter().zip(second);
                both.map(|(a, b)| {
                    if rng.random_bool(Self::FROM_ELITE) {
                        *a
                    } else {
                        *b
                    }
                })
                .collect()
            };
            children.push(keys);
        }
        for (place, keys) in (elite..size).zip(children) {
            if search.left() == 0 {
                return;
            }
            population[place] = self.individual(search, keys);
        }
    }
}

/// Keys that decode to the starts of these spans.
fn encode(picture: &Picture, spans: &[Span]) -> Vec<f64> {
    let layers = picture.model().layers;
    let both = spans.iter().zip(picture.nodes());
    both.map(|(span, node)| {
        let last = layers - node.capacity;
        (f64::from(span.start.min(last)) + 0.5) / (f64::from(last) + 1.0)
    })
    .collect()
}

/// Every node with its full memory, from the start that its key encodes.
fn decode(picture: &Picture, keys: &[f64]) -> Vec<Span> {
    let layers = picture.model().layers;
    let both = keys.iter().zip(picture.nodes());
    both.map(|(key, node)| {
        let last = layers - node.capacity;
        let start = (key * (f64::from(last) + 1.0)) as u16;
        Span::of(start.min(last), node.capacity)
    })
    .collect()
}

/// Every node with its full memory, in the order of keys, end to end.
fn lanes(picture: &Picture, keys: &[f64]) -> Vec<Span> {
    let layers = picture.model().layers;
    let mut order: Vec<_> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]).then(a.cmp(&b)));
    let mut spans = vec![Span::default(); keys.len()];
    let mut next = 0;
    for node in order {
        if next >= layers {
            next = 0;
        }
        let capacity = picture.nodes()[node].capacity;
        spans[node] = Span::of(next.min(layers - capacity), capacity);
        next = spans[node].end;
    }
    spans
}

// SPDX-License-Identifier: Apache-2.0
//! `starling model recommend`: the models that fit this machine.

use std::{hint::black_box, thread, time::Instant};

use serde_json::json;
use starling_console::outln;
use starling_models::{Entry, Store};
use sysinfo::System;

/// Memory beside the weights: the default cache, and the engine's own.
const BESIDE: u64 = (192 + 64) << 20;
/// Least tokens a second to answer in time: sixty tokens in ten seconds.
const LEAST_RATE: f64 = 6.0;
/// Memory that is read to measure its speed: more than caches hold.
const READ: usize = 128 << 20;
const READS: usize = 3;

/// A model on this machine.
struct Fit<'a> {
    entry: &'a Entry,
    /// Bytes of memory.
    needs: u64,
    fits: bool,
    /// Each token reads all weights: no more tokens a second than memory gives weights.
    most_tokens_per_second: f64,
}

impl Fit<'_> {
    fn is_quick(&self) -> bool {
        self.most_tokens_per_second >= LEAST_RATE
    }
}

/// Models by their fit to this memory and speed, the largest one first.
fn fits(store: &Store, available: u64, bytes_per_second: f64) -> Vec<Fit<'_>> {
    let mut fits: Vec<_> = store
        .manifest()
        .entries()
        .map(|entry| {
            let needs = entry.size.saturating_add(BESIDE);
            Fit {
                entry,
                needs,
                fits: needs <= available,
                most_tokens_per_second: bytes_per_second / entry.size.max(1) as f64,
            }
        })
        .collect();
    fits.sort_by_key(|fit| std::cmp::Reverse(fit.needs));
    fits
}

/// The largest model that fits and is quick enough.
fn best<'a>(fits: &'a [Fit<'a>]) -> Option<&'a Fit<'a>> {
    fits.iter().find(|fit| fit.fits && fit.is_quick())
}

/// Prints them.
pub fn run(store: &Store, json: bool) {
    let mut system = System::new();
    system.refresh_memory();
    let (available, speed) = (system.available_memory(), bytes_per_second());
    let fits = fits(store, available, speed);
    let best = best(&fits).map(|fit| fit.entry.name.as_str());
    if json {
        let models: Vec<_> = fits
            .iter()
            .map(|fit| {
                json!({
                    "name": fit.entry.name,
                    "memory": fit.needs,
                    "fits": fit.fits,
                    "most_tokens_per_second": fit.most_tokens_per_second,
                })
            })
            .collect();
        outln!(
            "{}",
            json!({
                "available_memory": available,
                "memory_bytes_per_second": speed,
                "recommended": best,
                "models": models,
            })
        );
        return;
    }
    outln!(
        "{:.1} GiB of memory are free, and are read at {:.1} GB/s.",
        available as f64 / f64::from(1 << 30),
        speed / 1e9
    );
    for fit in &fits {
        let verdict = match (fit.fits, fit.is_quick()) {
            (false, _) => "does not fit",
            (true, false) => "too slow for rounds",
            (true, true) => "fits",
        };
        outln!(
            "{:28} {:>6.1} GiB  at most {:>6.1} tokens/s  {verdict}",
            fit.entry.name,
            fit.needs as f64 / f64::from(1 << 30),
            fit.most_tokens_per_second,
        );
    }
    match best {
        Some(name) => outln!("Recommended: {name}. `starling model bench -m {name}` measures it."),
        None => outln!("No model of the store fits; several nodes can share one, see `[[serve]]`."),
    }
}

/// Bytes that all cores read from memory in a second.
fn bytes_per_second() -> f64 {
    let data = vec![1u64; READ / size_of::<u64>()];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = data.len().div_ceil(threads);
    let times = (0..READS).map(|_| {
        let started = Instant::now();
        thread::scope(|scope| {
            for part in data.chunks(share) {
                scope.spawn(move || black_box(part.iter().fold(0u64, |a, b| a.wrapping_add(*b))));
            }
        });
        started.elapsed().as_secs_f64()
    });
    READ as f64 / times.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_models::Manifest;

    fn recommended(available: u64, speed: f64) -> Option<String> {
        let store = Store::with_manifest("/nowhere".into(), Manifest::built_in().unwrap());
        let fits = fits(&store, available, speed);
        best(&fits).map(|fit| fit.entry.name.clone())
    }

    #[test]
    fn the_largest_model_that_fits_and_is_quick_is_recommended() {
        let name = |available, speed| recommended(available, speed).unwrap_or_default();
        assert_eq!(name(16 << 30, 20e9), "qwen2.5-coder-1.5b-instruct");
        // Enough memory, but a token would take half a second.
        assert_eq!(name(16 << 30, 3e9), "qwen2.5-coder-0.5b-instruct");
        assert_eq!(name(600 << 20, 20e9), "gemma-3-270m");
        assert_eq!(recommended(300 << 20, 20e9), None);
        assert_eq!(recommended(16 << 30, 1e8), None);
    }

    #[test]
    fn memory_is_read_at_some_speed() {
        let speed = bytes_per_second();
        assert!(speed.is_finite() && speed > 0.0, "{speed}");
    }
}

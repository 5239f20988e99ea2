// SPDX-License-Identifier: Apache-2.0
//! Runs many simulations at once, and shows their progress.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

/// Runs simulations, with or without a progress bar.
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    /// Show no progress.
    pub quiet: bool,
}

impl Runner {
    /// Runs `job` for each input, on all threads, and returns the results in the order of the
    /// inputs. `steps` is the number of times that all jobs together advance their progress bar.
    pub fn all<T: Sync, R: Send>(
        &self,
        label: &str,
        steps: u64,
        inputs: &[T],
        job: impl Fn(&T, &ProgressBar) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let bar = ProgressBar::with_draw_target(
            Some(steps),
            if self.quiet {
                ProgressDrawTarget::hidden()
            } else {
                ProgressDrawTarget::stderr()
            },
        );
        let style = ProgressStyle::with_template(
            "{prefix:<12} {bar:30} {pos:>6}/{len} rounds, {elapsed} of about {duration}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(label.to_owned());
        let results = inputs.par_iter().map(|input| job(input, &bar)).collect();
        bar.finish();
        results
    }
}

// SPDX-License-Identifier: Apache-2.0

//! Logs each problem once when it appears and once when it is solved.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{metrics::Metrics, LOG_TARGET};

/// The present problems, by topic.
#[derive(Default)]
pub struct Problems {
    active: Mutex<BTreeMap<String, String>>,
    metrics: Option<Metrics>,
}

impl Problems {
    /// Problems whose number `metrics` show.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            active: Mutex::default(),
            metrics: Some(metrics),
        }
    }

    /// Notes the outcome of `topic`, and returns the value of a success. Logs a new error, and the
    /// first success after an error.
    pub fn note<T>(&self, topic: &str, outcome: Result<T, String>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.solved(topic);
                Some(value)
            },
            Err(error) => {
                self.found(topic, error);
                None
            },
        }
    }

    /// Notes a problem.
    pub fn found(&self, topic: &str, error: String) {
        let mut active = self.active.lock();
        let known = active.get(topic);
        if known != Some(&error) {
            log::error!(target: LOG_TARGET, "{topic}: {error}");
            active.insert(topic.into(), error);
        }
        self.count(active.len());
    }

    /// Notes that a problem, if there was one, is solved.
    pub fn solved(&self, topic: &str) {
        let mut active = self.active.lock();
        if active.remove(topic).is_some() {
            log::info!(target: LOG_TARGET, "{topic}: works again");
            self.count(active.len());
        }
    }

    /// The present problems, by topic.
    pub fn active(&self) -> BTreeMap<String, String> {
        self.active.lock().clone()
    }

    fn count(&self, count: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.problems.set(count.try_into().unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_lasts_until_it_is_solved() {
        let problems = Problems::default();
        assert_eq!(problems.note("disk", Ok(1)), Some(1));
        assert_eq!(problems.note::<()>("disk", Err("full".into())), None);
        problems.note::<()>("disk", Err("full".into()));
        assert_eq!(problems.active(), [("disk".into(), "full".into())].into());
        problems.note("disk", Ok(()));
        assert!(problems.active().is_empty());
    }
}

// SPDX-License-Identifier: Apache-2.0

//! The knowledge bases of an agent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use starling_aids::knowledge::{Base, Passage, Settings};

use crate::{config::Step, problems::Problems};

/// Longest time that the refreshing of a base keeps a thread from jobs, but for its last passage.
const STRETCH: Duration = Duration::from_secs(1);

/// The knowledge bases that steps name, each once.
#[derive(Default)]
pub struct Shelf(Vec<Arc<Base>>);

impl Shelf {
    /// The bases of `steps`. Those that `previous` has are taken over.
    pub fn new(steps: &[Step], previous: Option<&Self>) -> Self {
        let mut shelf = Self::default();
        for step in steps {
            let Step::Knowledge { knowledge, lookup } = step else {
                continue;
            };
            let settings = lookup.settings(knowledge);
            if shelf.find(&settings).is_none() {
                let known = previous
                    .and_then(|previous| previous.find(&settings))
                    .cloned();
                let base = known.unwrap_or_else(|| Arc::new(Base::new(settings)));
                shelf.0.push(base);
            }
        }
        shelf
    }

    fn find(&self, settings: &Settings) -> Option<&Arc<Base>> {
        self.0.iter().find(|base| base.settings() == settings)
    }

    /// At most `most` passages that a question is about, of the base with these settings.
    pub fn lookup(
        &self,
        settings: &Settings,
        question: &str,
        most: usize,
    ) -> Result<Vec<Passage>, String> {
        let base = self
            .find(settings)
            .ok_or("there is no such knowledge base")?;
        let found = base.lookup(question, most);
        found.map_err(|error| error.to_string())
    }

    /// Brings the bases up to date for a while, and notes what is wrong with them. Returns true if
    /// there is more to do.
    pub fn refresh(&self, problems: &Problems) -> bool {
        let mut more = false;
        for base in &self.0 {
            let started = Instant::now();
            let refreshed = base.refresh(|| started.elapsed() < STRETCH);
            more |= matches!(refreshed, Ok(false));
            let outcome = match (refreshed, base.left_out()) {
                (Err(error), _) => Err(error.to_string()),
                (Ok(_), Some(left_out)) => Err(left_out),
                (Ok(_), None) => Ok(()),
            };
            let topic = format!("the knowledge base {}", base.settings().folder.display());
            problems.note(&topic, outcome);
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn steps(folder: &std::path::Path, more: &str) -> Vec<Step> {
        #[derive(serde::Deserialize)]
        struct File {
            step: Vec<Step>,
        }
        let step = format!("[[step]]\nknowledge = {folder:?}\n{more}\n");
        toml::from_str::<File>(&step.repeat(2)).unwrap().step
    }

    #[test]
    fn a_base_is_read_once_and_stays_when_the_configuration_changes() {
        let folder = tempfile::tempdir().unwrap();
        let first = Shelf::new(&steps(folder.path(), ""), None);
        assert_eq!(first.0.len(), 1);
        let same = Shelf::new(&steps(folder.path(), "passages = 9"), Some(&first));
        assert!(Arc::ptr_eq(&first.0[0], &same.0[0]));
        let other = Shelf::new(&steps(folder.path(), "max_text = \"1 B\""), Some(&first));
        assert!(!Arc::ptr_eq(&first.0[0], &other.0[0]));
    }

    #[test]
    fn what_is_left_out_is_a_problem_until_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        fs::write(&file, [0xff; 3]).unwrap();
        let shelf = Shelf::new(&steps(folder.path(), ""), None);
        let problems = Problems::default();
        assert!(!shelf.refresh(&problems));
        let problem = problems.active().into_values().next().unwrap();
        assert!(problem.contains("a.txt is left out: no text"), "{problem}");
        fs::write(&file, "Orla is red.").unwrap();
        shelf.refresh(&problems);
        assert!(problems.active().is_empty());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The share of pairs that a head ranks right.

use super::rankings::{pairs, Question, Response};
use serde::Serialize;
use starling_evaluation::mean_interval;
use starling_zk::head::Head;
use std::fmt;

/// The mean over questions of the share of a question's pairs that are ranked right, with its 95 %
/// confidence interval. A tie is half right.
#[derive(Serialize)]
pub(super) struct Share {
    pub questions: usize,
    pub pairs: usize,
    pub right: f64,
    pub low: f64,
    pub high: f64,
}

/// Pairs that a head ranks right, beside the rule that the longer response is better.
#[derive(Serialize)]
pub(super) struct Report {
    pub held_out: Share,
    pub longer: Share,
    pub in_training: Share,
}

impl Share {
    fn of(questions: &[Question], value: impl Fn(&Response) -> i64) -> Self {
        let shares: Vec<Vec<f64>> = questions
            .iter()
            .map(|question| {
                let judged = pairs(question).map(|(better, worse)| {
                    let (better, worse) = (value(better), value(worse));
                    (f64::from(better > worse) + f64::from(better >= worse)) / 2.0
                });
                judged.collect()
            })
            .collect();
        let mean = |shares: &Vec<f64>| shares.iter().sum::<f64>() / shares.len() as f64;
        let interval = mean_interval(&shares.iter().map(mean).collect::<Vec<_>>());
        Self {
            questions: shares.len(),
            pairs: shares.iter().map(Vec::len).sum(),
            right: interval.value,
            low: interval.low.max(0.0),
            high: interval.high.min(1.0),
        }
    }
}

impl Report {
    pub fn new(head: &Head, seen: &[Question], held_out: &[Question]) -> Self {
        let output = |response: &Response| head.output(&response.features);
        Self {
            held_out: Share::of(held_out, output),
            longer: Share::of(held_out, |response| response.bytes as i64),
            in_training: Share::of(seen, output),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| ranked by | questions | pairs | right, % | 95 % interval |"
        )?;
        write!(f, "|---|---|---|---|---|")?;
        let rows = [
            ("the head, questions held out", &self.held_out),
            ("length, questions held out", &self.longer),
            ("the head, questions of the training", &self.in_training),
        ];
        for (by, share) in rows {
            let [right, low, high] = [share.right, share.low, share.high].map(|x| 100.0 * x);
            write!(
                f,
                "\n| {by} | {} | {} | {right:.1} | {low:.1}–{high:.1} |",
                share.questions, share.pairs
            )?;
        }
        Ok(())
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The audit of a traced answer: all checks of it in their order, by computing it again.
//! `starling audit` gets the case from a chain.

use crate::{
    common::{model_path, Failure, StoreArgs},
    sketches::{
        draws::{again, drawing, Replayed},
        hash, profile,
    },
};
use serde::Serialize;
use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    generate::said,
    ActivationBits, Device, Ends, LoadOptions, Trunk,
};
use starling_models::sha256;
use starling_sketch::{
    check::{
        in_range, mean_gap, same_context, same_ids, same_model, same_sketches, same_text,
        same_tokens, same_tree, Fault, Profile,
    },
    distance::{root, squared, Verdict},
    layout::chunks,
    shown::Kept,
    signs::{answer_seed, Signs},
    trace::{Place, Trace},
    Hash, Kind, Layout, Sketch,
};
use std::path::PathBuf;

/// Units of a gap.
const GAP: f64 = 4096.0;

/// The means of an audit.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The model that the answer is said to be of: one of the store by name, or the path of a GGUF
    /// file
    #[arg(short, long)]
    model: String,
    /// The model's profile, as `starling-infer calibrate-sketch --out FILE` writes it
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Device: cpu, candle, or cuda:N
    #[arg(long, default_value_t, value_name = "DEVICE")]
    device: Device,
    /// Threads of the device cpu; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Bits of the activations that are multiplied with quantised weights: 16 or 8
    #[arg(long, default_value_t, value_name = "BITS")]
    activation_bits: ActivationBits,
}

/// An answer, and what is public about it.
pub struct Case {
    /// Where it was asked for.
    pub place: Place,
    /// The hash of the request's block.
    pub moment: Hash,
    /// The conversation that it answers.
    pub prompt: Vec<Message>,
    /// The revealed text.
    pub text: String,
    /// The trace that its author shows.
    pub kept: Kept,
}

/// The outcome of a check, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Accept,
    /// It convicts nobody.
    Unclear,
    /// It does not hold.
    Reject,
}

impl Outcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Unclear => "unclear",
            Self::Reject => "reject",
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Unclear => Self::Unclear,
            Verdict::Reject => Self::Reject,
        }
    }
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub check: &'static str,
    /// Its outcome.
    pub verdict: Outcome,
    /// The reason, or the figures.
    pub detail: String,
}

/// The checks of an answer in their order. The first that does not hold ends them.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// The outcome of all checks.
    pub fn verdict(&self) -> Outcome {
        let has = |outcome| self.checks.iter().any(|check| check.verdict == outcome);
        match (has(Outcome::Reject), has(Outcome::Unclear)) {
            (true, _) => Outcome::Reject,
            (false, true) => Outcome::Unclear,
            (false, false) => Outcome::Accept,
        }
    }

    /// Notes a check with figures. `None` ends the checks.
    fn judge(
        &mut self,
        check: &'static str,
        figures: String,
        found: Result<Verdict, Fault>,
    ) -> Option<()> {
        let (verdict, detail) = match found {
            Ok(verdict) => (verdict.into(), figures),
            Err(fault) if figures.is_empty() => (Outcome::Reject, fault.to_string()),
            Err(fault) => (Outcome::Reject, format!("{fault}; {figures}")),
        };
        self.checks.push(Check {
            check,
            verdict,
            detail,
        });
        (verdict != Outcome::Reject).then_some(())
    }

    /// Notes a check that holds or does not, and gives its result.
    fn holds<T>(&mut self, check: &'static str, found: Result<T, Fault>) -> Option<T> {
        let (value, found) = match found {
            Ok(value) => (Some(value), Ok(Verdict::Accept)),
            Err(fault) => (None, Err(fault)),
        };
        self.judge(check, String::new(), found)?;
        value
    }
}

/// The verifier's own knowledge of a model, besides its computation.
struct Known<'a> {
    /// The SHA-256 of the file.
    model: Hash,
    /// Number of tokens that it knows.
    vocabulary: usize,
    /// The ids of the prompt.
    context: &'a [u32],
    /// Reads ids of an answer.
    read: &'a dyn Fn(&[u32]) -> String,
}

/// Checks an answer with a model file of this machine.
///
/// # Errors
/// When the model, its profile or its computation fails: nothing is known about the answer then.
pub fn audit(args: &Args, case: &Case) -> Result<Report, Failure> {
    let path = model_path(&args.store, &args.model)?;
    let model = hash(&sha256(&path)?).ok_or("the hash of the model is not one")?;
    if model != case.kept.trace.model {
        return Err(format!(
            "{} is not the model of the trace, which has SHA-256 {}",
            args.model,
            hex(&case.kept.trace.model)
        )
        .into());
    }
    let profile = profile::read(&args.profile, &model)?;
    let options = LoadOptions {
        threads: args.threads,
        activation_bits: args.activation_bits,
        ..LoadOptions::default()
    };
    match args.device.of_candle()? {
        None => audit_by(&LocalBackend::load(&path, &options)?, model, &profile, case),
        Some(device) => {
            let backend = LocalBackend::load_on(&device, &path, &options)?;
            audit_by(&backend, model, &profile, case)
        },
    }
}

fn audit_by<T: Trunk>(
    backend: &LocalBackend<T>,
    model: Hash,
    profile: &Profile,
    case: &Case,
) -> Result<Report, Failure> {
    let chat = backend.chat();
    let prompt = chat.render(&chat.fit(case.prompt.clone()), true)?;
    let stop = chat.stop_strings().iter();
    let stop: Vec<String> = stop.map(|&text| text.to_owned()).collect();
    let known = Known {
        model,
        vocabulary: backend.model().config().vocab,
        context: &backend.tokenizer().encode_prompt(&prompt),
        read: &|tokens| said(backend.tokenizer(), tokens, &stop),
    };
    let mut report = Report::default();
    if let Some(ids) = claims(&mut report, case, &known) {
        let trace = &case.kept.trace;
        let seed = answer_seed(&model, &case.moment);
        let width = backend.model().config().width;
        let signs = Signs::new(&seed, width.try_into()?);
        let drawing = drawing(trace.settings, case.place.sampler_key(trace.attempt));
        let own = again(backend, ids, &signs, &drawing)?;
        computation(&mut report, &case.kept, &own, profile);
    }
    Ok(report)
}

/// The checks that need no computation. Gives the ids of context and answer, if all hold.
fn claims<'a>(
    report: &mut Report,
    case: &'a Case,
    known: &Known<'_>,
) -> Option<(&'a [u32], &'a [u32])> {
    let Kept {
        request,
        trace,
        ids,
        ..
    } = &case.kept;
    let same_request = match *request == case.place.request {
        true => in_range(trace),
        false => Err(Fault::Commitment),
    };
    report.holds("trace", same_request)?;
    report.holds("model", same_model(trace, &known.model))?;
    let parts = same_ids(trace, ids).and_then(|(before, said)| {
        let exists = |id: &u32| usize::try_from(*id).is_ok_and(|id| id < known.vocabulary);
        match !said.is_empty() && ids.iter().all(exists) {
            true => Ok((before, said)),
            false => Err(Fault::Ids),
        }
    });
    let (before, said) = report.holds("ids", parts)?;
    report.holds("context", same_context(before, known.context))?;
    report.holds("text", same_text(&(known.read)(said), &case.text))?;
    Some((before, said))
}

/// The checks against the verifier's computation.
fn computation(report: &mut Report, kept: &Kept, own: &Replayed, profile: &Profile) -> Option<()> {
    let trace = &kept.trace;
    let limits = profile.tokens;
    let mean = mean_gap(&own.gaps).unwrap_or_default();
    let [mean, accept, reject] =
        [mean, limits.accept, limits.reject].map(|gap| f64::from(gap) / GAP);
    let figures = format!("mean gap {mean:.4}; accept {accept:.4}, reject {reject:.4}");
    report.judge("tokens", figures, same_tokens(trace, &own.gaps, limits))?;

    let limits = profile.answers;
    let worst = worst(trace, &kept.sketches, &own.sketches);
    let [worst, accept, reject] = [worst, limits.accept, limits.reject].map(root);
    let figures = format!("worst distance {worst:.4}; accept {accept:.4}, reject {reject:.4}");
    let found = same_tree(trace, &kept.sketches)
        .and_then(|()| same_sketches(trace, &kept.sketches, &own.sketches, limits));
    report.judge("sketches", figures, found)
}

/// The largest squared distance of the chunks.
fn worst(trace: &Trace, shown: &[Sketch], own: &[Sketch]) -> u64 {
    let pairs = shown.iter().zip(own);
    let distances = chunks(trace.tokens)
        .zip(pairs)
        .filter_map(|(chunk, (shown, own))| {
            let layout = Layout::largest(Kind::Answer, chunk.len())?;
            Some(squared(layout, shown, own))
        });
    distances.max().unwrap_or_default()
}

/// The hexadecimal digits of a hash.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_sketch::{
        check::MeanGaps,
        distance::{Thresholds, ONE},
        trace::{Numerics, Parts, Settings},
    };

    const MODEL: Hash = [9; 32];

    fn sketch(value: i16) -> Sketch {
        Sketch::new([value; 128])
    }

    /// The answer 4, 5 to 1, 2, 3 in words of its ids.
    fn case() -> Case {
        let sketches = vec![sketch(100)];
        let trace = Trace::of(&Parts {
            model: MODEL,
            numerics: Numerics::Wide,
            settings: Settings {
                temperature: 700,
                top_k: 40,
                top_p: 950,
            },
            attempt: 0,
            context: &[1, 2, 3],
            tokens: &[4, 5],
            sketches: &sketches,
            salt: [8; 32],
        });
        Case {
            place: Place {
                genesis: [1; 32],
                round: 3,
                agent: [2; 32],
                request: [4; 32],
            },
            moment: [6; 32],
            prompt: vec![Message::user("x")],
            text: "[4, 5]".to_owned(),
            kept: Kept {
                request: [4; 32],
                trace: trace.unwrap(),
                ids: vec![1, 2, 3, 4, 5],
                sketches,
            },
        }
    }

    const PROFILE: Profile = Profile {
        answers: Thresholds {
            accept: ONE / 100,
            reject: ONE / 25,
        },
        tokens: MeanGaps {
            accept: 100,
            reject: 200,
        },
        distributions: Thresholds {
            accept: 0,
            reject: 0,
        },
    };

    fn checked(case: &Case) -> (Option<(Vec<u32>, Vec<u32>)>, Report) {
        let known = Known {
            model: MODEL,
            vocabulary: 6,
            context: &[1, 2, 3],
            read: &|ids| format!("{ids:?}"),
        };
        let mut report = Report::default();
        let ids = claims(&mut report, case, &known);
        let ids = ids.map(|(before, said)| (before.to_vec(), said.to_vec()));
        (ids, report)
    }

    fn names(report: &Report) -> Vec<&'static str> {
        report.checks.iter().map(|check| check.check).collect()
    }

    #[test]
    fn an_honest_answer_passes_all_checks_in_their_order() {
        let case = case();
        let (ids, mut report) = checked(&case);
        assert_eq!(ids, Some((vec![1, 2, 3], vec![4, 5])));
        let own = Replayed {
            gaps: vec![0, 200],
            sketches: vec![sketch(101)],
        };
        computation(&mut report, &case.kept, &own, &PROFILE);
        let all = [
            "trace", "model", "ids", "context", "text", "tokens", "sketches",
        ];
        assert_eq!(names(&report), all);
        assert_eq!(report.verdict(), Outcome::Accept);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["checks"][5]["verdict"], "accept");
        let figures = report.checks.last().unwrap().detail.as_str();
        assert_eq!(
            figures,
            "worst distance 0.0099; accept 0.1000, reject 0.2000"
        );
    }

    #[test]
    fn the_first_check_that_does_not_hold_ends_them() {
        let refused = |change: &dyn Fn(&mut Case)| {
            let mut case = case();
            change(&mut case);
            let (ids, report) = checked(&case);
            assert_eq!((ids, report.verdict()), (None, Outcome::Reject));
            *names(&report).last().unwrap()
        };
        assert_eq!(refused(&|case| case.place.request = [0; 32]), "trace");
        assert_eq!(refused(&|case| case.kept.trace.version = 9), "trace");
        assert_eq!(refused(&|case| case.kept.trace.model = [0; 32]), "model");
        assert_eq!(refused(&|case| case.kept.ids[4] = 1), "ids");
        assert_eq!(refused(&|case| case.kept.ids.truncate(3)), "ids");
        assert_eq!(refused(&|case| case.text = "[4]".to_owned()), "text");
        // Other ids than this model's, under a digest of their own.
        let ids = [[1, 2, 9, 4, 5], [1, 2, 4, 4, 5]];
        let found = ids.map(|ids| {
            refused(&|case| {
                case.kept.ids = ids.to_vec();
                case.kept.trace.token_digest = starling_sketch::trace::token_digest(&ids);
            })
        });
        assert_eq!(found, ["ids", "context"]);
    }

    #[test]
    fn between_the_thresholds_nobody_is_convicted_and_beyond_them_figures_say_why() {
        let kept = case().kept;
        let judged = |gap: u16, value: i16| {
            let own = Replayed {
                gaps: vec![gap; 2],
                sketches: vec![sketch(value)],
            };
            let mut report = Report::default();
            computation(&mut report, &kept, &own, &PROFILE);
            (names(&report).len(), report.verdict())
        };
        assert_eq!(judged(100, 100), (2, Outcome::Accept));
        assert_eq!(judged(150, 100), (2, Outcome::Unclear));
        assert_eq!(judged(100, 115), (2, Outcome::Unclear));
        assert_eq!(judged(201, 100), (1, Outcome::Reject));
        assert_eq!(judged(150, 200), (2, Outcome::Reject));
    }
}

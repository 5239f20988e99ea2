// SPDX-License-Identifier: Apache-2.0

//! Auxiliary processing around the primary module (arXiv 2409.08386, section 3.1). A step that
//! fails is skipped: it never costs the round.

use minijinja::{context, Environment};
use starling_aids::{arithmetic, calculator, knowledge};

use super::{
    hook::{self, Input, Stage},
    shelf::Shelf,
    trim, Request, Signals,
};
use crate::{config::Step, problems::Problems};

/// Applies `steps` to `text` in order. A running step ends when `signals` tell it to.
pub fn apply(
    steps: &[Step],
    shelf: &Shelf,
    stage: Stage,
    request: &Request,
    text: String,
    signals: &Signals,
    problems: &Problems,
) -> String {
    steps.iter().enumerate().fold(text, |text, (index, step)| {
        let topic = format!("step {} {stage} the primary module", index + 1);
        let outcome = run(step, shelf, stage, request, &text, signals);
        if signals.is_cancelled() {
            // Nobody waits for the text any more. The step is not to blame for its end.
            return text;
        }
        problems.note(&topic, outcome).unwrap_or(text)
    })
}

fn run(
    step: &Step,
    shelf: &Shelf,
    stage: Stage,
    request: &Request,
    text: &str,
    signals: &Signals,
) -> Result<String, String> {
    let history = request.prompt.history();
    let prompt = request.prompt.question();
    let input = Input {
        stage,
        round: request.round,
        history: &history,
        prompt,
        text,
    };
    match step {
        Step::Template { template } => {
            let history: Vec<_> = history
                .iter()
                .map(|turn| turn.map(str::to_owned).to_vec())
                .collect();
            let variables = context! { history, prompt, text, round => request.round };
            Environment::new()
                .render_str(template.as_str(), variables)
                .map_err(|error| format!("{error:#}"))
        },
        Step::Trim { trim } => Ok(trim::apply(trim, text)),
        Step::Arithmetic { .. } => Ok(match stage {
            Stage::Before => arithmetic::annotate(text),
            Stage::After => arithmetic::correct(text),
        }),
        Step::Calculator { .. } => Ok(match stage {
            Stage::Before => calculator::invite(text),
            Stage::After => calculator::compute(text),
        }),
        Step::Knowledge {
            knowledge: folder,
            lookup,
        } => {
            let passages = shelf.lookup(&lookup.settings(folder), prompt, lookup.passages())?;
            let most = lookup.max_added();
            Ok(knowledge::with_passages(&passages, text, most))
        },
        Step::Command { command, limits } => hook::command(command, &input, *limits, signals),
        Step::Url { url, limits } => hook::http(url, &input, *limits, signals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::choice::Form;
    use std::fs;

    fn steps(toml: &str) -> Vec<Step> {
        #[derive(serde::Deserialize)]
        struct File {
            step: Vec<Step>,
        }
        toml::from_str::<File>(toml).unwrap().step
    }

    #[test]
    fn steps_work_on_each_other_s_results_and_failures_are_left_out() {
        let steps = steps(
            r#"
            [[step]]
            template = "{{ round }}: {{ text }} ({{ prompt }})"
            [[step]]
            command = ["false"]
            [[step]]
            command = ["sh", "-c", "cat > /dev/null; printf '2 + 2 = 5. And th'"]
            timeout = "1m"
            [[step]]
            arithmetic = true
            [[step]]
            trim = { sentences = true }
            "#,
        );
        let request = Request {
            round: 3,
            prompt: "p".into(),
            max_tokens: 1,
            fee: 0,
            slash: 0,
            form: Form::Free,
            is_first: true,
            place: None,
        };
        let problems = Problems::default();
        let apply = |steps: &[Step], stage| {
            let signals = Signals::default();
            let shelf = Shelf::new(steps, None);
            apply(
                steps,
                &shelf,
                stage,
                &request,
                "t".into(),
                &signals,
                &problems,
            )
        };
        let first = apply(&steps[..2], Stage::Before);
        assert_eq!(first, "3: t (p)");
        assert_eq!(problems.active().len(), 1);
        let all = apply(&steps, Stage::After);
        assert_eq!(all, "2 + 2 = 4.");
    }

    #[test]
    fn a_calculator_and_a_knowledge_base_frame_the_module() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "Orla has 34 boats.").unwrap();
        let steps = steps(&format!(
            "[[step]]\nknowledge = {:?}\n[[step]]\ncalculator = true",
            folder.path()
        ));
        let shelf = Shelf::new(&steps, None);
        let problems = Problems::default();
        let run = |steps: &[Step], stage, prompt: &str, text: &str| {
            let request = Request {
                round: 3,
                prompt: prompt.into(),
                max_tokens: 1,
                fee: 0,
                slash: 0,
                form: Form::Number,
                is_first: true,
                place: None,
            };
            let text = text.to_owned();
            let signals = Signals::default();
            apply(steps, &shelf, stage, &request, text, &signals, &problems)
        };
        let question = "How many boats of 7 seats has Orla?";
        let before = run(&steps, Stage::Before, question, question);
        assert!(before.contains("- Orla has 34 boats."), "{before}");
        assert!(before.contains("Answer: calc(12 * 7)"), "{before}");
        let after = run(&steps[1..], Stage::After, question, "calc(34 * 7)");
        assert_eq!(after, "238");
        let other = run(&steps, Stage::Before, "Why?", "Why?");
        assert_eq!(other, "Why?");
        // A folder that is gone costs no answer.
        drop(folder);
        assert_eq!(run(&steps[..1], Stage::Before, question, "x"), "x");
        assert_eq!(problems.active().len(), 1);
    }
}

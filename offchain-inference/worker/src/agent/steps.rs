// SPDX-License-Identifier: Apache-2.0

//! Auxiliary processing around the primary module (arXiv 2409.08386, section 3.1). A step that
//! fails is skipped: it never costs the round.

use minijinja::{context, Environment};

use super::{
    arithmetic,
    hook::{self, Input, Stage},
    trim, Request, Signals,
};
use crate::{config::Step, problems::Problems};

/// Applies `steps` to `text` in order. A running step ends when `signals` tell it to.
pub fn apply(
    steps: &[Step],
    stage: Stage,
    request: &Request,
    text: String,
    signals: &Signals,
    problems: &Problems,
) -> String {
    steps.iter().enumerate().fold(text, |text, (index, step)| {
        let topic = format!("step {} {stage} the primary module", index + 1);
        let outcome = run(step, stage, request, &text, signals);
        if signals.is_cancelled() {
            // Nobody waits for the text any more. The step is not to blame for its end.
            return text;
        }
        problems.note(&topic, outcome).unwrap_or(text)
    })
}

fn run(
    step: &Step,
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
        Step::Command { command, limits } => hook::command(command, &input, *limits, signals),
        Step::Url { url, limits } => hook::http(url, &input, *limits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            place: None,
        };
        let problems = Problems::default();
        let apply = |steps: &[Step], stage| {
            let signals = Signals::default();
            apply(steps, stage, &request, "t".into(), &signals, &problems)
        };
        let first = apply(&steps[..2], Stage::Before);
        assert_eq!(first, "3: t (p)");
        assert_eq!(problems.active().len(), 1);
        let all = apply(&steps, Stage::After);
        assert_eq!(all, "2 + 2 = 4.");
    }
}

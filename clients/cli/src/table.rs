// SPDX-License-Identifier: Apache-2.0
//! Rounds as text, and tables.

use comfy_table::{presets, CellAlignment, ContentArrangement, Table};
use starling_client::{
    amount::Currency,
    answers,
    report::{Candidate, Report, Settlement},
    text::{excerpt, printable},
};
use starling_primitives::choice::Form;

/// The maximum width of a table if the output is not a terminal.
const WIDTH: u16 = 100;
/// The maximum length of an answer in a table, in characters.
const EXCERPT: usize = 160;

/// A table with these headings, at most as wide as the terminal.
pub fn table(headings: &[&str]) -> Table {
    table_of_width(headings, width())
}

/// The columns of the terminal, if the output is one.
fn width() -> u16 {
    let terminal = console::Term::stdout();
    match terminal.is_term() {
        true => terminal.size().1,
        false => WIDTH,
    }
}

fn table_of_width(headings: &[&str], width: u16) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(headings.iter().copied());
    table
}

/// Formats an amount of a report.
pub fn amount(currency: &Currency, text: &str) -> String {
    text.parse()
        .map_or_else(|_| text.into(), |amount| currency.format(amount))
}

/// A round in words and tables.
pub fn show(report: &Report, currency: &Currency) -> String {
    let mut parts = vec![];
    if let Some(answer) = &report.answer {
        parts.push(printable(answer.trim()));
        let voted = report.outcome.iter().filter(|outcome| outcome.is_voted);
        parts.extend(voted.map(|outcome| format!("{}.", outcome.words)));
    }
    if !report.candidates.is_empty() {
        parts.push(candidates(report, currency, width()).to_string());
    }
    parts.push(report.why.clone());
    parts.push(facts(report, currency));
    parts.join("\n\n")
}

fn candidates(report: &Report, currency: &Currency, width: u16) -> Table {
    let mut headings = vec!["", "agent", "score", "ranked by (rating)", "paid"];
    let is_counted = report.answers != answers::name(Form::Free);
    headings.extend(is_counted.then_some("key"));
    headings.push("answer");
    let mut table = table_of_width(&headings, width);
    for candidate in &report.candidates {
        table.add_row(row(candidate, is_counted, currency));
    }
    if let Some(scores) = table.column_mut(2) {
        scores.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(candidate: &Candidate, is_counted: bool, currency: &Currency) -> Vec<String> {
    let model = candidate.model.as_deref().unwrap_or("unknown model");
    let rankings: Vec<_> = candidate
        .rankings
        .iter()
        .map(|ranking| {
            let rating = ranking
                .rating
                .map_or("?".into(), |rating| format!("{rating:.2}"));
            format!("{} {:.4} ({rating})", ranking.by, ranking.score)
        })
        .collect();
    let money = |text: &Option<String>| {
        text.as_deref()
            .filter(|text| *text != "0")
            .map(ToOwned::to_owned)
    };
    let paid = money(&candidate.paid).map(|paid| amount(currency, &paid));
    let slashed =
        money(&candidate.slashed).map(|lost| format!("slashed {}", amount(currency, &lost)));
    let moved: Vec<_> = [paid, slashed].into_iter().flatten().collect();
    let answer = match &candidate.text {
        Some(text) => excerpt(text, EXCERPT),
        None => format!("({})", candidate.state),
    };
    let key = candidate.key.as_deref().map_or("–".into(), printable);
    let mut row: Vec<String> = vec![
        if candidate.won { "★" } else { "" }.into(),
        format!("{}\n{model}", candidate.agent.name),
        candidate
            .score
            .map_or("–".into(), |score| format!("{score:.4}")),
        rankings.join("\n"),
        moved.join("\n"),
    ];
    row.extend(is_counted.then_some(key));
    row.push(answer);
    row
}

/// The requester, the payments and the blocks.
fn facts(report: &Report, currency: &Currency) -> String {
    let mut lines = vec![format!(
        "Round {} · asked by {} · {} · fee {}, ticket {}",
        report.round,
        report.requester.name,
        report.phase,
        amount(currency, &report.terms.fee),
        amount(currency, &report.terms.ticket),
    )];
    if let Some(settlement) = &report.settlement {
        lines.push(money(settlement, currency));
    }
    let blocks: Vec<_> = report
        .blocks
        .iter()
        .map(|phase| format!("{} {}", phase.phase, phase.block))
        .collect();
    lines.push(format!("Blocks: {}", blocks.join(" → ")));
    lines.join("\n")
}

fn money(settlement: &Settlement, currency: &Currency) -> String {
    let parts = [
        ("to the winner", &settlement.winner),
        ("to the rankers", &settlement.rankers),
        ("to the treasury", &settlement.treasury),
        ("back to the requester", &settlement.refunded),
        ("minted as subsidy", &settlement.subsidy),
        ("of tickets forfeited", &settlement.forfeited),
        ("of bonds slashed", &settlement.slashed),
        ("burnt", &settlement.burnt),
    ];
    let moved: Vec<_> = parts
        .iter()
        .filter(|(_, text)| *text != "0")
        .map(|(what, text)| format!("{} {what}", amount(currency, text)))
        .collect();
    format!("Paid: {}", moved.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_client::report::{Account, Outcome, PhaseBlock, Ranking, Terms};

    fn account(name: &str) -> Account {
        Account {
            name: name.into(),
            address: format!("5{name}"),
        }
    }

    fn candidate(name: &str, text: Option<&str>, won: bool) -> Candidate {
        Candidate {
            agent: account(name),
            model: Some("gemma".into()),
            model_hash: None,
            won,
            text: text.map(Into::into),
            key: text.map(str::to_lowercase),
            state: if text.is_some() { "valid" } else { "spoiled" },
            score: text.map(|_| 0.9),
            rankings: vec![Ranking {
                by: "Charlie".into(),
                score: 0.9,
                rating: Some(0.7),
                weight: Some(0.1),
            }],
            rating: Some(0.7),
            weight: Some(0.1),
            paid: Some(if won { "700000000000" } else { "0" }.into()),
            slashed: Some(if text.is_some() { "0" } else { "30000000000" }.into()),
        }
    }

    fn report() -> Report {
        Report {
            round: 7,
            prompt: "why?".into(),
            requester: account("Eve"),
            phase: "done".into(),
            failure: None,
            why: "Because.".into(),
            answer: Some("Para\u{1b}[2Jdise".into()),
            answers: "free",
            outcome: None,
            candidates: vec![
                candidate("Bob", Some("Para\u{1b}[2Jdise"), true),
                candidate("Dave", None, false),
            ],
            terms: Terms {
                fee: "1000000000000".into(),
                deposit: "0".into(),
                ticket: "10000000000".into(),
                max_tokens: 64,
                min_responses: 2,
                max_responses: 8,
            },
            settlement: Some(Settlement {
                refunded: "0".into(),
                forfeited: "0".into(),
                slashed: "30000000000".into(),
                subsidy: "0".into(),
                winner: "700000000000".into(),
                rankers: "0".into(),
                treasury: "0".into(),
                burnt: "0".into(),
            }),
            blocks: vec![
                PhaseBlock {
                    phase: "committing".into(),
                    block: 3,
                },
                PhaseBlock {
                    phase: "done".into(),
                    block: 9,
                },
            ],
        }
    }

    #[test]
    fn a_round_is_shown_with_answer_scores_money_and_blocks() {
        let shown = show(&report(), &Currency::default());
        for part in [
            "★",
            "Bob",
            "0.9000",
            "Charlie 0.9000 (0.70)",
            "0.7 STAR",
            "(spoiled)",
            "slashed 0.03 STAR",
            "Because.",
            "Round 7 · asked by Eve · done · fee 1 STAR, ticket 0.01 STAR",
            "Paid: 0.7 STAR to the winner, 0.03 STAR of bonds slashed",
            "Blocks: committing 3 → done 9",
        ] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }

    #[test]
    fn keys_and_votes_are_shown_where_answers_are_counted() {
        let free = show(&report(), &Currency::default());
        assert!(!free.contains("key"), "{free}");

        let mut report = report();
        report.answers = "short";
        let mut outcome = Outcome {
            is_voted: true,
            votes: 1,
            responses: 2,
            share_of_votes: 0.5,
            share_of_weight: 0.81,
            words: "1 of 2 agents gave this answer".into(),
        };
        report.outcome = Some(outcome.clone());
        let shown = show(&report, &Currency::default());
        for part in [
            "key",
            "para\u{fffd}[2jdise",
            "1 of 2 agents gave this answer.",
        ] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");

        outcome.is_voted = false;
        report.outcome = Some(outcome);
        let shown = show(&report, &Currency::default());
        assert!(!shown.contains("1 of 2 agents"), "{shown}");
    }

    #[test]
    fn answers_cannot_act_on_the_terminal() {
        assert!(!show(&report(), &Currency::default()).contains('\u{1b}'));
    }

    /// Columns of the widest line of a table.
    fn columns(table: &Table) -> usize {
        let text = table.to_string();
        let widths = text.lines().map(console::measure_text_width);
        widths.max().unwrap_or_default()
    }

    #[test]
    fn a_table_is_never_wider_than_the_terminal() {
        for most in [40, 60, 80, 100] {
            let mut table = table_of_width(&["", "agent", "score", "answer"], most);
            table.add_row([
                "★",
                "5Grwva…utQY\nsmollm2-135m-instruct",
                "0.9000",
                "word ".repeat(30).as_str(),
            ]);
            table.add_row(["", "x".repeat(90).as_str(), "–", "(sealed)"]);
            assert!(columns(&table) <= usize::from(most), "{table}");
        }
    }

    #[test]
    fn a_table_that_goes_to_no_terminal_has_at_most_a_hundred_columns() {
        let mut report = report();
        report.answers = "short";
        for candidate in &mut report.candidates {
            candidate.key = Some("k".repeat(64));
            candidate.model = Some("smollm2-135m-instruct".into());
            candidate.text = Some("A long answer. ".repeat(20));
            candidate.rankings = vec![candidate.rankings[0].clone(); 9];
        }
        let table = candidates(&report, &Currency::default(), WIDTH);
        assert!(columns(&table) <= 100, "{table}");
        assert!(
            columns(&table) > 80,
            "the columns use the room that there is:\n{table}"
        );
    }
}

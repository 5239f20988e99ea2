// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

#[test]
fn the_parameters_fit() {
    Rounds_::check_config();
}

fn refuses(change: fn()) {
    let result = std::panic::catch_unwind(|| {
        change();
        Rounds_::check_config();
    });
    assert!(result.is_err());
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    // Each in a thread of its own, as the parameters are thread-local.
    let changes: [fn(); 14] = [
        || CommitWindow::set(0),
        || RevealWindow::set(0),
        || RankWindow::set(0),
        || DiscloseWindow::set(0),
        || MinResponses::set(1),
        || MinResponses::set(9),
        || MaxResponses::set(70_000),
        || MinRankings::set(17),
        || MaxTransitions::set(0),
        || MaxTransitionAgents::set(7),
        || RatingPage::set(0),
        || PurgePage::set(0),
        || MaxOpenRounds::set(11),
        || MessagePriority::set(u64::MAX),
    ];
    for change in changes {
        std::thread::spawn(move || refuses(change))
            .join()
            .expect("it was refused");
    }
}

#[test]
fn transitions_that_fill_a_block_are_refused() {
    std::thread::spawn(|| refuses(|| MaxTransitionAgents::set(1_000_000)))
        .join()
        .expect("it was refused");
}

#[test]
fn the_presets_fit() {
    for preset in [presets::PRODUCTION, presets::DEV, presets::PAPER] {
        assert!(preset.min_responses >= 2 && preset.min_responses <= preset.max_responses);
        assert!(preset.min_rankings <= preset.max_rankings);
        assert!(preset.longest_round() < preset.retention_period);
    }
}

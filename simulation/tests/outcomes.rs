// SPDX-License-Identifier: Apache-2.0

//! What the protocol must not lose: small scenarios with fixed seeds, as inequalities.

use anyhow::Result;
use starling_runtime::rules::RuleSet;
use starling_simulation::{
    ability::Ability,
    experiments::{
        behaviours::{self, Attack, Cell},
        ratings, scale, short,
        sybil::{self, SurfaceOptions},
        POOR,
    },
    output::Output,
    runner::Runner,
    swarm::{Config, Spec, Swarm},
};

const QUIET: Runner = Runner { quiet: true };

fn cell(attack: Attack, fraction: f64, agents: usize) -> Result<Cell> {
    let options = behaviours::Options {
        parameters: short(RuleSet::Production),
        agents,
        attacks: vec![attack],
        fractions: vec![fraction],
        warm_up: 20,
        rounds: 40,
        seeds: vec![1],
        poor: POOR,
    };
    let mut outcomes = behaviours::matrix(&options, QUIET)?;
    Ok(outcomes.remove(0).cell)
}

/// Who wins is luck for the most part, in so few rounds; what ranking earns is not.
#[test]
fn at_a_fifth_of_the_agents_nobody_earns_by_bad_ranking_what_honest_agents_earn() -> Result<()> {
    for attack in [
        Attack::Lazy,
        Attack::Constant,
        Attack::Inverted,
        Attack::Ring,
    ] {
        let cell = cell(attack, 0.2, 10)?;
        assert!(
            cell.attacker_beside < 0.8 * cell.honest_beside,
            "{attack:?} earns {} by ranking and honest agents {}",
            cell.attacker_beside,
            cell.honest_beside
        );
    }
    Ok(())
}

#[test]
fn a_ring_of_a_fifth_with_poor_answers_earns_less_than_honest_agents() -> Result<()> {
    let cell = cell(Attack::Ring, 0.2, 10)?;
    assert!(
        cell.attacker_income < cell.honest_income,
        "it earns {} and honest agents {}",
        cell.attacker_income,
        cell.honest_income
    );
    Ok(())
}

#[test]
fn who_copies_or_stays_silent_pays() -> Result<()> {
    for attack in [Attack::Copycat, Attack::NeverReveal, Attack::NeverDisclose] {
        let cell = cell(attack, 0.2, 10)?;
        assert!(
            cell.attacker_income < 0.0,
            "{attack:?} earns {}",
            cell.attacker_income
        );
    }
    Ok(())
}

#[test]
fn censoring_authors_make_nobody_else_late() -> Result<()> {
    let censored = cell(Attack::CensoringAuthor, 0.2, 10)?;
    let free = cell(Attack::Ring, 0.2, 10)?;
    assert_eq!(censored.no_winner, 0.0);
    assert!(censored.honest_income > 0.9 * free.honest_income);
    Ok(())
}

#[test]
fn a_requester_that_owns_agents_loses() -> Result<()> {
    let cell = cell(Attack::SelfDealing, 0.49, 10)?;
    assert!(
        cell.group_and_requester < 0.0,
        "it gains {}",
        cell.group_and_requester
    );
    Ok(())
}

#[test]
fn after_a_hundred_rounds_the_order_of_ratings_is_right() -> Result<()> {
    for rules in [RuleSet::Production, RuleSet::Paper] {
        let options = ratings::Options {
            rules,
            agents: 10,
            rounds: 100,
            seeds: vec![1, 2],
        };
        let rows = ratings::summary(&ratings::play(&options, QUIET)?);
        let last = rows.last().expect("there are rounds");
        assert!(last.spearman > 0.9, "{rules:?}: {}", last.spearman);
        assert!(last.spearman > rows[0].spearman);
    }
    Ok(())
}

#[test]
fn a_sybil_breaks_even_where_the_derived_line_says() -> Result<()> {
    for rules in [RuleSet::Paper, RuleSet::Production] {
        let options = SurfaceOptions {
            rules,
            agents: vec![10, 40],
            tickets: vec![0.0, 2.0],
            rounds: 3,
            seed: 1,
        };
        let profits = sybil::surface(&options, QUIET)?;
        for even in sybil::break_even(&options, &profits) {
            let error = even.measured / even.derived - 1.0;
            assert!(error.abs() < 0.05, "{even:?}");
        }
    }
    Ok(())
}

#[test]
fn a_round_leaves_no_state_behind_and_fits() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = scale::Options {
        sizes: vec![10, 40],
        response_bytes: 200,
        fill: 0.5,
        seed: 1,
    };
    let rows = scale::run(&options, QUIET, &Output::new(folder.path())?)?;
    for row in &rows {
        assert_eq!((row.left_items, row.left_bytes), (0, 0), "{row:?}");
        assert!(row.max_block_share <= 0.5, "{row:?}");
        assert!(row.max_proof_bytes > 0);
    }
    for file in ["scale.csv", "scale.svg"] {
        assert!(std::fs::metadata(folder.path().join(file))?.len() > 0);
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_rounds() -> Result<()> {
    let play = |seed| -> Result<_> {
        let agents = vec![Spec::honest(Ability::default()); 6];
        let mut swarm = Swarm::new(Config::new(short(RuleSet::Production), agents, seed))?;
        swarm.play()?;
        let played = swarm.play()?;
        let hashes: Vec<_> = played.blocks.iter().map(|block| block.number).collect();
        Ok((played.scores, played.winner, hashes))
    };
    assert_eq!(play(1)?, play(1)?);
    assert_ne!(play(1)?.0, play(2)?.0);
    Ok(())
}

// SPDX-License-Identifier: Apache-2.0
//! The protocol's essential results: small scenarios with fixed seeds, as inequalities.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sp_runtime::DispatchError;
use starling_primitives::fixed::ONE;
use starling_runtime::{parameters::Preset, Balance, Runtime, UNIT};
use starling_simulation::{
    ability::Ability,
    behaviour::Kind,
    chain::Rejection,
    changes::Changes,
    experiments::{
        authoring::{self, Protocol},
        behaviours::{self, Attack, Cell},
        disputes::{self, Adversary},
        grinding, ratings, scale,
        scenario::{self, Scenario},
        seats::{self, Conduct, Outcome, Row},
        short,
        sweep::{self, Parameter},
        sybil::{self, Case, CaseOptions, SurfaceOptions},
        POOR,
    },
    output::Output,
    runner::Runner,
    swarm::{Config, Spec, Swarm},
    tables,
};

const QUIET: Runner = Runner { quiet: true };

fn cell(attack: Attack, fraction: f64) -> Result<Cell> {
    cell_under(Changes::default(), attack, fraction)
}

/// Ten agents under these parameters.
fn cell_under(changes: Changes, attack: Attack, fraction: f64) -> Result<Cell> {
    cell_of(changes, attack, fraction, 1)
}

/// The same, over so many seeds that a single run's luck does not decide.
fn cell_of(changes: Changes, attack: Attack, fraction: f64, seeds: u64) -> Result<Cell> {
    let options = behaviours::Options {
        parameters: changes.parameters()?,
        agents: 10,
        attacks: vec![attack],
        fractions: vec![fraction],
        warm_up: 20,
        rounds: 40,
        seeds: (1..=seeds).collect(),
        poor: POOR,
    };
    let mut outcomes = behaviours::matrix(&options, QUIET)?;
    Ok(outcomes.remove(0).cell)
}

/// In so few rounds the winner is mostly luck, but the income from ranking is not.
#[test]
fn at_a_fifth_of_the_agents_nobody_earns_by_bad_ranking_what_honest_agents_earn() -> Result<()> {
    for attack in [
        Attack::Agents(Kind::Lazy),
        Attack::Agents(Kind::Constant),
        Attack::Agents(Kind::Inverted),
        Attack::Agents(Kind::Ring),
    ] {
        let cell = cell(attack, 0.2)?;
        assert!(cell.honest_beside > 0.0, "{}", cell.honest_beside);
        assert!(
            cell.attacker_beside < 0.8 * cell.honest_beside,
            "{attack:?} earns {} by ranking and honest agents {}",
            cell.attacker_beside,
            cell.honest_beside
        );
        match attack {
            Attack::Agents(Kind::Lazy) => assert!(
                cell.attacker_beside < 0.0,
                "random scores cost no money but earn {}",
                cell.attacker_beside
            ),
            Attack::Agents(Kind::Ring) => assert!(
                cell.attacker_income < 0.5 * cell.honest_income,
                "a ring with poor answers earns {} and honest agents {}",
                cell.attacker_income,
                cell.honest_income
            ),
            _ => {},
        }
    }
    Ok(())
}

#[test]
fn an_agent_that_copies_or_stays_silent_pays() -> Result<()> {
    for attack in [
        Attack::Agents(Kind::Copycat),
        Attack::Agents(Kind::NeverReveal),
        Attack::Agents(Kind::NeverDisclose),
    ] {
        let cell = cell(attack, 0.2)?;
        assert!(
            cell.attacker_income < 0.0,
            "{attack:?} earns {}",
            cell.attacker_income
        );
    }
    Ok(())
}

/// Three authors in a row are as many as a phase has blocks. Without the rule that a deadline needs
/// more than a third of the authorities, nobody else's messages would get in.
#[test]
fn censoring_authors_make_nobody_else_late() -> Result<()> {
    let changes = Changes {
        window: Some(3),
        ..Changes::default()
    };
    let censored = cell_under(changes.clone(), Attack::CensoringAuthor, 0.3)?;
    let free = cell_under(changes, Attack::Agents(Kind::Ring), 0.3)?;
    assert_eq!((censored.no_winner, censored.refused), (0.0, 0.0));
    assert!(censored.honest_income > 0.9 * free.honest_income);
    assert!(censored.blocks > free.blocks, "they left nothing out");
    Ok(())
}

/// The requester loses the treasury's share, even if all rank as well as they can.
#[test]
fn a_requester_that_owns_all_agents_loses() -> Result<()> {
    for attack in [Attack::SelfDealing, Attack::Agents(Kind::Buggy)] {
        let cell = cell(attack, 1.0)?;
        assert!(
            cell.group_and_requester < -1.0,
            "of a fee of 20 it gains {} by {attack:?}",
            cell.group_and_requester
        );
    }
    Ok(())
}

#[test]
fn after_a_hundred_rounds_the_order_of_ratings_is_right() -> Result<()> {
    for (preset, least) in [(Preset::Production, 0.95), (Preset::Paper, 0.8)] {
        let options = ratings::Options {
            preset,
            agents: 10,
            rounds: 100,
            seeds: vec![1, 2, 3],
        };
        let rows = ratings::summary(&ratings::play(&options, QUIET)?);
        let last = rows.last().expect("there are rounds");
        assert!(last.spearman > least, "{preset:?}: {}", last.spearman);
        assert!(last.spearman > rows[0].spearman);
    }
    Ok(())
}

#[test]
fn a_sybil_breaks_even_where_the_derived_line_says() -> Result<()> {
    for preset in [Preset::Paper, Preset::Production] {
        let options = SurfaceOptions {
            preset,
            agents: vec![10, 40],
            tickets: vec![0.0],
            // Among ten that score at random, nobody may agree with the others, about once in
            // thirty rounds.
            rounds: 10,
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
fn sybils_that_collude_with_poor_answers_lose_up_to_a_tenth_of_the_identities() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = CaseOptions {
        parameters: short(Preset::Production),
        agents: 40,
        shares: vec![0.1],
        warm_up: 4,
        rounds: 6,
        seeds: vec![1],
    };
    let rows = sybil::cases(&options, QUIET, &Output::new(folder.path(), None)?)?;
    let colluding = rows.iter().find(|row| row.case == Case::Colluding);
    let colluding = colluding.expect("it was played");
    assert!(colluding.income < 0.0, "{colluding:?}");
    assert!(colluding.honest_income > 0.0, "{colluding:?}");
    Ok(())
}

#[test]
fn with_two_rankings_no_rating_moves_and_with_three_it_does() -> Result<()> {
    let initial = 0.7;
    for (rankings, moves) in [(2, false), (3, true)] {
        let changes = Changes {
            min_rankings: Some(rankings),
            max_rankings: Some(rankings),
            min_samples: Some(0),
            initial_rating: Some(initial),
            ..Changes::default()
        };
        let agents = vec![Spec::honest(Ability::default()); 10];
        let mut swarm = Swarm::new(Config::new(changes.parameters()?, agents, 1))?;
        for _ in 0..5 {
            swarm.play()?;
        }
        let moved = |rating: &f64| (rating - initial).abs() > 1e-6;
        assert_eq!(swarm.ratings().iter().any(moved), moves, "{rankings}");
    }
    Ok(())
}

fn three_rankings() -> Changes {
    Changes {
        min_rankings: Some(3),
        ..Changes::default()
    }
}

#[test]
fn ranking_as_many_as_production_asks_finds_the_best_one_more_often_than_ranking_three(
) -> Result<()> {
    let nobody = Attack::Agents(Kind::Lazy);
    let nine = cell_of(Changes::default(), nobody, 0.0, 12)?.best_wins;
    let three = cell_of(three_rankings(), nobody, 0.0, 12)?.best_wins;
    assert!(nine > three, "{nine} of the rounds instead of {three}");
    Ok(())
}

#[test]
fn the_floor_keeps_a_ring_of_two_fifths_from_winning() -> Result<()> {
    let without = Changes {
        weight_floor: Some(0.0),
        ..Changes::default()
    };
    let ring = Attack::Agents(Kind::Ring);
    let with = cell(ring, 0.4)?.attacker_wins;
    let without = cell_under(without, ring, 0.4)?.attacker_wins;
    assert!(
        with < 0.5 * without,
        "{with} of the rounds instead of {without}"
    );
    Ok(())
}

#[test]
fn rankers_that_agree_about_nothing_still_find_a_winner_every_round() -> Result<()> {
    let discord: Scenario = toml::from_str(include_str!("../scenarios/discord.toml"))?;
    let rounds = 20;
    let discord = Scenario {
        rounds,
        seeds: 1,
        ..discord
    };
    let folder = tempfile::tempdir()?;
    let rows = scenario::run(&discord, 1, QUIET, &Output::new(folder.path(), None)?)?;
    let floor = Preset::Production.parameters().ratings.weight_floor as f64 / ONE as f64;
    assert!(rows.iter().all(|row| row.rating < floor), "{rows:?}");
    let winners: usize = rows.iter().map(|row| row.wins).sum();
    assert_eq!(winners, rounds as usize);
    Ok(())
}

#[test]
fn a_withholding_ring_has_nothing_to_choose_where_all_rank_all_and_else_earns_less() -> Result<()> {
    let withholding = Attack::Agents(Kind::WithholdingRing);
    let ring = Attack::Agents(Kind::Ring);
    // It reveals all of its keys, a block later than the others: a missing key keeps the phase open
    // to its end.
    let later = cell(withholding, 0.4)?.blocks - cell(ring, 0.4)?.blocks;
    assert!(later < 1.01, "{later} blocks");
    // The incomes of 12 seeds are too near each other to tell them apart.
    let withholding = cell_of(three_rankings(), withholding, 0.4, 40)?;
    let ring = cell_of(three_rankings(), ring, 0.4, 40)?;
    assert!(
        withholding.blocks > ring.blocks + 1.01,
        "nothing was withheld"
    );
    assert!(
        withholding.attacker_income < ring.attacker_income,
        "{} and {}",
        withholding.attacker_income,
        ring.attacker_income
    );
    Ok(())
}

#[test]
fn a_grinding_author_gets_seats_and_no_more_than_it_has_agents() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = grinding::Options {
        parameters: short(Preset::Production),
        agents: 12,
        seats: 6,
        kinds: vec![Kind::Honest],
        fractions: vec![0.25],
        candidates: vec![1, 16],
        warm_up: 2,
        rounds: 15,
        seeds: vec![1, 2],
        poor: POOR,
    };
    let rows = grinding::run(&options, QUIET, &Output::new(folder.path(), None)?)?;
    let [chance, ground] = rows.as_slice() else {
        anyhow::bail!("two rows, {rows:?}");
    };
    // Three of twelve agents have a quarter of the seats by chance, and half of six at most.
    assert!((chance.seats - 0.25).abs() < 0.1, "{chance:?}");
    assert_eq!(chance.seats_gain, 0.0);
    assert!(ground.seats > 0.4 && ground.seats <= 0.5, "{ground:?}");
    Ok(())
}

#[test]
fn silence_is_reported_once_and_delays_no_round_after_that() -> Result<()> {
    let silent = cell(Attack::Agents(Kind::Silent), 0.2)?;
    let honest = cell(Attack::Agents(Kind::Honest), 0.2)?;
    assert!(silent.attacker_income.abs() < 1e-6, "it rests");
    assert!(silent.honest_income > 0.0, "{}", silent.honest_income);
    assert_eq!((silent.no_winner, silent.refused), (0.0, 0.0));
    assert!(
        silent.blocks < honest.blocks + 0.1,
        "{} blocks instead of {}",
        silent.blocks,
        honest.blocks
    );
    Ok(())
}

#[test]
fn rankers_that_weigh_nothing_turn_no_rating_round_however_many_they_are() -> Result<()> {
    let cell = cell(Attack::Agents(Kind::Weightless), 0.6)?;
    let floor = Preset::Production.parameters().ratings.weight_floor as f64 / ONE as f64;
    assert!(cell.attacker_rating < floor, "{}", cell.attacker_rating);
    assert!(
        cell.honest_rating > floor + 0.1,
        "honest agents rate {}",
        cell.honest_rating
    );
    assert!(
        cell.attacker_beside < cell.honest_beside,
        "they earn {} by ranking and honest agents {}",
        cell.attacker_beside,
        cell.honest_beside
    );
    Ok(())
}

#[test]
fn a_response_longer_than_asked_for_gets_no_place() -> Result<()> {
    let cell = cell(Attack::Agents(Kind::LongWinded), 0.2)?;
    assert_eq!((cell.attackers, cell.refused), (2, 2.0));
    assert_eq!((cell.attacker_wins, cell.no_winner), (0.0, 0.0));
    assert!(cell.attacker_income <= 0.0, "{}", cell.attacker_income);
    Ok(())
}

/// Six honest agents and four attackers that are silent, with the windows of production.
fn flooded(fee: Balance) -> Result<Swarm> {
    let mut agents = vec![Spec::honest(Ability::default()); 6];
    let attacker = Spec {
        kind: Kind::Silent,
        attacker: true,
        ..Spec::honest(Ability::default())
    };
    agents.resize(10, attacker);
    Swarm::new(Config {
        fee,
        ..Config::new(Preset::Production.parameters(), agents, 1)
    })
}

#[test]
fn a_filler_of_slots_burns_520_and_a_higher_offer_still_gets_a_slot() -> Result<()> {
    let mut swarm = flooded(100 * UNIT)?;
    let attackers = |swarm: &mut Swarm| swarm.wealth()[6..].iter().sum::<f64>();
    let before = attackers(&mut swarm);
    let flood = swarm.flood(36 * UNIT, 4, 65)?;
    assert_eq!(flood.opened, 64);
    assert!(flood.refused.is_some());
    let played = swarm.play()?;
    assert!(played.done, "the honest request is answered");
    let lost = before - attackers(&mut swarm);
    assert!(lost > 520.0, "all slots cost {lost}");
    Ok(())
}

#[test]
fn a_request_for_more_answers_than_there_are_agents_locks_no_bond() -> Result<()> {
    let mut swarm = flooded(20 * UNIT)?;
    // The agents besides the requester's own are nine.
    let flood = swarm.flood(9_900 * UNIT, 10, 1)?;
    assert_eq!(flood.opened, 0);
    let expected: DispatchError = pallet_rounds::Error::<Runtime>::TooFewAgents.into();
    assert!(
        matches!(&flood.refused, Some(Rejection::Failed(error)) if *error == expected),
        "{flood:?}"
    );
    Ok(())
}

#[test]
fn a_request_with_a_high_fee_locks_a_tenth_of_the_least_bond_at_most() -> Result<()> {
    let mut swarm = flooded(9_900 * UNIT)?;
    let mut most = 0;
    swarm.play_observed(|chain| {
        let reserved = chain.read(|| {
            let agents = pallet_agents::Agents::<Runtime>::iter_values();
            agents.map(|agent| agent.reserved).max()
        });
        most = most.max(reserved.unwrap_or(0));
    })?;
    assert_eq!(most, Preset::Production.parameters().min_bond / 10);
    Ok(())
}

/// Seven honest validators with equal bonds, and the owner of a share of all bonds.
fn seats(conduct: Conduct, fraction: f64) -> Result<(Vec<Row>, Outcome)> {
    seats_beside(1_000 * UNIT, conduct, fraction)
}

/// The same, with this bond of each honest validator.
fn seats_beside(bond: Balance, conduct: Conduct, fraction: f64) -> Result<(Vec<Row>, Outcome)> {
    seats_among(7, bond, conduct, fraction)
}

/// The same, with this number of honest validators.
fn seats_among(
    validators: usize,
    bond: Balance,
    conduct: Conduct,
    fraction: f64,
) -> Result<(Vec<Row>, Outcome)> {
    let options = seats::Options {
        parameters: Preset::Production.parameters(),
        validators,
        bond,
        attacker_bond: 1_000 * UNIT,
        conducts: vec![conduct],
        fractions: vec![fraction],
        sessions: 8,
        seed: 1,
    };
    let rows = seats::play(&options, QUIET)?.concat();
    let outcome = seats::outcome(&rows, &options);
    Ok((rows, outcome.expect("there are sessions")))
}

#[test]
fn capture_needs_a_third_of_equal_bonds_and_more_than_a_session() -> Result<()> {
    let (_, below) = seats(Conduct::Capture, 0.3)?;
    assert_eq!((below.bonds, below.most_seats), (3, 3), "{below:?}");
    assert_eq!((below.captured, below.stalled), (None, 0), "{below:?}");
    let (rows, above) = seats(Conduct::Capture, 0.4)?;
    assert_eq!(above.bonds, 4);
    let first = rows.iter().find(|row| row.attackers > 0);
    let first = first.map(|row| row.session);
    assert!(above.captured > first, "{above:?}");
    assert_eq!((above.lost, above.honest_lost), (0.0, 0.0));
    Ok(())
}

/// `swarm::capture` shows the same with real nodes.
#[test]
fn of_eight_equal_bonds_two_are_too_few_and_three_capture() -> Result<()> {
    let bond = 1_000 * UNIT;
    let (_, two) = seats_among(6, bond, Conduct::Capture, 0.25)?;
    assert_eq!((two.bonds, two.most_seats), (2, 2), "{two:?}");
    assert_eq!((two.captured, two.stalled), (None, 0), "{two:?}");
    let (_, three) = seats_among(5, bond, Conduct::Capture, 0.375)?;
    assert_eq!((three.bonds, three.most_seats), (3, 3), "{three:?}");
    assert!(three.captured.is_some(), "{three:?}");
    Ok(())
}

/// A third of the seats costs a third of what the others' seats are worth, a quarter of all bonds.
#[test]
fn small_bonds_beside_larger_ones_get_no_seat() -> Result<()> {
    for (honest, fraction) in [(10_000, 0.055), (1_600, 0.27)] {
        let (_, outcome) = seats_beside(honest * UNIT, Conduct::Capture, fraction)?;
        assert_eq!((outcome.bonds, outcome.most_seats), (4, 0), "{outcome:?}");
    }
    let (_, outcome) = seats_beside(1_500 * UNIT, Conduct::Capture, 0.28)?;
    assert_eq!(outcome.bonds, 4);
    assert!(outcome.captured.is_some(), "{outcome:?}");
    assert!(outcome.stake > 0.25, "{outcome:?}");
    Ok(())
}

#[test]
fn bonds_without_nodes_or_votes_stop_no_finality_and_lose_their_seats() -> Result<()> {
    for conduct in [Conduct::Silent, Conduct::HalfSilent] {
        let (rows, outcome) = seats(conduct, 0.5)?;
        assert_eq!(outcome.bonds, 7);
        assert!(outcome.most_seats > 0, "{outcome:?}");
        assert_eq!(
            (outcome.captured, outcome.stalled),
            (None, 0),
            "{outcome:?}"
        );
        assert_eq!(outcome.honest_lost, 0.0);
        let chilled = rows.last().map_or(0, |row| row.chilled);
        assert!(chilled >= outcome.most_seats, "{conduct:?}: {chilled}");
    }
    Ok(())
}

#[test]
fn a_lone_equivocator_loses_a_hundredth_and_its_seat_whatever_keys_it_announces() -> Result<()> {
    for conduct in [Conduct::Equivocator, Conduct::Rotating] {
        let (rows, outcome) = seats(conduct, 0.0)?;
        assert_eq!((outcome.bonds, outcome.most_seats), (1, 1), "{outcome:?}");
        assert_eq!((outcome.lost, outcome.honest_lost), (10.0, 0.0));
        assert_eq!((outcome.last_seats, outcome.stalled), (0, 0), "{outcome:?}");
        assert!(rows.iter().any(|row| row.disabled == 1), "{conduct:?}");
        assert!(rows.last().is_some_and(|row| row.chilled == 1));
    }
    Ok(())
}

#[test]
fn equivocators_that_are_many_lose_more_than_a_hundredth_each() -> Result<()> {
    let (_, outcome) = seats(Conduct::Equivocator, 0.3)?;
    // Three of ten are as many as finality bears: 1 % and 99 % of (2/3)².
    let each = outcome.lost / outcome.bonds as f64;
    assert!((each - 450.0).abs() < 1.0, "{outcome:?}");
    assert_eq!((outcome.honest_lost, outcome.stalled), (0.0, 0));
    Ok(())
}

#[test]
fn babe_forks_without_a_fault_where_aura_does_not_and_fewer_of_its_authors_are_foreseen(
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = authoring::Options {
        validators: vec![4],
        delays: vec![50.0],
        away: vec![0.0],
        build: 100.0,
        slots: 900,
        seed: 1,
    };
    let rows = authoring::run(&options, QUIET, &Output::new(folder.path(), None)?)?;
    let of = |protocol, attacked| {
        let mut rows = rows.iter();
        let row = rows.find(|row| (row.protocol, row.attacked) == (protocol, attacked));
        row.expect("it was played")
    };
    let (aura, babe) = (of(Protocol::Aura, false), of(Protocol::Babe, false));
    assert_eq!((aura.forks, aura.reorgs, aura.foreseen), (0.0, 0.0, 1.0));
    // All but the last slots, whose blocks are not final yet.
    assert!(aura.filled > 0.99 && babe.filled > 0.99, "{rows:?}");
    // 1.208 blocks a slot are expected, of which one is final.
    assert!((babe.forks - 0.208 / 1.208).abs() < 0.05, "{babe:?}");
    assert!(babe.finality >= aura.finality, "{rows:?}");
    assert!(babe.foreseen < 0.9, "{babe:?}");
    // Who keeps the foreseen authors away stops Aura, and leaves BABE its primary ones.
    assert_eq!(of(Protocol::Aura, true).filled, 0.0);
    assert!((of(Protocol::Babe, true).filled - 0.194).abs() < 0.06);
    assert!(folder.path().join("data/authoring.csv").is_file());
    Ok(())
}

/// With a fifth of the bonds. The first committee of a case is captured once in 2,000.
#[test]
fn before_the_court_liars_and_griefers_lose_framers_gain_nothing_and_the_honest_stay_free(
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = disputes::Options {
        adversaries: Adversary::ALL.into(),
        shares: vec![0.2],
        executors: 40,
        cases: 3,
        seed: 1,
    };
    let rows = disputes::run(&options, QUIET, &Output::new(folder.path(), None)?)?;
    assert_eq!(rows.len(), Adversary::ALL.len());
    for row in &rows {
        // Half of a committee is enough to widen the tolerance, and a liar is cleared.
        let is_clearable = row.adversary == Adversary::Blurring;
        assert_eq!((row.honest_convicted, row.owned), (0.0, 8), "{row:?}");
        assert!(is_clearable || row.wrong_first == 0.0, "{row:?}");
        assert!(row.honest_executors_lost < 0.0, "they are paid: {row:?}");
        let is_convicted = row.guilty_convicted > 0.5 && row.guilty_lost > 500.0;
        assert_eq!(is_convicted, row.adversary.has_guilty(), "{row:?}");
    }
    let of = |adversary| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row.adversary == adversary);
        row.expect("it was played")
    };
    // Its bond is 19.
    for adversary in [Adversary::Griefer, Adversary::Framer] {
        let row = of(adversary);
        assert!(
            row.accuser_lost > 10.0 && row.adversary_lost > 10.0,
            "{row:?}"
        );
        assert!(
            row.honest_servers_lost < 0.0,
            "they are compensated: {row:?}"
        );
    }
    // An owner that accuses a server of its own gets a fifth of the slash back.
    let captured = of(Adversary::Captured);
    assert!(captured.accuser_lost < 0.0 && captured.adversary_lost > 500.0);
    // Executors that compute nothing get nothing, and those that invent rows lose their stakes.
    assert!(of(Adversary::Lazy).owned_executors_lost >= 0.0);
    assert!(of(Adversary::Copying).owned_executors_lost > 0.0);
    assert!(folder.path().join("data/disputes.csv").is_file());
    Ok(())
}

#[test]
fn a_sweep_says_what_it_varied_beside_what_came_of_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = sweep::Options {
        parameters: vec![Parameter::MinSpread],
        agents: 5,
        fraction: 0.2,
        warm_up: 0,
        rounds: 1,
        seeds: vec![1],
    };
    let rows = sweep::run(&options, QUIET, &Output::new(folder.path(), None)?)?;
    let table = std::fs::read_to_string(folder.path().join("data/sweep.csv"))?;
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    assert!(header.starts_with("parameter,value,attack,fraction,"));
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("min-spread,0.0,none,0.0,"), "{first}");
    assert_eq!(lines.count() + 1, rows.len());
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
    let rows = scale::run(&options, QUIET, &Output::new(folder.path(), None)?)?;
    for row in &rows {
        assert_eq!((row.left_items, row.left_bytes), (0, 0), "{row:?}");
        assert!(row.max_block_share <= 0.5, "{row:?}");
        assert!(row.max_proof_bytes > 0);
    }
    for file in ["data/scale.csv", "images/scale.svg"] {
        assert!(std::fs::metadata(folder.path().join(file))?.len() > 0);
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_rounds() -> Result<()> {
    let play = |seed| -> Result<_> {
        let agents = vec![Spec::honest(Ability::default()); 6];
        let mut swarm = Swarm::new(Config::new(short(Preset::Production), agents, seed))?;
        swarm.play()?;
        let played = swarm.play()?;
        // The hashes of blocks differ, because the authors' proofs have random nonces. Nothing
        // follows from them.
        Ok((played.scores, played.winner, played.weights))
    };
    assert_eq!(play(1)?, play(1)?);
    assert_ne!(play(1)?.0, play(2)?.0);
    Ok(())
}

/// The pages of results: the folder of this repository, and each page's name and text.
fn pages_of_results() -> Result<(PathBuf, Vec<(String, String)>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(root.join("docs/results"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path)?;
            pages.push((path.display().to_string(), text));
        }
    }
    assert!(pages.len() > 3, "{pages:?}");
    Ok((root, pages))
}

#[test]
fn every_command_of_the_pages_of_results_is_one_and_every_image_is_there() -> Result<()> {
    let (root, pages) = pages_of_results()?;
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_starling-sim"))
        .args(["page", "--dry-run", "--data", "data", "--models", "models"])
        .current_dir(&root)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(!said.contains("left out"), "{said}");
    assert!(said.contains("[10/"), "{said}");
    let links = |text: &str| -> Vec<String> {
        let rest = text.split("](").skip(1);
        rest.filter_map(|rest| rest.split(')').next())
            .map(str::to_owned)
            .collect()
    };
    let mut images = 0;
    for (page, text) in &pages {
        for link in links(text)
            .iter()
            .filter(|link| link.starts_with("images/"))
        {
            assert!(
                root.join("docs/results").join(link).is_file(),
                "{page}: {link}"
            );
            images += 1;
        }
    }
    assert!(images > 5, "{images}");
    Ok(())
}

#[test]
fn every_table_of_the_pages_of_results_is_what_its_data_say() -> Result<()> {
    let (root, pages) = pages_of_results()?;
    for (page, text) in pages {
        let fresh = tables::refresh(&text, &root.join("docs/results"))?;
        for (fresh, old) in fresh.lines().zip(text.lines()) {
            assert_eq!(fresh, old, "{page}: run `starling-sim page --tables`");
        }
        assert_eq!(fresh.len(), text.len(), "{page}");
    }
    Ok(())
}

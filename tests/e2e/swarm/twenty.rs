// SPDX-License-Identifier: Apache-2.0
//! Many rounds in a row.

use anyhow::Result;
use starling_bench::latency::{measure, Plan};
use starling_runtime::UNIT;
use starling_tests::rounds::agent;

use super::{account, complete, honest::experts, keys, Swarm};

/// The agents need no time to think, so that none of them passes on a busy machine. The test checks
/// that every message is in its block in time.
#[tokio::test]
async fn in_twenty_rounds_in_a_row_no_agent_misses_a_phase() -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    let (api, rpc) = (swarm.api().await?, swarm.node()?.rpc().await?);
    let start = api.at_current_block().await?;
    // The next round opens while one is open, or this would take minutes.
    let plan = Plan {
        rounds: 20,
        at_once: 2,
        max_tokens: 32,
        fee: UNIT,
    };
    let measured = measure(swarm.node()?.url(), plan).await?;
    eprintln!("{measured}");
    assert_eq!(measured.rounds.len(), 20);
    assert_eq!(measured.missed(), 0, "{measured}");
    for round in &measured.rounds {
        complete(&round.view, 4)?;
    }
    let end = api.at_current_block().await?;
    for who in keys().iter().map(account) {
        let had = agent(&rpc, &start, &who).await?.bond;
        let has = agent(&rpc, &end, &who).await?.bond;
        assert_eq!(has, had, "{who} is slashed");
    }
    Ok(())
}

// SPDX-License-Identifier: Apache-2.0
//! The latency of a lane on real nodes, with a delay between each two of them.
//!
//! `STARLING_LANE_REQUESTS` is the number of requests at each delay, 3 without it.
//! `STARLING_LANE_ROUND_TRIPS` has the round trips in milliseconds, `0,20` without it, and
//! `STARLING_LANE_MEMBERS` the size of the committee: 4, or 7 with three more nodes.

use std::{ffi::OsString, fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{ensure, Context, Result};
use starling_bench::lane::{measure, Plan};
use starling_runtime::UNIT;
use starling_tests::{
    node::specification,
    proxy::{Delay, Proxy},
    Node,
};
use tokio::time::timeout;

use super::{
    address,
    kills::variable,
    lane::{enrol, open, volunteers, MORE},
    Swarm, Validator, NAMES, PATIENCE,
};

/// Nodes that reach each other through delaying proxies alone.
struct Delayed {
    swarm: Swarm,
    /// The delay of each direction.
    delay: Delay,
    _proxies: Vec<Proxy>,
}

/// A chain like the local one that calls itself live: its nodes tell nobody their addresses on the
/// loopback, so that no connection goes around the proxies.
async fn live_chain(folder: &Path) -> Result<OsString> {
    let mut chain = specification("local").await?;
    chain["chainType"] = "Live".into();
    let path = folder.join("live.json");
    fs::write(&path, chain.to_string())?;
    Ok(path.into())
}

impl Delayed {
    /// Starts one node after the other. Each knows all earlier ones by their proxies.
    async fn start(folder: &Path, members: usize) -> Result<Self> {
        let chain = live_chain(folder).await?;
        let delay = Delay::default();
        let mut delayed = Self {
            swarm: Swarm { validators: vec![] },
            delay,
            _proxies: vec![],
        };
        let mut boots: Vec<OsString> = vec![];
        for (name, config) in volunteers().take(members) {
            if boots.len() == NAMES.len() {
                enrol(delayed.swarm.node()?, MORE.len()).await?;
            }
            let mut validator = Validator::new(name, Some(config))?;
            validator.chain = chain.clone();
            validator.arguments = boots.clone();
            validator.arguments.push("--allow-private-ip".into());
            validator.start(None).await?;
            let (proxy, boot) = delayed.proxy(validator.node()?).await?;
            boots.push(format!("--bootnodes={boot}").into());
            delayed._proxies.push(proxy);
            delayed.swarm.validators.push(validator);
        }
        Ok(delayed)
    }

    /// A proxy in front of a node, and the node's address there.
    async fn proxy(&self, node: &Node) -> Result<(Proxy, String)> {
        let behind = address(node).await?;
        let (port, peer) = behind
            .split_once("/tcp/")
            .and_then(|(_, rest)| rest.split_once('/'))
            .with_context(|| format!("{behind} has no port"))?;
        let target = SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>()?));
        let proxy = Proxy::to(target, &self.delay).await?;
        let port = proxy.address().port();
        Ok((proxy, format!("/ip4/127.0.0.1/tcp/{port}/{peer}")))
    }
}

#[tokio::test]
#[ignore = "measures: bench/README.md has its command"]
async fn every_request_is_certified_however_far_the_members_are() -> Result<()> {
    let requests: usize = variable("STARLING_LANE_REQUESTS", 3)?;
    let members: usize = variable("STARLING_LANE_MEMBERS", 4)?;
    let round_trips: String = variable("STARLING_LANE_ROUND_TRIPS", "0,20".into())?;
    let round_trips: Vec<u64> = round_trips
        .split(',')
        .map(|text| text.trim().parse())
        .collect::<Result<_, _>>()?;
    ensure!([4, 7].contains(&members), "4 or 7 members");

    let folder = tempfile::tempdir()?;
    let delayed = Delayed::start(folder.path(), members).await?;
    let node = delayed.swarm.node()?;
    let deposit = requests
        .saturating_mul(round_trips.len())
        .saturating_mul(2)
        .max(50);
    let lane = open(node, members, deposit).await?;
    let lane = lane["lane"].as_u64().context("a lane")?;
    for round_trip in round_trips {
        let round_trip = Duration::from_millis(round_trip);
        delayed.delay.set(round_trip / 2);
        let plan = Plan {
            lane,
            requests,
            max_tokens: 32,
            fee: UNIT,
            round_trip: Some(round_trip),
        };
        let patience = PATIENCE.max(Duration::from_secs(10) * u32::try_from(requests)?);
        let measured = timeout(patience, measure(node.url(), plan)).await??;
        eprintln!("{measured}");
        assert_eq!(measured.certified(), requests, "{measured}");
    }
    Ok(())
}

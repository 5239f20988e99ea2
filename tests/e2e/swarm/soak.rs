// SPDX-License-Identifier: Apache-2.0
//! Four validators under continuous questions for as long as somebody wants, with their memory.
//!
//! | variable | meaning | without it |
//! |---|---|---|
//! | `STARLING_SOAK_MINUTES` | the length | 60 |
//! | `STARLING_SOAK_AT_ONCE` | the questions that are open at the same time | 4 |
//! | `STARLING_SOAK_AGENTS` | `patterns`, or `models` for the two small language models | `patterns` |
//! | `STARLING_SOAK_OUT` | the folder of `soak.csv` and `soak.svg` | `soak` beside the programs |

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use starling_bench::soak::{self, drawing, Plan, Report};
use starling_primitives::Balance;
use starling_runtime::UNIT;

use super::{kills::variable, models::two_models, Swarm};

const FEE: Balance = UNIT;
/// Tickets of each agent for a minute. A round takes a hundredth of its fee, and no swarm of one
/// machine ends two hundred rounds a minute.
const TICKETS: Balance = 2 * UNIT;

/// Four agents that agree, without a model.
fn patterns() -> [String; 4] {
    [
        "A starling is a small songbird.",
        "A starling is a songbird that mimics others.",
        "Starlings are songbirds; a flock is a murmuration.",
        "A starling is a small songbird that lives in flocks.",
    ]
    .map(super::expert)
}

/// The folder of the results.
fn out() -> Result<PathBuf> {
    let folder = match env::var_os("STARLING_SOAK_OUT") {
        Some(folder) => folder.into(),
        None => {
            let program = env::current_exe()?;
            let programs = program.ancestors().nth(2);
            programs
                .context("the test is not inside a target directory")?
                .join("soak")
        },
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

impl Swarm {
    /// The nodes, for a soak.
    fn watched(&self) -> Result<Vec<soak::Node>> {
        let validators = self.validators.iter();
        let node = validators.map(|validator| {
            anyhow::Ok(soak::Node {
                name: validator.name.into(),
                pid: validator.node()?.id()?,
                folder: validator.folder.path().into(),
            })
        });
        node.collect()
    }
}

#[tokio::test]
#[ignore = "takes an hour: tests/README.md has its command"]
async fn memory_is_flat_under_continuous_questions() -> Result<()> {
    let minutes: u32 = variable("STARLING_SOAK_MINUTES", 60)?;
    let agents: String = variable("STARLING_SOAK_AGENTS", "patterns".into())?;
    let plan = Plan {
        duration: Duration::from_secs(u64::from(minutes) * 60),
        every: Duration::from_secs(10),
        at_once: variable("STARLING_SOAK_AT_ONCE", 4)?,
        max_tokens: 32,
        fee: FEE,
    };
    let agents = match agents.as_str() {
        "patterns" => patterns(),
        "models" => two_models(),
        other => bail!("STARLING_SOAK_AGENTS={other}: `patterns` or `models`"),
    };
    // A folder that cannot be written is said before the hour, not after it.
    let out = out()?;
    let mut csv = File::create(out.join("soak.csv"))?;

    let swarm = Swarm::start(agents).await?;
    swarm.buy_tickets(TICKETS * Balance::from(minutes)).await?;
    let nodes = swarm.watched()?;
    let mut samples = vec![];
    let done = soak::run(swarm.node()?.url(), &nodes, &plan, &mut csv, &mut samples).await;

    // A soak that fails has its figures, too.
    fs::write(out.join("soak.svg"), drawing::memory(&samples))?;
    let report = Report::new(&samples);
    eprintln!("{report}soak.csv and soak.svg are in {}", out.display());
    done?;
    let last = samples.last().context("no samples")?;
    ensure!(last.counts.won > 0, "no round has a winner");
    ensure!(
        report.is_flat() != Some(false),
        "memory is not shown to be flat"
    );
    Ok(())
}

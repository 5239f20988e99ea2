// SPDX-License-Identifier: Apache-2.0
//! Prometheus metrics of the chain's rounds, from the events of final blocks. Every node serves the
//! same ones, whether it has an agent or not.

use std::{collections::HashMap, sync::Arc};

use codec::Decode;
use frame_system::EventRecord;
use futures::StreamExt;
use pallet_rounds::Event;
use sc_client_api::{Backend, BlockchainEvents, StorageProvider};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::storage::StorageKey;
use sp_io::hashing::twox_128;
use starling_primitives::{
    api::RoundsApi,
    round::{BlockNumber, Phase, Settlement},
    Balance, RoundId,
};
use starling_runtime::{opaque::Block, AccountId, Hash, Runtime, RuntimeEvent, UNIT};
use substrate_prometheus_endpoint::{
    register, Counter, CounterVec, Gauge, HistogramOpts, HistogramVec, Opts, PrometheusError,
    Registry, F64, U64,
};

const LOG_TARGET: &str = "starling::metrics";

const OUTCOMES: [&str; 2] = ["done", "failed"];
const PHASES: [&str; 4] = ["committing", "revealing", "ranking", "disclosing"];
const RECIPIENTS: [&str; 5] = ["winner", "rankers", "treasury", "requester", "burnt"];

/// The metrics.
struct Metrics {
    open: Gauge<U64>,
    ended: CounterVec<U64>,
    phases: HistogramVec,
    moved: CounterVec<F64>,
    unread: Counter<U64>,
}

impl Metrics {
    /// Registers the metrics. Each label begins at 0, so that its first event is an increase.
    fn new(registry: &Registry) -> Result<Self, PrometheusError> {
        let opts = Opts::new;
        let phases = HistogramOpts::new(
            "starling_round_phase_blocks",
            "Number of blocks of a phase of a round",
        )
        .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 120.0, 240.0]);
        let metrics = Self {
            open: register(
                Gauge::new("starling_rounds_open", "Open rounds on the final chain")?,
                registry,
            )?,
            ended: register(
                CounterVec::new(
                    opts("starling_rounds_total", "Rounds that ended on the final chain"),
                    &["outcome"],
                )?,
                registry,
            )?,
            phases: register(HistogramVec::new(phases, &["phase"])?, registry)?,
            moved: register(
                CounterVec::new(
                    opts("starling_paid_total", "STAR that rounds moved, by recipient"),
                    &["to"],
                )?,
                registry,
            )?,
            unread: register(
                Counter::new(
                    "starling_blocks_without_metrics_total",
                    "Final blocks whose events this node could not read: their state is pruned, or \
                     their runtime is another one",
                )?,
                registry,
            )?,
        };
        for outcome in OUTCOMES {
            metrics.ended.with_label_values(&[outcome]).inc_by(0);
        }
        for phase in PHASES {
            metrics.phases.with_label_values(&[phase]);
        }
        for recipient in RECIPIENTS {
            metrics.moved.with_label_values(&[recipient]).inc_by(0.0);
        }
        Ok(metrics)
    }

    fn ended(&self, phase: Phase, settlement: &Settlement) {
        let [done, failed] = OUTCOMES;
        let outcome = if phase == Phase::Done { done } else { failed };
        self.ended.with_label_values(&[outcome]).inc();
        let amounts = [
            settlement.winner,
            settlement.rankers,
            settlement.treasury,
            settlement.refunded,
            settlement.burnt,
        ];
        for (recipient, amount) in RECIPIENTS.into_iter().zip(amounts) {
            self.moved
                .with_label_values(&[recipient])
                .inc_by(star(amount));
        }
    }
}

fn star(amount: Balance) -> f64 {
    amount as f64 / UNIT as f64
}

/// The label of a phase that a round is in before its end.
fn label(phase: Phase) -> Option<&'static str> {
    let [committing, revealing, ranking, disclosing] = PHASES;
    match phase {
        Phase::Committing => Some(committing),
        Phase::Revealing => Some(revealing),
        Phase::Ranking => Some(ranking),
        Phase::Disclosing => Some(disclosing),
        Phase::Done | Phase::Failed(_) => None,
    }
}

/// Rounds whose beginning was seen, with their phase and its first block. There are no more than
/// the chain has open at a time.
#[derive(Default)]
struct Rounds(HashMap<RoundId, (Phase, BlockNumber)>);

impl Rounds {
    /// Records an event of a final block. Blocks come in order.
    fn note(&mut self, metrics: &Metrics, block: BlockNumber, event: &Event<Runtime>) {
        match event {
            Event::Requested { round, .. } => {
                self.0.insert(*round, (Phase::Committing, block));
            },
            Event::PhaseBegan { round, phase, .. } => {
                let before = self.0.insert(*round, (*phase, block));
                observe(metrics, before, block);
            },
            Event::Settled {
                round,
                phase,
                settlement,
                ..
            } => {
                observe(metrics, self.0.remove(round), block);
                metrics.ended(*phase, settlement);
            },
            _ => {},
        }
    }
}

/// Records the length of a phase whose beginning is known.
fn observe(metrics: &Metrics, before: Option<(Phase, BlockNumber)>, block: BlockNumber) {
    let known = before.and_then(|(phase, since)| Some((label(phase)?, since)));
    if let Some((label, since)) = known {
        let blocks = block.saturating_sub(since);
        metrics
            .phases
            .with_label_values(&[label])
            .observe(blocks.into());
    }
}

/// The events of a block; `None` if the state is not here, or another runtime wrote it.
fn events<B: Backend<Block>>(
    client: &impl StorageProvider<Block, B>,
    block: Hash,
) -> Option<Vec<RuntimeEvent>> {
    let key = [twox_128(b"System"), twox_128(b"Events")].concat();
    let stored = client.storage(block, &StorageKey(key)).ok()??;
    let records = Vec::<Box<EventRecord<RuntimeEvent, Hash>>>::decode(&mut stored.0.as_slice());
    let events = records.ok()?.into_iter().map(|record| record.event);
    Some(events.collect())
}

/// Follows the final chain until the node ends.
pub async fn run<B, C>(client: Arc<C>, registry: Registry)
where
    B: Backend<Block>,
    C: BlockchainEvents<Block>
        + HeaderBackend<Block>
        + ProvideRuntimeApi<Block>
        + StorageProvider<Block, B>,
    C::Api: RoundsApi<Block, AccountId>,
{
    let metrics = match Metrics::new(&registry) {
        Ok(metrics) => metrics,
        Err(error) => {
            log::warn!(target: LOG_TARGET, "no metrics of rounds: {error}");
            return;
        },
    };
    let mut rounds = Rounds::default();
    let mut finality = client.finality_notification_stream();
    while let Some(notification) = finality.next().await {
        let blocks = notification.tree_route.iter().chain([&notification.hash]);
        for &block in blocks {
            let number = client.number(block).ok().flatten();
            match number.zip(events(&*client, block)) {
                Some((number, events)) => {
                    for event in events {
                        if let RuntimeEvent::Rounds(event) = event {
                            rounds.note(&metrics, number, &event);
                        }
                    }
                },
                None => metrics.unread.inc(),
            }
        }
        if let Ok(open) = client.runtime_api().open_rounds(notification.hash) {
            metrics.open.set(open.len().try_into().unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::round::Failure;

    fn metrics() -> Metrics {
        Metrics::new(&Registry::new()).unwrap()
    }

    fn requested(round: RoundId) -> Event<Runtime> {
        Event::Requested {
            round,
            requester: [0; 32].into(),
            fee: UNIT,
            request_fee: 0,
        }
    }

    fn began(round: RoundId, phase: Phase) -> Event<Runtime> {
        Event::PhaseBegan {
            round,
            phase,
            deadline: 0,
        }
    }

    fn settled(round: RoundId, phase: Phase) -> Event<Runtime> {
        Event::Settled {
            round,
            phase,
            winner: None,
            settlement: Settlement {
                winner: 2 * UNIT,
                refunded: UNIT / 2,
                ..Default::default()
            },
        }
    }

    fn blocks(metrics: &Metrics, phase: &str) -> (u64, f64) {
        let histogram = metrics.phases.with_label_values(&[phase]);
        (histogram.get_sample_count(), histogram.get_sample_sum())
    }

    #[test]
    fn a_round_is_counted_with_the_lengths_of_its_phases_and_its_payments() {
        let (metrics, mut rounds) = (metrics(), Rounds::default());
        let mut note = |block, event| rounds.note(&metrics, block, &event);
        note(10, requested(1));
        note(12, began(1, Phase::Revealing));
        note(13, requested(2));
        note(13, began(1, Phase::Ranking));
        note(15, began(1, Phase::Disclosing));
        note(16, settled(1, Phase::Done));
        note(73, settled(2, Phase::Failed(Failure::TooFewCommits)));
        assert_eq!(blocks(&metrics, "committing"), (2, 62.0));
        assert_eq!(blocks(&metrics, "revealing"), (1, 1.0));
        assert_eq!(blocks(&metrics, "ranking"), (1, 2.0));
        assert_eq!(blocks(&metrics, "disclosing"), (1, 1.0));
        for outcome in OUTCOMES {
            assert_eq!(metrics.ended.with_label_values(&[outcome]).get(), 1);
        }
        assert_eq!(metrics.moved.with_label_values(&["winner"]).get(), 4.0);
        assert_eq!(metrics.moved.with_label_values(&["requester"]).get(), 1.0);
        assert!(rounds.0.is_empty());
    }

    #[test]
    fn a_phase_whose_beginning_was_not_seen_has_no_length() {
        let (metrics, mut rounds) = (metrics(), Rounds::default());
        rounds.note(&metrics, 5, &settled(1, Phase::Done));
        for phase in PHASES {
            assert_eq!(blocks(&metrics, phase), (0, 0.0));
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Detects a clock that disagrees with the other validators' clocks. A validator that is ahead
//! authors blocks that the others refuse; one that is behind refuses theirs.

use std::{
    collections::VecDeque,
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use sc_consensus_aura::{find_pre_digest, standalone::check_header_slot_and_seal};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_consensus::block_validation::{
    BlockAnnounceValidator, DefaultBlockAnnounceValidator, Validation,
};
use sp_consensus_aura::{
    sr25519::{AuthorityId, AuthorityPair, AuthoritySignature},
    AuraApi, Slot, SlotDuration,
};
use starling_runtime::{opaque::Block, Hash, Header};
use substrate_prometheus_endpoint::{register, Gauge, PrometheusError, Registry, F64};

/// Number of announced blocks that are remembered.
const WINDOW: usize = 16;

/// Number of blocks in a row from further ahead that show that the clock is behind. Aura refuses
/// blocks of the slot after the next one, and a node soon has no peers whose blocks it refuses.
const EARLY: usize = 3;

/// Age of such a block, in milliseconds: further ahead than this.
const BEHIND: i64 = -1_000;

/// A block takes up to a second from the beginning of its slot until it is announced here, on a
/// busy network. If the median of a whole window is above this many milliseconds, the clock is
/// ahead.
const AHEAD: i64 = 2_500;

/// State of the clock, judged by the announced blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Agrees,
    /// Ahead by this many milliseconds.
    Ahead(i64),
    /// Behind by this many milliseconds.
    Behind(i64),
}

/// Ages of the last blocks when they were announced, in milliseconds; negative if their slot had
/// not begun yet.
#[derive(Default)]
struct Ages {
    ages: VecDeque<i64>,
    last: Option<Slot>,
}

impl Ages {
    /// Records a block. Only the first announcement of a slot counts.
    fn note(&mut self, slot: Slot, age: i64) {
        if self.last.replace(slot) == Some(slot) {
            return;
        }
        if self.ages.len() == WINDOW {
            self.ages.pop_back();
        }
        self.ages.push_front(age);
    }

    /// The verdict of the newest blocks, if there are enough of them.
    fn verdict(&self) -> Option<Verdict> {
        let newest = median(self.ages.iter().take(EARLY))?;
        let early = self.ages.iter().take(EARLY).all(|age| *age <= BEHIND);
        if early && self.ages.len() >= EARLY {
            return Some(Verdict::Behind(newest.saturating_neg()));
        }
        let all = median(self.ages.iter())?;
        let whole = self.ages.len() == WINDOW;
        whole.then_some(if all >= AHEAD {
            Verdict::Ahead(all)
        } else {
            Verdict::Agrees
        })
    }
}

fn median<'a>(ages: impl Iterator<Item = &'a i64>) -> Option<i64> {
    let mut sorted: Vec<_> = ages.copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// Whether the author of the header's slot has sealed it, however far ahead the slot is.
fn is_sealed(header: &Header, authorities: &[AuthorityId]) -> bool {
    let last = Slot::from(u64::MAX);
    check_header_slot_and_seal::<Block, AuthorityPair>(last, header.clone(), authorities).is_ok()
}

/// The authorities that may have sealed a block; `None` if the block is known already.
type Sealers = dyn Fn(Hash) -> Option<Vec<AuthorityId>> + Send;

/// Accepts the same announcements as the default, and compares their slots with the clock.
///
/// Only headers of new blocks count that the slot's author has sealed. A node whose clock is behind
/// imports no block of the others, so that the import cannot be what counts.
pub struct Clock {
    sealers: Box<Sealers>,
    slot_duration: SlotDuration,
    ages: Ages,
    wrong: bool,
    age: Option<Gauge<F64>>,
}

impl Clock {
    /// A judge of the clock of a chain whose slots are this long. Its gauge goes to `registry`.
    ///
    /// # Errors
    ///
    /// The gauge is registered already.
    pub fn new<C>(
        client: Arc<C>,
        slot_duration: SlotDuration,
        registry: Option<&Registry>,
    ) -> Result<Self, PrometheusError>
    where
        C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
        C::Api: AuraApi<Block, AuthorityId>,
    {
        let sealers = move |block: Hash| {
            let is_known = client.header(block).ok()?.is_some();
            let best = client.info().best_hash;
            let authorities = || client.runtime_api().authorities(best).ok();
            (!is_known).then(authorities).flatten()
        };
        let gauge = |registry| {
            let gauge = Gauge::new(
                "starling_announced_block_age_seconds",
                "Time from the beginning of a slot until its block is announced here, median of the \
                 last blocks. Far above 1, the clock of this machine is ahead; below 0, it is behind",
            )?;
            register(gauge, registry)
        };
        Ok(Self {
            sealers: Box::new(sealers),
            slot_duration,
            ages: Ages::default(),
            wrong: false,
            age: registry.map(gauge).transpose()?,
        })
    }

    fn observe(&mut self, header: &Header) {
        let Ok(slot) = find_pre_digest::<Block, AuthoritySignature>(header) else {
            return;
        };
        // Most announcements repeat the last one, and cost no check.
        if self.ages.last == Some(slot) {
            return;
        }
        let sealers = (self.sealers)(header.hash());
        if !sealers.is_some_and(|authorities| is_sealed(header, &authorities)) {
            return;
        }
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return;
        };
        let began = u128::from(*slot) * u128::from(self.slot_duration.as_millis());
        let millis = |time: u128| i64::try_from(time).unwrap_or(i64::MAX);
        let age = millis(now.as_millis()).saturating_sub(millis(began));
        self.ages.note(slot, age);
        if let (Some(gauge), Some(median)) = (&self.age, median(self.ages.ages.iter())) {
            gauge.set(median as f64 / 1e3);
        }
        if let Some(verdict) = self.ages.verdict() {
            self.tell(verdict);
        }
    }

    /// Logs once that the clock is wrong, and once that it is right again.
    fn tell(&mut self, verdict: Verdict) {
        let seconds = |millis| millis as f64 / 1e3;
        match verdict {
            Verdict::Ahead(by) if !self.wrong => log::warn!(
                "the clock of this machine is about {:.1} s ahead of the other validators', or their \
                 blocks take that long to arrive: blocks of this node may be refused. Synchronise \
                 the clock (NTP)",
                seconds(by)
            ),
            Verdict::Behind(by) if !self.wrong => log::warn!(
                "the clock of this machine is about {:.1} s behind the other validators': their \
                 blocks are refused here. Synchronise the clock (NTP)",
                seconds(by)
            ),
            Verdict::Agrees if self.wrong => {
                log::info!("the clock of this machine agrees with the other validators' again");
            },
            _ => {},
        }
        self.wrong = verdict != Verdict::Agrees;
    }
}

impl BlockAnnounceValidator<Block> for Clock {
    fn validate(
        &mut self,
        header: &Header,
        data: &[u8],
    ) -> Pin<Box<dyn Future<Output = Result<Validation, Box<dyn Error + Send>>> + Send>> {
        self.observe(header);
        BlockAnnounceValidator::<Block>::validate(&mut DefaultBlockAnnounceValidator, header, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use sp_consensus_aura::AURA_ENGINE_ID;
    use sp_core::{Pair, H256};
    use sp_runtime::{Digest, DigestItem};

    /// `n` blocks, one a slot, each announced three times at ages around `age`.
    fn announce(ages: &mut Ages, first: u64, n: u64, age: i64) -> Option<Verdict> {
        for slot in first..first + n {
            let jitter = i64::try_from(slot % 5).unwrap() * 100;
            for late in 0..3 {
                ages.note(slot.into(), age + jitter + late * 10_000);
            }
        }
        ages.verdict()
    }

    #[test]
    fn only_new_blocks_that_their_authors_sealed_count() {
        let [alice, bob] =
            ["//Alice", "//Bob"].map(|name| AuthorityPair::from_string(name, None).unwrap());
        let unsealed = |slot: u64| Header {
            parent_hash: H256::zero(),
            number: 1,
            state_root: H256::zero(),
            extrinsics_root: H256::zero(),
            digest: Digest {
                logs: vec![DigestItem::PreRuntime(
                    AURA_ENGINE_ID,
                    Slot::from(slot).encode(),
                )],
            },
        };
        let sealed = |slot: u64, by: &AuthorityPair| {
            let mut header = unsealed(slot);
            let seal = by.sign(header.hash().as_ref()).encode();
            header.digest.push(DigestItem::Seal(AURA_ENGINE_ID, seal));
            header
        };
        // Even slots are Alice's, and the block of slot 4 is known.
        let authorities = vec![alice.public(), bob.public()];
        let old = sealed(4, &alice);
        let known = old.hash();
        let mut clock = Clock {
            sealers: Box::new(move |block: Hash| (block != known).then(|| authorities.clone())),
            slot_duration: SlotDuration::from_millis(1_000),
            ages: Ages::default(),
            wrong: false,
            age: None,
        };
        for header in [unsealed(6), sealed(6, &bob), sealed(5, &alice), old] {
            clock.observe(&header);
            assert_eq!(clock.ages.ages.len(), 0, "{header:?}");
        }
        // A slot far ahead counts: the clock may be behind.
        for (header, counted) in [
            (sealed(6, &alice), 1),
            (sealed(6, &alice), 1),
            (sealed(1 << 40, &alice), 2),
        ] {
            clock.observe(&header);
            assert_eq!(clock.ages.ages.len(), counted, "{header:?}");
        }
    }

    #[test]
    fn a_clock_is_wrong_when_most_blocks_say_so() {
        let mut ages = Ages::default();
        assert_eq!(announce(&mut ages, 0, 15, 200), None, "too few");
        assert_eq!(announce(&mut ages, 15, 1, 200), Some(Verdict::Agrees));
        // A few late blocks change nothing; if most are late, the clock is ahead.
        assert_eq!(announce(&mut ages, 16, 6, 9_000), Some(Verdict::Agrees));
        let ahead = announce(&mut ages, 22, 10, 9_000);
        assert!(
            matches!(ahead, Some(Verdict::Ahead(9_000..=9_400))),
            "{ahead:?}"
        );
        assert_eq!(announce(&mut ages, 32, 16, 200), Some(Verdict::Agrees));
    }

    #[test]
    fn a_clock_that_is_behind_is_told_before_the_peers_are_gone() {
        let mut ages = Ages::default();
        assert_eq!(announce(&mut ages, 0, 2, -5_000), None);
        let behind = announce(&mut ages, 2, 1, -5_000);
        assert!(
            matches!(behind, Some(Verdict::Behind(4_600..=5_000))),
            "{behind:?}"
        );
        assert_eq!(announce(&mut ages, 3, 16, 200), Some(Verdict::Agrees));
        // One validator that is ahead is not enough.
        announce(&mut ages, 19, 2, -5_000);
        assert_eq!(announce(&mut ages, 21, 1, 200), Some(Verdict::Agrees));
    }
}

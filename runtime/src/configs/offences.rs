// SPDX-License-Identifier: Apache-2.0
//! Proof and punishment of validators that sign contradicting votes or blocks.

use alloc::vec::Vec;
use codec::{Decode, Encode};
use frame_support::{
    parameter_types,
    storage::with_transaction_unchecked,
    traits::{Get, KeyOwnerProofSystem},
    weights::Weight,
};
use sp_runtime::{
    traits::{Convert, ConvertInto},
    KeyTypeId, TransactionOutcome,
};
use sp_session::MembershipProof;
use sp_staking::{offence::OffenceSeverity, SessionIndex};
use starling_primitives::traits::Sessions;

use super::consensus::{SessionPeriod, MAX_AUTHORITIES};
use crate::{
    parameters, weights, AccountId, Agents, BlockNumber, Historical, Offences, Runtime,
    RuntimeCall, RuntimeEvent, Session, SessionKeys, UncheckedExtrinsic,
};

impl pallet_session::historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    // A bond is on record under the validator's own account.
    type FullIdentification = AccountId;
    type FullIdentificationOf = ConvertInto;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = (AccountId, AccountId);
    type OnOffenceHandler = Agents;
}

parameter_types! {
    /// Number of blocks in which an offence can be reported: as long as a bond can be slashed.
    pub ReportLongevity: u64 = parameters::UnbondingPeriod::get().into();
    /// Number of GRANDPA's sets that reports may name: one a session, the present one, and one that
    /// an offence in the first session needs before it.
    pub MaxSets: u64 = u64::from(accountable_sessions()).saturating_add(2);
}

/// Number of past sessions whose offences can be punished.
fn accountable_sessions() -> SessionIndex {
    parameters::UnbondingPeriod::get()
        .checked_div(SessionPeriod::get())
        .unwrap_or_default()
}

/// The sessions of `pallet-session` and its history, as `pallet-agents` asks for them.
pub struct SessionsOfRuntime;

impl Sessions<AccountId> for SessionsOfRuntime {
    fn current() -> SessionIndex {
        Session::current_index()
    }

    fn accountable() -> SessionIndex {
        Session::current_index().saturating_sub(accountable_sessions())
    }

    fn queued() -> Vec<AccountId> {
        let queued = Session::queued_keys().into_iter();
        queued.map(|(validator, _)| validator).collect()
    }

    fn size(session: SessionIndex) -> Option<u32> {
        Historical::historical_root(session).map(|(_, validators)| validators)
    }

    fn prune() {
        let first = Self::accountable();
        let stored = pallet_session::historical::StoredRange::<Runtime>::get();
        if stored.is_some_and(|(start, _)| start < first) {
            Historical::prune_up_to(first);
        }
    }

    fn disable(who: &AccountId) {
        Session::report_offence(who.clone(), OffenceSeverity::max_severity());
    }

    fn keys(who: &AccountId) -> Option<Vec<u8>> {
        Session::load_keys(who).map(|keys| keys.encode())
    }

    fn owners() -> Vec<AccountId> {
        pallet_session::NextKeys::<Runtime>::iter_keys().collect()
    }
}

/// Proofs that a key was a validator's in a session.
///
/// `Historical` takes the present session's keys from what each validator has announced last. A key
/// that was replaced since still votes until the session ends, so it is given the keys that
/// `pallet-agents` noted for the session.
pub struct KeyOwnership;

impl KeyOwnership {
    /// Runs `f` on a state in which the keys of the present session are the announced ones, and
    /// undoes what it changed.
    fn with_active_keys<R>(f: impl FnOnce() -> R) -> R {
        with_transaction_unchecked(|| {
            for (who, keys) in pallet_agents::ActiveKeys::<Runtime>::get(Session::current_index()) {
                if let Ok(keys) = SessionKeys::decode(&mut keys.as_slice()) {
                    pallet_session::NextKeys::<Runtime>::insert(who, keys);
                }
            }
            TransactionOutcome::Rollback(f())
        })
    }
}

impl<Key: AsRef<[u8]>> KeyOwnerProofSystem<(KeyTypeId, Key)> for KeyOwnership {
    type Proof = MembershipProof;
    type IdentificationTuple = (AccountId, AccountId);

    fn prove(key: (KeyTypeId, Key)) -> Option<Self::Proof> {
        Self::with_active_keys(|| Historical::prove(key))
    }

    fn check_proof(key: (KeyTypeId, Key), proof: Self::Proof) -> Option<Self::IdentificationTuple> {
        Self::with_active_keys(|| Historical::check_proof(key, proof))
    }
}

/// Reports of contradicting votes, proven by the keys that were in force.
pub type EquivocationReports =
    pallet_grandpa::EquivocationReportSystem<Runtime, Offences, KeyOwnership, ReportLongevity>;

/// The weights of GRANDPA's calls.
///
/// `pallet-grandpa` counts its own work, by the number of validators in the proof, which the sender
/// writes there. The punishment comes on top: of all validators, since a report punishes all that
/// were reported for the session once more, with the measured weights of a slash and a chill. The
/// keys of the present session are put into the state for both checks of the proof.
pub struct GrandpaWeights;

impl pallet_grandpa::WeightInfo for GrandpaWeights {
    fn report_equivocation(validators: u32, nominators: u32) -> Weight {
        type Sdk = ();
        let keys = u64::from(MAX_AUTHORITIES).saturating_mul(2);
        let database = <Runtime as frame_system::Config>::DbWeight::get();
        <Sdk as pallet_grandpa::WeightInfo>::report_equivocation(
            validators.min(MAX_AUTHORITIES),
            nominators,
        )
        .saturating_add(Agents::punishing(MAX_AUTHORITIES))
        .saturating_add(database.reads_writes(keys, keys))
    }

    fn note_stalled() -> Weight {
        <() as pallet_grandpa::WeightInfo>::note_stalled()
    }
}

parameter_types! {
    /// The weight of checking who owned a key of Aura: of GRANDPA's report, which checks as much.
    /// The keys of the present session are put into the state for it.
    pub OwnershipWeight: Weight = {
        type Sdk = ();
        let keys = u64::from(MAX_AUTHORITIES);
        let database = <Runtime as frame_system::Config>::DbWeight::get();
        <Sdk as pallet_grandpa::WeightInfo>::report_equivocation(MAX_AUTHORITIES, 0)
            .saturating_add(database.reads_writes(keys, keys))
    };
    /// The weight of punishing all validators, since a report punishes all that were reported for
    /// the session once more.
    pub PunishmentWeight: Weight = Agents::punishing(MAX_AUTHORITIES);
}

/// The session whose authors make the block of a height. They make the first block of the next
/// session, too: the set changes in that block.
pub struct SessionOfAuthors;

impl Convert<BlockNumber, SessionIndex> for SessionOfAuthors {
    fn convert(number: BlockNumber) -> SessionIndex {
        let parent = number.saturating_sub(1);
        parent.checked_div(SessionPeriod::get()).unwrap_or_default()
    }
}

impl pallet_authoring::Config for Runtime {
    type WeightInfo = weights::pallet_authoring::WeightInfo<Runtime>;
    type OwnershipWeight = OwnershipWeight;
    type PunishmentWeight = PunishmentWeight;
    type Offender = (AccountId, AccountId);
    type KeyOwnership = KeyOwnership;
    type SessionOf = SessionOfAuthors;
    type Offences = Offences;
    type ReportLongevity = ReportLongevity;
}

impl<Call> frame_system::offchain::CreateBare<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}

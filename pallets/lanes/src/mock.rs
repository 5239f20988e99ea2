// SPDX-License-Identifier: Apache-2.0
//! A chain with agents and lanes, rounds that a test gives their phase, and a treasury.

use std::collections::BTreeMap;

use frame_support::{
    derive_impl,
    dispatch::{DispatchResult, DispatchResultWithPostInfo, RawOrigin},
    parameter_types,
    traits::{
        fungible::{Inspect, InspectHold},
        tokens::imbalance::ResolveTo,
        Authorize, ConstU128, ConstU32, ConstU64, Hooks,
    },
    weights::Weight,
};
use frame_system::EnsureRoot;
use pallet_agents::GenesisAgent;
use sp_core::{crypto::ByteArray, Pair};
use sp_runtime::{
    traits::Dispatchable,
    transaction_validity::{TransactionSource, TransactionValidityError},
    AccountId32, BuildStorage, DispatchError, Permill,
};
use starling_lane_primitives::{
    checkpoint::Checkpoint,
    messages::{payload, Ask, Message},
    seal::DecryptionKey,
    volunteer, Certificate, Form, Phase, Slot, Terms,
};
use starling_primitives::{
    choice::{Capabilities, Choice},
    crypto::InferencePair,
    rating::{Deviations, Mean},
    traits::{self, Concluded},
    Balance, RoundId, H256,
};

use crate::{Epoch, Event, LaneId, Lanes as LaneMap, Now, Parameters};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Agents: pallet_agents,
        Lanes: crate,
    }
);

/// Number of agents of the genesis block.
pub const AGENTS: u8 = 9;
pub const ENDOWMENT: Balance = 1_000_000;
pub const BOND: Balance = 10_000;
pub const LANE_BOND: Balance = 1_000;
pub const MIN_SLASH: Balance = 100;
pub const FEE: Balance = 50;
pub const DEPOSIT: Balance = 5_000;
pub const EPOCH: u32 = 10;
pub const WINDOW: u32 = 20;
pub const PARAMETERS: Parameters = Parameters {
    epoch: EPOCH,
    min_committee: 4,
    min_deposit: 1_000,
    burnt: Permill::from_percent(1),
    lane_bond: LANE_BOND,
    dispute_window: WINDOW,
};

parameter_types! {
    pub const DefaultParameters: Parameters = PARAMETERS;
    pub const Shares: (Permill, Permill) = (Permill::from_percent(70), Permill::from_percent(20));
    pub const Threshold: Permill = Permill::from_percent(30);
    pub Treasury: AccountId = account(200);
    /// The rounds that were asked for, with whether they are in their first phase.
    pub static Asked: BTreeMap<RoundId, (AccountId, Balance, bool)> = BTreeMap::new();
    /// The way to choose.
    pub static Chosen: Choice = Choice::Paper;
    /// The agents' records with known answers.
    pub static Known: BTreeMap<AccountId, Capabilities> = BTreeMap::new();
    /// The forms of rounds that were noted.
    pub static Noted: Vec<(RoundId, Form, H256)> = vec![];
    pub static MaxVolunteers: u32 = 32;
    pub static MaxLanes: u32 = 64;
    pub static MaxSettlements: u32 = 16;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = sp_runtime::traits::IdentityLookup<AccountId>;
    type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<1>;
}

impl pallet_agents::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Treasury = ResolveTo<Treasury, Balances>;
    type SlashOrigin = EnsureRoot<AccountId>;
    type OnInactive = ();
    type OnAgentChange = ();
    type MinBond = ConstU128<1_000>;
    type KeyFee = ConstU128<1>;
    type UnbondingPeriod = ConstU64<200>;
    type LongestRound = ConstU64<20>;
    type MaxUnbonding = ConstU32<4>;
    type MaxCandidates = ConstU32<16>;
    type MaxValidators = ConstU32<4>;
    type MinValidators = ConstU32<1>;
    type Sessions = ();
    type Votes = ();
}

pub struct MockRatings;

impl traits::Ratings<AccountId> for MockRatings {
    fn rating(_: &AccountId) -> u64 {
        1 << 31
    }

    fn weight(_: &AccountId) -> u64 {
        1 << 31
    }

    fn weights(ratings: &[u64]) -> Vec<u64> {
        ratings.to_vec()
    }

    fn counts(_: u32, _: Balance, _: u64) -> bool {
        false
    }

    fn mean() -> Mean {
        Mean::OfOthers
    }

    fn record(_: &AccountId, _: Deviations) {}

    fn quality(_: &AccountId) -> u64 {
        starling_primitives::quality::NEWCOMER
    }

    fn answered(_: &AccountId, _: u64) {}
}

pub struct MockKnown;

impl traits::KnownAnswers<AccountId> for MockKnown {
    fn choice() -> Choice {
        Chosen::get()
    }

    fn known(who: &AccountId) -> Capabilities {
        Known::get().get(who).copied().unwrap_or_default()
    }

    fn note(round: RoundId, form: Form, commitment: H256) {
        Noted::mutate(|noted| noted.push((round, form, commitment)));
    }
}

pub struct MockRounds;

impl traits::Requests<AccountId> for MockRounds {
    fn request(
        requester: AccountId,
        _: Vec<u8>,
        fee: Balance,
        _: u32,
        min_responses: u32,
        _: u32,
    ) -> Result<RoundId, DispatchError> {
        if min_responses == 0 {
            return Err(DispatchError::Other("too few responses"));
        }
        Ok(Asked::mutate(|asked| {
            let id = asked.len() as RoundId;
            asked.insert(id, (requester, fee, true));
            id
        }))
    }

    fn concluded(_: RoundId) -> Option<Concluded<AccountId>> {
        None
    }

    fn is_committing(id: RoundId) -> bool {
        Asked::get().get(&id).is_some_and(|(.., open)| *open)
    }

    fn withdraw(id: RoundId) -> bool {
        let open = Self::is_committing(id);
        end_committing(id);
        open
    }

    fn is_stored(id: RoundId) -> bool {
        Asked::get().contains_key(&id)
    }

    fn retention() -> u32 {
        100
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn requester() -> (AccountId, Balance, u32) {
        (frame_benchmarking::v2::whitelisted_caller(), FEE, 2)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn conclude(_: &AccountId, _: Vec<u8>, _: u32) -> RoundId {
        0
    }
}

/// Ends the first phase of a round.
pub fn end_committing(id: RoundId) {
    Asked::mutate(|asked| {
        if let Some((.., open)) = asked.get_mut(&id) {
            *open = false;
        }
    });
}

pub struct MockBeacon;

impl traits::Randomness for MockBeacon {
    fn value() -> H256 {
        H256::from_low_u64_be(System::block_number())
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Agents = Agents;
    type Ratings = MockRatings;
    type KnownAnswers = MockKnown;
    type Requests = MockRounds;
    type Treasury = ResolveTo<Treasury, Balances>;
    type TreasuryAccount = Treasury;
    type Randomness = MockBeacon;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type VoidOrigin = EnsureRoot<AccountId>;
    type DefaultParameters = DefaultParameters;
    type Shares = Shares;
    type MinFee = ConstU128<10>;
    type MinSlash = ConstU128<MIN_SLASH>;
    type MinRankings = ConstU32<9>;
    type MaxRankings = ConstU32<16>;
    type ApprovalThreshold = Threshold;
    type MaxVolunteers = MaxVolunteers;
    type MaxLanes = MaxLanes;
    type MaxSettlements = MaxSettlements;
    type MaxEvidence = ConstU32<12_288>;
    type RoundEnd = ();
    type Longevity = ConstU32<5>;
    type CallPriority = ConstU64<1>;
}

/// The account of this number. Agents are `1..=AGENTS`.
pub fn account(number: u8) -> AccountId {
    AccountId32::new([number; 32])
}

/// The account that asks.
pub fn requester() -> AccountId {
    account(100)
}

/// The inference key of an account.
pub fn pair(who: &AccountId) -> InferencePair {
    InferencePair::from_seed(who.as_ref())
}

pub fn point(who: &AccountId) -> [u8; 32] {
    let mut seed = [7; 64];
    seed[..32].copy_from_slice(who.as_ref());
    DecryptionKey::from_bytes(&seed).public()
}

pub fn sign(who: &AccountId, payload: &[u8; 32]) -> [u8; 64] {
    let signature: sp_core::sr25519::Signature = pair(who).sign(payload).into();
    signature.into()
}

pub fn ext() -> sp_io::TestExternalities {
    let agents: Vec<_> = (1..=AGENTS)
        .map(|number| GenesisAgent {
            account: account(number),
            inference_key: pair(&account(number)).public(),
            model_name: "rules".into(),
            model_hash: H256::zero(),
            bond: BOND,
        })
        .collect();
    let mut balances: Vec<_> = agents
        .iter()
        .map(|agent| (agent.account.clone(), ENDOWMENT))
        .collect();
    balances.extend([100, 101, 200].map(|number| (account(number), ENDOWMENT)));
    let config = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances,
            ..Default::default()
        },
        agents: pallet_agents::GenesisConfig { agents },
        ..Default::default()
    };
    let storage = config.build_storage().unwrap();
    let mut ext = sp_io::TestExternalities::new(storage);
    ext.execute_with(|| to_block(1));
    ext
}

/// Runs `test` on a new chain, and checks all invariants after it.
pub fn run(test: impl FnOnce()) {
    ext().execute_with(|| {
        Asked::set(BTreeMap::new());
        Chosen::set(Choice::Paper);
        Known::set(BTreeMap::new());
        Noted::set(vec![]);
        test();
        check();
    });
}

pub fn check() {
    assert_eq!(Lanes::do_try_state(), Ok(()));
    assert_eq!(Agents::do_try_state(), Ok(()));
}

/// Ends blocks until this one has begun.
pub fn to_block(block: u32) {
    while System::block_number() < u64::from(block) {
        let next = System::block_number() + 1;
        if next > 1 {
            Lanes::on_idle(next - 1, Weight::MAX);
        }
        System::set_block_number(next);
        Lanes::on_initialize(next);
    }
}

pub fn now() -> u32 {
    Lanes::now()
}

/// Ends blocks until this epoch has begun.
pub fn to_epoch(epoch: Epoch) {
    while Now::<Test>::get().epoch < epoch {
        to_block(now() + 1);
    }
}

pub fn genesis() -> [u8; 32] {
    Lanes::genesis()
}

pub fn terms() -> Terms {
    Terms {
        members: 4,
        max_fee: FEE,
        max_tokens: 64,
        answer_ms: 1_000,
        rank_ms: 1_000,
        key: pair(&requester()).public().to_raw_vec().try_into().unwrap(),
        peer: None,
    }
}

/// Authorizes a feeless call as the pool does, and dispatches it.
pub fn send(call: crate::Call<Test>) -> Result<(), Refused> {
    let call: RuntimeCall = call.into();
    call.authorize(TransactionSource::External)
        .expect("the call is feeless")
        .map_err(Refused::Pool)?;
    call.dispatch(RawOrigin::Authorized.into())
        .map(|_| ())
        .map_err(|failed| Refused::Dispatch(failed.error))
}

/// Reasons why a feeless call was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pool did not accept it.
    Pool(TransactionValidityError),
    /// It was let in and failed, so nobody paid for it.
    Dispatch(DispatchError),
}

pub fn join(who: &AccountId, epoch: Epoch) -> Result<(), Refused> {
    let (point, peer) = (point(who), [9; 32]);
    let payload = volunteer::join(&genesis(), who.as_ref(), epoch, &point, &peer);
    send(crate::Call::join {
        agent: who.clone(),
        epoch,
        point,
        peer,
        signature: sign(who, &payload),
    })
}

pub fn leave(who: &AccountId, epoch: Epoch) -> Result<(), Refused> {
    let payload = volunteer::leave(&genesis(), who.as_ref(), epoch);
    send(crate::Call::leave {
        agent: who.clone(),
        epoch,
        signature: sign(who, &payload),
    })
}

/// A lane, and the epoch in which it and all agents serve, which has begun.
pub fn served() -> (LaneId, Epoch) {
    let id = open(&requester(), terms());
    let epoch = Now::<Test>::get().epoch + volunteer::AHEAD;
    for number in 1..=AGENTS {
        assert_eq!(join(&account(number), epoch), Ok(()));
    }
    to_epoch(epoch);
    (id, epoch)
}

pub fn open(who: &AccountId, terms: Terms) -> LaneId {
    let id = crate::NextLane::<Test>::get();
    Lanes::open(RawOrigin::Signed(who.clone()).into(), DEPOSIT, terms).unwrap();
    id
}

pub fn members(id: LaneId, epoch: Epoch) -> Vec<AccountId> {
    let lane = LaneMap::<Test>::get(id).unwrap();
    let drawn = Lanes::committee(id, &lane, epoch).expect("a committee");
    drawn.members.into_inner()
}

/// A checkpoint of these requests, of which the first member wins all and the others rank.
pub fn checkpoint(id: LaneId, epoch: Epoch, first: u32, bitmap: u64) -> Checkpoint {
    let requests = Balance::from(bitmap.count_ones());
    let members = members(id, epoch);
    let mut payouts = BTreeMap::new();
    let parts = starling_primitives::rewards::split(FEE, Shares::get().0, Shares::get().1);
    let (rankers, rest) = starling_primitives::rewards::divide(parts.rankers, &[0, 1, 1, 1]);
    for (place, (member, ranked)) in members.iter().zip(rankers).enumerate() {
        let won = if place == 0 { parts.winner } else { 0 };
        payouts.insert(member.clone().into(), (won + ranked) * requests);
    }
    payouts.insert(Treasury::get().into(), (parts.treasury + rest) * requests);
    Checkpoint {
        lane: id,
        epoch,
        first,
        bitmap,
        fees: FEE * requests,
        payouts: payouts.into_iter().collect(),
        transcripts: [3; 32],
    }
}

/// The checkpoint with the signatures of these members.
pub fn certify(checkpoint: &Checkpoint, signers: impl IntoIterator<Item = u8>) -> Certificate {
    let members = members(checkpoint.lane, checkpoint.epoch);
    let hash = checkpoint.hash(&genesis());
    Certificate::new(
        signers
            .into_iter()
            .map(|member| (member, sign(&members[usize::from(member)], &hash))),
    )
}

pub fn settle(checkpoint: &Checkpoint) -> Result<(), Refused> {
    send_settle(checkpoint, certify(checkpoint, 0..3))
}

pub fn send_settle(checkpoint: &Checkpoint, certificate: Certificate) -> Result<(), Refused> {
    send(crate::Call::settle {
        checkpoint: checkpoint.clone(),
        certificate,
    })
}

/// The pool's answer to this error.
pub fn refused(error: crate::Error<Test>) -> Refused {
    use codec::Encode;
    use sp_runtime::transaction_validity::InvalidTransaction;
    Refused::Pool(InvalidTransaction::Custom(error.encode()[0]).into())
}

pub fn slot(id: LaneId, epoch: Epoch, seq: u32) -> Slot {
    Slot {
        genesis: genesis(),
        lane: id,
        epoch,
        seq,
        phase: Phase::Scores,
    }
}

/// A message signed by a member.
pub fn signed(who: &AccountId, slot: Slot, message: Message) -> (Slot, Message, [u8; 64]) {
    let signature = sign(who, &payload(&slot, who.as_ref(), &message));
    (slot, message, signature)
}

pub fn report(
    offender: &AccountId,
    a: (Slot, Message, [u8; 64]),
    b: (Slot, Message, [u8; 64]),
) -> DispatchResultWithPostInfo {
    let reporter = RawOrigin::Signed(account(101)).into();
    Lanes::equivocation(reporter, offender.clone(), Box::new(a), Box::new(b))
}

pub fn ask(id: LaneId, epoch: Epoch, seq: u32) -> Ask {
    Ask {
        genesis: genesis(),
        lane: id,
        epoch,
        seq,
        prompt: b"why?".to_vec(),
        max_tokens: 64,
        form: Form::Free,
        fee: FEE,
        expiry: now() + 1,
    }
}

/// Escalates an ask that the requester has signed.
pub fn escalate(ask: &Ask) -> DispatchResult {
    let signature = sign(&requester(), &ask.hash());
    let who = RawOrigin::Signed(requester()).into();
    Lanes::escalate(who, ask.clone(), signature, 4, 8)
}

/// The votes of these members for one outcome.
pub fn votes(ask: &Ask, outcome: H256, signers: impl IntoIterator<Item = u8>) -> Certificate {
    let members = members(ask.lane, ask.epoch);
    let slot = slot(ask.lane, ask.epoch, ask.seq);
    Certificate::new(signers.into_iter().map(|member| {
        let who = &members[usize::from(member)];
        let (.., signature) = signed(who, slot, Message::Vote(outcome.0));
        (member, signature)
    }))
}

pub fn show(ask: &Ask, certificate: Certificate) -> Result<(), Refused> {
    send(crate::Call::show_certificate {
        lane: ask.lane,
        epoch: ask.epoch,
        seq: ask.seq,
        outcome: H256::repeat_byte(5),
        certificate,
    })
}

pub fn free(who: &AccountId) -> Balance {
    Balances::balance(who)
}

pub fn escrow(who: &AccountId) -> Balance {
    Balances::balance_on_hold(&crate::HoldReason::Escrow.into(), who)
}

pub fn bonded(who: &AccountId) -> Balance {
    Balances::balance_on_hold(&pallet_agents::HoldReason::Bond.into(), who)
}

pub fn issuance() -> Balance {
    Balances::total_issuance()
}

/// Changes a lane on record.
pub fn change(id: LaneId, how: impl FnOnce(&mut crate::Lane<AccountId>)) {
    let mut lane = lane(id);
    how(&mut lane);
    LaneMap::<Test>::insert(id, lane);
}

pub fn lane(id: LaneId) -> crate::Lane<AccountId> {
    LaneMap::<Test>::get(id).unwrap()
}

/// The events of this pallet, the last one last.
pub fn events() -> Vec<Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Lanes(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// A chain with a keystore for the keys that benchmarks make.
#[cfg(feature = "runtime-benchmarks")]
pub fn for_benchmarks() -> sp_io::TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};

    let mut ext = ext();
    ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    ext
}

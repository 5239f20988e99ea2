// SPDX-License-Identifier: Apache-2.0
//! A chain with agents and disputes, and a clock that a test sets.

use std::time::Duration;

use frame_support::{
    derive_impl,
    dispatch::{DispatchResult, RawOrigin},
    parameter_types,
    traits::{
        fungible::{Inspect, InspectHold},
        tokens::imbalance::ResolveTo,
        Authorize, ConstU128, ConstU32, ConstU64, Hooks, UnixTime,
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
use starling_evidence::{
    messages::{self, Accusation},
    Account, Claim, Code, Evidence, Exhibit, Finding, History, Identity, Key, ModelId, Peer,
    Signed, SignedOutput, Sketches,
};
use starling_primitives::{crypto::InferencePair, traits, Balance, H256};
use starling_sketch::{sketch::VALUES, Layout, Sketch};

use crate::{CaseId, CaseOf, Cases, Event, Parameters, Phase};

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Agents: pallet_agents,
        Disputes: crate,
    }
);

/// Number of agents of the genesis block.
pub const AGENTS: u8 = 30;
pub const ENDOWMENT: Balance = 1_000_000;
pub const BOND: Balance = 10_000;
pub const MIN_SLASH: Balance = 100;
pub const FEE: Balance = 10;
pub const PARAMETERS: Parameters = Parameters {
    committee: 5,
    least: 3,
    appeal: 7,
    drawing: 4,
    commit_window: 10,
    reveal_window: 5,
    appeal_window: 10,
    retention: 20,
    evidence_life: 100_000,
    holder_delay: 5,
    conviction_memory: 1_000,
    member_fee: FEE,
    member_stake: 50,
    deposit: 100,
    slash: Permill::from_percent(10),
};
/// The accuser's bond of its first case on an idle chain.
pub const ACCUSATION_BOND: Balance = 150;
/// The stake of an agent with [`BOND`].
pub const STAKE: Balance = 1_000;
pub const MODEL: ModelId = [7; 32];

parameter_types! {
    pub const DefaultParameters: Parameters = PARAMETERS;
    pub Treasury: AccountId = account(200);
    /// The chain's clock, in milliseconds.
    pub static Clock: u64 = 1_000_000;
    pub static MaxHolders: u32 = 64;
    pub static MaxCases: u32 = 16;
    pub static MaxVerdicts: u32 = 64;
    pub static MaxAgainst: u32 = 2;
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
    type MaxCandidates = ConstU32<64>;
    type MaxValidators = ConstU32<4>;
    type MinValidators = ConstU32<1>;
    type Sessions = ();
    type Votes = ();
}

pub struct MockBeacon;

impl traits::Randomness for MockBeacon {
    fn value() -> H256 {
        H256::from_low_u64_be(System::block_number())
    }
}

pub struct MockClock;

impl UnixTime for MockClock {
    fn now() -> Duration {
        Duration::from_millis(Clock::get())
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type Currency = Balances;
    type Agents = Agents;
    type Treasury = ResolveTo<Treasury, Balances>;
    type Randomness = MockBeacon;
    type Time = MockClock;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type DefaultParameters = DefaultParameters;
    type MinSlash = ConstU128<MIN_SLASH>;
    type UnbondingPeriod = ConstU32<200>;
    type SlotDuration = ConstU64<1_000>;
    type MaxHolders = MaxHolders;
    type MaxCases = MaxCases;
    type MaxStored = ConstU32<32>;
    type MaxAgainst = MaxAgainst;
    type MaxTransitions = ConstU32<2>;
    type MaxVerdicts = MaxVerdicts;
    type MaxExhibit = ConstU32<262_144>;
    type Longevity = ConstU32<8>;
    type CallPriority = ConstU64<1>;
}

/// The account of this number. Agents are `1..=AGENTS`.
pub fn account(number: u8) -> AccountId {
    AccountId32::new([number; 32])
}

/// The agents of the claims, and the one that accuses them.
pub fn accused() -> [AccountId; 2] {
    [account(1), account(2)]
}

pub fn accuser() -> AccountId {
    account(3)
}

/// The inference key of an account.
pub fn pair(who: &AccountId) -> InferencePair {
    InferencePair::from_seed(who.as_ref())
}

pub fn sign(who: &AccountId, payload: &[u8]) -> [u8; 64] {
    sign_with(&pair(who), payload)
}

fn sign_with(pair: &InferencePair, payload: &[u8]) -> [u8; 64] {
    let signature: sp_core::sr25519::Signature = pair.sign(payload).into();
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
    balances.extend([100, 200].map(|number| (account(number), ENDOWMENT)));
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
        Clock::set(1_000_000);
        test();
        check();
    });
}

/// Runs `test` on a chain on which so many agents, the last ones, hold the model.
pub fn run_with(holders: u8, test: impl FnOnce()) {
    run(|| {
        for number in (AGENTS - holders + 1)..=AGENTS {
            assert_eq!(hold(&account(number), &[MODEL]), Ok(()));
        }
        to_block(now() + PARAMETERS.holder_delay);
        test();
    });
}

pub fn check() {
    assert_eq!(Disputes::do_try_state(), Ok(()));
    assert_eq!(Agents::do_try_state(), Ok(()));
}

/// Ends blocks until this one has begun.
pub fn to_block(block: u32) {
    while System::block_number() < u64::from(block) {
        let next = System::block_number() + 1;
        if next > 1 {
            Disputes::on_idle(next - 1, Weight::MAX);
        }
        System::set_block_number(next);
        Clock::set(Clock::get() + 1_000);
        Disputes::on_initialize(next);
    }
}

pub fn now() -> u32 {
    Disputes::now()
}

pub fn genesis() -> [u8; 32] {
    Disputes::genesis()
}

/// Ends blocks until a case is in this phase.
pub fn to_phase(id: CaseId, phase: Phase) {
    for _ in 0..200 {
        if case(id).phase == phase {
            return;
        }
        to_block(now() + 1);
    }
    panic!("case {id} is {:?} and not {phase:?}", case(id).phase);
}

pub fn case(id: CaseId) -> CaseOf<Test> {
    Cases::<Test>::get(id).unwrap()
}

/// An agent that signs with some key.
pub struct Signer {
    pub account: AccountId,
    pub pair: InferencePair,
}

impl Signer {
    pub fn of(who: &AccountId) -> Self {
        Self {
            account: who.clone(),
            pair: pair(who),
        }
    }
}

impl Identity for Signer {
    fn account(&self) -> Option<Account> {
        Some(self.account.clone().into())
    }

    fn key(&self) -> Option<Key> {
        self.pair.public().to_raw_vec().try_into().ok()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(sign_with(&self.pair, message))
    }
}

/// The exhibit of the case with this number: its outputs differ, and no two are alike.
pub fn exhibit(number: u8) -> Exhibit {
    let inputs = (0..32u8).map(|at| f32::from(at) + f32::from(number));
    Exhibit {
        width: 2,
        inputs: inputs.flat_map(f32::to_le_bytes).collect(),
        first: vec![number; 8],
        second: vec![number + 1; 8],
        tokens: (0..16).collect(),
    }
}

/// The claim about an output of an exhibit.
pub fn claim(exhibit: &Exhibit, output: &[u8]) -> Claim {
    let mut history = History::default();
    for row in exhibit.inputs.chunks_exact(8) {
        history.push_row(row);
    }
    Claim {
        model: MODEL,
        layers: (3, 9),
        wire: Code::F16,
        positions: 0,
        rows: 16,
        before: [0; 32],
        after: history.digest(),
        output: sp_io::hashing::sha2_256(output),
        time: Clock::get(),
    }
}

/// A claim, signed for this chain.
pub fn answer(signer: &Signer, claim: Claim) -> SignedOutput {
    let peer = Peer::new([1, 2, 3]);
    let claim = Signed::new(claim, signer, &genesis(), &peer, None).unwrap();
    SignedOutput { peer, claim }
}

/// Evidence against the agents of an exhibit.
pub fn evidence(exhibit: &Exhibit, agents: &[AccountId; 2]) -> Evidence {
    let [first, second] = agents;
    Evidence {
        first: answer(&Signer::of(first), claim(exhibit, &exhibit.first)),
        second: answer(&Signer::of(second), claim(exhibit, &exhibit.second)),
    }
}

pub fn accusation(number: u8) -> Accusation {
    Accusation {
        network: genesis(),
        evidence: evidence(&exhibit(number), &accused()),
        shown_by: Peer::new([9]),
    }
}

/// Reasons why a feeless call was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pool did not accept it.
    Pool(TransactionValidityError),
    /// It was let in and failed, so nobody paid for it.
    Dispatch(DispatchError),
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

/// Accuses by the key of `who`.
pub fn accuse(who: &AccountId, accusation: &Accusation) -> Result<(), Refused> {
    let payload = messages::accuse(&genesis(), who.as_ref(), accusation);
    send(crate::Call::accuse {
        agent: who.clone(),
        accusation: Box::new(accusation.clone()),
        signature: Some(sign(who, &payload)),
    })
}

/// Accuses by the account of `who`, which names the errors.
pub fn accuse_signed(who: &AccountId, accusation: &Accusation) -> DispatchResult {
    let origin = RawOrigin::Signed(who.clone()).into();
    Disputes::accuse(origin, who.clone(), Box::new(accusation.clone()), None)
}

/// A case about [`exhibit`], opened by [`accuser`].
pub fn opened(number: u8) -> CaseId {
    let id = crate::NextCase::<Test>::get();
    assert_eq!(accuse(&accuser(), &accusation(number)), Ok(()));
    id
}

pub fn hold(who: &AccountId, models: &[ModelId]) -> Result<(), Refused> {
    let payload = messages::hold(&genesis(), who.as_ref(), models, now());
    send(crate::Call::hold {
        agent: who.clone(),
        models: models.to_vec(),
        at: now(),
        signature: Some(sign(who, &payload)),
    })
}

/// The salt of each executor's commitment.
pub const SALT: [u8; 32] = [5; 32];

pub fn commit(id: CaseId, who: &AccountId, finding: &Finding) -> Result<(), Refused> {
    let draw = case(id).draw;
    let commitment = finding.commitment(&genesis(), who.as_ref(), id, &draw.0, &SALT);
    let payload = messages::commit(&genesis(), who.as_ref(), id, &draw.0, &commitment);
    send(crate::Call::commit {
        case: id,
        agent: who.clone(),
        commitment: H256(commitment),
        signature: sign(who, &payload),
    })
}

pub fn reveal(id: CaseId, who: &AccountId, finding: &Finding) -> Result<(), Refused> {
    send(crate::Call::reveal {
        case: id,
        agent: who.clone(),
        finding: finding.clone(),
        salt: SALT,
    })
}

/// Lets the committee of a case find this, each member by its place, and waits for the ruling.
pub fn find(id: CaseId, finding: impl Fn(usize) -> Finding) {
    to_phase(id, Phase::Committing);
    let committee = case(id).committee;
    for (place, who) in committee.iter().enumerate() {
        assert_eq!(commit(id, who, &finding(place)), Ok(()));
    }
    to_phase(id, Phase::Revealing);
    for (place, who) in committee.iter().enumerate() {
        assert_eq!(reveal(id, who, &finding(place)), Ok(()));
    }
    to_block(now() + 1);
}

/// Rows whose distance from `rows(0)` is about `off` thousandths.
pub fn rows(off: i16) -> Sketch {
    let layout = Layout::SPAN;
    let mut values = [0; VALUES];
    for (at, value) in values.iter_mut().enumerate() {
        if at % layout.values() < layout.projections() {
            *value = 1000 + off;
        }
    }
    Sketch::new(values)
}

/// The finding of an honest executor that was shown outputs so many thousandths off.
pub fn computed(first: i16, second: i16) -> Finding {
    Finding::Computed(Box::new(Sketches {
        own: rows(0),
        coarse: rows(5),
        coded: rows(0),
        elsewhere: rows(0),
        first: Some(rows(first)),
        second: Some(rows(second)),
    }))
}

/// The finding that only the second agent lied.
pub fn second_lied(_: usize) -> Finding {
    computed(2, 200)
}

pub fn appeal(id: CaseId, who: &AccountId) -> DispatchResult {
    Disputes::appeal(RawOrigin::Signed(who.clone()).into(), id)
}

pub fn free(who: &AccountId) -> Balance {
    Balances::balance(who)
}

pub fn bonded(who: &AccountId) -> Balance {
    Balances::balance_on_hold(&pallet_agents::HoldReason::Bond.into(), who)
}

pub fn lockable(who: &AccountId) -> Balance {
    <Agents as traits::AgentRegistry<_>>::lockable(who)
}

pub fn is_active(who: &AccountId) -> bool {
    <Agents as traits::AgentRegistry<_>>::is_active(who)
}

pub fn issuance() -> Balance {
    Balances::total_issuance()
}

/// The events of this pallet, the last one last.
pub fn events() -> Vec<Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Disputes(event) => Some(event),
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

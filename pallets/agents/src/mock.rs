// SPDX-License-Identifier: Apache-2.0
//! A chain with agents, their bonds, and sessions of which they are the validators.

use std::collections::{BTreeMap, BTreeSet};

use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible,
        tokens::imbalance::{Imbalance, ResolveTo},
        Hooks, OnUnbalanced,
    },
};
use frame_system::EnsureRoot;
use pallet_authorship::EventHandler;
use sp_core::Pair;
use sp_runtime::{
    impl_opaque_keys,
    testing::UintAuthorityId,
    traits::{ConvertInto, OpaqueKeys},
    BuildStorage, KeyTypeId, RuntimeAppPublic,
};
use starling_primitives::{
    crypto::InferencePair,
    messages::ownership_payload,
    traits::{OnAgentChange, Sessions, Votes},
    Balance, InferenceKey, InferenceSignature, H256,
};

use crate::{GenesisAgent, ModelDescriptor};

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Agents: crate,
        Session: pallet_session,
    }
);

/// Receives slashes and fees.
pub const TREASURY: AccountId = 1_000;
/// Initial funds of every account of [`ACCOUNTS`].
pub const ENDOWMENT: Balance = 10_000;
/// The accounts with money.
pub const ACCOUNTS: core::ops::RangeInclusive<AccountId> = 1..=12;
pub const EXISTENTIAL_DEPOSIT: Balance = 1;

parameter_types! {
    pub static MinBond: Balance = 100;
    pub static KeyFee: Balance = 7;
    pub static UnbondingPeriod: u64 = 20;
    pub static LongestRound: u64 = 19;
    pub static MaxUnbonding: u32 = 3;
    pub static MaxCandidates: u32 = 5;
    pub static MaxValidators: u32 = 3;
    pub static MinValidators: u32 = 2;
    pub const TreasuryAccount: AccountId = TREASURY;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = frame_support::traits::ConstU128<EXISTENTIAL_DEPOSIT>;
}

impl_opaque_keys! {
    pub struct SessionKeys {
        pub dummy: UintAuthorityId,
    }
}

parameter_types! {
    /// The validators of the present session, as consensus would learn them.
    pub static Authorities: Vec<AccountId> = Vec::new();
}

/// Sessions for which an offence is remembered.
pub const ACCOUNTABLE: u32 = 4;

parameter_types! {
    /// Numbers of validators of sessions, where a test sets them.
    pub static Sizes: BTreeMap<u32, u32> = BTreeMap::new();
    /// Validators whose nodes do not run.
    pub static Offline: BTreeSet<AccountId> = BTreeSet::new();
    /// Validators whose nodes author and do not vote.
    pub static Mute: BTreeSet<AccountId> = BTreeSet::new();
    /// Validators that were kept from authoring.
    pub static Disabled: Vec<AccountId> = Vec::new();
}

pub struct RecordAuthorities;
impl pallet_session::SessionHandler<AccountId> for RecordAuthorities {
    const KEY_TYPE_IDS: &'static [KeyTypeId] = &[sp_core::crypto::key_types::DUMMY];

    fn on_genesis_session<K: OpaqueKeys>(validators: &[(AccountId, K)]) {
        Self::record(validators);
    }

    fn on_new_session<K: OpaqueKeys>(_: bool, validators: &[(AccountId, K)], _: &[(AccountId, K)]) {
        Self::record(validators);
    }

    fn on_disabled(_: u32) {}
}

impl RecordAuthorities {
    fn record<K>(validators: &[(AccountId, K)]) {
        Authorities::set(validators.iter().map(|(who, _)| *who).collect());
    }
}

/// Blocks in a session.
pub const SESSION: u64 = 5;

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = pallet_session::PeriodicSessions<
        frame_support::traits::ConstU64<SESSION>,
        frame_support::traits::ConstU64<0>,
    >;
    type NextSessionRotation = ();
    type SessionManager = Agents;
    type SessionHandler = RecordAuthorities;
    type Keys = SessionKeys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ();
}

impl crate::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Treasury = ResolveTo<TreasuryAccount, Balances>;
    type SlashOrigin = EnsureRoot<AccountId>;
    type OnInactive = ();
    type OnAgentChange = Changes;
    type MinBond = MinBond;
    type KeyFee = KeyFee;
    type UnbondingPeriod = UnbondingPeriod;
    type LongestRound = LongestRound;
    type MaxUnbonding = MaxUnbonding;
    type MaxCandidates = MaxCandidates;
    type MaxValidators = MaxValidators;
    type MinValidators = MinValidators;
    type Sessions = SessionsOfTest;
    type Votes = VotesOfTest;
}

parameter_types! {
    /// The agents that were not any more what they were, in the order in which others heard of it.
    pub static Changed: Vec<AccountId> = Vec::new();
}

pub struct Changes;
impl OnAgentChange<AccountId> for Changes {
    fn on_agent_change(who: &AccountId) {
        Changed::mutate(|changed| changed.push(*who));
    }
}

/// The votes of all validators whose nodes run and vote.
pub struct VotesOfTest;
impl Votes<AccountId> for VotesOfTest {
    fn take(_: u32) -> Option<Vec<AccountId>> {
        let (offline, mute) = (Offline::get(), Mute::get());
        let all = Authorities::get().into_iter();
        let voters: Vec<_> = all
            .filter(|who| !offline.contains(who) && !mute.contains(who))
            .collect();
        (!voters.is_empty()).then_some(voters)
    }
}

pub struct SessionsOfTest;
impl Sessions<AccountId> for SessionsOfTest {
    fn current() -> u32 {
        Session::current_index()
    }

    fn accountable() -> u32 {
        Session::current_index().saturating_sub(ACCOUNTABLE)
    }

    fn queued() -> Vec<AccountId> {
        let queued = Session::queued_keys().into_iter();
        queued.map(|(validator, _)| validator).collect()
    }

    fn size(session: u32) -> Option<u32> {
        Sizes::get().get(&session).copied()
    }

    fn prune() {}

    fn disable(who: &AccountId) {
        Disabled::mutate(|disabled| disabled.push(*who));
    }

    fn keys(who: &AccountId) -> Option<Vec<u8>> {
        Session::load_keys(who).map(|keys| keys.encode())
    }

    fn owners() -> Vec<AccountId> {
        pallet_session::NextKeys::<Test>::iter_keys().collect()
    }
}

/// Gives a slash to the treasury, as most rounds do. Returns its amount.
pub fn keep(credit: crate::CreditOf<Test>) -> Balance {
    let amount = credit.peek();
    <Test as crate::Config>::Treasury::on_unbalanced(credit);
    amount
}

/// The `n`th inference key.
pub fn pair(n: u8) -> InferencePair {
    InferencePair::from_seed(&[n; 32])
}

pub fn key(n: u8) -> InferenceKey {
    pair(n).public()
}

/// The `n`th key's agreement to serve `who`.
pub fn proof(n: u8, who: AccountId) -> InferenceSignature {
    pair(n).sign(&ownership_payload(genesis(), &who))
}

pub fn genesis() -> H256 {
    System::block_hash(0)
}

pub fn model(name: &str) -> ModelDescriptor {
    let name = name.as_bytes().to_vec().try_into().expect("a short name");
    ModelDescriptor {
        name,
        hash: H256::repeat_byte(1),
    }
}

/// Registers `who` with its key of the same number.
pub fn register(who: AccountId, bond: Balance) {
    let n = u8::try_from(who).expect("a small account");
    Agents::register(
        RuntimeOrigin::signed(who),
        key(n),
        proof(n, who),
        model("m"),
        bond,
    )
    .expect("registers");
}

/// Gives `who` session keys.
pub fn set_session_keys(who: AccountId) {
    let mut dummy = UintAuthorityId(who);
    let proof = dummy
        .generate_proof_of_possession(&who.encode())
        .expect("a proof")
        .encode();
    Session::set_keys(RuntimeOrigin::signed(who), SessionKeys { dummy }, proof).expect("sets keys");
}

/// Goes to a block. The validators whose nodes run author in turn.
pub fn run_to(block: u64) {
    while System::block_number() < block {
        let now = System::block_number() + 1;
        System::set_block_number(now);
        let offline = Offline::get();
        let online: Vec<_> = Authorities::get()
            .into_iter()
            .filter(|who| !offline.contains(who))
            .collect();
        if !online.is_empty() {
            let author = online[now as usize % online.len()];
            <Agents as EventHandler<_, _>>::note_author(author);
        }
        Session::on_initialize(now);
    }
}

/// Goes to the first block of the next session, `times` times.
pub fn sessions(times: u64) {
    run_to((System::block_number() / SESSION + times) * SESSION);
}

/// The events of this pallet so far.
pub fn events() -> Vec<crate::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Agents(event) => Some(event),
            _ => None,
        })
        .collect()
}

pub fn free(who: AccountId) -> Balance {
    <Balances as fungible::Inspect<_>>::balance(&who)
}

pub fn held(who: AccountId) -> Balance {
    <Balances as fungible::InspectHold<_>>::total_balance_on_hold(&who)
}

/// A chain whose genesis has these agents. At the end of the test it checks the invariants, and
/// that no money came or went.
pub struct Chain {
    agents: Vec<(AccountId, Balance)>,
    strangers: Vec<AccountId>,
}

impl Chain {
    pub fn new() -> Self {
        Self::with_agents(&[])
    }

    pub fn with_agents(agents: &[(AccountId, Balance)]) -> Self {
        Self {
            agents: agents.to_vec(),
            strangers: Vec::new(),
        }
    }

    /// Gives session keys to an account that is no agent.
    pub fn and_keys_of(mut self, who: AccountId) -> Self {
        self.strangers.push(who);
        self
    }

    pub fn storage(&self) -> sp_core::storage::Storage {
        let balances = ACCOUNTS
            .map(|who| (who, ENDOWMENT))
            .chain([(TREASURY, EXISTENTIAL_DEPOSIT)])
            .collect();
        let agents = self
            .agents
            .iter()
            .map(|&(account, bond)| GenesisAgent {
                account,
                inference_key: key(u8::try_from(account).expect("a small account")),
                model_name: "genesis".into(),
                model_hash: H256::repeat_byte(2),
                bond,
            })
            .collect();
        RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances,
                ..Default::default()
            },
            agents: crate::GenesisConfig { agents },
            session: pallet_session::GenesisConfig {
                keys: self
                    .agents
                    .iter()
                    .map(|(who, _)| who)
                    .chain(&self.strangers)
                    .map(|&who| {
                        (
                            who,
                            who,
                            SessionKeys {
                                dummy: UintAuthorityId(who),
                            },
                        )
                    })
                    .collect(),
                ..Default::default()
            },
            ..Default::default()
        }
        .build_storage()
        .expect("a genesis")
    }

    pub fn run(self, test: impl FnOnce()) {
        let mut externalities = sp_io::TestExternalities::from(self.storage());
        externalities.execute_with(|| {
            System::set_block_number(1);
            let issued = Balances::total_issuance();
            test();
            Agents::do_try_state().expect("the state is sound");
            assert_eq!(Balances::total_issuance(), issued, "no money came or went");
        });
    }
}

/// A chain with a keystore for the keys that benchmarks make.
#[cfg(feature = "runtime-benchmarks")]
pub fn for_benchmarks() -> sp_io::TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};

    let mut externalities = sp_io::TestExternalities::from(Chain::new().storage());
    externalities.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    externalities
}

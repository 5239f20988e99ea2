// SPDX-License-Identifier: Apache-2.0
//! A chain with all pallets of the protocol, and agents that play rounds on it.

use std::collections::BTreeMap;

use codec::Encode;
use frame_support::{
    derive_impl,
    dispatch::{DispatchClass, DispatchResult, RawOrigin},
    parameter_types,
    traits::{
        fungible::{Inspect, InspectHold},
        Authorize, ConstU128, FindAuthor, OnFinalize, OnIdle, OnInitialize, ValidatorSet,
    },
    weights::{IdentityFee, Weight},
    PalletId,
};
use frame_system::EnsureRoot;
use sp_core::Pair;
use sp_runtime::{
    traits::{Convert, Dispatchable},
    transaction_validity::{TransactionSource, TransactionValidityError, ValidTransaction},
    BuildStorage, ConsensusEngineId, DispatchError, Permill,
};
use starling_primitives::{
    crypto::InferencePair,
    messages::{ownership_payload, payload, Message},
    sealing::Format,
    Balance, Position, RoundId, Salt, Score, Secret, H256,
};

use crate::{Event, Participants, Phase, Proof, Ranking, Response, RoundOf, Rounds};

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;
pub type Extrinsic = frame_system::mocking::MockUncheckedExtrinsic<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Authorship: pallet_authorship,
        Agents: pallet_agents,
        Tickets: pallet_tickets,
        Ratings: pallet_ratings,
        Rewards: pallet_rewards,
        Rounds_: crate,
    }
);

/// The account that asks.
pub const REQUESTER: AccountId = 100;
/// The agents of the genesis block.
pub const AGENTS: core::ops::RangeInclusive<AccountId> = 1..=8;
/// Accounts that may become agents.
pub const SPARE: core::ops::RangeInclusive<AccountId> = 9..=14;
/// Initial funds of every account.
pub const ENDOWMENT: Balance = 1_000_000_000_000_000;
pub const BOND: Balance = 1_000_000;
pub const FEE: Balance = 1_000_000;
/// Fine for silence.
pub const SILENCE_FINE: Balance = 1_000;
/// Maximum length of a response, in tokens. All texts of the tests have fewer bytes.
pub const TOKENS: u32 = 128;
pub const EXISTENTIAL_DEPOSIT: Balance = 10;

parameter_types! {
    pub static MinFee: Balance = 100_000;
    pub static MaxPrompt: u32 = 64;
    pub static MaxResponse: u32 = 48;
    pub static MinResponses: u32 = 4;
    pub static MaxResponses: u32 = 8;
    pub static CommitWindow: u32 = 6;
    pub static RevealWindow: u32 = 4;
    pub static RankWindow: u32 = 6;
    pub static DiscloseWindow: u32 = 4;
    pub static MinRankings: u32 = 3;
    pub static MaxRankings: u32 = 16;
    pub static ApprovalThreshold: Permill = Permill::from_percent(30);
    pub static MinSlash: Balance = 50_000;
    pub static SlashShare: Permill = Permill::from_percent(10);
    pub static MaxSlash: Balance = 4_000_000;
    pub const CommitShare: Permill = Permill::from_percent(10);
    pub static MaxOpenRounds: u32 = 6;
    pub static SlotPrice: Balance = 0;
    pub static MaxRequests: u32 = 6;
    pub static MaxStoredRounds: u32 = 10;
    pub static MaxTransitions: u32 = 4;
    pub static MaxTransitionAgents: u32 = 32;
    pub static RatingPage: u32 = 3;
    pub static PurgePage: u32 = 5;
    pub static RetentionPeriod: u32 = 8;
    pub static Longevity: u32 = 5;
    pub static MessagePriority: u64 = 1 << 60;
    pub static Author: Option<AccountId> = Some(1);
    pub static Authorities: Vec<AccountId> = vec![1];
    // Losers keep a part and the pot gets one, so that every rule moves money.
    pub static RewardRules: pallet_rewards::Parameters = pallet_rewards::Parameters {
        loser: Permill::from_percent(10),
        forfeits: Permill::from_percent(20),
        ..pallet_rewards::Parameters::production()
    };
    pub static RatingRules: pallet_ratings::Parameters = pallet_ratings::Parameters::dev();
    pub const TreasuryId: PalletId = PalletId(*b"strl/trs");
    /// Events of this pallet in the block before this one.
    pub static LastEvents: Vec<Event<Test>> = Vec::new();
    pub static LastWeight: Weight = Weight::zero();
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
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
}

pub struct MockAuthor;
impl FindAuthor<AccountId> for MockAuthor {
    fn find_author<'a, I>(_: I) -> Option<AccountId>
    where
        I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
    {
        Author::get()
    }
}

impl pallet_authorship::Config for Test {
    type FindAuthor = MockAuthor;
    type EventHandler = Rounds_;
}

pub struct MockSession;
impl ValidatorSet<AccountId> for MockSession {
    type ValidatorId = AccountId;
    type ValidatorIdOf = SomeOf;
    fn session_index() -> u32 {
        0
    }
    fn validators() -> Vec<AccountId> {
        Authorities::get()
    }
}

pub struct SomeOf;
impl Convert<AccountId, Option<AccountId>> for SomeOf {
    fn convert(account: AccountId) -> Option<AccountId> {
        Some(account)
    }
}

impl pallet_agents::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Treasury = Rewards;
    type SlashOrigin = EnsureRoot<AccountId>;
    type OnInactive = Rounds_;
    type OnAgentChange = ();
    type MinBond = ConstU128<100_000>;
    type KeyFee = ConstU128<1_000>;
    type UnbondingPeriod = frame_support::traits::ConstU64<30>;
    type LongestRound = frame_support::traits::ConstU64<20>;
    type MaxUnbonding = frame_support::traits::ConstU32<4>;
    type MaxCandidates = frame_support::traits::ConstU32<10>;
    type MaxValidators = frame_support::traits::ConstU32<4>;
    type MinValidators = frame_support::traits::ConstU32<1>;
    type Sessions = ();
    type Votes = ();
}

impl pallet_tickets::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type MinTicket = ConstU128<1_000>;
    type TicketShare = TicketShare;
}

parameter_types! {
    pub const TicketShare: Permill = Permill::from_percent(1);
}

impl pallet_ratings::Config for Test {
    type Window = frame_support::traits::ConstU32<8>;
    type Parameters = RatingRules;
}

impl pallet_rewards::Config for Test {
    type WeightInfo = ();
    type Currency = Balances;
    type Tickets = Tickets;
    type SpendOrigin = EnsureRoot<AccountId>;
    type TreasuryId = TreasuryId;
    type Parameters = RewardRules;
    type MinFee = MinFee;
    type MaxResponses = MaxResponses;
}

/// Stands for the beacon, of which a mock has no authors.
pub struct ParentHash;
impl starling_primitives::traits::Randomness for ParentHash {
    fn value() -> H256 {
        System::parent_hash()
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Agents = Agents;
    type Tickets = Tickets;
    type Ratings = Ratings;
    type Rewards = Rewards;
    type Choice = ();
    type Authorities = MockSession;
    type Randomness = ParentHash;
    type WeightToFee = IdentityFee<Balance>;
    type LengthToFee = IdentityFee<Balance>;
    type MinFee = MinFee;
    type MaxPrompt = MaxPrompt;
    type MaxResponse = MaxResponse;
    type MaxTokens = frame_support::traits::ConstU32<256>;
    type MinResponses = MinResponses;
    type MaxResponses = MaxResponses;
    type CommitWindow = CommitWindow;
    type RevealWindow = RevealWindow;
    type RankWindow = RankWindow;
    type DiscloseWindow = DiscloseWindow;
    type MinRankings = MinRankings;
    type MaxRankings = MaxRankings;
    type ApprovalThreshold = ApprovalThreshold;
    type MinSlash = MinSlash;
    type SlashShare = SlashShare;
    type SilenceFine = ConstU128<SILENCE_FINE>;
    type MaxSlash = MaxSlash;
    type CommitShare = CommitShare;
    type DepositBase = ConstU128<5_000>;
    type DepositPerResponse = ConstU128<700>;
    type MaxOpenRounds = MaxOpenRounds;
    type SlotPrice = SlotPrice;
    type MaxRequests = MaxRequests;
    type MaxStoredRounds = MaxStoredRounds;
    type MaxTransitions = MaxTransitions;
    type MaxTransitionAgents = MaxTransitionAgents;
    type RatingPage = RatingPage;
    type PurgePage = PurgePage;
    type RetentionPeriod = RetentionPeriod;
    type Longevity = Longevity;
    type MessagePriority = MessagePriority;
    type MaxAuthorities = frame_support::traits::ConstU32<5>;
}

impl frame_system::offchain::CreateTransactionBase<crate::Call<Test>> for Test {
    type Extrinsic = Extrinsic;
    type RuntimeCall = RuntimeCall;
}

impl frame_system::offchain::CreateTransaction<crate::Call<Test>> for Test {
    type Extension = ();

    fn create_transaction(call: RuntimeCall, extension: ()) -> Extrinsic {
        Extrinsic::new_transaction(call, extension)
    }
}

impl frame_system::offchain::CreateAuthorizedTransaction<crate::Call<Test>> for Test {
    fn create_extension() {}
}

/// Reasons why a feeless call was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pool did not accept it.
    Pool(TransactionValidityError),
    /// It was let in and failed, so nobody paid for it.
    Dispatch(DispatchError),
}

/// The inference key of an account.
pub fn pair(who: AccountId) -> InferencePair {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&who.to_le_bytes());
    InferencePair::from_seed(&seed)
}

pub fn genesis_hash() -> H256 {
    System::block_hash(0)
}

/// The key with which an agent seals its response to a round.
pub fn secret(id: RoundId, who: AccountId) -> Secret {
    sp_io::hashing::blake2_256(&("secret", id, who).encode())
}

pub fn salt(id: RoundId, who: AccountId) -> Salt {
    sp_io::hashing::blake2_256(&("salt", id, who).encode())
}

pub fn slot(id: RoundId, who: &AccountId) -> crate::SlotOf<'_, Test> {
    Rounds_::slot(id, who)
}

/// A message's proof, signed now.
pub fn sign(id: RoundId, who: AccountId, message: &Message) -> Proof {
    let signed_at = Rounds_::now();
    sign_at(id, who, message, signed_at, &pair(who))
}

pub fn sign_at(
    id: RoundId,
    who: AccountId,
    message: &Message,
    signed_at: u32,
    pair: &InferencePair,
) -> Proof {
    let signature = pair.sign(&payload(&slot(id, &who), signed_at, message));
    Proof {
        signed_at,
        signature,
    }
}

pub fn commit_call(
    id: RoundId,
    who: AccountId,
    sealed: Vec<u8>,
    key: &Secret,
) -> crate::Call<Test> {
    let key_commitment = slot(id, &who).key_commitment(key);
    let proof = sign(
        id,
        who,
        &Message::Commit {
            sealed: &sealed,
            key_commitment,
        },
    );
    crate::Call::commit {
        round: id,
        agent: who,
        sealed,
        key_commitment,
        proof,
    }
}

pub fn reveal_call(id: RoundId, who: AccountId, key: Secret) -> crate::Call<Test> {
    let proof = Some(sign(id, who, &Message::Reveal { key: &key }));
    crate::Call::reveal {
        round: id,
        agent: who,
        key,
        proof,
    }
}

pub fn pass_call(id: RoundId, who: AccountId) -> crate::Call<Test> {
    crate::Call::pass {
        round: id,
        agent: who,
        proof: sign(id, who, &Message::Pass),
    }
}

pub fn commit_scores_call(
    id: RoundId,
    who: AccountId,
    seed: H256,
    scores: &[(Position, Score)],
) -> crate::Call<Test> {
    let commitment = slot(id, &who).scores_commitment(seed, scores, &salt(id, who));
    let proof = sign(id, who, &Message::CommitScores { seed, commitment });
    crate::Call::commit_scores {
        round: id,
        agent: who,
        seed,
        commitment,
        proof,
    }
}

pub fn disclose_call(
    id: RoundId,
    who: AccountId,
    scores: &[(Position, Score)],
) -> crate::Call<Test> {
    let salt = salt(id, who);
    let proof = Some(sign(
        id,
        who,
        &Message::Disclose {
            scores,
            salt: &salt,
        },
    ));
    let scores = scores.to_vec().try_into().expect("not too many scores");
    crate::Call::disclose {
        round: id,
        agent: who,
        scores,
        salt,
        proof,
    }
}

/// The pool's verdict on a feeless call.
pub fn validate(call: crate::Call<Test>) -> Result<ValidTransaction, TransactionValidityError> {
    RuntimeCall::from(call)
        .authorize(TransactionSource::External)
        .expect("the call has an authorization")
        .map(|(valid, _)| valid)
}

/// Sends a feeless call through its authorization into the block.
pub fn send(call: crate::Call<Test>) -> Result<ValidTransaction, Refused> {
    let valid = validate(call.clone()).map_err(Refused::Pool)?;
    RuntimeCall::from(call)
        .dispatch(RawOrigin::Authorized.into())
        .map_err(|failed| Refused::Dispatch(failed.error))?;
    Ok(valid)
}

/// Dispatches a call as if the authorization had let it in.
pub fn force(call: crate::Call<Test>) -> DispatchResult {
    RuntimeCall::from(call)
        .dispatch(RawOrigin::Authorized.into())
        .map(|_| ())
        .map_err(|failed| failed.error)
}

/// Asserts that the pool refuses a feeless call, that it fails with the same error if it is forced,
/// and that it changes nothing.
#[track_caller]
pub fn assert_refused(
    call: crate::Call<Test>,
    pool: impl Into<TransactionValidityError>,
    error: crate::Error<Test>,
) {
    frame_support::assert_storage_noop!({
        assert_eq!(
            validate(call.clone()).expect_err("the pool refuses"),
            pool.into()
        );
    });
    frame_support::assert_noop!(force(call), error);
}

/// The pool's error for a call that fails with this error.
pub fn custom(error: crate::Error<Test>) -> TransactionValidityError {
    let index = error.encode()[0];
    sp_runtime::transaction_validity::InvalidTransaction::Custom(index).into()
}

/// A chain in its first block.
pub fn ext() -> sp_io::TestExternalities {
    let endowed = AGENTS.chain(SPARE).chain([REQUESTER, REQUESTER + 1]);
    let storage = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: endowed.map(|who| (who, ENDOWMENT)).collect(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis");
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        begin_block();
        for who in AGENTS {
            register(who, BOND).expect("it becomes an agent");
        }
    });
    ext
}

/// The same with a keystore, in which the benchmarks make the keys that sign.
#[cfg(feature = "runtime-benchmarks")]
pub fn ext_with_keystore() -> sp_io::TestExternalities {
    let mut ext = ext();
    let keystore = sp_keystore::testing::MemoryKeystore::new();
    ext.register_extension(sp_keystore::KeystoreExt::new(keystore));
    ext
}

pub fn register(who: AccountId, bond: Balance) -> DispatchResult {
    let proof = pair(who).sign(&ownership_payload(genesis_hash(), &who));
    let model = pallet_agents::ModelDescriptor {
        name: b"model".to_vec().try_into().expect("a short name"),
        hash: H256::zero(),
    };
    Agents::register(
        RuntimeOrigin::signed(who),
        pair(who).public(),
        proof,
        model,
        bond,
    )?;
    Tickets::buy(RuntimeOrigin::signed(who), 100_000)
}

/// Runs a test, and checks the invariants at the end.
pub fn run<R>(test: impl FnOnce() -> R) -> R {
    ext().execute_with(|| {
        let result = test();
        check();
        result
    })
}

/// Checks the invariants of all pallets together.
pub fn check() {
    Rounds_::do_try_state().expect("the rounds are sound");
    Agents::do_try_state().expect("the agents are sound");
    Tickets::do_try_state().expect("the tickets are sound");
    Ratings::do_try_state().expect("the ratings are sound");
    Rewards::do_try_state().expect("the rewards are sound");
    let mut claims: BTreeMap<AccountId, (u32, Balance)> = BTreeMap::new();
    for (id, agent) in Participants::<Test>::iter_keys() {
        let round = Rounds::<Test>::get(id).expect("no orphans");
        if !round.phase.is_final() {
            let (rounds, slash) = claims.entry(agent).or_default();
            *rounds += 1;
            *slash += round.terms.slash;
        }
    }
    for (who, agent) in pallet_agents::Agents::<Test>::iter() {
        let claim = claims.get(&who).copied().unwrap_or_default();
        assert_eq!((agent.open, agent.reserved), claim, "reservations of {who}");
    }
    let mut obligations: BTreeMap<AccountId, Balance> = BTreeMap::new();
    let mut owes = |who: AccountId, amount: Balance| *obligations.entry(who).or_default() += amount;
    for round in Rounds::<Test>::iter_values() {
        let fee = (!round.phase.is_final()).then_some(round.terms.fee);
        owes(round.requester, round.terms.deposit + fee.unwrap_or(0));
    }
    pallet_agents::Agents::<Test>::iter().for_each(|(who, agent)| owes(who, agent.bond));
    for (who, parts) in pallet_agents::Unbonding::<Test>::iter() {
        owes(who, parts.iter().map(|part| part.amount).sum());
    }
    pallet_tickets::Accounts::<Test>::iter().for_each(|(who, it)| owes(who, it.free + it.staked));
    for who in frame_system::Account::<Test>::iter_keys() {
        let obligation = obligations.remove(&who).unwrap_or(0);
        assert_eq!(on_hold(who), obligation, "the held funds of {who}");
    }
    assert!(obligations.is_empty(), "nothing is owed by nobody");
    let owned: Balance = frame_system::Account::<Test>::iter()
        .map(|(_, account)| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(owned, Balances::total_issuance(), "all money has an owner");
}

fn begin_block() {
    let number = System::block_number() + 1;
    let parent = H256(sp_io::hashing::blake2_256(&("block", number - 1).encode()));
    let parent = if number == 1 { genesis_hash() } else { parent };
    System::reset_events();
    System::initialize(&number, &parent, &Default::default());
    let weight = AllPalletsWithSystem::on_initialize(number);
    System::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
}

/// Ends this block and begins the next one.
pub fn next_block() {
    next_block_with_idle(Weight::zero());
}

/// Ends this block, with this much weight left over, and begins the next one.
pub fn next_block_with_idle(left: Weight) {
    let number = System::block_number();
    AllPalletsWithSystem::on_idle(number, left);
    AllPalletsWithSystem::on_finalize(number);
    LastEvents::set(events());
    LastWeight::set(System::block_weight().total());
    check();
    begin_block();
}

pub fn blocks(count: u32) {
    (0..count).for_each(|_| next_block());
}

/// Opens a round with places for all agents.
pub fn ask() -> RoundId {
    ask_with(FEE, 4, 8).expect("the request is good")
}

pub fn ask_with(fee: Balance, min: u32, max: u32) -> Result<RoundId, DispatchError> {
    let id = crate::NextRound::<Test>::get();
    Rounds_::request(
        RuntimeOrigin::signed(REQUESTER),
        b"why?".to_vec(),
        fee,
        TOKENS,
        min,
        max,
    )?;
    Ok(id)
}

/// The request fee with the agents of the genesis.
pub fn request_fee(max_responses: u32) -> Balance {
    let agents = AGENTS.count().try_into().expect("a few");
    Rounds_::request_fee(max_responses, agents)
}

pub fn round(id: RoundId) -> RoundOf<Test> {
    Rounds::<Test>::get(id).expect("the round is stored")
}

pub fn phase(id: RoundId) -> Phase {
    round(id).phase
}

/// Whether a round has ended. It may be purged already.
pub fn is_over(id: RoundId) -> bool {
    Rounds::<Test>::get(id).is_none_or(|round| round.phase.is_final())
}

pub fn answer(who: AccountId) -> String {
    format!("answer of {who}")
}

/// Seals a text as a worker does.
pub fn seal(id: RoundId, who: AccountId, text: &str) -> Vec<u8> {
    slot(id, &who)
        .seal(&secret(id, who), text, MaxResponse::get(), Format::Padded)
        .expect("it seals")
}

/// Commits the response of an agent.
#[track_caller]
pub fn commit(id: RoundId, who: AccountId) {
    let key = secret(id, who);
    let sealed = seal(id, who, &answer(who));
    send(commit_call(id, who, sealed, &key)).expect("the commit is good");
}

/// Commits bytes that open to no valid response.
#[track_caller]
pub fn commit_garbage(id: RoundId, who: AccountId) {
    let key = secret(id, who);
    send(commit_call(id, who, vec![0; 30], &key)).expect("nobody can see what is in it");
}

#[track_caller]
pub fn reveal(id: RoundId, who: AccountId) {
    send(reveal_call(id, who, secret(id, who))).expect("the key is good");
}

/// Quality of a response: the lower the account, the better.
pub fn quality(author: AccountId) -> Score {
    Score(u16::try_from(60_000 - author * 4_000).expect("a quality"))
}

/// The responses assigned to an agent, with the scores by `judge`.
pub fn scores_by(
    id: RoundId,
    who: AccountId,
    judge: impl Fn(AccountId) -> Score,
) -> Vec<(Position, Score)> {
    match Rounds_::task(id, &round(id), &who) {
        Some(starling_primitives::api::Task::Rank { responses, .. }) => responses
            .into_iter()
            .map(|(place, author, _)| (place, judge(author)))
            .collect(),
        other => panic!("{who} has nothing to rank in {id}: {other:?}"),
    }
}

#[track_caller]
pub fn commit_scores(id: RoundId, who: AccountId, scores: &[(Position, Score)]) {
    let seed = round(id).seed.expect("there is an assignment");
    send(commit_scores_call(id, who, seed, scores)).expect("the commitment is good");
}

#[track_caller]
pub fn disclose(id: RoundId, who: AccountId, scores: &[(Position, Score)]) {
    send(disclose_call(id, who, scores)).expect("the scores are good");
}

/// Agents 1 to `n` commit, the others pass, and the round is in Revealing in a new block.
pub fn to_revealing(id: RoundId, n: u64) {
    next_block();
    AGENTS.for_each(|who| {
        if who <= n {
            commit(id, who)
        } else {
            send(pass_call(id, who)).expect("it may pass");
        }
    });
    next_block();
    assert_eq!(phase(id), Phase::Revealing);
}

/// Agents 1 to `n` reveal, and the round is in Ranking in a new block.
pub fn to_ranking(id: RoundId, n: u64) {
    to_revealing(id, n);
    (1..=n).for_each(|who| reveal(id, who));
    next_block();
    assert_eq!(phase(id), Phase::Ranking);
}

/// All scores, by agent.
pub type AllScores = BTreeMap<AccountId, Vec<(Position, Score)>>;

/// The scores of `agents` by `judge(ranker, author)`.
pub fn all_scores(
    id: RoundId,
    agents: impl IntoIterator<Item = AccountId>,
    judge: impl Fn(AccountId, AccountId) -> Score,
) -> AllScores {
    agents
        .into_iter()
        .map(|who| (who, scores_by(id, who, |author| judge(who, author))))
        .collect()
}

#[track_caller]
pub fn commit_all(id: RoundId, all: &AllScores) {
    all.iter()
        .for_each(|(who, scores)| commit_scores(id, *who, scores));
}

#[track_caller]
pub fn disclose_all(id: RoundId, all: &AllScores) {
    all.iter()
        .for_each(|(who, scores)| disclose(id, *who, scores));
}

/// Agents 1 to `n` commit scores by `judge(ranker, author)`, and the round is in Disclosing.
pub fn to_disclosing(
    id: RoundId,
    n: u64,
    judge: impl Fn(AccountId, AccountId) -> Score,
) -> AllScores {
    to_ranking(id, n);
    let all = all_scores(id, 1..=n, judge);
    commit_all(id, &all);
    next_block();
    assert_eq!(phase(id), Phase::Disclosing);
    all
}

/// A whole round in which all agents deliver.
pub fn play(id: RoundId, n: u64, judge: impl Fn(AccountId, AccountId) -> Score) {
    let all = to_disclosing(id, n, judge);
    disclose_all(id, &all);
    next_block();
}

/// All agents are honest and see the same.
pub fn honest(_: AccountId, author: AccountId) -> Score {
    quality(author)
}

/// All agents are honest except for one, which scores the opposite of what it sees.
pub fn all_honest_but(one: AccountId) -> impl Fn(AccountId, AccountId) -> Score + Copy {
    move |who, author| match quality(author) {
        Score(it) if who == one => Score(u16::MAX - it),
        it => it,
    }
}

/// The events of this pallet in this block.
pub fn events() -> Vec<Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Rounds_(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// The settlement of a round in the block before this one.
#[track_caller]
pub fn settlement(id: RoundId) -> crate::Settlement {
    LastEvents::get()
        .into_iter()
        .find_map(|event| match event {
            Event::Settled {
                round, settlement, ..
            } if round == id => Some(settlement),
            _ => None,
        })
        .expect("the round has just been settled")
}

/// Total funds of an account, including held ones.
pub fn wealth(who: AccountId) -> Balance {
    <Balances as Inspect<_>>::total_balance(&who)
}

pub fn on_hold(who: AccountId) -> Balance {
    <Balances as InspectHold<_>>::total_balance_on_hold(&who)
}

pub fn treasury() -> Balance {
    wealth(Rewards::treasury())
}

/// The bond of an agent.
pub fn bond(who: AccountId) -> Balance {
    pallet_agents::Agents::<Test>::get(who).map_or(0, |agent| agent.bond)
}

pub fn response_of(id: RoundId, who: AccountId) -> Response {
    Participants::<Test>::get(id, who)
        .expect("it is in the round")
        .response
}

pub fn ranking_of(id: RoundId, who: AccountId) -> Ranking<MaxRankings> {
    Participants::<Test>::get(id, who)
        .expect("it is in the round")
        .ranking
}

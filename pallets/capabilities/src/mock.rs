// SPDX-License-Identifier: Apache-2.0
//! A chain whose rounds have the responses that a test gives them, and a treasury that keeps a list
//! of its payments.

use std::collections::BTreeMap;

use binary_merkle_tree::{merkle_proof_raw, merkle_root_raw};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, ConstU32},
};
use frame_system::EnsureRoot;
use sp_runtime::{traits::BlakeTwo256, BuildStorage, DispatchError, DispatchResult, Permill};
use starling_primitives::{
    choice::{commitment, leaf, Choice, Form, Key, Votes},
    fixed::ONE,
    selection::Tally,
    traits::{self, Answered, Choice as _, ChoiceInput, Concluded, Ranked, Treasury},
    Balance, Position, RoundId, Salt, Score, H256,
};

use crate::{Event, ExaminerTraffic, QuestionPool, Traffic};

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Capabilities: crate,
    }
);

/// The examiners.
pub const EXAMINERS: [AccountId; 3] = [101, 102, 103];
/// An account that asks and examines nobody.
pub const STRANGER: AccountId = 200;
pub const FEE: Balance = 1_000;
pub const PREMIUM: Balance = 100;
pub const MAX_REFUND: Balance = 2 * FEE;
pub const WINDOW: u32 = 20;
pub const SALT: Salt = [9; 32];
pub const SEED: H256 = H256::repeat_byte(7);
/// Number of questions in the pool.
pub const QUESTIONS: u32 = 37;
pub const CHANCE: Permill = Permill::from_percent(5);

parameter_types! {
    pub static Spacing: u32 = 0;
    /// The stored rounds. Without an end they are open.
    pub static Stored: BTreeMap<RoundId, (Concluded<AccountId>, bool)> = BTreeMap::new();
    pub static Payments: Vec<(AccountId, Balance)> = Vec::new();
    /// Balance of the treasury.
    pub static Funds: Balance = 1_000_000;
    pub static Refuses: bool = false;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

pub struct MockRounds;

impl traits::Requests<AccountId> for MockRounds {
    fn request(
        requester: AccountId,
        prompt: Vec<u8>,
        fee: Balance,
        _: u32,
        _: u32,
        _: u32,
    ) -> Result<RoundId, DispatchError> {
        if Refuses::get() {
            return Err(DispatchError::Other("no round"));
        }
        let round = Concluded {
            requester,
            prompt,
            paid: fee,
            ended_at: 0,
            answers: Vec::new(),
        };
        Ok(store(round, false))
    }

    fn concluded(id: RoundId) -> Option<Concluded<AccountId>> {
        let (round, is_over) = Stored::get().remove(&id)?;
        is_over.then_some(round)
    }

    fn is_committing(id: RoundId) -> bool {
        Stored::get().get(&id).is_some_and(|(_, is_over)| !is_over)
    }

    fn withdraw(_: RoundId) -> bool {
        false
    }

    fn is_stored(id: RoundId) -> bool {
        Stored::get().contains_key(&id)
    }

    fn retention() -> u32 {
        WINDOW + 1
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn requester() -> (AccountId, Balance, u32) {
        (frame_benchmarking::v2::whitelisted_caller(), FEE, 2)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn conclude(requester: &AccountId, prompt: Vec<u8>, answers: u32) -> RoundId {
        let texts = vec!["a".repeat(4_096); answers as usize];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let round = Concluded {
            requester: *requester,
            prompt,
            paid: FEE,
            ended_at: now(),
            answers: answers_of(&texts, |_, author| author as u16),
        };
        store(round, true)
    }
}

pub struct MockTreasury;

impl Treasury<AccountId> for MockTreasury {
    fn pay(to: &AccountId, amount: Balance) -> Balance {
        let amount = amount.min(Funds::get());
        Funds::mutate(|funds| *funds -= amount);
        Payments::mutate(|payments| payments.push((*to, amount)));
        amount
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type Requests = MockRounds;
    type Treasury = MockTreasury;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type MaxExaminers = ConstU32<4>;
    type MaxPrompt = ConstU32<64>;
    type MaxResponses = ConstU32<8>;
    type MaxKeys = ConstU32<4>;
    type MaxProof = ConstU32<32>;
    type AnswerWindow = ConstU32<WINDOW>;
    type MaxRefund = ConstU128<MAX_REFUND>;
    type Premium = ConstU128<PREMIUM>;
    type Spacing = Spacing;
    type IdlePeriod = ConstU32<1_000>;
}

/// The choice by votes of a chain where two answers prove an agent.
pub fn votes() -> Votes {
    Votes {
        proof: 2,
        ..Votes::default()
    }
}

/// A chain in its first block, with examiners and a pool.
pub fn ext() -> sp_io::TestExternalities {
    let storage = RuntimeGenesisConfig {
        capabilities: crate::GenesisConfig {
            choice: Choice::Votes(votes()),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis");
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        Spacing::set(0);
        Stored::set(BTreeMap::new());
        Payments::set(Vec::new());
        Funds::set(1_000_000);
        Refuses::set(false);
        System::set_block_number(1);
        let root = RuntimeOrigin::root;
        let examiners = EXAMINERS.to_vec().try_into().expect("a few");
        Capabilities::set_examiners(root(), examiners).expect("they are different");
        let pool = QuestionPool {
            root: merkle_root_raw::<BlakeTwo256, _>(leaves()),
            questions: QUESTIONS,
        };
        Capabilities::set_pool(root(), Some(pool)).expect("root may");
        System::reset_events();
    });
    ext
}

/// Runs a test, and checks the invariants at the end.
pub fn run<R>(test: impl FnOnce() -> R) -> R {
    ext().execute_with(|| {
        let result = test();
        Capabilities::do_try_state().expect("the state is sound");
        result
    })
}

pub fn now() -> u32 {
    System::block_number().try_into().expect("a small number")
}

pub fn blocks(count: u32) {
    System::set_block_number(System::block_number() + u64::from(count));
}

fn store(round: Concluded<AccountId>, is_over: bool) -> RoundId {
    Stored::mutate(|stored| {
        let id = stored.keys().last().map_or(0, |last| last + 1);
        stored.insert(id, (round, is_over));
        id
    })
}

/// The question in this place of the pool.
pub fn prompt(index: u32) -> Vec<u8> {
    format!("How much is {index}?").into_bytes()
}

/// A right response to it.
pub fn right(index: u32) -> String {
    format!("Answer: {index}")
}

/// A wrong one.
pub const WRONG: &str = "Answer: 1,000";

/// The hash of the right answer key.
pub fn keys(index: u32) -> Vec<H256> {
    let key = Key::of(&index.to_string()).expect("a number is a key");
    vec![key.hash()]
}

pub fn leaves() -> Vec<H256> {
    let leaf = |index| leaf(index, &prompt(index), Form::Number, CHANCE, &keys(index));
    (0..QUESTIONS).map(leaf).collect()
}

pub fn proof(index: u32) -> Vec<H256> {
    merkle_proof_raw::<BlakeTwo256, _>(leaves(), index).proof
}

pub fn opening(who: AccountId, index: u32) -> H256 {
    let genesis = System::block_hash(0);
    commitment(genesis, &who, index, &keys(index), &SALT)
}

/// Opens a round.
pub fn ask_with(who: AccountId, prompt: Vec<u8>, form: Form, commitment: H256) -> RoundId {
    ask_for(FEE, who, prompt, form, commitment)
}

/// Asks for another fee.
pub fn ask_for(
    fee: Balance,
    who: AccountId,
    prompt: Vec<u8>,
    form: Form,
    commitment: H256,
) -> RoundId {
    let origin = RuntimeOrigin::signed(who);
    Capabilities::ask(origin, prompt, fee, 100, 4, 8, form, commitment).expect("a request");
    *Stored::get().keys().last().expect("there is a round")
}

/// Asks a question of the pool.
pub fn ask(who: AccountId, index: u32) -> RoundId {
    ask_with(who, prompt(index), Form::Number, opening(who, index))
}

/// Gives an examiner room for some answers.
pub fn has_asked(who: AccountId) {
    Traffic::<Test>::insert(
        who,
        ExaminerTraffic {
            asked: 1_000,
            revealed: 0,
        },
    );
}

/// Ends a round in this block.
pub fn conclude(id: RoundId, answers: Vec<Answered<AccountId>>) {
    Stored::mutate(|stored| {
        let (round, is_over) = stored.get_mut(&id).expect("it is open");
        round.answers = answers;
        round.ended_at = now();
        *is_over = true;
    });
}

/// An examiner's revelation.
#[derive(Clone)]
pub struct Opening {
    pub index: u32,
    pub keys: Vec<H256>,
    pub chance: Permill,
    pub salt: Salt,
    pub proof: Vec<H256>,
}

/// The right one.
pub fn opening_of(index: u32) -> Opening {
    Opening {
        index,
        keys: keys(index),
        chance: CHANCE,
        salt: SALT,
        proof: proof(index),
    }
}

pub fn reveal_with(who: AccountId, id: RoundId, opening: Opening) -> DispatchResult {
    Capabilities::reveal_answer(
        RuntimeOrigin::signed(who),
        id,
        opening.index,
        opening.keys.try_into().expect("few keys"),
        opening.chance,
        opening.salt,
        opening.proof.try_into().expect("a short proof"),
    )
    .map(|_| ())
    .map_err(|failed| failed.error)
}

pub fn reveal(who: AccountId, id: RoundId, index: u32) -> DispatchResult {
    reveal_with(who, id, opening_of(index))
}

/// The valid responses of agents 1, 2 and so on with these texts. Each agent scores all others by
/// `judge(ranker, author)`.
pub fn answers_of(
    texts: &[&str],
    judge: impl Fn(AccountId, AccountId) -> u16,
) -> Vec<Answered<AccountId>> {
    let agents = 1..=texts.len() as AccountId;
    let place = |agent: AccountId| (agent - 1) as Position;
    agents
        .clone()
        .zip(texts)
        .map(|(agent, text)| Answered {
            agent,
            position: place(agent),
            text: text.as_bytes().to_vec(),
            scores: agents
                .clone()
                .filter(|author| *author != agent)
                .map(|author| (place(author), Score(judge(agent, author))))
                .collect(),
        })
        .collect()
}

/// An examiner asks the question and reveals its answer. Agent `n` has the `n`-th text, and scores
/// all others by `judge`.
#[track_caller]
pub fn examine(
    who: AccountId,
    index: u32,
    texts: &[&str],
    judge: impl Fn(AccountId, AccountId) -> u16,
) -> RoundId {
    has_asked(who);
    let id = ask(who, index);
    conclude(id, answers_of(texts, judge));
    reveal(who, id, index).expect("it is right");
    id
}

/// The pallet's choice among these responses. By ratings all rankers weigh the same.
pub fn choose(id: RoundId, answers: &[Answered<AccountId>]) -> Option<(AccountId, Tally)> {
    let find = |who: &AccountId| answers.iter().find(|it| it.agent == *who).expect("one");
    choose_with(id, answers, true, &|who| find(who).text.clone())
}

pub fn choose_with(
    id: RoundId,
    answers: &[Answered<AccountId>],
    has_room: bool,
    text: &dyn Fn(&AccountId) -> Vec<u8>,
) -> Option<(AccountId, Tally)> {
    let scores = |who: &AccountId| {
        let its = answers.iter().find(|it| it.agent == *who).expect("one");
        Some(its.scores.clone()).filter(|scores| !scores.is_empty())
    };
    Capabilities::best(&ChoiceInput {
        round: id,
        seed: SEED,
        responses: &by_ratings(answers),
        has_room,
        scores: &scores,
        text,
    })
}

/// The responses with their scores by equal ratings.
pub fn by_ratings(answers: &[Answered<AccountId>]) -> Vec<Ranked<AccountId>> {
    answers
        .iter()
        .map(|response| {
            let mut tally = Tally::default();
            for ranker in answers.iter().filter(|it| it.agent != response.agent) {
                tally.assigned += ONE;
                let score = ranker.scores.iter().find(|it| it.0 == response.position);
                if let Some((_, score)) = score {
                    tally.add(ONE, *score);
                }
            }
            Ranked {
                position: response.position,
                agent: response.agent,
                tally,
            }
        })
        .collect()
}

/// The events of this pallet.
pub fn events() -> Vec<Event<Test>> {
    let records = System::events().into_iter();
    records
        .filter_map(|record| match record.event {
            RuntimeEvent::Capabilities(event) => Some(event),
            _ => None,
        })
        .collect()
}

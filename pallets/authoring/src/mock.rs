// SPDX-License-Identifier: Apache-2.0
//! A chain whose authors are others in each session.

use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU64, KeyOwnerProofSystem},
    weights::Weight,
};
use frame_system::pallet_prelude::HeaderFor;
use sp_consensus_aura::{
    digests::CompatibleDigestItem,
    sr25519::{AuthorityId, AuthoritySignature},
};
use sp_consensus_slots::{EquivocationProof, Slot};
use sp_core::{crypto::UncheckedFrom, sr25519, Pair, H256};
use sp_io::TestExternalities;
use sp_runtime::{
    traits::{Convert, Header},
    BuildStorage, Digest, DigestItem, KeyTypeId, Perbill,
};
use sp_session::MembershipProof;
use sp_staking::{
    offence::{OffenceDetails, OnOffenceHandler},
    SessionIndex,
};

use crate::ProofOf;

pub type Block = frame_system::mocking::MockBlock<Test>;

/// Blocks of a session.
pub const PERIOD: u64 = 60;
/// Blocks in which an offence can be reported.
pub const LONGEVITY: u64 = 600;
/// The present block, in the third session.
pub const NOW: u64 = 150;
/// The slot of the blocks of the tests.
pub const SLOT: u64 = 1_000;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Offences: pallet_offences,
        Authoring: crate,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

parameter_types! {
    /// Punished accounts, with the session.
    pub static Punished: Vec<(u64, SessionIndex)> = vec![];
    pub const Negligible: Weight = Weight::zero();
}

/// Notes the offenders of a slot.
pub struct Judge;

impl OnOffenceHandler<u64, u64, Weight> for Judge {
    fn on_offence(
        offenders: &[OffenceDetails<u64, u64>],
        _: &[Perbill],
        session: SessionIndex,
    ) -> Weight {
        let offenders = offenders.iter().map(|details| (details.offender, session));
        Punished::mutate(|punished| punished.extend(offenders));
        Weight::zero()
    }
}

impl pallet_offences::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = u64;
    type OnOffenceHandler = Judge;
}

/// The sessions of this chain.
pub struct Sessions;

impl Convert<u64, SessionIndex> for Sessions {
    fn convert(number: u64) -> SessionIndex {
        let session = number.saturating_sub(1) / PERIOD;
        SessionIndex::try_from(session).expect("a small number")
    }
}

/// The authors of a session: three, of whom the next session keeps two.
fn authors(session: SessionIndex) -> Vec<u8> {
    let first = u8::try_from(session).expect("a small number");
    (first..first + 3).collect()
}

/// A proof that says in which session a key is an author's.
pub fn ownership(session: SessionIndex) -> MembershipProof {
    MembershipProof {
        session,
        trie_nodes: vec![],
        validator_count: 3,
    }
}

/// Knows the authors of each session.
pub struct Owners;

impl KeyOwnerProofSystem<(KeyTypeId, AuthorityId)> for Owners {
    type Proof = MembershipProof;
    type IdentificationTuple = u64;

    fn prove(_: (KeyTypeId, AuthorityId)) -> Option<MembershipProof> {
        None
    }

    fn check_proof((kind, key): (KeyTypeId, AuthorityId), proof: MembershipProof) -> Option<u64> {
        assert_eq!(kind, sp_runtime::key_types::AURA);
        let right = proof == ownership(proof.session);
        let mut authors = authors(proof.session).into_iter().filter(|_| right);
        authors.find(|&n| id(n) == key).map(u64::from)
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type OwnershipWeight = Negligible;
    type PunishmentWeight = Negligible;
    type Offender = u64;
    type KeyOwnership = Owners;
    type SessionOf = Sessions;
    type Offences = Offences;
    type ReportLongevity = ConstU64<LONGEVITY>;
}

pub fn pair(n: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[n + 1; 32])
}

/// The key of the `n`th author. Session `s` has those from `s` to `s + 2`.
pub fn id(n: u8) -> AuthorityId {
    sr25519::Public::unchecked_from(pair(n).public().0).into()
}

/// A header of a height and a slot; `fork` tells blocks of the same height from each other.
pub fn header(number: u64, slot: u64, fork: u8) -> HeaderFor<Test> {
    let slot = Slot::from(slot);
    let item = <DigestItem as CompatibleDigestItem<AuthoritySignature>>::aura_pre_digest(slot);
    Header::new(
        number,
        H256::repeat_byte(fork),
        H256::zero(),
        H256::repeat_byte(9),
        Digest { logs: vec![item] },
    )
}

/// The same with the seal of the `n`th author.
pub fn sealed(n: u8, mut header: HeaderFor<Test>) -> HeaderFor<Test> {
    let signature: AuthoritySignature = pair(n).sign(header.hash().as_ref()).into();
    let seal = <DigestItem as CompatibleDigestItem<AuthoritySignature>>::aura_seal(signature);
    header.digest_mut().push(seal);
    header
}

/// The proof that the `n`th author has made these two blocks in [`SLOT`].
pub fn report(n: u8, first: HeaderFor<Test>, second: HeaderFor<Test>) -> ProofOf<Test> {
    EquivocationProof {
        offender: id(n),
        slot: SLOT.into(),
        first_header: first,
        second_header: second,
    }
}

/// A report of two blocks of these heights, both of the `n`th author.
pub fn contradicting(n: u8, heights: [u64; 2]) -> ProofOf<Test> {
    let [first, second] = heights;
    report(
        n,
        sealed(n, header(first, SLOT, 1)),
        sealed(n, header(second, SLOT, 2)),
    )
}

/// The chain at block [`NOW`].
pub fn chain() -> TestExternalities {
    let storage = RuntimeGenesisConfig::default()
        .build_storage()
        .expect("a genesis");
    let mut chain = TestExternalities::from(storage);
    chain.execute_with(|| {
        Punished::set(vec![]);
        System::set_block_number(NOW);
    });
    chain
}

/// The same with a keystore for the keys that benchmarks make.
#[cfg(feature = "runtime-benchmarks")]
pub fn for_benchmarks() -> TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};

    let mut chain = chain();
    chain.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    chain
}

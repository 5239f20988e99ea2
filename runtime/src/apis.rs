// SPDX-License-Identifier: Apache-2.0
//! The runtime APIs for the node, wallets, explorers and light clients.

use alloc::vec::Vec;

use codec::Encode;
use frame_support::{
    genesis_builder_helper::{build_state, get_preset},
    traits::KeyOwnerProofSystem,
    view_functions::{runtime_api as view_function_api, ViewFunctionDispatchError, ViewFunctionId},
    weights::Weight,
};
use frame_system_rpc_runtime_api as account_nonce_api;
use pallet_transaction_payment::{FeeDetails, RuntimeDispatchInfo};
use pallet_transaction_payment_rpc_runtime_api as payment_api;
use sp_api::impl_runtime_apis;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_consensus_slots::EquivocationProof;
use sp_core::{
    crypto::{key_types, KeyTypeId},
    OpaqueMetadata,
};
use sp_genesis_builder::PresetId;
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    traits::{Block as BlockT, NumberFor},
    transaction_validity::{TransactionSource, TransactionValidity},
    ApplyExtrinsicResult, ExtrinsicInclusionMode,
};
use sp_session::{MembershipProof, OpaqueGeneratedSessionKeys};
use sp_version::RuntimeVersion;
use starling_attestation::{Key as CollateralKey, View as AttestationView};
use starling_evidence::{messages::Accusation, Finding, ModelId};
use starling_lane_primitives::{checkpoint::Checkpoint, Certificate};
use starling_primitives::{
    api::{
        disputes::{CaseId, CaseView, DutyView},
        lanes::{
            CommitteeView, Epoch, EpochView, LaneId, LaneView, PendingView, ProgressView,
            RulesView, SeatView,
        },
        AgentView, CapabilityView, OutcomeView, Owed, QuestionView, RoundAnswer, RoundView, Sent,
        VaultEntry,
    },
    traits::AgentRegistry,
    InferenceKey, RoundId, H256,
};

use crate::{
    configs::KeyOwnership, genesis_config_presets, AccountId, Agents, Attestations, Authoring,
    Balance, Block, BlockNumber, Capabilities, Disputes, Executive, Grandpa, InherentDataExt,
    Lanes, Nonce, Parameters, Rounds, Runtime, RuntimeCall, RuntimeGenesisConfig, SessionKeys,
    System, TransactionPayment, SLOT_DURATION, VERSION,
};

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }

        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block)
        }

        fn initialize_block(header: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }

        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }

        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl view_function_api::RuntimeViewFunction<Block> for Runtime {
        fn execute_view_function(
            id: ViewFunctionId,
            input: Vec<u8>,
        ) -> Result<Vec<u8>, ViewFunctionDispatchError> {
            Runtime::execute_view_function(id, input)
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }

        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }

        fn inherent_extrinsics(data: InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }

        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: InherentData,
        ) -> CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            transaction: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, transaction, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &<Block as BlockT>::Header) {
            Executive::offchain_worker(header)
        }
    }

    impl sp_consensus_aura::AuraApi<Block, AuraId> for Runtime {
        fn slot_duration() -> sp_consensus_aura::SlotDuration {
            sp_consensus_aura::SlotDuration::from_millis(SLOT_DURATION)
        }

        fn authorities() -> Vec<AuraId> {
            pallet_aura::Authorities::<Runtime>::get().into_inner()
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(
            owner: Vec<u8>,
            seed: Option<Vec<u8>>,
        ) -> OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }

        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
            Grandpa::grandpa_authorities()
        }

        fn current_set_id() -> sp_consensus_grandpa::SetId {
            Grandpa::current_set_id()
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            proof: sp_consensus_grandpa::EquivocationProof<
                <Block as BlockT>::Hash,
                NumberFor<Block>,
            >,
            key_owner_proof: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            let key_owner_proof = key_owner_proof.decode()?;
            Grandpa::submit_unsigned_equivocation_report(proof, key_owner_proof)
        }

        fn generate_key_ownership_proof(
            _set_id: sp_consensus_grandpa::SetId,
            authority_id: GrandpaId,
        ) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
            KeyOwnership::prove((sp_consensus_grandpa::KEY_TYPE, authority_id))
                .map(|proof| sp_consensus_grandpa::OpaqueKeyOwnershipProof::new(proof.encode()))
        }
    }

    impl pallet_authoring::AuthoringApi<Block> for Runtime {
        fn generate_key_ownership_proof(author: AuraId) -> Option<MembershipProof> {
            KeyOwnership::prove((key_types::AURA, author))
        }

        fn submit_report_equivocation(
            proof: EquivocationProof<<Block as BlockT>::Header, AuraId>,
            ownership: MembershipProof,
        ) -> Option<()> {
            Authoring::submit_report(proof, ownership)
        }
    }

    impl account_nonce_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl starling_primitives::api::RoundsApi<Block, AccountId> for Runtime {
        fn open_rounds() -> Vec<RoundId> {
            Rounds::open_rounds()
        }

        fn round(id: RoundId) -> Option<RoundView<AccountId>> {
            Rounds::round_view(id)
        }

        fn owed(agent: AccountId) -> Vec<Owed<AccountId>> {
            Rounds::owed(&agent)
        }

        fn agent_of(key: InferenceKey) -> Option<AccountId> {
            Agents::agent_of(&key)
        }

        fn owner_of(key: InferenceKey) -> Option<AccountId> {
            Agents::owner_of(&key)
        }

        fn agent(who: AccountId) -> Option<AgentView> {
            Rounds::agent_view(&who)
        }

        fn ticket_price(fee: Balance) -> Balance {
            Rounds::ticket_price(fee)
        }

        fn request_cost(max_responses: u32) -> (Balance, Balance) {
            Rounds::request_cost(max_responses)
        }

        fn answer(id: RoundId) -> Option<RoundAnswer<AccountId>> {
            Rounds::answer(id)
        }

        fn submit(
            results: Vec<VaultEntry<AccountId>>,
            finalized: BlockNumber,
        ) -> Vec<(RoundId, AccountId, Sent)> {
            Rounds::submit(results, finalized)
        }

        fn is_migrated() -> bool {
            let last = frame_system::LastRuntimeUpgrade::<Runtime>::get();
            last.is_some_and(|last| !last.was_upgraded(&VERSION))
        }
    }

    impl starling_primitives::api::CapabilitiesApi<Block, AccountId> for Runtime {
        fn question(round: RoundId) -> Option<QuestionView> {
            Capabilities::question(round)
        }

        fn outcome(round: RoundId) -> Option<OutcomeView> {
            Capabilities::outcome(round)
        }

        fn capabilities(who: AccountId) -> Vec<CapabilityView> {
            Capabilities::capabilities(&who)
        }
    }

    impl pallet_attestations::AttestationsApi<Block, AccountId> for Runtime {
        fn attestation(who: AccountId) -> Option<AttestationView> {
            Attestations::view(&who)
        }

        fn report_data(
            who: AccountId,
            peer: [u8; 32],
            hop_key: [u8; 32],
            block: BlockNumber,
        ) -> Option<[u8; 64]> {
            let claim = pallet_attestations::Claim {
                peer,
                hop_key,
                block,
            };
            Attestations::report_data(&who, &claim)
        }

        fn collateral() -> Vec<(CollateralKey, u64)> {
            Attestations::collateral()
        }
    }

    impl starling_primitives::api::disputes::DisputesApi<Block, AccountId> for Runtime {
        fn are_open() -> bool {
            Disputes::are_open()
        }

        fn cases() -> Vec<CaseId> {
            Disputes::case_ids()
        }

        fn case(id: CaseId) -> Option<CaseView<AccountId>> {
            Disputes::case_view(id)
        }

        fn duties(agent: AccountId) -> Vec<DutyView> {
            Disputes::duties(&agent)
        }

        fn exhibit(id: CaseId) -> Option<Vec<u8>> {
            Disputes::exhibit_of(id)
        }

        fn held(agent: AccountId) -> (Vec<ModelId>, BlockNumber) {
            Disputes::held_by(&agent)
        }

        fn accusation_bond(agent: AccountId) -> Balance {
            Disputes::bond_of_accusation(&agent)
        }

        fn can_accuse(agent: AccountId, accusation: Accusation) -> Result<(), Vec<u8>> {
            Disputes::can_accuse(&agent, &accusation)
        }

        fn accuse(agent: AccountId, accusation: Accusation, signature: [u8; 64]) -> Vec<u8> {
            Disputes::accuse_transaction(agent, accusation, signature)
        }

        fn hold(
            agent: AccountId,
            models: Vec<ModelId>,
            at: BlockNumber,
            signature: [u8; 64],
        ) -> Vec<u8> {
            Disputes::hold_transaction(agent, models, at, signature)
        }

        fn commit(
            id: CaseId,
            agent: AccountId,
            commitment: H256,
            signature: [u8; 64],
        ) -> Vec<u8> {
            Disputes::commit_transaction(id, agent, commitment, signature)
        }

        fn reveal(id: CaseId, agent: AccountId, finding: Finding, salt: [u8; 32]) -> Vec<u8> {
            Disputes::reveal_transaction(id, agent, finding, salt)
        }
    }

    impl starling_primitives::api::lanes::LanesApi<Block, AccountId> for Runtime {
        fn epoch() -> EpochView {
            Lanes::epoch_view()
        }

        fn rules() -> RulesView<AccountId> {
            Lanes::rules()
        }

        fn weight_floor() -> u64 {
            Parameters::in_force().ratings.weight_floor
        }

        fn lane(id: LaneId) -> Option<LaneView<AccountId>> {
            Lanes::lane(id)
        }

        fn lanes_of(requester: AccountId) -> Vec<LaneView<AccountId>> {
            Lanes::lanes_of(&requester)
        }

        fn committee(lane: LaneId, epoch: Epoch) -> Option<CommitteeView<AccountId>> {
            Lanes::committee_view(lane, epoch)
        }

        fn seats(agent: AccountId, epoch: Epoch) -> Vec<SeatView<AccountId>> {
            Lanes::seats(&agent, epoch)
        }

        fn has_joined(agent: AccountId, epoch: Epoch) -> bool {
            Lanes::has_joined(&agent, epoch)
        }

        fn progress(lane: LaneId, epoch: Epoch) -> ProgressView {
            Lanes::progress_view(lane, epoch)
        }

        fn escalations(lane: LaneId, epoch: Epoch, first: u32) -> u64 {
            Lanes::escalations(lane, epoch, first)
        }

        fn is_liable(agent: AccountId, lane: LaneId, epoch: Epoch) -> bool {
            Lanes::is_liable(&agent, lane, epoch)
        }

        fn pending(lane: LaneId) -> Vec<PendingView> {
            Lanes::pending_view(lane)
        }

        fn escalated(lane: LaneId, epoch: Epoch, seq: u32) -> Option<RoundId> {
            Lanes::escalated(lane, epoch, seq)
        }

        fn can_settle(checkpoint: Checkpoint) -> Result<(), Vec<u8>> {
            Lanes::can_settle(&checkpoint)
        }

        fn join(
            agent: AccountId,
            epoch: Epoch,
            point: [u8; 32],
            peer: [u8; 32],
            signature: [u8; 64],
        ) -> Vec<u8> {
            Lanes::join_transaction(agent, epoch, point, peer, signature)
        }

        fn settle(checkpoint: Checkpoint, certificate: Certificate) -> Vec<u8> {
            Lanes::settle_transaction(checkpoint, certificate)
        }

        fn equivocation(
            offender: AccountId,
            a: pallet_lanes::SignedMessage,
            b: pallet_lanes::SignedMessage,
        ) -> Option<Vec<u8>> {
            Lanes::equivocation_transaction(offender, a, b)
        }

        fn show_certificate(
            lane: LaneId,
            epoch: Epoch,
            seq: u32,
            outcome: H256,
            certificate: Certificate,
        ) -> Vec<u8> {
            Lanes::show_transaction(lane, epoch, seq, outcome, certificate)
        }
    }

    impl payment_api::TransactionPaymentApi<Block, Balance> for Runtime {
        fn query_info(
            transaction: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(transaction, len)
        }

        fn query_fee_details(
            transaction: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> FeeDetails<Balance> {
            TransactionPayment::query_fee_details(transaction, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl payment_api::TransactionPaymentCallApi<Block, Balance, RuntimeCall> for Runtime {
        fn query_call_info(call: RuntimeCall, len: u32) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_call_info(call, len)
        }

        fn query_call_fee_details(call: RuntimeCall, len: u32) -> FeeDetails<Balance> {
            TransactionPayment::query_call_fee_details(call, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
            build_state::<RuntimeGenesisConfig>(config)?;
            Ok(Parameters::do_try_state()?)
        }

        fn get_preset(id: &Option<PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, genesis_config_presets::get_preset)
        }

        fn preset_names() -> Vec<PresetId> {
            genesis_config_presets::preset_names()
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    impl frame_benchmarking::Benchmark<Block> for Runtime {
        fn benchmark_metadata(extra: bool) -> (
            Vec<frame_benchmarking::BenchmarkList>,
            Vec<frame_support::traits::StorageInfo>,
        ) {
            crate::benchmarks::metadata(extra)
        }

        fn dispatch_benchmark(
            config: frame_benchmarking::BenchmarkConfig,
        ) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
            crate::benchmarks::dispatch(config)
        }
    }

    #[cfg(feature = "try-runtime")]
    impl frame_try_runtime::TryRuntime<Block> for Runtime {
        // Only the try-runtime tool makes these two calls, and it expects failures as panics.
        #[allow(clippy::unwrap_used)]
        fn on_runtime_upgrade(checks: frame_try_runtime::UpgradeCheckSelect) -> (Weight, Weight) {
            let weight = Executive::try_runtime_upgrade(checks).unwrap();
            (weight, crate::configs::RuntimeBlockWeights::get().max_block)
        }

        #[allow(clippy::unwrap_used)]
        fn execute_block(
            block: <Block as BlockT>::LazyBlock,
            state_root_check: bool,
            signature_check: bool,
            select: frame_try_runtime::TryStateSelect,
        ) -> Weight {
            Executive::try_execute_block(block, state_root_check, signature_check, select).unwrap()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_runtime::DispatchError;
use starling_attestation::{
    dcap, fixtures, report_data, snp, Collateral, Fault, Item, Kind, Product, SnpTcb, Status,
    MAX_COLLATERAL, MAX_QUOTE, MAX_VCEK,
};
use starling_primitives::{crypto, traits::OnAgentChange, H256};

use crate::{mock::*, Attestation, Attested, Claim, Collaterals, Error, Event};

const DAY: u64 = 24 * 60 * 60;
const FLOOR: SnpTcb = SnpTcb {
    controller: 0,
    boot_loader: 3,
    tee: 0,
    snp: 8,
    microcode: 115,
};

fn signed() -> RuntimeOrigin {
    RuntimeOrigin::signed(agent())
}

fn put(collateral: Collateral) -> DispatchResult {
    // Anybody may bring it.
    let stranger = RuntimeOrigin::signed(AccountId::new([99; 32]));
    Attestations::put_collateral(stranger, collateral)
}

fn dcap(quote: &[u8], claim: Claim) -> DispatchResult {
    Attestations::attest_dcap(signed(), quote.to_vec(), claim)
}

fn snp(report: &[u8], vcek: &[u8]) -> DispatchResult {
    let (report, vcek) = (report.to_vec(), vcek.to_vec());
    Attestations::attest_snp(signed(), Product::Milan, report, vcek, claim())
}

/// The measurement of the made-up guest of a technology.
fn measurement(kind: Kind) -> H256 {
    let fetch = |key: &_| Collaterals::<Test>::get(key).map(Item::from);
    let evidence = match kind {
        Kind::Sgx => dcap::verify(fixtures::SGX_3, &fixtures::ROOTS, fixtures::NOW, fetch),
        Kind::Tdx => dcap::verify(fixtures::TDX_4, &fixtures::ROOTS, fixtures::NOW, fetch),
        Kind::Snp => {
            let ask = starling_attestation::Key::AmdChain(Product::Milan);
            let ask = fetch(&ask).unwrap();
            let (report, vcek) = (fixtures::SNP, fixtures::VCEK);
            let evidence = snp::verify(report, vcek, Product::Milan, &ask, fixtures::NOW);
            evidence.map_err(Into::into)
        },
    };
    H256(evidence.unwrap().measurement)
}

/// Runs a test on a chain with all collateral, good measurements and a floor.
fn run(test: impl FnOnce()) {
    ext().execute_with(|| {
        for item in fixtures::collateral() {
            assert_ok!(put(item));
        }
        for kind in [Kind::Sgx, Kind::Tdx, Kind::Snp] {
            let measurement = measurement(kind);
            assert_ok!(Attestations::set_measurement(
                RuntimeOrigin::root(),
                measurement,
                true
            ));
        }
        floor(Some(FLOOR));
        System::reset_events();
        test();
        assert_ok!(Attestations::do_try_state());
    });
}

fn floor(floor: Option<SnpTcb>) {
    assert_ok!(Attestations::set_floor(
        RuntimeOrigin::root(),
        Product::Milan,
        floor
    ));
}

fn attestation() -> Option<Attestation> {
    Attestations::attestation(&agent())
}

fn invalid(fault: Fault) -> Error<Test> {
    Error::QuoteInvalid(fault.code())
}

#[test]
fn a_domain_is_attested_with_all_that_it_is_bound_to() {
    run(|| {
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        let found = attestation().unwrap();
        assert_eq!(found.kind, Kind::Tdx);
        assert_eq!(found.measurement, measurement(Kind::Tdx));
        assert_eq!((found.key, found.model), (key(), H256(fixtures::MODEL)));
        assert_eq!(found.claim, claim());
        assert_eq!(found.status, Status::HardeningNeeded);
        assert_eq!(found.advisories[0].as_slice(), b"INTEL-SA-00001");
        assert_eq!(found.until, KNOWN + 1 + LIFETIME);
        let view = Attestations::view(&agent()).unwrap();
        assert_eq!(view.advisories, [b"INTEL-SA-00001"]);
        assert_eq!((view.peer, view.until), (fixtures::PEER, found.until));
        System::assert_last_event(
            Event::<Test>::AgentAttested {
                who: agent(),
                kind: Kind::Tdx,
                measurement: found.measurement,
                status: found.status,
                until: found.until,
            }
            .into(),
        );
    });
}

#[test]
fn the_chain_says_what_a_quote_must_be_bound_to() {
    run(|| {
        let data = report_data(&fixtures::BINDING);
        assert_eq!(Attestations::report_data(&agent(), &claim()), Some(data));
        let other = AccountId::new([9; 32]);
        assert_eq!(Attestations::report_data(&other, &claim()), None);
    });
}

#[test]
fn enclaves_and_guests_of_amd_are_attested_too() {
    run(|| {
        assert_ok!(dcap(fixtures::SGX_3, claim()));
        assert_eq!(attestation().unwrap().status, Status::OutOfDate);
        assert_ok!(snp(fixtures::SNP, fixtures::VCEK));
        assert_eq!(attestation().unwrap().kind, Kind::Snp);
        assert_ok!(dcap(fixtures::TDX_5, claim()));
        assert_eq!(attestation().unwrap().kind, Kind::Tdx);
    });
}

#[test]
fn long_quotes_are_refused_before_anything_else() {
    // No collateral, and the caller is no agent.
    ext().execute_with(|| {
        Agents::set(Default::default());
        let refused = Error::<Test>::QuoteTooLarge;
        assert_noop!(dcap(&vec![0; MAX_QUOTE + 1], claim()), refused);
        let refused = Error::<Test>::QuoteTooLarge;
        assert_noop!(snp(fixtures::SNP, &vec![0; MAX_VCEK + 1]), refused);
        let refused = Error::<Test>::QuoteTooLarge;
        assert_noop!(snp(&vec![0; snp::REPORT + 1], fixtures::VCEK), refused);
        let crl = vec![0; MAX_COLLATERAL + 1];
        let refused = Error::<Test>::CollateralTooLarge;
        assert_noop!(put(Collateral::RootCrl { crl }), refused);
    });
}

#[test]
fn agents_alone_are_attested() {
    run(|| {
        Agents::set(Default::default());
        assert_noop!(dcap(fixtures::TDX_4, claim()), Error::<Test>::NotAnAgent);
        assert_noop!(
            snp(fixtures::SNP, fixtures::VCEK),
            Error::<Test>::NotAnAgent
        );
    });
}

#[test]
fn a_quote_binds_the_account_the_key_the_model_and_the_claim() {
    run(|| {
        let other = AccountId::new([9; 32]);
        let mismatch = || DispatchError::from(Error::<Test>::BindingMismatch);
        Agents::mutate(|agents| {
            let identity = agents[&agent()].clone();
            agents.insert(other.clone(), identity);
        });
        let quote = fixtures::TDX_4.to_vec();
        assert_noop!(
            Attestations::attest_dcap(RuntimeOrigin::signed(other), quote, claim()),
            mismatch()
        );
        let claims = [
            Claim {
                peer: [9; 32],
                ..claim()
            },
            Claim {
                hop_key: [9; 32],
                ..claim()
            },
        ];
        for claim in claims {
            assert_noop!(dcap(fixtures::TDX_4, claim), mismatch());
        }
        for identity in [
            (crypto::key([9; 32]), H256(fixtures::MODEL)),
            (key(), H256([9; 32])),
        ] {
            Agents::mutate(|agents| agents.insert(agent(), identity));
            assert_noop!(dcap(fixtures::TDX_4, claim()), mismatch());
            assert_noop!(snp(fixtures::SNP, fixtures::VCEK), mismatch());
        }
    });
}

#[test]
fn a_quote_knows_a_recent_block_of_this_chain() {
    run(|| {
        let unknown = || DispatchError::from(Error::<Test>::BlockUnknown);
        // Without a hash, and from the future.
        for block in [KNOWN - 1, KNOWN + 1, KNOWN + 2] {
            let claim = Claim { block, ..claim() };
            assert_noop!(dcap(fixtures::TDX_4, claim), unknown());
        }
        System::set_block_number(u64::from(KNOWN + MAX_AGE) + 1);
        assert_noop!(dcap(fixtures::TDX_4, claim()), unknown());
        System::set_block_number(u64::from(KNOWN + MAX_AGE));
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        // Another block behind the same number: another chain.
        frame_system::BlockHash::<Test>::insert(u64::from(KNOWN), H256([9; 32]));
        assert_noop!(
            dcap(fixtures::TDX_4, claim()),
            Error::<Test>::BindingMismatch
        );
    });
}

#[test]
fn flipped_bytes_and_unsafe_guests_are_refused_by_name() {
    run(|| {
        let mut quote = fixtures::TDX_4.to_vec();
        quote[600] ^= 1;
        assert_noop!(dcap(&quote, claim()), invalid(Fault::Signature));
        let mut report = fixtures::SNP.to_vec();
        report[0x50] ^= 1;
        assert_noop!(snp(&report, fixtures::VCEK), invalid(Fault::Signature));
        for quote in [fixtures::TDX_DEBUG, fixtures::TDX_MOVABLE] {
            assert_noop!(dcap(quote, claim()), invalid(Fault::Attributes));
        }
        assert_noop!(dcap(&[], claim()), invalid(Fault::Format));
    });
}

#[test]
fn missing_and_stale_collateral_is_refused_by_name() {
    ext().execute_with(|| {
        assert_noop!(
            dcap(fixtures::TDX_4, claim()),
            Error::<Test>::CollateralMissing
        );
        assert_noop!(
            snp(fixtures::SNP, fixtures::VCEK),
            Error::<Test>::ProductUnknown
        );
    });
    run(|| {
        set_time(fixtures::NOW + 31 * DAY);
        assert_noop!(
            dcap(fixtures::TDX_4, claim()),
            Error::<Test>::CollateralStale
        );
        let item = fixtures::later_levels();
        assert_noop!(put(item), Error::<Test>::CollateralStale);
        set_time(fixtures::NOW + 400 * DAY);
        assert_noop!(
            snp(fixtures::SNP, fixtures::VCEK),
            Error::<Test>::CollateralStale
        );
    });
}

#[test]
fn newer_collateral_alone_takes_a_place() {
    run(|| {
        for item in fixtures::collateral() {
            assert_noop!(put(item), Error::<Test>::CollateralNotNewer);
        }
        assert_ok!(put(fixtures::later_levels()));
        let old = fixtures::collateral().remove(2);
        assert_noop!(put(old), Error::<Test>::CollateralNotNewer);
        let mut crl = vec![0; 10];
        crl[0] = 0x30;
        let refused = Error::<Test>::CollateralInvalid(Fault::Document.code());
        assert_noop!(put(Collateral::RootCrl { crl }), refused);
    });
}

#[test]
fn a_measurement_that_nobody_named_is_refused_and_one_that_is_taken_back_ends() {
    run(|| {
        let measurement = measurement(Kind::Tdx);
        let set = |is_good| {
            let root = RuntimeOrigin::root();
            assert_ok!(Attestations::set_measurement(root, measurement, is_good));
        };
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        set(false);
        assert_eq!(attestation(), None);
        assert_noop!(
            dcap(fixtures::TDX_4, claim()),
            Error::<Test>::MeasurementUnknown
        );
        set(true);
        assert!(attestation().is_some());
    });
}

#[test]
fn revoked_platforms_end_and_are_refused() {
    run(|| {
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        let platform = attestation().unwrap().platform;
        assert_ok!(Attestations::set_platform(
            RuntimeOrigin::root(),
            platform,
            true
        ));
        assert_eq!(attestation(), None);
        assert_noop!(
            dcap(fixtures::TDX_4, claim()),
            Error::<Test>::PlatformRevoked
        );
    });
    for later in [fixtures::revoked_platform(), fixtures::revoked_signer()] {
        run(|| {
            assert_ok!(put(later));
            assert_noop!(dcap(fixtures::TDX_4, claim()), invalid(Fault::Revoked));
        });
    }
}

#[test]
fn documents_of_a_later_event_end_attestations_and_count_for_the_next() {
    run(|| {
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        assert_ok!(put(fixtures::later_levels()));
        assert_eq!(attestation(), None);
        assert_noop!(dcap(fixtures::TDX_4, claim()), Error::<Test>::TcbRejected);
    });
}

#[test]
fn firmware_below_the_floor_is_refused_and_a_higher_floor_ends_attestations() {
    run(|| {
        assert_ok!(snp(fixtures::SNP, fixtures::VCEK));
        floor(Some(SnpTcb {
            microcode: 116,
            ..FLOOR
        }));
        assert_eq!(attestation(), None);
        assert_noop!(
            snp(fixtures::SNP, fixtures::VCEK),
            Error::<Test>::TcbRejected
        );
        floor(None);
        assert_noop!(
            snp(fixtures::SNP, fixtures::VCEK),
            Error::<Test>::ProductUnknown
        );
    });
}

#[test]
fn an_attestation_ends_after_its_lifetime_and_with_the_agents_key_or_model() {
    run(|| {
        assert_ok!(dcap(fixtures::TDX_4, claim()));
        let until = attestation().unwrap().until;
        System::set_block_number(until.into());
        assert!(attestation().is_some());
        System::set_block_number(u64::from(until) + 1);
        assert_eq!(attestation(), None);
        System::set_block_number(until.into());
        Attestations::on_agent_change(&agent());
        assert_eq!(Attested::<Test>::get(agent()), None);
        System::assert_last_event(Event::<Test>::AttestationEnded { who: agent() }.into());
        let events = System::event_count();
        Attestations::on_agent_change(&agent());
        assert_eq!(System::event_count(), events);
    });
}

#[test]
fn governance_alone_sets_the_policy() {
    ext().execute_with(|| {
        let (hash, refused) = (H256::zero(), DispatchError::BadOrigin);
        assert_noop!(Attestations::set_measurement(signed(), hash, true), refused);
        assert_noop!(Attestations::set_platform(signed(), hash, true), refused);
        assert_noop!(
            Attestations::set_floor(signed(), Product::Milan, None),
            refused
        );
    });
}

// SPDX-License-Identifier: Apache-2.0
//! Made-up platforms: each check refuses what it is for, by name.

use std::collections::BTreeMap;

use crate::{
    dcap,
    fixtures::{self, NOW, ROOTS},
    report_data, snp, Basis, Collateral, Evidence, Fault, Item, Key, Kind, Product, Refusal, Roots,
    SnpTcb, Status, MAX_COLLATERAL, MAX_QUOTE, MAX_VCEK,
};

const DAY: u64 = 24 * 60 * 60;

type Store = BTreeMap<Key, Item>;

fn store(items: Vec<Collateral>) -> Store {
    let checked = items.into_iter().map(|item| item.check(&ROOTS, NOW));
    checked.collect::<Result<_, _>>().unwrap()
}

fn all() -> Store {
    store(fixtures::collateral())
}

fn with(later: Collateral) -> Store {
    let mut items = fixtures::collateral();
    items.push(later);
    store(items)
}

fn verify(quote: &[u8], store: &Store, now: u64) -> Result<Evidence, Refusal> {
    dcap::verify(quote, &ROOTS, now, |key| store.get(key).cloned())
}

fn invalid(fault: Fault) -> Result<Evidence, Refusal> {
    Err(Refusal::Invalid(fault))
}

fn ask() -> Item {
    all().remove(&Key::AmdChain(Product::Milan)).unwrap()
}

fn verify_snp(report: &[u8], vcek: &[u8]) -> Result<Evidence, Fault> {
    snp::verify(report, vcek, Product::Milan, &ask(), NOW)
}

#[test]
fn quotes_of_all_versions_verify() {
    let store = all();
    let four = verify(fixtures::TDX_4, &store, NOW).unwrap();
    let five = verify(fixtures::TDX_5, &store, NOW).unwrap();
    let three = verify(fixtures::SGX_3, &store, NOW).unwrap();
    assert_eq!(four, five);
    assert_eq!(four.kind, Kind::Tdx);
    assert_eq!(four.status, Status::HardeningNeeded);
    assert_eq!(four.advisories, ["INTEL-SA-00001"]);
    assert_eq!(three.kind, Kind::Sgx);
    assert_eq!(three.status, Status::OutOfDate);
    assert_eq!(three.superseded, Some(NOW - 10 * DAY));
    assert_eq!(three.platform, four.platform);
    assert_ne!(three.measurement, four.measurement);
    for evidence in [four, three] {
        assert_eq!(evidence.report_data, report_data(&fixtures::BINDING));
    }
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is() {
    let store = all();
    // Bytes behind the signed part, which no signature covers: what is left of the quote.
    let padding = 16;
    for quote in [fixtures::TDX_4, fixtures::TDX_5, fixtures::SGX_3] {
        let original = verify(quote, &store, NOW).unwrap();
        for index in (0..quote.len() - padding).step_by(37) {
            let mut flipped = quote.to_vec();
            flipped[index] ^= 0x20;
            // The case of a letter in the text around certificates may change nothing.
            if let Ok(evidence) = verify(&flipped, &store, NOW) {
                assert_eq!(evidence, original, "byte {index}");
            }
        }
    }
}

#[test]
fn each_signature_is_checked() {
    let store = all();
    let len = 48 + 584;
    let section = len + 4;
    for (index, fault) in [
        // Report data, the quote's signature, its key, the quoting enclave's report and signature.
        (len - 1, Fault::Signature),
        (section, Fault::Signature),
        (section + 64 + 63, Fault::EnclaveKey),
        (section + 128 + 6 + 64, Fault::EnclaveSignature),
        (section + 128 + 6 + 384, Fault::EnclaveSignature),
        // What the enclave's report covers besides the key.
        (section + 128 + 6 + 384 + 64 + 2, Fault::EnclaveKey),
    ] {
        let mut quote = fixtures::TDX_4.to_vec();
        quote[index] ^= 1;
        assert_eq!(verify(&quote, &store, NOW), invalid(fault), "byte {index}");
    }
}

#[test]
fn a_quote_that_is_cut_short_or_too_long_is_refused() {
    let store = all();
    for len in 0..fixtures::TDX_5.len() - 16 {
        assert!(
            verify(&fixtures::TDX_5[..len], &store, NOW).is_err(),
            "{len} bytes"
        );
    }
    let mut long = fixtures::TDX_5.to_vec();
    long.resize(MAX_QUOTE + 1, 0);
    assert_eq!(verify(&long, &store, NOW), invalid(Fault::Format));
}

#[test]
fn code_that_its_host_can_debug_or_move_is_refused() {
    let store = all();
    for quote in [fixtures::TDX_DEBUG, fixtures::TDX_MOVABLE] {
        assert_eq!(verify(quote, &store, NOW), invalid(Fault::Attributes));
    }
}

#[test]
fn missing_and_stale_collateral_is_named() {
    let complete = all();
    let named: Vec<Key> = complete.keys().cloned().collect();
    for key in named {
        let mut store = complete.clone();
        store.remove(&key);
        let is_needed = !matches!(
            key,
            Key::AmdChain(_) | Key::TcbInfo(Kind::Sgx, _) | Key::QeIdentity(Kind::Sgx)
        );
        let outcome = verify(fixtures::TDX_4, &store, NOW);
        assert_eq!(outcome == Err(Refusal::Missing(key)), is_needed);
    }
    let late = verify(fixtures::TDX_4, &complete, NOW + 31 * DAY);
    assert_eq!(late, Err(Refusal::Stale(Key::RootCrl)));
}

#[test]
fn certificates_are_refused_outside_their_time() {
    let mut store = all();
    for item in store.values_mut() {
        item.until = u64::MAX;
    }
    for now in [NOW - 2 * DAY, NOW + 366 * DAY] {
        assert_eq!(verify(fixtures::TDX_4, &store, now), invalid(Fault::Dates));
        for item in fixtures::collateral() {
            if !matches!(item, Collateral::RootCrl { .. }) {
                assert_eq!(item.check(&ROOTS, now), Err(Fault::Dates));
            }
        }
    }
}

#[test]
fn revoked_platforms_and_signers_vouch_for_nothing() {
    for later in [fixtures::revoked_platform(), fixtures::revoked_signer()] {
        let outcome = verify(fixtures::TDX_4, &with(later), NOW);
        assert_eq!(outcome, invalid(Fault::Revoked));
    }
}

#[test]
fn later_levels_lower_the_status() {
    let evidence = verify(fixtures::TDX_4, &with(fixtures::later_levels()), NOW).unwrap();
    assert_eq!(evidence.status, Status::OutOfDate);
    assert_eq!(evidence.superseded, Some(NOW - 31 * DAY));
    assert!(!evidence.status.is_accepted(evidence.superseded, NOW));
    let Basis::Intel { platform, .. } = evidence.basis else {
        panic!("a quote of Intel rests on Intel's documents");
    };
    assert_eq!(platform, 18);
}

#[test]
fn other_roots_vouch_for_nothing() {
    let store = all();
    let outcome = dcap::verify(fixtures::TDX_4, &Roots::PUBLISHED, NOW, |key| {
        store.get(key).cloned()
    });
    assert_eq!(outcome, invalid(Fault::Issuer));
    for item in fixtures::collateral() {
        assert_eq!(item.check(&Roots::PUBLISHED, NOW), Err(Fault::Issuer));
    }
}

#[test]
fn documents_and_lists_are_signed() {
    for mut item in fixtures::collateral() {
        let signed = match &mut item {
            Collateral::RootCrl { crl } | Collateral::PckCrl { crl, .. } => crl,
            Collateral::TcbInfo(document) | Collateral::QeIdentity(document) => &mut document.body,
            Collateral::AmdChain { ask, .. } => ask,
        };
        let last = signed.len() - 1;
        signed[last] ^= 1;
        assert_eq!(item.check(&ROOTS, NOW), Err(Fault::Issuer));
    }
}

#[test]
fn an_authority_signs_no_documents_and_a_signer_no_platforms() {
    let items = fixtures::collateral();
    let Collateral::PckCrl { issuer, crl } = items[1].clone() else {
        panic!("the second item is a list");
    };
    let Collateral::TcbInfo(mut document) = items[2].clone() else {
        panic!("the third item is a document");
    };
    let signer = core::mem::replace(&mut document.signer, issuer);
    let swapped = Collateral::TcbInfo(document);
    assert_eq!(swapped.check(&ROOTS, NOW), Err(Fault::Role));
    let swapped = Collateral::PckCrl {
        issuer: signer,
        crl,
    };
    assert_eq!(swapped.check(&ROOTS, NOW), Err(Fault::Role));
}

#[test]
fn no_other_key_of_amd_takes_the_place_of_the_one_that_signs_chips() {
    let mut items = fixtures::collateral();
    let Some(Collateral::AmdChain { ark, .. }) = items.pop() else {
        panic!("the last item is the chain of AMD");
    };
    let ask = ark.clone();
    let root = Collateral::AmdChain { ask, ark };
    for other in [fixtures::loaded_keys(), root] {
        assert_eq!(other.check(&ROOTS, NOW), Err(Fault::Role));
    }
}

#[test]
fn items_over_the_limit_are_not_small() {
    assert!(fixtures::collateral().iter().all(Collateral::is_small));
    let crl = vec![0; MAX_COLLATERAL + 1];
    assert!(!Collateral::RootCrl { crl }.is_small());
}

#[test]
fn a_report_of_a_guest_verifies() {
    let evidence = verify_snp(fixtures::SNP, fixtures::VCEK).unwrap();
    assert_eq!(evidence.kind, Kind::Snp);
    assert_eq!(evidence.report_data, report_data(&fixtures::BINDING));
    let tcb = SnpTcb {
        controller: 0,
        boot_loader: 3,
        tee: 0,
        snp: 8,
        microcode: 115,
    };
    let product = Product::Milan;
    assert_eq!(evidence.basis, Basis::Amd { product, tcb });
}

#[test]
fn a_flipped_byte_of_a_report_is_refused() {
    // The bytes behind the signature are reserved.
    for index in (0..0x2a0 + 144).step_by(11) {
        let mut report = fixtures::SNP.to_vec();
        report[index] ^= 1;
        assert!(verify_snp(&report, fixtures::VCEK).is_err(), "byte {index}");
    }
    for (index, fault) in [
        (0, Fault::Format),
        (0x0a, Fault::Attributes),
        (0x30, Fault::Attributes),
        (0x34, Fault::Vendor),
        (0x50, Fault::Signature),
        (0x187, Fault::Chip),
        (0x1a0, Fault::Chip),
        (0x2a0, Fault::Signature),
    ] {
        let mut report = fixtures::SNP.to_vec();
        report[index] ^= 0x08;
        assert_eq!(
            verify_snp(&report, fixtures::VCEK),
            Err(fault),
            "byte {index}"
        );
    }
}

#[test]
fn a_report_of_another_length_or_chip_is_refused() {
    assert_eq!(
        verify_snp(&fixtures::SNP[1..], fixtures::VCEK),
        Err(Fault::Format)
    );
    let long = vec![0; MAX_VCEK + 1];
    assert_eq!(verify_snp(fixtures::SNP, &long), Err(Fault::Format));
    let mut vcek = fixtures::VCEK.to_vec();
    let last = vcek.len() - 1;
    vcek[last] ^= 1;
    assert_eq!(verify_snp(fixtures::SNP, &vcek), Err(Fault::Issuer));
    let late = snp::verify(
        fixtures::SNP,
        fixtures::VCEK,
        Product::Milan,
        &ask(),
        NOW + 366 * DAY,
    );
    assert_eq!(late, Err(Fault::Dates));
}

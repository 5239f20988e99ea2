// SPDX-License-Identifier: Apache-2.0
//! The quotes and the report that published crates ship, under the vendors' own roots.
//!
//! The samples are files of the crates `dcap-qvl` and `sev` in the folder of Cargo's registry,
//! where `cargo fetch` puts them. They are no part of this repository.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use starling_attestation::{
    collateral::Document, dcap, snp, Basis, Collateral, Evidence, Fault, Item, Key, Kind, Product,
    Refusal, Roots, SnpTcb, Status,
};

const ROOTS: Roots = Roots::PUBLISHED;

/// The folder of a crate in the registry.
fn package(name: &str) -> PathBuf {
    let home = env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&env::var_os("HOME").unwrap()).join(".cargo"),
        PathBuf::from,
    );
    let mirrors = fs::read_dir(home.join("registry/src")).unwrap();
    mirrors
        .map(|mirror| mirror.unwrap().path().join(name))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| panic!("{name} is not in Cargo's registry: run `cargo fetch --locked`"))
}

struct Sample {
    quote: Vec<u8>,
    collateral: Value,
}

impl Sample {
    fn named(name: &str) -> Self {
        let folder = package("dcap-qvl-0.7.1").join("sample");
        let json = fs::read(folder.join(format!("{name}_collateral.json"))).unwrap();
        Self {
            quote: fs::read(folder.join(name)).unwrap(),
            collateral: serde_json::from_slice(&json).unwrap(),
        }
    }

    fn text(&self, field: &str) -> &str {
        self.collateral[field].as_str().unwrap()
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        hex::decode(self.text(field)).unwrap()
    }

    /// The first certificate of a chain.
    fn leaf(&self, field: &str) -> Vec<u8> {
        let end = "-----END CERTIFICATE-----";
        let chain = self.text(field);
        let len = chain.find(end).unwrap() + end.len();
        pem_rfc7468::decode_vec(&chain.as_bytes()[..len]).unwrap().1
    }

    fn document(&self, name: &str) -> Document {
        let signature = self.bytes(&format!("{name}_signature"));
        Document {
            signer: self.leaf(&format!("{name}_issuer_chain")),
            body: self.text(name).into(),
            signature: signature.try_into().unwrap(),
        }
    }

    fn items(&self) -> [Collateral; 4] {
        [
            Collateral::RootCrl {
                crl: self.bytes("root_ca_crl"),
            },
            Collateral::PckCrl {
                issuer: self.leaf("pck_crl_issuer_chain"),
                crl: self.bytes("pck_crl"),
            },
            Collateral::TcbInfo(self.document("tcb_info")),
            Collateral::QeIdentity(self.document("qe_identity")),
        ]
    }

    /// All items of collateral, and an hour after the last one was issued.
    fn checked(&self) -> (BTreeMap<Key, Item>, u64) {
        let any_time = 1_750_000_000;
        let checked = self.items().map(|item| {
            assert!(item.is_small());
            item.check(&ROOTS, any_time).unwrap()
        });
        let issued = checked.iter().map(|(_, item)| item.issued).max().unwrap();
        (BTreeMap::from(checked), issued + 60 * 60)
    }

    fn verify(&self, quote: &[u8]) -> Result<Evidence, Refusal> {
        let (store, now) = self.checked();
        dcap::verify(quote, &ROOTS, now, |key| store.get(key).cloned())
    }
}

#[test]
fn the_quote_of_an_enclave_verifies() {
    let sample = Sample::named("sgx_quote");
    let evidence = sample.verify(&sample.quote).unwrap();
    assert_eq!(evidence.kind, Kind::Sgx);
    assert_eq!(evidence.status, Status::ConfigurationAndHardeningNeeded);
    assert_eq!(evidence.advisories, ["INTEL-SA-00289", "INTEL-SA-00615"]);
    assert!(!evidence.status.is_accepted(evidence.superseded, 0));
}

#[test]
fn the_quote_of_a_domain_of_version_1_0_verifies() {
    let sample = Sample::named("tdx_quote");
    let evidence = sample.verify(&sample.quote).unwrap();
    assert_eq!(evidence.kind, Kind::Tdx);
    assert_eq!(evidence.status, Status::UpToDate);
    assert!(evidence.advisories.is_empty());
    let fmspc = [0xb0, 0xc0, 0x6f, 0, 0, 0];
    assert!(matches!(evidence.basis, Basis::Intel { fmspc: found, .. } if found == fmspc));
}

#[test]
fn the_quote_of_a_domain_of_version_1_5_verifies() {
    let sample = Sample::named("tdx_quote_td15ex");
    let evidence = sample.verify(&sample.quote).unwrap();
    assert_eq!(evidence.kind, Kind::Tdx);
}

#[test]
fn the_outdated_quote_is_refused_or_out_of_date() {
    let sample = Sample::named("tdx_quote_outdated");
    match sample.verify(&sample.quote) {
        Ok(evidence) => assert_ne!(evidence.status, Status::UpToDate),
        Err(refusal) => assert_eq!(refusal, Refusal::Invalid(Fault::Level)),
    }
}

#[test]
fn flipped_bytes_are_refused() {
    for name in ["sgx_quote", "tdx_quote", "tdx_quote_td15ex"] {
        let sample = Sample::named(name);
        let (store, now) = sample.checked();
        for index in [40, 60, 200, 400, 600, 700, 1_100, 1_300] {
            let mut quote = sample.quote.clone();
            quote[index] ^= 1;
            let outcome = dcap::verify(&quote, &ROOTS, now, |key| store.get(key).cloned());
            assert!(outcome.is_err(), "byte {index} of {name}");
        }
    }
}

#[test]
fn expired_collateral_is_named() {
    let sample = Sample::named("tdx_quote");
    let (store, now) = sample.checked();
    let later = now + 31 * 24 * 60 * 60;
    let outcome = dcap::verify(&sample.quote, &ROOTS, later, |key| store.get(key).cloned());
    assert!(matches!(outcome, Err(Refusal::Stale(_))));
}

/// Milan's certificates in the order chip, product, root, and the report of a guest.
fn milan() -> ([Vec<u8>; 3], Vec<u8>) {
    let folder = package("sev-8.0.0").join("tests/certs_data");
    let text = fs::read_to_string(folder.join("report_milan.hex")).unwrap();
    let digits: String = text.split_whitespace().collect();
    let chain = fs::read_to_string(folder.join("cert_chain_milan")).unwrap();
    let mut authorities = chain
        .split_inclusive("-----END CERTIFICATE-----")
        .filter(|part| part.contains("-----BEGIN"))
        .map(|part| pem_rfc7468::decode_vec(part.trim().as_bytes()).unwrap().1);
    let vcek = fs::read(folder.join("vcek_milan.der")).unwrap();
    let (ask, ark) = (authorities.next().unwrap(), authorities.next().unwrap());
    ([vcek, ask, ark], hex::decode(digits).unwrap())
}

#[test]
fn the_report_of_a_guest_of_milan_verifies_and_flipped_bytes_do_not() {
    let ([vcek, ask, ark], report) = milan();
    let now = 1_750_000_000;
    let (key, ask) = Collateral::AmdChain { ask, ark }
        .check(&ROOTS, now)
        .unwrap();
    assert_eq!(key, Key::AmdChain(Product::Milan));
    let evidence = snp::verify(&report, &vcek, Product::Milan, &ask, now).unwrap();
    let tcb = SnpTcb {
        controller: 0,
        boot_loader: 3,
        tee: 0,
        snp: 8,
        microcode: 0x73,
    };
    let product = Product::Milan;
    assert_eq!(evidence.basis, Basis::Amd { product, tcb });
    for index in [0x50, 0x90, 0x185, 0x1a5, 0x2a5] {
        let mut flipped = report.clone();
        flipped[index] ^= 1;
        assert!(snp::verify(&flipped, &vcek, Product::Milan, &ask, now).is_err());
    }
}

#[test]
fn the_keys_of_all_products_are_taken_for_their_own_product() {
    let folder = package("sev-8.0.0").join("src/certs/snp/builtin");
    for (name, product) in [
        ("milan", Product::Milan),
        ("genoa", Product::Genoa),
        ("turin", Product::Turin),
    ] {
        let certificate = |of: &str| {
            let text = fs::read(folder.join(name).join(of)).unwrap();
            pem_rfc7468::decode_vec(&text).unwrap().1
        };
        let (ask, ark) = (certificate("ask.pem"), certificate("ark.pem"));
        let (key, _) = Collateral::AmdChain { ask, ark }
            .check(&ROOTS, 1_750_000_000)
            .unwrap();
        assert_eq!(key, Key::AmdChain(product));
    }
}

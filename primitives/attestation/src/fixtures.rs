// SPDX-License-Identifier: Apache-2.0
//! Evidence of made-up platforms, for tests and benchmarks. `fixtures/make` made it.

use alloc::{vec, vec::Vec};

use crate::{collateral::Document, Binding, Collateral, Hash, Product, Roots};

/// The keys that the evidence leads to.
pub const ROOTS: Roots = Roots {
    intel: *include_bytes!("../fixtures/root.key"),
    amd: [
        (Product::Milan, *include_bytes!("../fixtures/ark.hash")),
        (Product::Genoa, [0; 32]),
        (Product::Turin, [0; 32]),
    ],
};

/// A second in which all of it counts.
pub const NOW: u64 = 1_750_000_000;
/// The hash of the first block.
pub const GENESIS: Hash = [1; 32];
/// The account, encoded.
pub const ACCOUNT: Hash = [2; 32];
/// The inference key.
pub const INFERENCE_KEY: Hash = [3; 32];
/// The identity in the peer-to-peer network.
pub const PEER: Hash = [4; 32];
/// The hash of the model's file.
pub const MODEL: Hash = [5; 32];
/// The hash of the recent block.
pub const BLOCK: Hash = [6; 32];
/// The key to which hidden states are sealed.
pub const HOP_KEY: Hash = [7; 32];

/// The binding of all of the evidence.
pub const BINDING: Binding<'static> = Binding {
    genesis: GENESIS,
    account: &ACCOUNT,
    inference_key: INFERENCE_KEY,
    peer: PEER,
    model: MODEL,
    block: BLOCK,
    hop_key: HOP_KEY,
};

/// A quote of a domain, of version 4.
pub const TDX_4: &[u8] = include_bytes!("../fixtures/tdx-4.quote");
/// A quote of the same domain, of version 5.
pub const TDX_5: &[u8] = include_bytes!("../fixtures/tdx-5.quote");
/// A quote of a domain that its host may debug.
pub const TDX_DEBUG: &[u8] = include_bytes!("../fixtures/tdx-debug.quote");
/// A quote of a domain that its host may move.
pub const TDX_MOVABLE: &[u8] = include_bytes!("../fixtures/tdx-movable.quote");
/// A quote of an enclave, of version 3.
pub const SGX_3: &[u8] = include_bytes!("../fixtures/sgx-3.quote");
/// A report of a guest of Milan.
pub const SNP: &[u8] = include_bytes!("../fixtures/snp.report");
/// The certificate of the guest's chip.
pub const VCEK: &[u8] = include_bytes!("../fixtures/vcek.der");

const SIGNER: &[u8] = include_bytes!("../fixtures/signer.der");

fn document(body: &[u8], signature: &[u8; 64]) -> Document {
    Document {
        signer: SIGNER.to_vec(),
        body: body.to_vec(),
        signature: *signature,
    }
}

fn pck_crl(crl: &[u8]) -> Collateral {
    Collateral::PckCrl {
        issuer: include_bytes!("../fixtures/authority.der").to_vec(),
        crl: crl.to_vec(),
    }
}

/// All collateral of the evidence.
pub fn collateral() -> Vec<Collateral> {
    vec![
        Collateral::RootCrl {
            crl: include_bytes!("../fixtures/root.crl").to_vec(),
        },
        pck_crl(include_bytes!("../fixtures/pck.crl")),
        Collateral::TcbInfo(document(
            include_bytes!("../fixtures/tdx.json"),
            include_bytes!("../fixtures/tdx.sig"),
        )),
        Collateral::TcbInfo(document(
            include_bytes!("../fixtures/sgx.json"),
            include_bytes!("../fixtures/sgx.sig"),
        )),
        Collateral::QeIdentity(document(
            include_bytes!("../fixtures/td-qe.json"),
            include_bytes!("../fixtures/td-qe.sig"),
        )),
        Collateral::QeIdentity(document(
            include_bytes!("../fixtures/qe.json"),
            include_bytes!("../fixtures/qe.sig"),
        )),
        Collateral::AmdChain {
            ask: include_bytes!("../fixtures/ask.der").to_vec(),
            ark: include_bytes!("../fixtures/ark.der").to_vec(),
        },
    ]
}

/// The chain of AMD with the key that signs loaded keys in place of the one that signs chips.
pub fn loaded_keys() -> Collateral {
    Collateral::AmdChain {
        ask: include_bytes!("../fixtures/asvk.der").to_vec(),
        ark: include_bytes!("../fixtures/ark.der").to_vec(),
    }
}

/// Later levels of the domain's platform, which is out of date by them, since 31 days ago.
pub fn later_levels() -> Collateral {
    Collateral::TcbInfo(document(
        include_bytes!("../fixtures/tdx-later.json"),
        include_bytes!("../fixtures/tdx-later.sig"),
    ))
}

/// A later list of revoked platforms, with the one of the quotes.
pub fn revoked_platform() -> Collateral {
    pck_crl(include_bytes!("../fixtures/pck-later.crl"))
}

/// A later list of the root, with the signer of the documents.
pub fn revoked_signer() -> Collateral {
    Collateral::RootCrl {
        crl: include_bytes!("../fixtures/root-later.crl").to_vec(),
    }
}

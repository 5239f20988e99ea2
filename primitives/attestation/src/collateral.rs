// SPDX-License-Identifier: Apache-2.0
//! The needs of a verification besides the quote. Each item is signed by its vendor, so that
//! anybody may bring it.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::de::DeserializeOwned;

use crate::{
    certificate::{check_raw, Certificate},
    document::{self, Identity, Issue, TcbInfo},
    revocation::Revocations,
    Fault, Hash, Kind, Product, Roots, MAX_COLLATERAL,
};

/// An item of collateral as somebody brings it. Certificates and lists are in DER.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Collateral {
    /// Intel's list of revoked authorities and signers.
    #[codec(index = 0)]
    RootCrl {
        /// The list, which the root signed.
        crl: Vec<u8>,
    },
    /// An authority's list of revoked platforms.
    #[codec(index = 1)]
    PckCrl {
        /// The authority's certificate by the root.
        issuer: Vec<u8>,
        /// The list, which the authority signed.
        crl: Vec<u8>,
    },
    /// The levels of a family of platforms.
    #[codec(index = 2)]
    TcbInfo(Document),
    /// The identity of the quoting enclave of a technology.
    #[codec(index = 3)]
    QeIdentity(Document),
    /// The key with which AMD signs the certificates of the chips of a product.
    #[codec(index = 4)]
    AmdChain {
        /// The certificate of the key, by the root.
        ask: Vec<u8>,
        /// The certificate of the root.
        ark: Vec<u8>,
    },
}

/// A document in JSON with Intel's signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Document {
    /// The certificate of the signer by the root.
    pub signer: Vec<u8>,
    /// The document, byte for byte as it was signed.
    pub body: Vec<u8>,
    /// The signature under the body.
    pub signature: [u8; 64],
}

/// The name of an item.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Key {
    /// Intel's list of revoked authorities and signers.
    #[codec(index = 0)]
    RootCrl,
    /// The list of revoked platforms of the authority whose key has this hash.
    #[codec(index = 1)]
    PckCrl(Hash),
    /// The levels of the platforms of this technology and FMSPC.
    #[codec(index = 2)]
    TcbInfo(Kind, [u8; 6]),
    /// The identity of the quoting enclave of this technology.
    #[codec(index = 3)]
    QeIdentity(Kind),
    /// The key that signs the certificates of this product.
    #[codec(index = 4)]
    AmdChain(Product),
}

/// A checked item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The list, the document, or the key.
    pub body: Vec<u8>,
    /// The serial number of the certificate that vouches for it; empty for a root's own list.
    pub signer: Vec<u8>,
    /// The second in which it was issued.
    pub issued: u64,
    /// The last second in which it counts.
    pub until: u64,
    /// The number of the event that it knows of; zero for lists and keys.
    pub evaluation: u32,
}

impl Collateral {
    /// Whether no part of it is longer than [`MAX_COLLATERAL`].
    pub fn is_small(&self) -> bool {
        let parts: [&[u8]; 2] = match self {
            Self::RootCrl { crl } => [crl, &[]],
            Self::PckCrl { issuer, crl } => [issuer, crl],
            Self::TcbInfo(document) | Self::QeIdentity(document) => {
                [&document.signer, &document.body]
            },
            Self::AmdChain { ask, ark } => [ask, ark],
        };
        parts.iter().all(|part| part.len() <= MAX_COLLATERAL)
    }

    /// Checks the signatures and the certificates of an item, but not that it counts now.
    ///
    /// # Errors
    /// The fault of the item.
    pub fn check(self, roots: &Roots, now: u64) -> Result<(Key, Item), Fault> {
        match self {
            Self::RootCrl { crl } => {
                let list = Revocations::decode_signed(&crl, &roots.intel()?)?;
                let item = list_item(&list, crl, Vec::new())?;
                Ok((Key::RootCrl, item))
            },
            Self::PckCrl { issuer, crl } => pck_crl(roots, now, &issuer, crl),
            Self::TcbInfo(document) => signed(roots, now, document, TcbInfo::key),
            Self::QeIdentity(document) => signed(roots, now, document, Identity::key),
            Self::AmdChain { ask, ark } => amd_chain(roots, now, &ask, &ark),
        }
    }
}

fn list_item(list: &Revocations, body: Vec<u8>, signer: Vec<u8>) -> Result<Item, Fault> {
    Ok(Item {
        body,
        signer,
        issued: list.issued(),
        until: list.until()?,
        evaluation: 0,
    })
}

fn pck_crl(roots: &Roots, now: u64, issuer: &[u8], crl: Vec<u8>) -> Result<(Key, Item), Fault> {
    let issuer = Certificate::decode(issuer)?;
    issuer.check_issuer(&roots.intel()?)?;
    issuer.check_dates(now)?;
    issuer.check_role(true)?;
    let list = Revocations::decode_signed(&crl, &issuer.key()?)?;
    let item = list_item(&list, crl, issuer.serial().to_vec())?;
    Ok((Key::PckCrl(issuer.key_hash()), item))
}

/// Checks a document in JSON, whose name `key` finds.
fn signed<Body: DeserializeOwned>(
    roots: &Roots,
    now: u64,
    document: Document,
    key: impl Fn(&Body) -> Result<Key, Fault>,
) -> Result<(Key, Item), Fault> {
    let signer = Certificate::decode(&document.signer)?;
    signer.check_issuer(&roots.intel()?)?;
    signer.check_dates(now)?;
    // An authority for platforms signs no documents.
    signer.check_role(false)?;
    let signature = &document.signature;
    check_raw(&signer.key()?, &document.body, signature, Fault::Issuer)?;
    let issue: Issue = document::decode(&document.body)?;
    let key = key(&document::decode(&document.body)?)?;
    let item = Item {
        issued: issue.issued()?,
        until: issue.until()?,
        evaluation: issue.tcb_evaluation_data_number,
        signer: signer.serial().to_vec(),
        body: document.body,
    };
    Ok((key, item))
}

fn amd_chain(roots: &Roots, now: u64, ask: &[u8], ark: &[u8]) -> Result<(Key, Item), Fault> {
    let (ask, ark) = (Certificate::decode(ask)?, Certificate::decode(ark)?);
    let product = roots.product(&ark.key_hash()).ok_or(Fault::Issuer)?;
    ask.check_rsa_issuer(ark.key_bytes())?;
    ask.check_dates(now)?;
    ask.check_role(true)?;
    // The root signs a key for loaded keys, too, and itself. That key is newer: in the place of this
    // one, it would keep it out for good.
    ask.check_name(product.authority())?;
    let item = Item {
        body: ask.key_bytes().to_vec(),
        signer: ask.serial().to_vec(),
        issued: ask.since(),
        until: ask.until(),
        evaluation: 0,
    };
    Ok((Key::AmdChain(product), item))
}

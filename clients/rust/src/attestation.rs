// SPDX-License-Identifier: Apache-2.0
//! Attestations of agents: quotes and collateral for the chain, and its word on them.

use serde::Deserialize;
use sp_core::crypto::AccountId32;
pub use starling_attestation::View;
use starling_attestation::{
    collateral::{Collateral, Document, Key},
    Product,
};
use starling_primitives::round::BlockNumber;
use subxt::dynamic::Value;

use crate::{
    transaction::{call, Call},
    At, Error, Result,
};

const PALLET: &str = "Attestations";
const API: &str = "AttestationsApi";
const END: &str = "-----END CERTIFICATE-----";

/// An agent's words on its measured code, which its quote must be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The public key of the node's network identity.
    pub peer: [u8; 32],
    /// The key on X25519 to which hidden states are sealed; zeros without one.
    pub hop_key: [u8; 32],
    /// A recent block.
    pub block: BlockNumber,
}

impl Claim {
    fn value(&self) -> Value {
        Value::named_composite([
            ("peer", Value::from_bytes(self.peer)),
            ("hop_key", Value::from_bytes(self.hop_key)),
            ("block", Value::u128(self.block.into())),
        ])
    }
}

/// Shows a quote of Intel TDX or SGX to the chain.
pub fn attest_dcap(quote: &[u8], claim: &Claim) -> Call {
    let quote = Value::from_bytes(quote);
    let arguments = vec![("quote", quote), ("claim", claim.value())];
    call(PALLET, "attest_dcap", arguments)
}

/// Shows a report of AMD SEV-SNP to the chain, with the certificate of its chip in DER.
pub fn attest_snp(product: Product, report: &[u8], vcek: &[u8], claim: &Claim) -> Call {
    let product = Value::unnamed_variant(format!("{product:?}"), []);
    call(
        PALLET,
        "attest_snp",
        vec![
            ("product", product),
            ("report", Value::from_bytes(report)),
            ("vcek", Value::from_bytes(vcek)),
            ("claim", claim.value()),
        ],
    )
}

/// Brings an item of collateral to the chain.
pub fn put_collateral(item: &Collateral) -> Call {
    let fields = |parts: [(&str, &Vec<u8>); 2]| {
        parts.map(|(name, bytes)| (name.to_owned(), Value::from_bytes(bytes)))
    };
    let item = match item {
        Collateral::RootCrl { crl } => {
            Value::named_variant("RootCrl", [("crl", Value::from_bytes(crl))])
        },
        Collateral::PckCrl { issuer, crl } => {
            Value::named_variant("PckCrl", fields([("issuer", issuer), ("crl", crl)]))
        },
        Collateral::TcbInfo(document) => Value::unnamed_variant("TcbInfo", [value(document)]),
        Collateral::QeIdentity(document) => Value::unnamed_variant("QeIdentity", [value(document)]),
        Collateral::AmdChain { ask, ark } => {
            Value::named_variant("AmdChain", fields([("ask", ask), ("ark", ark)]))
        },
    };
    call(PALLET, "put_collateral", vec![("collateral", item)])
}

fn value(document: &Document) -> Value {
    Value::named_composite([
        ("signer", Value::from_bytes(&document.signer)),
        ("body", Value::from_bytes(&document.body)),
        ("signature", Value::from_bytes(document.signature)),
    ])
}

/// Intel's collateral for one quote, as the usual tools print it in JSON.
#[derive(Deserialize)]
struct Printed {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

/// Reads Intel's collateral for one quote from JSON: chains in PEM, lists and signatures in
/// hexadecimal, documents as texts.
///
/// # Errors
/// If it is not of this form.
pub fn collateral(json: &[u8]) -> Result<[Collateral; 4]> {
    let printed: Printed = serde_json::from_slice(json)
        .map_err(|error| Error::Usage(format!("this is no collateral in JSON: {error}")))?;
    Ok([
        Collateral::RootCrl {
            crl: bytes(&printed.root_ca_crl)?,
        },
        Collateral::PckCrl {
            issuer: certificate(printed.pck_crl_issuer_chain.as_bytes())?,
            crl: bytes(&printed.pck_crl)?,
        },
        Collateral::TcbInfo(Document {
            signer: certificate(printed.tcb_info_issuer_chain.as_bytes())?,
            body: printed.tcb_info.into_bytes(),
            signature: array(&printed.tcb_info_signature)?,
        }),
        Collateral::QeIdentity(Document {
            signer: certificate(printed.qe_identity_issuer_chain.as_bytes())?,
            body: printed.qe_identity.into_bytes(),
            signature: array(&printed.qe_identity_signature)?,
        }),
    ])
}

/// The first certificate of a file in PEM, or the one of a file in DER, in DER.
///
/// # Errors
/// If the text is no PEM.
pub fn certificate(file: &[u8]) -> Result<Vec<u8>> {
    let Some(text) = std::str::from_utf8(file).ok() else {
        return Ok(file.into());
    };
    let first = text.find(END).and_then(|at| text.get(..at + END.len()));
    let first = first.ok_or_else(|| Error::Usage("there is no certificate in PEM".into()))?;
    let decoded = pem_rfc7468::decode_vec(first.as_bytes());
    let decoded = decoded.map_err(|error| Error::Usage(format!("a certificate: {error}")))?;
    Ok(decoded.1)
}

/// The bytes of a hexadecimal number, with or without `0x`.
///
/// # Errors
/// If it is none.
pub fn bytes(text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map_err(|error| Error::Usage(format!("a hexadecimal number: {error}")))
}

/// The bytes of a hexadecimal number of this length.
///
/// # Errors
/// If it is none, or of another length.
pub fn array<const N: usize>(text: &str) -> Result<[u8; N]> {
    let bytes = bytes(text)?;
    let len = bytes.len();
    let wrong = |_| {
        Error::Usage(format!(
            "this takes {N} bytes in hexadecimal, and has {len}"
        ))
    };
    bytes.try_into().map_err(wrong)
}

impl At {
    /// Whether the chain's runtime has attestations.
    pub fn has_attestations(&self) -> bool {
        self.has_api(API)
    }

    /// Fails if the chain's runtime has no attestations.
    fn require_attestations(&self) -> Result<()> {
        match self.has_attestations() {
            true => Ok(()),
            false => Err(Error::Usage(
                "the runtime of this chain has no attestations".into(),
            )),
        }
    }

    /// The attestation of an agent, if it counts.
    pub async fn attestation(&self, who: &AccountId32) -> Result<Option<View>> {
        self.require_attestations()?;
        self.runtime_api(API, "attestation", who).await
    }

    /// The items of collateral on the chain, each with the last second in which it counts.
    pub async fn collateral(&self) -> Result<Vec<(Key, u64)>> {
        self.require_attestations()?;
        self.runtime_api(API, "collateral", ()).await
    }

    /// The report data that a quote with this claim must have. `None` if `who` is no agent, or the
    /// block is too old.
    pub async fn report_data(&self, who: &AccountId32, claim: &Claim) -> Result<Option<[u8; 64]>> {
        self.require_attestations()?;
        let arguments = (who, claim.peer, claim.hop_key, claim.block);
        self.runtime_api(API, "report_data", arguments).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an empty certificate: DER of an empty sequence.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn certificates_come_in_pem_and_der() {
        let two = PEM.repeat(2);
        assert_eq!(certificate(two.as_bytes()).unwrap(), [0x30, 0]);
        assert_eq!(
            certificate(&[0x30, 0x80, 0xff]).unwrap(),
            [0x30, 0x80, 0xff]
        );
        assert!(certificate(b"no certificate").is_err());
    }

    #[test]
    fn numbers_have_one_length() {
        assert_eq!(array::<2>("0x00ff").unwrap(), [0, 255]);
        assert_eq!(array::<1>("ff").unwrap(), [255]);
        for wrong in ["", "0xfff", "ffff", "0xgg"] {
            assert!(array::<1>(wrong).is_err());
        }
    }

    #[test]
    fn collateral_is_read_as_tools_print_it() {
        let signature = "11".repeat(64);
        let json = serde_json::json!({
            "pck_crl_issuer_chain": PEM, "root_ca_crl": "aa", "pck_crl": "bb",
            "tcb_info_issuer_chain": PEM, "tcb_info": "{}", "tcb_info_signature": signature,
            "qe_identity_issuer_chain": PEM, "qe_identity": "[]",
            "qe_identity_signature": signature,
        });
        let [root, pck, levels, identity] = collateral(json.to_string().as_bytes()).unwrap();
        assert_eq!(root, Collateral::RootCrl { crl: vec![0xaa] });
        let issuer = vec![0x30, 0];
        let crl = vec![0xbb];
        assert_eq!(pck, Collateral::PckCrl { issuer, crl });
        let document = |body: &str| Document {
            signer: vec![0x30, 0],
            body: body.into(),
            signature: [0x11; 64],
        };
        assert_eq!(levels, Collateral::TcbInfo(document("{}")));
        assert_eq!(identity, Collateral::QeIdentity(document("[]")));
        assert!(collateral(b"{}").is_err());
    }
}

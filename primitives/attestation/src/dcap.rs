// SPDX-License-Identifier: Apache-2.0
//! Quotes of Intel SGX and TDX: *Intel SGX Data Center Attestation Primitives*, as its quote
//! verification library checks them.

use p256::ecdsa::VerifyingKey;
use sha2::{Digest, Sha256};

use crate::{
    certificate::{check_raw, key_of_coordinates, Certificate},
    document::{self, Identity, TcbInfo},
    evidence,
    pck::Platform,
    quote::{Body, Enclave, Quote},
    revocation::Revocations,
    tcb::Verdict,
    Basis, Evidence, Fault, Item, Key, Kind, Refusal, Roots, MAX_QUOTE,
};

/// The items of collateral behind a verification.
struct Collected {
    root_crl: Item,
    pck_crl: Item,
    tcb_info: Item,
    identity: Item,
}

/// The certificate of a platform and of its authority.
struct Chain<'a> {
    leaf: Certificate<'a>,
    authority: Certificate<'a>,
}

/// Verifies a quote against stored collateral, which `fetch` finds.
///
/// # Errors
/// The refusal of the quote.
pub fn verify(
    bytes: &[u8],
    roots: &Roots,
    now: u64,
    fetch: impl Fn(&Key) -> Option<Item>,
) -> Result<Evidence, Refusal> {
    if bytes.len() > MAX_QUOTE {
        return Err(Fault::Format.into());
    }
    let quote = Quote::decode(bytes)?;
    let chain = Chain::of(&quote)?;
    let platform = Platform::of(&chain.leaf)?;
    let kind = quote.body.kind();
    let collected = Collected::fetch(&chain, &platform, kind, now, fetch)?;
    chain.check(&roots.intel()?, now)?;
    collected.check_revocations(&chain)?;
    let enclave = check_signatures(&quote, &chain.leaf.key()?)?;
    let verdict = verdict(&quote.body, &enclave, &platform, &collected)?;
    let basis = Basis::Intel {
        kind,
        fmspc: platform.fmspc,
        platform: collected.tcb_info.evaluation,
        enclave: collected.identity.evaluation,
    };
    Ok(conclude(&quote.body, &platform, verdict, basis))
}

impl<'a> Chain<'a> {
    /// The first two certificates of a quote. A third one is the root's, of which the key is known.
    fn of(quote: &'a Quote<'_>) -> Result<Self, Fault> {
        let [leaf, authority, ..] = quote.certificates.as_slice() else {
            return Err(Fault::Certificate);
        };
        Ok(Self {
            leaf: Certificate::decode(leaf)?,
            authority: Certificate::decode(authority)?,
        })
    }

    fn check(&self, root: &VerifyingKey, now: u64) -> Result<(), Fault> {
        self.authority.check_issuer(root)?;
        self.authority.check_role(true)?;
        self.authority.check_dates(now)?;
        self.leaf.check_issuer(&self.authority.key()?)?;
        self.leaf.check_role(false)?;
        self.leaf.check_dates(now)
    }
}

impl Collected {
    fn fetch(
        chain: &Chain<'_>,
        platform: &Platform,
        kind: Kind,
        now: u64,
        fetch: impl Fn(&Key) -> Option<Item>,
    ) -> Result<Self, Refusal> {
        let item = |key: Key| match fetch(&key) {
            None => Err(Refusal::Missing(key)),
            Some(item) if item.until < now => Err(Refusal::Stale(key)),
            Some(item) => Ok(item),
        };
        Ok(Self {
            root_crl: item(Key::RootCrl)?,
            pck_crl: item(Key::PckCrl(chain.authority.key_hash()))?,
            tcb_info: item(Key::TcbInfo(kind, platform.fmspc))?,
            identity: item(Key::QeIdentity(kind))?,
        })
    }

    /// Checks that neither the platform nor who vouches for it or for the collateral was revoked.
    fn check_revocations(&self, chain: &Chain<'_>) -> Result<(), Fault> {
        let root = Revocations::decode(&self.root_crl.body)?;
        root.check(chain.authority.serial())?;
        for item in [&self.pck_crl, &self.tcb_info, &self.identity] {
            root.check(&item.signer)?;
        }
        Revocations::decode(&self.pck_crl.body)?.check(chain.leaf.serial())
    }
}

/// Checks the signatures from the platform's key down to the quote. Returns the report of the
/// quoting enclave.
fn check_signatures(quote: &Quote<'_>, platform: &VerifyingKey) -> Result<Enclave, Fault> {
    let signature = &quote.enclave_signature;
    check_raw(platform, quote.enclave, signature, Fault::EnclaveSignature)?;
    let enclave = Enclave::decode(quote.enclave)?;
    let vouched = Sha256::new()
        .chain_update(quote.key)
        .chain_update(quote.enclave_data)
        .finalize();
    let (hash, rest) = enclave.report_data.split_at(32);
    if *hash != vouched[..] || rest != [0; 32] {
        return Err(Fault::EnclaveKey);
    }
    let key = key_of_coordinates(&quote.key)?;
    check_raw(&key, quote.signed, &quote.signature, Fault::Signature)?;
    Ok(enclave)
}

/// The verdict on platform, module and quoting enclave together.
fn verdict(
    body: &Body<'_>,
    enclave: &Enclave,
    platform: &Platform,
    collected: &Collected,
) -> Result<Verdict, Fault> {
    let levels: TcbInfo = document::decode(&collected.tcb_info.body)?;
    let identity: Identity = document::decode(&collected.identity.body)?;
    let is_same = levels.key()? == Key::TcbInfo(body.kind(), platform.fmspc)
        && levels.pce_id()? == platform.pce_id
        && identity.key()? == Key::QeIdentity(body.kind());
    if !is_same {
        return Err(Fault::Platform);
    }
    let verdict = match body {
        Body::Sgx(report) => {
            report.check_attributes()?;
            levels.enclave(platform)?
        },
        Body::Tdx(domain) => {
            domain.check_attributes()?;
            levels.domain(platform, domain)?
        },
    };
    verdict.with(identity.verdict(enclave)?)
}

/// The evidence of a quote that is verified.
fn conclude(body: &Body<'_>, platform: &Platform, verdict: Verdict, basis: Basis) -> Evidence {
    let kind = body.kind();
    let (measurement, report_data) = match body {
        Body::Sgx(report) => (
            evidence::measurement(kind, &[&report.measurement]),
            report.report_data,
        ),
        Body::Tdx(domain) => (
            evidence::measurement(kind, &[domain.measurement, domain.registers]),
            domain.report_data,
        ),
    };
    Evidence {
        kind,
        measurement,
        report_data,
        platform: evidence::platform(kind, &platform.ppid),
        status: verdict.status,
        superseded: verdict.superseded,
        advisories: verdict.advisories,
        basis,
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::{
        fixtures::{self, NOW, ROOTS},
        Status,
    };

    #[test]
    fn documents_are_of_the_platform_and_its_provisioning_enclave() {
        let items = fixtures::collateral().into_iter();
        let store: BTreeMap<Key, Item> =
            items.map(|item| item.check(&ROOTS, NOW).unwrap()).collect();
        let quote = Quote::decode(fixtures::TDX_4).unwrap();
        let chain = Chain::of(&quote).unwrap();
        let platform = Platform::of(&chain.leaf).unwrap();
        let fetch = |key: &Key| store.get(key).cloned();
        let collected = Collected::fetch(&chain, &platform, Kind::Tdx, NOW, fetch).unwrap();
        let enclave = check_signatures(&quote, &chain.leaf.key().unwrap()).unwrap();
        let status = |platform: &Platform| {
            verdict(&quote.body, &enclave, platform, &collected).map(|verdict| verdict.status)
        };
        assert_eq!(status(&platform), Ok(Status::HardeningNeeded));
        let other = Platform {
            pce_id: [0, 1],
            ..platform
        };
        assert_eq!(status(&other), Err(Fault::Platform));
        let other = Platform {
            fmspc: [9; 6],
            ..platform
        };
        assert_eq!(status(&other), Err(Fault::Platform));
    }
}

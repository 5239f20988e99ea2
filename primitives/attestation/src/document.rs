// SPDX-License-Identifier: Apache-2.0
//! The documents that Intel signs: TCB info of version 3 and enclave identities of version 2, by
//! the *Intel SGX and TDX Provisioning Certification Service* API, version 4.

use alloc::{string::String, vec::Vec};
use serde::{de::DeserializeOwned, Deserialize};

use crate::{
    bytes::{agree, from_hex},
    pck::Platform,
    quote::{Domain, Enclave},
    tcb::{seconds, Level, Verdict},
    Fault, Key, Kind,
};

const TCB_INFO: u32 = 3;
const IDENTITY: u32 = 2;
/// The way to compare versions that documents of version 3 have so far: component by component.
const BY_COMPONENT: u32 = 0;
/// The components of a domain's versions that count once its module has a version of its own: the
/// first two are the module's.
const AFTER_MODULE: usize = 2;

/// Decodes a document.
pub(crate) fn decode<Document: DeserializeOwned>(body: &[u8]) -> Result<Document, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::Document)
}

/// The times and the number of a document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Issue {
    issue_date: String,
    next_update: String,
    /// Grows with each event that changes levels.
    pub tcb_evaluation_data_number: u32,
}

impl Issue {
    pub(crate) fn issued(&self) -> Result<u64, Fault> {
        seconds(&self.issue_date)
    }

    pub(crate) fn until(&self) -> Result<u64, Fault> {
        seconds(&self.next_update)
    }
}

/// The levels of a family of platforms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TcbInfo {
    id: String,
    version: u32,
    fmspc: String,
    pce_id: String,
    tcb_type: u32,
    tcb_levels: Vec<Level<Components>>,
    tdx_module: Option<Module>,
    #[serde(default)]
    tdx_module_identities: Vec<Module>,
}

#[derive(Deserialize)]
struct Components {
    #[serde(rename = "sgxtcbcomponents")]
    sgx: Vec<Component>,
    #[serde(rename = "tdxtcbcomponents", default)]
    tdx: Vec<Component>,
    #[serde(rename = "pcesvn")]
    pce_svn: u16,
}

#[derive(Deserialize)]
struct Component {
    svn: u8,
}

/// A module that runs domains. The first one has neither a name nor levels of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Module {
    #[serde(default)]
    id: String,
    mrsigner: String,
    attributes: String,
    attributes_mask: String,
    #[serde(default)]
    tcb_levels: Vec<Level<Version>>,
}

#[derive(Deserialize)]
struct Version {
    isvsvn: u16,
}

impl TcbInfo {
    /// The name of the document among the collateral.
    pub(crate) fn key(&self) -> Result<Key, Fault> {
        let kind = match self.id.as_str() {
            "SGX" => Kind::Sgx,
            "TDX" => Kind::Tdx,
            _ => return Err(Fault::Document),
        };
        if self.version == TCB_INFO && self.tcb_type == BY_COMPONENT {
            Ok(Key::TcbInfo(kind, from_hex(&self.fmspc)?))
        } else {
            Err(Fault::Document)
        }
    }

    /// The name of the provisioning enclave of the platforms.
    pub(crate) fn pce_id(&self) -> Result<[u8; 2], Fault> {
        from_hex(&self.pce_id)
    }

    /// The verdict on a platform that ran an enclave.
    pub(crate) fn enclave(&self, platform: &Platform) -> Result<Verdict, Fault> {
        Verdict::of(&self.tcb_levels, |needs| needs.are_met(platform))
    }

    /// The verdict on a platform that runs a domain: with the versions that the module had when the
    /// domain started, and with those of now.
    pub(crate) fn domain(
        &self,
        platform: &Platform,
        domain: &Domain<'_>,
    ) -> Result<Verdict, Fault> {
        self.check_module(domain)?;
        let verdict = self.versions(platform, &domain.versions)?;
        match &domain.current {
            Some(current) => verdict.with(self.versions(platform, current)?),
            None => Ok(verdict),
        }
    }

    fn versions(&self, platform: &Platform, versions: &[u8; 16]) -> Result<Verdict, Fault> {
        let [module_svn, module_version, ..] = *versions;
        let skipped = if module_version > 0 { AFTER_MODULE } else { 0 };
        let verdict = Verdict::of(&self.tcb_levels, |needs| {
            needs.are_met(platform) && reach(versions, &needs.tdx, skipped)
        })?;
        let Some(module) = self.named_module(module_version)? else {
            return Ok(verdict);
        };
        let module = Verdict::of(&module.tcb_levels, |needs| {
            u16::from(module_svn) >= needs.isvsvn
        })?;
        verdict.with(module)
    }

    /// The module of this version; none for the first one, which had no number.
    fn named_module(&self, version: u8) -> Result<Option<&Module>, Fault> {
        if version == 0 {
            return Ok(None);
        }
        let id = alloc::format!("TDX_{version:02X}");
        let mut modules = self.tdx_module_identities.iter();
        let module = modules.find(|module| module.id.eq_ignore_ascii_case(&id));
        module.map(Some).ok_or(Fault::Module)
    }

    /// Checks that the module that started a domain is Intel's.
    fn check_module(&self, domain: &Domain<'_>) -> Result<(), Fault> {
        let [_, version, ..] = domain.versions;
        let module = match self.named_module(version)? {
            Some(module) => module,
            None => self.tdx_module.as_ref().ok_or(Fault::Module)?,
        };
        let signer: [u8; 48] = from_hex(&module.mrsigner)?;
        let attributes: [u8; 8] = from_hex(&module.attributes)?;
        let mask: [u8; 8] = from_hex(&module.attributes_mask)?;
        let is_same = agree(&domain.module_attributes, &attributes, &mask);
        if is_same && domain.module_signer == signer {
            Ok(())
        } else {
            Err(Fault::Module)
        }
    }
}

impl Components {
    fn are_met(&self, platform: &Platform) -> bool {
        platform.pce_svn >= self.pce_svn && reach(&platform.components, &self.sgx, 0)
    }
}

/// Whether no version is below what a level needs, but for the first ones.
fn reach(versions: &[u8; 16], needs: &[Component], skipped: usize) -> bool {
    needs.len() == versions.len()
        && versions
            .iter()
            .zip(needs)
            .skip(skipped)
            .all(|(version, needed)| *version >= needed.svn)
}

/// The identity of a quoting enclave.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    id: String,
    version: u32,
    miscselect: String,
    miscselect_mask: String,
    attributes: String,
    attributes_mask: String,
    mrsigner: String,
    isvprodid: u16,
    tcb_levels: Vec<Level<Version>>,
}

impl Identity {
    /// The name of the document among the collateral.
    pub(crate) fn key(&self) -> Result<Key, Fault> {
        match (self.id.as_str(), self.version) {
            ("QE", IDENTITY) => Ok(Key::QeIdentity(Kind::Sgx)),
            ("TD_QE", IDENTITY) => Ok(Key::QeIdentity(Kind::Tdx)),
            _ => Err(Fault::Document),
        }
    }

    /// The verdict on an enclave with this identity.
    pub(crate) fn verdict(&self, enclave: &Enclave) -> Result<Verdict, Fault> {
        let misc_select: [u8; 4] = from_hex(&self.miscselect)?;
        let misc_mask: [u8; 4] = from_hex(&self.miscselect_mask)?;
        let attributes: [u8; 16] = from_hex(&self.attributes)?;
        let mask: [u8; 16] = from_hex(&self.attributes_mask)?;
        let signer: [u8; 32] = from_hex(&self.mrsigner)?;
        let is_same = enclave.signer == signer
            && enclave.product == self.isvprodid
            && agree(&enclave.misc_select, &misc_select, &misc_mask)
            && agree(&enclave.attributes, &attributes, &mask);
        if !is_same {
            return Err(Fault::Enclave);
        }
        enclave.check_attributes()?;
        Verdict::of(&self.tcb_levels, |needs| enclave.version >= needs.isvsvn)
    }
}

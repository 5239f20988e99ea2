// SPDX-License-Identifier: Apache-2.0
//! The ways in which evidence is refused.

use crate::Key;

/// The reason why a quote, a report or an item of collateral proves nothing. Its number is part of
/// the chain's errors and never changes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no quote, report or item of a known version and layout.
    Format = 0,
    /// The key of the quote is of an unknown type, or the quoting enclave is of another vendor.
    Vendor = 1,
    /// A certificate cannot be decoded, or is missing.
    Certificate = 2,
    /// The signature under a certificate, a revocation list or a document is wrong.
    Issuer = 3,
    /// A certificate is not valid at this time.
    Dates = 4,
    /// A certificate signs what it may not sign.
    Role = 5,
    /// A certificate was revoked.
    Revoked = 6,
    /// The platform's key did not sign the quoting enclave's report.
    EnclaveSignature = 7,
    /// The quoting enclave's report names another key.
    EnclaveKey = 8,
    /// The quoting enclave is not the vendor's.
    Enclave = 9,
    /// The signature under the quote or the report is wrong.
    Signature = 10,
    /// The document is of another platform or another technology.
    Platform = 11,
    /// The vendor knows no level of security as low as that of this platform.
    Level = 12,
    /// The vendor does not know the module that runs the virtual machine.
    Module = 13,
    /// The code can be debugged, moved to another machine, or read by its host.
    Attributes = 14,
    /// The document of the vendor cannot be decoded.
    Document = 15,
    /// The certificate does not describe a platform.
    Extension = 16,
    /// Certificate and report are of different chips, or of different firmware.
    Chip = 17,
    /// The vendor names more advisories than an attestation can keep.
    Advisories = 18,
}

impl Fault {
    /// Its number in errors of the chain.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The refusal of a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The quote needs an item of collateral that nobody brought.
    Missing(Key),
    /// An item of collateral is past its next update.
    Stale(Key),
    /// The quote proves nothing.
    Invalid(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Lists of revoked certificates.

use der::Decode as _;
use p256::ecdsa::VerifyingKey;
use x509_cert::crl::CertificateList;

use crate::{
    certificate::{check_der, signed_part},
    Fault,
};

/// A list of revoked certificates.
pub(crate) struct Revocations(CertificateList);

impl Revocations {
    pub(crate) fn decode(der: &[u8]) -> Result<Self, Fault> {
        let list = CertificateList::from_der(der).map_err(|_| Fault::Document)?;
        Ok(Self(list))
    }

    /// Decodes a list that `issuer` signed.
    pub(crate) fn decode_signed(der: &[u8], issuer: &VerifyingKey) -> Result<Self, Fault> {
        let list = Self::decode(der)?;
        let signed = signed_part(der).map_err(|_| Fault::Document)?;
        check_der(issuer, signed, list.0.signature.raw_bytes())?;
        Ok(list)
    }

    /// The second in which it was issued.
    pub(crate) fn issued(&self) -> u64 {
        let issued = self.0.tbs_cert_list.this_update;
        issued.to_unix_duration().as_secs()
    }

    /// The last second in which it counts.
    pub(crate) fn until(&self) -> Result<u64, Fault> {
        let until = self.0.tbs_cert_list.next_update.ok_or(Fault::Document)?;
        Ok(until.to_unix_duration().as_secs())
    }

    /// Checks that a certificate is not on the list.
    pub(crate) fn check(&self, serial: &[u8]) -> Result<(), Fault> {
        let revoked = self.0.tbs_cert_list.revoked_certificates.as_deref();
        let mut revoked = revoked.unwrap_or_default().iter();
        if revoked.any(|entry| entry.serial_number.as_bytes() == serial) {
            Err(Fault::Revoked)
        } else {
            Ok(())
        }
    }
}

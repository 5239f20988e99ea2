// SPDX-License-Identifier: Apache-2.0
//! Certificates of X.509 with keys on P-256 or P-384 or of RSA.

use alloc::vec::Vec;
use der::{asn1::ObjectIdentifier, Decode as _, Header, Reader as _, SliceReader};
use p256::ecdsa::{signature::Verifier as _, Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use x509_cert::{ext::pkix::BasicConstraints, Certificate as Parsed};

use crate::{rsa, Fault, Hash, Product};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Encodings of points begin with it where both coordinates follow.
const UNCOMPRESSED: u8 = 4;

/// The keys that certificates lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The coordinates of Intel's root key, on P-256.
    pub intel: [u8; 64],
    /// For each product of AMD the SHA-256 of its root key, as `RSAPublicKey` in DER.
    pub amd: [(Product, Hash); 3],
}

impl Roots {
    /// The keys that Intel and AMD published.
    pub const PUBLISHED: Self = Self {
        intel: INTEL,
        amd: [
            (Product::Milan, ARK_MILAN),
            (Product::Genoa, ARK_GENOA),
            (Product::Turin, ARK_TURIN),
        ],
    };

    /// Intel's root key.
    pub(crate) fn intel(&self) -> Result<VerifyingKey, Fault> {
        key_of_coordinates(&self.intel)
    }

    /// The product whose root key has this hash.
    pub(crate) fn product(&self, key: &Hash) -> Option<Product> {
        let found = self.amd.iter().find(|(_, root)| root == key);
        found.map(|(product, _)| *product)
    }
}

/// The key of `CN=Intel SGX Root CA`.
const INTEL: [u8; 64] = [
    0x0b, 0xa9, 0xc4, 0xc0, 0xc0, 0xc8, 0x61, 0x93, 0xa3, 0xfe, 0x23, 0xd6, 0xb0, 0x2c, 0xda, 0x10,
    0xa8, 0xbb, 0xd4, 0xe8, 0x8e, 0x48, 0xb4, 0x45, 0x85, 0x61, 0xa3, 0x6e, 0x70, 0x55, 0x25, 0xf5,
    0x67, 0x91, 0x8e, 0x2e, 0xdc, 0x88, 0xe4, 0x0d, 0x86, 0x0b, 0xd0, 0xcc, 0x4e, 0xe2, 0x6a, 0xac,
    0xc9, 0x88, 0xe5, 0x05, 0xa9, 0x53, 0x55, 0x8c, 0x45, 0x3f, 0x6b, 0x09, 0x04, 0xae, 0x73, 0x94,
];

/// The hash of the key of `CN=ARK-Milan`.
const ARK_MILAN: Hash = [
    0x20, 0xdc, 0x23, 0x48, 0x3b, 0xdd, 0xbb, 0x99, 0x47, 0x90, 0x90, 0x70, 0xd4, 0x9d, 0xfb, 0x5a,
    0x7f, 0xf4, 0xea, 0x41, 0x48, 0x1e, 0x38, 0xcd, 0xeb, 0x89, 0x70, 0xd9, 0x0a, 0x26, 0xfe, 0xea,
];

/// The hash of the key of `CN=ARK-Genoa`.
const ARK_GENOA: Hash = [
    0x05, 0x2e, 0x03, 0x77, 0x92, 0x23, 0x44, 0xbb, 0xdd, 0xef, 0xdd, 0x8c, 0xec, 0x21, 0x94, 0x70,
    0x94, 0xd6, 0x58, 0x43, 0x6c, 0x0d, 0xef, 0xe1, 0x35, 0x58, 0x64, 0xca, 0x02, 0x4f, 0xcc, 0x2b,
];

/// The hash of the key of `CN=ARK-Turin`.
const ARK_TURIN: Hash = [
    0xc4, 0xa6, 0xc5, 0x98, 0x0e, 0x27, 0xb9, 0x74, 0x70, 0xc9, 0x48, 0xbe, 0xb8, 0x81, 0x04, 0x61,
    0x15, 0x08, 0x51, 0x82, 0x68, 0x91, 0xed, 0x5f, 0x04, 0xb7, 0x40, 0x1e, 0xdb, 0xa3, 0x4c, 0x6c,
];

/// The key on P-256 with these coordinates.
pub(crate) fn key_of_coordinates(coordinates: &[u8; 64]) -> Result<VerifyingKey, Fault> {
    let point = [&[UNCOMPRESSED][..], coordinates].concat();
    VerifyingKey::from_sec1_bytes(&point).map_err(|_| Fault::Certificate)
}

/// A certificate, and the bytes of it that are signed.
pub(crate) struct Certificate<'a> {
    signed: &'a [u8],
    parsed: Parsed,
}

impl<'a> Certificate<'a> {
    pub(crate) fn decode(der: &'a [u8]) -> Result<Self, Fault> {
        let parsed = Parsed::from_der(der).map_err(|_| Fault::Certificate)?;
        let signed = signed_part(der).map_err(|_| Fault::Certificate)?;
        Ok(Self { signed, parsed })
    }

    /// The bits of its public key: a point, or `RSAPublicKey` in DER.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        let info = &self.parsed.tbs_certificate.subject_public_key_info;
        info.subject_public_key.raw_bytes()
    }

    /// The hash of its public key.
    pub(crate) fn key_hash(&self) -> Hash {
        Sha256::digest(self.key_bytes()).into()
    }

    /// Its public key on P-256.
    pub(crate) fn key(&self) -> Result<VerifyingKey, Fault> {
        VerifyingKey::from_sec1_bytes(self.key_bytes()).map_err(|_| Fault::Certificate)
    }

    pub(crate) fn serial(&self) -> &[u8] {
        self.parsed.tbs_certificate.serial_number.as_bytes()
    }

    /// The last second in which it is valid.
    pub(crate) fn until(&self) -> u64 {
        let validity = &self.parsed.tbs_certificate.validity;
        validity.not_after.to_unix_duration().as_secs()
    }

    /// The first second in which it is valid.
    pub(crate) fn since(&self) -> u64 {
        let validity = &self.parsed.tbs_certificate.validity;
        validity.not_before.to_unix_duration().as_secs()
    }

    pub(crate) fn check_dates(&self, now: u64) -> Result<(), Fault> {
        if self.since() <= now && now <= self.until() {
            Ok(())
        } else {
            Err(Fault::Dates)
        }
    }

    /// Checks whether it may, or may not, sign other certificates.
    pub(crate) fn check_role(&self, is_authority: bool) -> Result<(), Fault> {
        let found = self.parsed.tbs_certificate.get::<BasicConstraints>();
        let constraints = found.map_err(|_| Fault::Certificate)?;
        let is = constraints.is_some_and(|(_, constraints)| constraints.ca);
        if is == is_authority {
            Ok(())
        } else {
            Err(Fault::Role)
        }
    }

    /// Checks that its subject has this common name and no other.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), Fault> {
        let subject = &self.parsed.tbs_certificate.subject;
        let attributes = subject.0.iter().flat_map(|part| part.0.iter());
        let mut found = attributes.filter(|attribute| attribute.oid == COMMON_NAME);
        match (found.next(), found.next()) {
            (Some(only), None) if only.value.value() == name.as_bytes() => Ok(()),
            _ => Err(Fault::Role),
        }
    }

    /// Checks the signature of an issuer on P-256.
    pub(crate) fn check_issuer(&self, issuer: &VerifyingKey) -> Result<(), Fault> {
        check_der(issuer, self.signed, self.parsed.signature.raw_bytes())
    }

    /// Checks the signature of an issuer with an RSA key.
    pub(crate) fn check_rsa_issuer(&self, issuer: &[u8]) -> Result<(), Fault> {
        rsa::verify(issuer, self.signed, self.parsed.signature.raw_bytes())
    }

    /// The value of the extension with this identifier, if there is exactly one.
    pub(crate) fn extension(&self, id: &ObjectIdentifier) -> Result<&[u8], Fault> {
        let extensions = self.parsed.tbs_certificate.extensions.as_deref();
        let mut found = extensions
            .unwrap_or_default()
            .iter()
            .filter(|extension| extension.extn_id == *id);
        match (found.next(), found.next()) {
            (Some(extension), None) => Ok(extension.extn_value.as_bytes()),
            _ => Err(Fault::Extension),
        }
    }
}

/// Checks a signature on P-256 in DER.
pub(crate) fn check_der(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
    let signature = Signature::from_der(signature).map_err(|_| Fault::Issuer)?;
    key.verify(message, &signature).map_err(|_| Fault::Issuer)
}

/// Checks a signature on P-256 that is two numbers of 32 bytes.
pub(crate) fn check_raw(
    key: &VerifyingKey,
    message: &[u8],
    signature: &[u8; 64],
    fault: Fault,
) -> Result<(), Fault> {
    let signature = Signature::from_slice(signature).map_err(|_| fault)?;
    key.verify(message, &signature).map_err(|_| fault)
}

/// The first element of a sequence with its header: the signed part of certificates and revocation
/// lists.
pub(crate) fn signed_part(der: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

/// The certificates of a text in PEM, in DER.
pub(crate) fn from_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let text = core::str::from_utf8(text).map_err(|_| Fault::Certificate)?;
    text.split_inclusive(END)
        .filter_map(|part| part.get(part.find(BEGIN)?..))
        .map(|part| {
            let decoded = pem_rfc7468::decode_vec(part.as_bytes());
            decoded.map(|(_, der)| der).map_err(|_| Fault::Certificate)
        })
        .collect()
}

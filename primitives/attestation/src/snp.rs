// SPDX-License-Identifier: Apache-2.0
//! Reports of AMD SEV-SNP: *SEV Secure Nested Paging Firmware ABI Specification*, revision 1.55,
//! and *Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification*.

use alloc::vec::Vec;
use der::{asn1::ObjectIdentifier, Decode as _};
use p384::ecdsa::{signature::Verifier as _, Signature, VerifyingKey};

use crate::{
    bytes::Reader, certificate::Certificate, evidence, Basis, Evidence, Fault, Item, Kind, Product,
    SnpTcb, Status, MAX_VCEK,
};

/// Length of a report, in bytes.
pub const REPORT: usize = 1_184;
/// Length of the part of a report that is signed.
const SIGNED: usize = 0x2a0;
/// Length of a number of the signature, of which the last bytes are zero.
const NUMBER: usize = 72;
/// ECDSA on P-384 with SHA-384.
const ALGORITHM: u32 = 1;
/// The bits of the policy that let a guest be moved and debugged.
const UNSAFE_POLICY: u64 = (1 << 18) | (1 << 19);
/// The bits of a report that was signed by another key than the chip's.
const OTHER_KEY: u32 = 0b1_1110;

const SPL_BOOT_LOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const SPL_TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SPL_SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const SPL_MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const SPL_CONTROLLER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const CHIP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");

/// A report whose signature nobody has checked.
struct Report<'a> {
    signed: &'a [u8],
    policy: u64,
    level: u32,
    algorithm: u32,
    keys: u32,
    report_data: [u8; 64],
    measurement: [u8; 48],
    tcb: [u8; 8],
    chip: [u8; 64],
    signature: [[u8; NUMBER]; 2],
}

/// Verifies a report by the key of a chip, whose certificate AMD's key for the product signed.
///
/// # Errors
/// The fault of the report or of the certificate.
pub fn verify(
    report: &[u8],
    vcek: &[u8],
    product: Product,
    ask: &Item,
    now: u64,
) -> Result<Evidence, Fault> {
    if report.len() != REPORT || vcek.len() > MAX_VCEK {
        return Err(Fault::Format);
    }
    let report = Report::decode(report)?;
    report.check_origin()?;
    let vcek = Certificate::decode(vcek)?;
    let tcb = versions(product, report.tcb);
    check_chip(&vcek, product, &report.chip, &tcb)?;
    vcek.check_dates(now)?;
    vcek.check_rsa_issuer(&ask.body)?;
    report.check_signature(vcek.key_bytes())?;
    Ok(Evidence {
        kind: Kind::Snp,
        measurement: evidence::measurement(Kind::Snp, &[&report.measurement]),
        report_data: report.report_data,
        platform: evidence::platform(Kind::Snp, &report.chip),
        // Whether it is, the floor of the product says.
        status: Status::UpToDate,
        superseded: None,
        advisories: Vec::new(),
        basis: Basis::Amd { product, tcb },
    })
}

impl<'a> Report<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let version = reader.u32()?;
        if !(2..=5).contains(&version) {
            return Err(Fault::Format);
        }
        reader.take(0x04)?;
        let policy = reader.u64()?;
        reader.take(0x20)?;
        let (level, algorithm) = (reader.u32()?, reader.u32()?);
        reader.take(0x10)?;
        let keys = reader.u32()?;
        reader.take(0x04)?;
        let (report_data, measurement) = (reader.array()?, reader.array()?);
        reader.take(0xc0)?;
        let tcb = reader.array()?;
        reader.take(0x18)?;
        let chip = reader.array()?;
        reader.take(0xc0)?;
        Ok(Self {
            signed: bytes.get(..SIGNED).ok_or(Fault::Format)?,
            policy,
            level,
            algorithm,
            keys,
            report_data,
            measurement,
            tcb,
            chip,
            signature: [reader.array()?, reader.array()?],
        })
    }

    /// Checks that a guest whose host can neither debug nor move it asked for the report, from the
    /// privileged code that was measured, and that the chip's own key signed it.
    fn check_origin(&self) -> Result<(), Fault> {
        if self.algorithm != ALGORITHM || self.keys & OTHER_KEY != 0 {
            Err(Fault::Vendor)
        } else if self.policy & UNSAFE_POLICY != 0 || self.level != 0 {
            Err(Fault::Attributes)
        } else {
            Ok(())
        }
    }

    fn check_signature(&self, key: &[u8]) -> Result<(), Fault> {
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| Fault::Certificate)?;
        let [r, s] = &self.signature;
        let signature =
            Signature::from_scalars(number(r)?, number(s)?).map_err(|_| Fault::Signature)?;
        key.verify(self.signed, &signature)
            .map_err(|_| Fault::Signature)
    }
}

/// A number of a signature, which the report has with its lowest byte first.
fn number(bytes: &[u8; NUMBER]) -> Result<[u8; 48], Fault> {
    let (low, high) = bytes.split_at(48);
    if high.iter().any(|byte| *byte != 0) {
        return Err(Fault::Signature);
    }
    let mut number: [u8; 48] = low.try_into().map_err(|_| Fault::Signature)?;
    number.reverse();
    Ok(number)
}

/// The versions in the eight bytes of a report.
fn versions(product: Product, tcb: [u8; 8]) -> SnpTcb {
    match (product, tcb) {
        (Product::Milan | Product::Genoa, [boot_loader, tee, _, _, _, _, snp, microcode]) => {
            SnpTcb {
                controller: 0,
                boot_loader,
                tee,
                snp,
                microcode,
            }
        },
        (Product::Turin, [controller, boot_loader, tee, snp, _, _, _, microcode]) => SnpTcb {
            controller,
            boot_loader,
            tee,
            snp,
            microcode,
        },
    }
}

/// Checks that a certificate is of this chip with this firmware.
fn check_chip(
    vcek: &Certificate<'_>,
    product: Product,
    chip: &[u8; 64],
    tcb: &SnpTcb,
) -> Result<(), Fault> {
    let version =
        |id: &ObjectIdentifier| u8::from_der(vcek.extension(id)?).map_err(|_| Fault::Extension);
    let controller = match product {
        Product::Milan | Product::Genoa => 0,
        Product::Turin => version(&SPL_CONTROLLER)?,
    };
    let certified = SnpTcb {
        controller,
        boot_loader: version(&SPL_BOOT_LOADER)?,
        tee: version(&SPL_TEE)?,
        snp: version(&SPL_SNP)?,
        microcode: version(&SPL_MICROCODE)?,
    };
    // Turin's chips have shorter names, which the report fills up with zeros.
    let len = match product {
        Product::Milan | Product::Genoa => 64,
        Product::Turin => 8,
    };
    let (name, rest) = chip.split_at_checked(len).ok_or(Fault::Chip)?;
    let is_same = vcek.extension(&CHIP)? == name && rest.iter().all(|byte| *byte == 0);
    if is_same && certified == *tcb {
        Ok(())
    } else {
        Err(Fault::Chip)
    }
}

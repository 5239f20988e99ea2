// SPDX-License-Identifier: Apache-2.0
//! The layout of quotes of versions 3, 4 and 5: Intel's *SGX ECDSA Quote Library Reference* and
//! *TDX DCAP Quoting Library API*, appendix A.

use alloc::vec::Vec;

use crate::{bytes::Reader, certificate, Fault, Kind};

const ENCLAVE: usize = 384;
const DOMAIN: usize = 584;
const DOMAIN_15: usize = 648;
const DOMAIN_15_EX: usize = 885;
/// ECDSA on P-256.
const KEY_TYPE: u16 = 2;
const SGX: u32 = 0;
const TDX: u32 = 0x81;
/// Intel, as the vendor of the quoting enclave.
const VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
/// The certification data are a report of the quoting enclave with its own certification data.
const CERTIFIED_ENCLAVE: u16 = 6;
/// The certification data are a chain of certificates in PEM.
const CHAIN: u16 = 5;
/// The bit of an enclave that can be debugged, in the first byte of its attributes.
const ENCLAVE_DEBUG: u8 = 0x02;
/// The bit of an enclave that runs with 64 bits, in the same byte. Attributes are not measured: by
/// a signature of their own, hosts could run the same bytes as other code, with 32 bits.
const ENCLAVE_64_BITS: u8 = 0x04;
/// The host cannot inject exceptions into a domain with this attribute: `SEPT_VE_DISABLE`.
const REQUIRED: u64 = 1 << 28;
/// Attributes that take nothing from a domain's secrecy: `LASS`, `PKS`, `KL`, `PERFMON`. The others
/// are those to debug it, to profile it and to move it, and what later modules bring.
const HARMLESS: u64 = REQUIRED | (1 << 27) | (1 << 30) | (1 << 31) | (1 << 63);

/// A quote whose signatures nobody has checked.
pub(crate) struct Quote<'a> {
    /// The subject of the quote.
    pub body: Body<'a>,
    /// The bytes that the quote's key signed: header and body.
    pub signed: &'a [u8],
    pub signature: [u8; 64],
    /// The coordinates of the quote's key.
    pub key: [u8; 64],
    /// The report of the quoting enclave, which vouches for the key.
    pub enclave: &'a [u8],
    pub enclave_signature: [u8; 64],
    /// Data that the quoting enclave's report covers besides the key.
    pub enclave_data: &'a [u8],
    /// The certificates in DER, that of the platform first.
    pub certificates: Vec<Vec<u8>>,
}

/// The subject of a quote.
pub(crate) enum Body<'a> {
    Sgx(Enclave),
    Tdx(Domain<'a>),
}

impl Body<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sgx(_) => Kind::Sgx,
            Self::Tdx(_) => Kind::Tdx,
        }
    }
}

impl<'a> Quote<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let (version, technology) = header(&mut reader)?;
        let len = body_length(&mut reader, version, technology)?;
        let body = reader.take(len)?;
        let body = match technology {
            SGX => Body::Sgx(Enclave::decode(body)?),
            _ => Body::Tdx(Domain::decode(body)?),
        };
        let signed_len = bytes.len().saturating_sub(reader.left());
        let signed = bytes.get(..signed_len).ok_or(Fault::Format)?;
        let mut section = Reader::new(reader.counted()?);
        let (signature, key) = (section.array()?, section.array()?);
        if version > 3 {
            if section.u16()? != CERTIFIED_ENCLAVE {
                return Err(Fault::Format);
            }
            section = Reader::new(section.counted()?);
        }
        let enclave = section.take(ENCLAVE)?;
        let enclave_signature = section.array()?;
        let data_len = section.u16()?;
        let enclave_data = section.take(data_len.into())?;
        if section.u16()? != CHAIN {
            return Err(Fault::Certificate);
        }
        let certificates = certificate::from_pem(section.counted()?)?;
        Ok(Self {
            body,
            signed,
            signature,
            key,
            enclave,
            enclave_signature,
            enclave_data,
            certificates,
        })
    }
}

/// The version and the technology of a quote.
fn header(reader: &mut Reader<'_>) -> Result<(u16, u32), Fault> {
    let version = reader.u16()?;
    let key_type = reader.u16()?;
    let technology = reader.u32()?;
    // Versions of two enclaves, which the certificate and the report tell better.
    reader.take(4)?;
    let vendor: [u8; 16] = reader.array()?;
    // Data of the quoting enclave.
    reader.take(20)?;
    if !(3..=5).contains(&version) {
        Err(Fault::Format)
    } else if key_type != KEY_TYPE || vendor != VENDOR {
        Err(Fault::Vendor)
    } else {
        Ok((version, technology))
    }
}

/// The length of the body. Version 5 says its type and length, too.
fn body_length(reader: &mut Reader<'_>, version: u16, technology: u32) -> Result<usize, Fault> {
    let kind = if version == 5 {
        Some((reader.u16()?, usize::try_from(reader.u32()?)))
    } else {
        None
    };
    let (expected, len) = match (technology, version, kind) {
        (SGX, 3 | 4, None) => return Ok(ENCLAVE),
        (TDX, 4, None) => return Ok(DOMAIN),
        (SGX, 5, Some((1, len))) => (ENCLAVE, len),
        (TDX, 5, Some((2, len))) => (DOMAIN, len),
        (TDX, 5, Some((3, len))) => (DOMAIN_15, len),
        (TDX, 5, Some((4, len))) => (DOMAIN_15_EX, len),
        _ => return Err(Fault::Format),
    };
    if len == Ok(expected) {
        Ok(expected)
    } else {
        Err(Fault::Format)
    }
}

/// A report of an enclave.
pub(crate) struct Enclave {
    pub misc_select: [u8; 4],
    pub attributes: [u8; 16],
    pub measurement: [u8; 32],
    pub signer: [u8; 32],
    pub product: u16,
    pub version: u16,
    pub report_data: [u8; 64],
}

impl Enclave {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        // The versions of the processor, which the certificate tells.
        reader.take(16)?;
        let misc_select = reader.array()?;
        reader.take(28)?;
        let attributes = reader.array()?;
        let measurement = reader.array()?;
        reader.take(32)?;
        let signer = reader.array()?;
        reader.take(96)?;
        let (product, version) = (reader.u16()?, reader.u16()?);
        reader.take(60)?;
        Ok(Self {
            misc_select,
            attributes,
            measurement,
            signer,
            product,
            version,
            report_data: reader.array()?,
        })
    }

    pub(crate) fn check_attributes(&self) -> Result<(), Fault> {
        match self.attributes.first() {
            Some(flags) if flags & (ENCLAVE_DEBUG | ENCLAVE_64_BITS) == ENCLAVE_64_BITS => Ok(()),
            _ => Err(Fault::Attributes),
        }
    }
}

/// A report of a virtual machine, which Intel calls a trust domain.
pub(crate) struct Domain<'a> {
    /// The versions of the module, and of what it rests on, when the domain started.
    pub versions: [u8; 16],
    /// These versions now, where the report tells.
    pub current: Option<[u8; 16]>,
    pub module_signer: [u8; 48],
    pub module_attributes: [u8; 8],
    attributes: u64,
    /// `MRTD`.
    pub measurement: &'a [u8],
    /// `RTMR0` to `RTMR3`.
    pub registers: &'a [u8],
    pub report_data: [u8; 64],
    /// Whether another domain may move this one.
    is_served: bool,
}

impl<'a> Domain<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let versions = reader.array()?;
        // The module's measurement: its signer and its version count.
        reader.take(48)?;
        let module_signer = reader.array()?;
        let module_attributes = reader.array()?;
        let attributes = reader.u64()?;
        // Features of the processor.
        reader.take(8)?;
        let measurement = reader.take(48)?;
        // What the host wrote down of configuration and owner.
        reader.take(144)?;
        let registers = reader.take(192)?;
        let report_data = reader.array()?;
        let (current, is_served) = if reader.left() > 0 {
            let current = reader.array()?;
            let service: [u8; 48] = reader.array()?;
            (Some(current), service != [0; 48])
        } else {
            (None, false)
        };
        Ok(Self {
            versions,
            current,
            module_signer,
            module_attributes,
            attributes,
            measurement,
            registers,
            report_data,
            is_served,
        })
    }

    pub(crate) fn check_attributes(&self) -> Result<(), Fault> {
        let is_required = self.attributes & REQUIRED == REQUIRED;
        if is_required && self.attributes & !HARMLESS == 0 && !self.is_served {
            Ok(())
        } else {
            Err(Fault::Attributes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of the attributes in a report.
    const ATTRIBUTES: usize = 48;

    #[test]
    fn an_enclave_runs_with_64_bits_and_cannot_be_debugged() {
        let checked = |attributes: u8| {
            let mut report = [0_u8; ENCLAVE];
            report[ATTRIBUTES] = attributes;
            Enclave::decode(&report).unwrap().check_attributes()
        };
        assert_eq!(checked(0x05), Ok(()));
        assert_eq!(checked(0x15), Ok(()));
        for refused in [0x01, 0x07, 0x03] {
            assert_eq!(checked(refused), Err(Fault::Attributes));
        }
    }

    #[test]
    fn a_domain_has_no_attribute_that_takes_from_its_secrecy() {
        let checked = |attributes: u64, service: u8| {
            let mut report = [0_u8; DOMAIN_15];
            report[120..128].copy_from_slice(&attributes.to_le_bytes());
            report[DOMAIN_15 - 1] = service;
            let domain = Domain::decode(&report).unwrap();
            domain.check_attributes()
        };
        assert_eq!(checked(HARMLESS, 0), Ok(()));
        assert_eq!(checked(REQUIRED, 1), Err(Fault::Attributes));
        for bit in 0..u64::BITS {
            let expected = match HARMLESS & (1 << bit) {
                0 => Err(Fault::Attributes),
                _ => Ok(()),
            };
            assert_eq!(checked(REQUIRED | (1 << bit), 0), expected, "bit {bit}");
        }
        assert_eq!(checked(0, 0), Err(Fault::Attributes));
    }
}

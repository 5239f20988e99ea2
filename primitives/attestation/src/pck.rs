// SPDX-License-Identifier: Apache-2.0
//! The description of a platform in its certificate by Intel: *Intel SGX PCK Certificate and
//! Certificate Revocation List Profile Specification*, section 1.3.5.

use alloc::vec::Vec;
use der::{
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef},
    Decode as _, Reader as _, SliceReader,
};

use crate::Fault;

const EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
const PPID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.1");
const TCB: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.2");
const PCE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.3");
const FMSPC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.4");
/// The last arcs of the components' identifiers in the TCB are 1 to 16, and this is that of the
/// provisioning enclave.
const PCE_SVN: u32 = 17;

/// A platform with Intel's processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// The platform's name, which no other has.
    pub ppid: [u8; 16],
    /// Family, model, stepping and custom SKU.
    pub fmspc: [u8; 6],
    /// The name of the provisioning enclave.
    pub pce_id: [u8; 2],
    /// The versions of the platform's components.
    pub components: [u8; 16],
    /// The version of the provisioning enclave.
    pub pce_svn: u16,
}

impl Platform {
    /// The platform of a certificate.
    pub(crate) fn of(certificate: &crate::certificate::Certificate<'_>) -> Result<Self, Fault> {
        Self::decode(certificate.extension(&EXTENSION)?).map_err(|_| Fault::Extension)
    }

    fn decode(extension: &[u8]) -> der::Result<Self> {
        let attributes = attributes(AnyRef::from_der(extension)?.value())?;
        let tcb = self::attributes(find(&attributes, &TCB)?.value())?;
        let mut components = [0; 16];
        for (arc, component) in (1_u32..).zip(components.iter_mut()) {
            *component = find_arc(&tcb, arc)?.decode_as()?;
        }
        Ok(Self {
            ppid: octets(find(&attributes, &PPID)?)?,
            fmspc: octets(find(&attributes, &FMSPC)?)?,
            pce_id: octets(find(&attributes, &PCE_ID)?)?,
            components,
            pce_svn: find_arc(&tcb, PCE_SVN)?.decode_as()?,
        })
    }
}

type Attributes<'a> = Vec<(ObjectIdentifier, AnyRef<'a>)>;

/// The pairs of an identifier and a value in the content of a sequence of such pairs.
fn attributes(content: &[u8]) -> der::Result<Attributes<'_>> {
    let mut reader = SliceReader::new(content)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        let attribute = reader.sequence(|pair| Ok((pair.decode()?, pair.decode()?)))?;
        found.push(attribute);
    }
    Ok(found)
}

fn missing() -> der::Error {
    der::ErrorKind::Failed.into()
}

fn find<'a>(attributes: &Attributes<'a>, id: &ObjectIdentifier) -> der::Result<AnyRef<'a>> {
    let found = attributes.iter().find(|(attribute, _)| attribute == id);
    found.map(|(_, value)| *value).ok_or_else(missing)
}

/// The value of the attribute whose identifier has this last arc.
fn find_arc<'a>(attributes: &Attributes<'a>, arc: u32) -> der::Result<AnyRef<'a>> {
    let mut found = attributes.iter();
    let found = found.find(|(attribute, _)| attribute.arcs().last() == Some(arc));
    found.map(|(_, value)| *value).ok_or_else(missing)
}

fn octets<const N: usize>(value: AnyRef<'_>) -> der::Result<[u8; N]> {
    let octets: OctetStringRef<'_> = value.decode_as()?;
    octets.as_bytes().try_into().map_err(|_| missing())
}

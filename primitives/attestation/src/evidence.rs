// SPDX-License-Identifier: Apache-2.0
//! The content of verified evidence, and its binding.

use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sha2::{Digest, Sha256};

use crate::{Hash, Status};

/// A technology that measures code.
#[derive(
    Clone,
    Copy,
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
pub enum Kind {
    /// A process in an enclave of Intel SGX.
    #[codec(index = 0)]
    Sgx,
    /// A virtual machine under Intel TDX.
    #[codec(index = 1)]
    Tdx,
    /// A virtual machine under AMD SEV-SNP.
    #[codec(index = 2)]
    Snp,
}

impl Kind {
    /// Its byte in what is hashed.
    const fn byte(self) -> u8 {
        match self {
            Self::Sgx => 0,
            Self::Tdx => 1,
            Self::Snp => 2,
        }
    }
}

/// A generation of AMD's processors with a root key of its own.
#[derive(
    Clone,
    Copy,
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
pub enum Product {
    /// EPYC 7003.
    #[codec(index = 0)]
    Milan,
    /// EPYC 9004, 8004 and 97x4.
    #[codec(index = 1)]
    Genoa,
    /// EPYC 9005.
    #[codec(index = 2)]
    Turin,
}

impl Product {
    /// The common name of the key that signs the certificates of its chips.
    pub(crate) const fn authority(self) -> &'static str {
        match self {
            Self::Milan => "SEV-Milan",
            Self::Genoa => "SEV-Genoa",
            Self::Turin => "SEV-Turin",
        }
    }
}

/// The versions of the firmware under AMD SEV-SNP.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct SnpTcb {
    /// Of the firmware of the controller, from Turin on.
    pub controller: u8,
    /// Of the boot loader.
    pub boot_loader: u8,
    /// Of the operating system of the security processor.
    pub tee: u8,
    /// Of the firmware of SEV-SNP.
    pub snp: u8,
    /// Of the microcode of the cores.
    pub microcode: u8,
}

impl SnpTcb {
    /// Whether no version is below that of `floor`.
    pub fn is_at_least(&self, floor: &Self) -> bool {
        self.controller >= floor.controller
            && self.boot_loader >= floor.boot_loader
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.microcode >= floor.microcode
    }
}

/// The ground of a status.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Basis {
    /// Two documents of Intel.
    #[codec(index = 0)]
    Intel {
        /// SGX or TDX.
        kind: Kind,
        /// Family, model, stepping and custom SKU of the platform.
        fmspc: [u8; 6],
        /// The evaluation number of the document on the platform.
        platform: u32,
        /// The evaluation number of the document on the quoting enclave.
        enclave: u32,
    },
    /// The versions of the firmware, which governance compares with a floor.
    #[codec(index = 1)]
    Amd {
        /// The product.
        product: Product,
        /// The versions.
        tcb: SnpTcb,
    },
}

/// The content of a verified quote or report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The technology.
    pub kind: Kind,
    /// The hash of what was measured.
    pub measurement: Hash,
    /// The bytes that the measured code wanted to be bound to.
    pub report_data: [u8; 64],
    /// The hash of the platform's name.
    pub platform: Hash,
    /// The state of the platform's firmware.
    pub status: Status,
    /// The second since which there is newer firmware, if the platform's is out of date.
    pub superseded: Option<u64>,
    /// The vendor's advisories for the platform.
    pub advisories: Vec<String>,
    /// The ground of the status.
    pub basis: Basis,
}

/// An agent's attestation, as the chain shows it while it counts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct View {
    /// The technology.
    pub kind: Kind,
    /// The hash of what was measured.
    pub measurement: Hash,
    /// The hash of the model's file.
    pub model: Hash,
    /// The identity in the peer-to-peer network: a public key on Ed25519.
    pub peer: Hash,
    /// The key on X25519 to which hidden states are sealed.
    pub hop_key: Hash,
    /// The hash of the platform's name.
    pub platform: Hash,
    /// The state of the platform's firmware.
    pub status: Status,
    /// The vendor's advisories for the platform, in ASCII.
    pub advisories: Vec<Vec<u8>>,
    /// The block of the attestation.
    pub at: u32,
    /// The last block in which it counts.
    pub until: u32,
}

/// The fields that the report data of an attestation binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The hash of the chain's first block.
    pub genesis: Hash,
    /// The account, encoded.
    pub account: &'a [u8],
    /// The inference key, which was made inside and never leaves.
    pub inference_key: Hash,
    /// The identity in the peer-to-peer network: a public key on Ed25519.
    pub peer: Hash,
    /// The hash of the model's file.
    pub model: Hash,
    /// The hash of a recent block.
    pub block: Hash,
    /// The key on X25519 to which hidden states are sealed.
    pub hop_key: Hash,
}

/// The report data that measured code asks its quote for.
pub fn report_data(binding: &Binding<'_>) -> [u8; 64] {
    let identity = Sha256::new()
        .chain_update(b"starling/tee/v1")
        .chain_update(binding.genesis)
        .chain_update(binding.account)
        .chain_update(binding.inference_key)
        .chain_update(binding.peer)
        .chain_update(binding.model)
        .chain_update(binding.block)
        .finalize();
    let hop_key = Sha256::digest(binding.hop_key);
    let mut data = [0; 64];
    for (to, from) in data.iter_mut().zip(identity.into_iter().chain(hop_key)) {
        *to = from;
    }
    data
}

/// The hash of a measurement: of `MRENCLAVE`, of `MRTD` and `RTMR0` to `RTMR3`, or of
/// `MEASUREMENT`.
pub fn measurement(kind: Kind, registers: &[&[u8]]) -> Hash {
    let hash = Sha256::new()
        .chain_update(b"starling/tee/measurement/v1")
        .chain_update([kind.byte()]);
    let hash = registers
        .iter()
        .fold(hash, |hash, register| hash.chain_update(register));
    hash.finalize().into()
}

/// The hash of the name of a platform: of the PPID, or of the chip's id.
pub(crate) fn platform(kind: Kind, name: &[u8]) -> Hash {
    let hash = Sha256::new()
        .chain_update(b"starling/tee/platform/v1")
        // The technologies of Intel share their platforms.
        .chain_update([u8::from(kind == Kind::Snp)])
        .chain_update(name);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding<'static> {
        Binding {
            genesis: [1; 32],
            account: &[2; 32],
            inference_key: [3; 32],
            peer: [4; 32],
            model: [5; 32],
            block: [6; 32],
            hop_key: [7; 32],
        }
    }

    #[test]
    fn each_field_changes_the_report_data() {
        let own = report_data(&binding());
        let mut others = Vec::new();
        for change in 0..7 {
            let mut other = binding();
            match change {
                0 => other.genesis = [9; 32],
                1 => other.account = &[9; 32],
                2 => other.inference_key = [9; 32],
                3 => other.peer = [9; 32],
                4 => other.model = [9; 32],
                5 => other.block = [9; 32],
                _ => other.hop_key = [9; 32],
            }
            others.push(report_data(&other));
        }
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, own);
            assert!(!others[..index].contains(other));
        }
        assert_eq!(others[6][..32], own[..32]);
        assert_ne!(others[6][32..], own[32..]);
    }

    #[test]
    fn measurements_of_two_technologies_differ() {
        let register: &[u8] = &[1; 48];
        assert_ne!(
            measurement(Kind::Tdx, &[register]),
            measurement(Kind::Snp, &[register])
        );
        assert_ne!(platform(Kind::Tdx, &[1; 16]), platform(Kind::Snp, &[1; 16]));
        assert_eq!(platform(Kind::Tdx, &[1; 16]), platform(Kind::Sgx, &[1; 16]));
    }

    #[test]
    fn a_floor_holds_for_each_version() {
        let floor = SnpTcb {
            controller: 1,
            boot_loader: 1,
            tee: 1,
            snp: 1,
            microcode: 1,
        };
        assert!(floor.is_at_least(&floor));
        assert!(floor.is_at_least(&SnpTcb::default()));
        for below in [
            SnpTcb {
                controller: 0,
                ..floor
            },
            SnpTcb {
                boot_loader: 0,
                ..floor
            },
            SnpTcb { tee: 0, ..floor },
            SnpTcb { snp: 0, ..floor },
            SnpTcb {
                microcode: 0,
                ..floor
            },
        ] {
            assert!(!below.is_at_least(&floor));
        }
    }
}

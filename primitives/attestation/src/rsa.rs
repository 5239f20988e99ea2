// SPDX-License-Identifier: Apache-2.0
//! RSA-PSS with 4,096 bits and SHA-384, as AMD signs certificates: RFC 8017, sections 8.1.2 and
//! 9.1.2. Verification alone, so nothing here is secret.

use alloc::{vec, vec::Vec};
use der::{asn1::UintRef, Reader as _, SliceReader};
use num_bigint::BigUint;
use sha2::{Digest, Sha384};

use crate::Fault;

/// Length of modulus and signature, in bytes.
const MODULUS: usize = 512;
/// Length of a hash and of the salt, in bytes.
const HASH: usize = 48;
/// Length of the masked block, in bytes: what hash and trailer leave.
const BLOCK: usize = 463;
/// Length of the padding before the salt, in bytes.
const PADDING: usize = 414;
/// The encoded message has a bit less than the modulus.
const TOP_BIT: u8 = 0x80;
const EXPONENT: &[u8] = &[1, 0, 1];
const TRAILER: u8 = 0xbc;

/// Checks the signature of a key, given as `RSAPublicKey` in DER, under a message.
pub(crate) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Fault> {
    let modulus = modulus(key)?;
    let signature = BigUint::from_bytes_be(signature);
    if signature >= modulus {
        return Err(Fault::Issuer);
    }
    let encoded = signature.modpow(&BigUint::from_bytes_be(EXPONENT), &modulus);
    if is_encoding(&padded(&encoded.to_bytes_be()), message) {
        Ok(())
    } else {
        Err(Fault::Issuer)
    }
}

/// The modulus of a key with 4,096 bits and the usual exponent. It is odd.
fn modulus(key: &[u8]) -> Result<BigUint, Fault> {
    let (modulus, exponent) = numbers(key).map_err(|_| Fault::Certificate)?;
    let is_odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    if modulus.len() == MODULUS && is_odd && exponent == EXPONENT {
        Ok(BigUint::from_bytes_be(modulus))
    } else {
        Err(Fault::Certificate)
    }
}

/// Modulus and exponent without leading zeros.
fn numbers(key: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(key)?;
    reader.sequence(|reader| {
        let modulus: UintRef<'_> = reader.decode()?;
        let exponent: UintRef<'_> = reader.decode()?;
        Ok((modulus.as_bytes(), exponent.as_bytes()))
    })
}

/// A number with leading zeros up to the length of the modulus.
fn padded(number: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; MODULUS.saturating_sub(number.len())];
    bytes.extend_from_slice(number);
    bytes
}

/// Whether `encoded` is an encoding of `message`.
fn is_encoding(encoded: &[u8], message: &[u8]) -> bool {
    let Some((masked, rest)) = encoded.split_at_checked(BLOCK) else {
        return false;
    };
    let Some((hash, trailer)) = rest.split_at_checked(HASH) else {
        return false;
    };
    let is_short = masked.first().is_some_and(|byte| byte & TOP_BIT == 0);
    let mut block: Vec<u8> = masked
        .iter()
        .zip(mask(hash))
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    if let Some(byte) = block.first_mut() {
        *byte &= !TOP_BIT;
    }
    let Some((padding, salted)) = block.split_at_checked(PADDING) else {
        return false;
    };
    let Some((1, salt)) = salted.split_first() else {
        return false;
    };
    let expected = Sha384::new()
        .chain_update([0_u8; 8])
        .chain_update(Sha384::digest(message))
        .chain_update(salt)
        .finalize();
    trailer == [TRAILER]
        && is_short
        && padding.iter().all(|byte| *byte == 0)
        && expected[..] == *hash
}

/// The mask of MGF1.
fn mask(seed: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0_u32..).flat_map(move |counter| {
        Sha384::new()
            .chain_update(seed)
            .chain_update(counter.to_be_bytes())
            .finalize()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DER of a key: the modulus needs a leading zero, since its first bit is set.
    fn key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let modulus = [&[0][..], modulus].concat();
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let mut content = [&[0x02, 0x82][..], len(&modulus).as_slice(), &modulus].concat();
        content.extend([0x02, u8::try_from(exponent.len()).unwrap()]);
        content.extend_from_slice(exponent);
        [&[0x30, 0x82][..], len(&content).as_slice(), &content].concat()
    }

    #[test]
    fn other_keys_are_refused() {
        let mut number = vec![0xff; MODULUS];
        assert!(modulus(&key(&number, EXPONENT)).is_ok());
        assert_eq!(modulus(&key(&number, &[3])), Err(Fault::Certificate));
        assert_eq!(
            modulus(&key(&number[1..], EXPONENT)),
            Err(Fault::Certificate)
        );
        number[MODULUS - 1] = 0xfe;
        assert_eq!(modulus(&key(&number, EXPONENT)), Err(Fault::Certificate));
        assert_eq!(modulus(&[]), Err(Fault::Certificate));
    }

    #[test]
    fn a_signature_is_below_the_modulus_and_encodes_the_message() {
        let key = key(&[0xff; MODULUS], EXPONENT);
        for signature in [&[0xff; MODULUS][..], &[0xff; 2 * MODULUS], &[1], &[]] {
            assert_eq!(verify(&key, b"message", signature), Err(Fault::Issuer));
        }
    }

    #[test]
    fn an_encoding_fits_one_message() {
        let salt = [5; HASH];
        let hash = Sha384::new()
            .chain_update([0_u8; 8])
            .chain_update(Sha384::digest(b"message"))
            .chain_update(salt)
            .finalize();
        let block = [&[0; PADDING][..], &[1], &salt].concat();
        let mut encoded: Vec<u8> = block.iter().zip(mask(&hash)).map(|(a, b)| a ^ b).collect();
        encoded[0] &= !TOP_BIT;
        encoded.extend(hash);
        encoded.push(TRAILER);
        assert!(is_encoding(&encoded, b"message"));
        assert!(!is_encoding(&encoded, b"another"));
        for index in 0..encoded.len() {
            encoded[index] ^= 1;
            assert!(!is_encoding(&encoded, b"message"), "byte {index}");
            encoded[index] ^= 1;
        }
        encoded[0] |= TOP_BIT;
        assert!(!is_encoding(&encoded, b"message"));
    }
}

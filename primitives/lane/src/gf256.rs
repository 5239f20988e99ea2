// SPDX-License-Identifier: Apache-2.0
//! The field with 256 elements, modulo `x^8 + x^4 + x^3 + x + 1`. Addition is `^`.
//!
//! There are no tables and no branches: neither time nor memory accesses tell anything of secrets.

/// `x^8` in this field.
const REDUCED: u8 = 0x1b;

/// `a · b`.
pub fn mul(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    for _ in 0..u8::BITS {
        product ^= a & (b & 1).wrapping_neg();
        let overflow = (a >> 7).wrapping_neg();
        a = (a << 1) ^ (overflow & REDUCED);
        b >>= 1;
    }
    product
}

/// `1 / a`, which is `a^254`; 0 for 0.
pub fn inverse(a: u8) -> u8 {
    // 254 is 11111110 in binary.
    let mut power = mul(a, a);
    let mut inverse = power;
    for _ in 0..6 {
        power = mul(power, power);
        inverse = mul(inverse, power);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_standard() {
        // FIPS 197, section 4.2.
        assert_eq!(mul(0x57, 0x83), 0xc1);
        assert_eq!(mul(0x57, 0x13), 0xfe);
    }

    #[test]
    fn it_is_a_field() {
        for a in 0..=u8::MAX {
            assert_eq!(mul(a, inverse(a)), u8::from(a != 0));
            for b in 0..=u8::MAX {
                assert_eq!(mul(a, b), mul(b, a));
                for c in [0x02, 0x8d, 0xff] {
                    assert_eq!(mul(a, b ^ c), mul(a, b) ^ mul(a, c));
                    assert_eq!(mul(a, mul(b, c)), mul(mul(a, b), c));
                }
            }
        }
    }
}

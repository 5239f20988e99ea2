// SPDX-License-Identifier: Apache-2.0
//! Natural logarithms by a table.

/// `ln 2`.
const LN_2: i64 = 2_977_044_472;

/// `ln(1 + i/256)` for `i` from 0 to 256.
const TABLE: [u32; 257] = [
    0, 16744533, 33424039, 50039020, 66589974, 83077393, 99501762, 115863562, 132163268, 148401349,
    164578269, 180694488, 196750459, 212746631, 228683449, 244561349, 260380768, 276142134,
    291845871, 307492399, 323082134, 338615487, 354092863, 369514665, 384881291, 400193133,
    415450582, 430654022, 445803834, 460900396, 475944079, 490935254, 505874286, 520761536,
    535597362, 550382118, 565116154, 579799817, 594433450, 609017394, 623551984, 638037554,
    652474432, 666862946, 681203418, 695496167, 709741511, 723939763, 738091233, 752196229,
    766255054, 780268011, 794235396, 808157507, 822034634, 835867069, 849655098, 863399005,
    877099072, 890755577, 904368797, 917939005, 931466472, 944951467, 958394255, 971795100,
    985154263, 998472001, 1011748572, 1024984229, 1038179224, 1051333805, 1064448219, 1077522711,
    1090557523, 1103552895, 1116509066, 1129426270, 1142304743, 1155144714, 1167946415, 1180710071,
    1193435910, 1206124153, 1218775023, 1231388739, 1243965519, 1256505579, 1269009132, 1281476389,
    1293907562, 1306302859, 1318662486, 1330986647, 1343275546, 1355529384, 1367748360, 1379932673,
    1392082518, 1404198090, 1416279581, 1428327183, 1440341085, 1452321476, 1464268541, 1476182467,
    1488063435, 1499911628, 1511727226, 1523510409, 1535261353, 1546980234, 1558667227, 1570322505,
    1581946239, 1593538601, 1605099758, 1616629879, 1628129128, 1639597673, 1651035675, 1662443297,
    1673820701, 1685168045, 1696485489, 1707773188, 1719031300, 1730259979, 1741459379, 1752629651,
    1763770948, 1774883418, 1785967210, 1797022473, 1808049353, 1819047995, 1830018543, 1840961141,
    1851875930, 1862763052, 1873622647, 1884454852, 1895259807, 1906037648, 1916788510, 1927512529,
    1938209838, 1948880570, 1959524856, 1970142828, 1980734614, 1991300345, 2001840147, 2012354148,
    2022842474, 2033305250, 2043742599, 2054154646, 2064541513, 2074903321, 2085240191, 2095552242,
    2105839594, 2116102364, 2126340670, 2136554628, 2146744353, 2156909961, 2167051565, 2177169278,
    2187263213, 2197333481, 2207380193, 2217403458, 2227403387, 2237380086, 2247333665, 2257264230,
    2267171887, 2277056741, 2286918897, 2296758460, 2306575533, 2316370217, 2326142616, 2335892829,
    2345620959, 2355327104, 2365011363, 2374673836, 2384314620, 2393933811, 2403531508, 2413107804,
    2422662797, 2432196579, 2441709246, 2451200890, 2460671605, 2470121482, 2479550612, 2488959088,
    2498346998, 2507714433, 2517061482, 2526388233, 2535694775, 2544981195, 2554247578, 2563494013,
    2572720585, 2581927378, 2591114477, 2600281967, 2609429930, 2618558451, 2627667611, 2636757492,
    2645828176, 2654879744, 2663912276, 2672925851, 2681920551, 2690896452, 2699853634, 2708792175,
    2717712152, 2726613642, 2735496721, 2744361466, 2753207951, 2762036253, 2770846446, 2779638603,
    2788412798, 2797169106, 2805907598, 2814628347, 2823331424, 2832016902, 2840684851, 2849335342,
    2857968445, 2866584230, 2875182766, 2883764122, 2892328366, 2900875568, 2909405794, 2917919111,
    2926415587, 2934895289, 2943358281, 2951804631, 2960234402, 2968647661, 2977044472,
];

/// `ln value`; both numbers have 32 fractional bits. 0 counts as the least number above it.
///
/// The table has 256 parts, with straight lines between them. The result never falls as the value
/// grows, and is at most 2e-6 below the exact one.
pub fn ln(value: u64) -> i64 {
    let value = value.max(1);
    let zeros = value.leading_zeros();
    // In [1, 2), with 63 fractional bits: the first one is always set.
    let mantissa = value.wrapping_shl(zeros);
    let part = ((mantissa >> 55) & 0xff) as usize;
    let within = (mantissa >> 23) & u64::from(u32::MAX);
    let at = |index: usize| u64::from(TABLE.get(index).copied().unwrap_or_default());
    let (low, high) = (at(part), at(part.saturating_add(1)));
    let more = high.saturating_sub(low).saturating_mul(within) >> 32;
    let fraction = i64::try_from(low.saturating_add(more)).unwrap_or(i64::MAX);
    // 1 has 31 zeros.
    31i64
        .saturating_sub(zeros.into())
        .saturating_mul(LN_2)
        .saturating_add(fraction)
}

/// The log-odds `ln(p / (1 − p))` of a probability; both numbers have 32 fractional bits.
pub fn logit(probability: u64) -> i64 {
    let against = super::ONE.saturating_sub(probability);
    ln(probability).saturating_sub(ln(against))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::ONE;
    use proptest::prelude::*;

    fn float(value: i64) -> f64 {
        value as f64 / ONE as f64
    }

    #[test]
    fn the_table_has_the_logarithms_to_the_last_bit() {
        for (index, entry) in TABLE.iter().enumerate() {
            let exact = (index as f64 / 256.0).ln_1p() * ONE as f64;
            assert!((f64::from(*entry) - exact).abs() < 0.51, "{index}");
        }
        assert_eq!(i64::from(TABLE[256]), LN_2);
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(ln(ONE), 0);
        assert_eq!(ln(2 * ONE), LN_2);
        assert_eq!(ln(ONE / 2), -LN_2);
        assert_eq!(ln(0), -32 * LN_2);
        assert!(ln(u64::MAX) <= 32 * LN_2);
    }

    #[test]
    fn odds_of_a_half_are_even() {
        assert_eq!(logit(ONE / 2), 0);
        assert_eq!(logit(ONE), 32 * LN_2);
        assert_eq!(logit(u64::MAX), ln(u64::MAX) + 32 * LN_2);
        assert!((float(logit(ONE / 50 * 49)) - 49f64.ln()).abs() < 1e-5);
    }

    proptest! {
        #[test]
        fn logarithms_agree_with_floats(value in 1..=u64::MAX, shift in 0..64u32) {
            let value = (value >> shift).max(1);
            let error = float(ln(value)) - (value as f64 / ONE as f64).ln();
            prop_assert!((-2e-6..1e-8).contains(&error), "{value}: {error}");
        }

        #[test]
        fn a_greater_number_has_no_lesser_logarithm(a: u64, b: u64, near in 0..300u64) {
            prop_assert!(ln(a.min(b)) <= ln(a.max(b)));
            prop_assert!(ln(a) <= ln(a.saturating_add(near)));
            let a = a >> 40;
            prop_assert!(ln(a) <= ln(a + near));
        }

        #[test]
        fn odds_against_are_the_odds_with_the_other_sign(probability in 0..=ONE) {
            prop_assert_eq!(logit(probability), -logit(ONE - probability));
        }
    }
}

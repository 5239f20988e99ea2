// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::mock::*;

#[test]
fn a_round_counts_with_enough_disclosers_fee_and_spread() {
    run(|| {
        let counts = <Ratings as starling_primitives::traits::Ratings<AccountId>>::counts;
        assert!(counts(5, 100, ONE / 10));
        assert!(!counts(4, 100, ONE / 10), "too few disclosed");
        assert!(!counts(5, 99, ONE / 10), "too cheap to farm");
        assert!(!counts(5, 100, ONE / 10 - 1), "nothing to tell apart");
    });
}

#[test]
fn a_round_without_scores_leaves_no_trace() {
    run(|| {
        Ratings::record(&1, round(0, 0));
        assert!(!crate::Records::<Test>::contains_key(1));
        assert!(System::events().is_empty());
    });
}

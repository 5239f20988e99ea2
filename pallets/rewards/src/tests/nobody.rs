// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{rewards::Paid, traits::Rewards as _};

use crate::{mock::*, Parameters};

#[test]
fn a_round_that_pays_nobody_pays_the_treasury() {
    run(|| {
        let paid = settle(500, 40, Rewards::pay_nobody);
        assert_eq!(
            paid,
            Paid {
                treasury: 540,
                ..Default::default()
            }
        );
    });
}

#[test]
fn if_forfeits_are_burnt_only_the_fee_reaches_the_treasury() {
    run(|| {
        Chosen::set(Parameters::paper());
        let paid = settle(500, 40, Rewards::pay_nobody);
        assert_eq!(
            paid,
            Paid {
                treasury: 500,
                burnt: 40,
                ..Default::default()
            }
        );
    });
}

// SPDX-License-Identifier: Apache-2.0
//! The votes of validators on finality, as signs of life.

use alloc::vec::Vec;
use codec::Decode;
use sp_staking::SessionIndex;
use starling_primitives::traits::Votes;

use crate::{weights, AccountId, Runtime, SessionKeys};

impl pallet_votes::Config for Runtime {
    type WeightInfo = weights::pallet_votes::WeightInfo<Runtime>;
}

/// The votes that blocks brought, by the accounts behind the keys.
pub struct VotesOfRuntime;

impl Votes<AccountId> for VotesOfRuntime {
    fn take(session: SessionIndex) -> Option<Vec<AccountId>> {
        let voters = crate::Votes::take();
        let voted = |keys: &[u8]| {
            SessionKeys::decode(&mut &*keys).is_ok_and(|keys| voters.contains(&keys.grandpa))
        };
        // The keys of a session that was planned by the first release are not known.
        let keys = pallet_agents::ActiveKeys::<Runtime>::get(session);
        let accounts: Vec<_> = keys
            .into_iter()
            .filter(|(_, keys)| voted(keys))
            .map(|(who, _)| who)
            .collect();
        (!accounts.is_empty()).then_some(accounts)
    }
}

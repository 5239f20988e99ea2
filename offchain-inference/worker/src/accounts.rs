// SPDX-License-Identifier: Apache-2.0

//! The accounts of the agents that this node works for.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::RwLock;
use sp_core::crypto::Ss58Codec;

use crate::{chain::Standing, config::Config, AccountId};

/// The accounts that the configuration names. A key in the keystore is no order to work: programs
/// other than the operator's may have put it there.
///
/// Clones share the accounts, so that all parts of a worker follow a change of the file.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<RwLock<BTreeSet<AccountId>>>);

impl Accounts {
    /// Whether the node works for the agent of an account.
    pub fn contains(&self, account: &AccountId) -> bool {
        self.0.read().contains(account)
    }

    /// The accounts.
    pub fn all(&self) -> Vec<AccountId> {
        self.0.read().iter().cloned().collect()
    }

    /// Takes over the accounts of a configuration.
    pub fn configure(&self, config: &Config) {
        let accounts = config.accounts.iter().map(|account| account.0.clone());
        *self.0.write() = accounts.collect();
    }

    /// Whether a key of the keystore belongs to another account. A key that serves no agent yet
    /// does not: it may be registered at any time.
    pub(crate) fn is_foreign(&self, standing: &Standing) -> bool {
        let agent = standing.agent.as_ref();
        agent.is_some_and(|(account, _)| !self.contains(account))
    }

    /// Fails if an account has no key among those of the keystore.
    pub(crate) fn have_keys(&self, standings: &[Standing]) -> Result<(), String> {
        if standings.is_empty() {
            return Err(
                "the keystore holds no key of type `infr`; insert one with `starling-node key \
                 insert --key-type infr --scheme sr25519` and register it"
                    .into(),
            );
        }
        let has_key = |account: &AccountId| {
            let mut agents = standings.iter().filter_map(|one| one.agent.as_ref());
            agents.any(|(agent, _)| agent == account)
        };
        let accounts = self.0.read();
        let without = accounts.iter().filter(|account| !has_key(account));
        let without: Vec<_> = without.map(Ss58Codec::to_ss58check).collect();
        if without.is_empty() {
            return Ok(());
        }
        Err(format!(
            "no key of the keystore is registered for {}; register one with `starling agent \
             register`, or correct `accounts`",
            without.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::sr25519;
    use starling_primitives::api::AgentView;

    fn account(id: u8) -> AccountId {
        [id; 32].into()
    }

    fn accounts(ids: &[u8]) -> Accounts {
        let ids = ids.iter().map(|id| account(*id));
        Accounts(Arc::new(RwLock::new(ids.collect())))
    }

    fn standing(key: u8, agent: Option<u8>) -> Standing {
        let key = sr25519::Public::from_raw([key; 32]);
        let view = AgentView {
            key: key.into(),
            active: true,
            bond: 1,
            open_rounds: 0,
            reserved: 0,
            staked_tickets: 0,
            rating: 1,
            weight: 1,
        };
        Standing {
            key: key.into(),
            agent: agent.map(|id| (account(id), view)),
            opens: true,
        }
    }

    #[test]
    fn a_key_of_an_account_that_is_not_named_is_foreign() {
        let accounts = accounts(&[1, 2]);
        assert!(!accounts.is_foreign(&standing(7, Some(1))));
        assert!(accounts.is_foreign(&standing(7, Some(3))));
        assert!(!accounts.is_foreign(&standing(7, None)), "not registered");
        assert!(Accounts::default().is_foreign(&standing(7, Some(1))));
    }

    #[test]
    fn an_account_without_a_key_is_named() {
        let accounts = accounts(&[1, 2]);
        let error = accounts.have_keys(&[]).unwrap_err();
        assert!(error.contains("holds no key of type `infr`"), "{error}");
        let error = accounts.have_keys(&[standing(7, None), standing(8, Some(1))]);
        let error = error.unwrap_err();
        assert!(error.contains(&account(2).to_ss58check()), "{error}");
        assert!(!error.contains(&account(1).to_ss58check()), "{error}");
        let both = [standing(7, Some(1)), standing(8, Some(2))];
        assert_eq!(accounts.have_keys(&both), Ok(()));
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Work of agents and this node for each other, as far as this node sees.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::auth::Account;

/// Maximum number of accounts that are kept.
const MAX_ACCOUNTS: usize = 4_096;

/// Work in both directions, in rows · layers.
#[derive(Clone, Copy, Default)]
struct Work {
    taken: u64,
    given: u64,
}

/// The work of all known accounts.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<HashMap<Account, Work>>);

impl Accounts {
    /// Records that this node computed `rows` through `layers` for an agent.
    pub fn took(&self, account: &Account, rows: usize, layers: usize) {
        self.change(account, |work| {
            work.taken = work.taken.saturating_add(size(rows, layers));
        });
    }

    /// Records that an agent computed `rows` through `layers` for this node.
    pub fn gave(&self, account: &Account, rows: usize, layers: usize) {
        self.change(account, |work| {
            work.given = work.given.saturating_add(size(rows, layers));
        });
    }

    /// An agent's work given less its work taken.
    pub fn balance(&self, account: &Account) -> i128 {
        let work = self.0.lock().get(account).copied().unwrap_or_default();
        i128::from(work.given).saturating_sub(work.taken.into())
    }

    fn change(&self, account: &Account, change: impl FnOnce(&mut Work)) {
        let mut all = self.0.lock();
        if all.len() >= MAX_ACCOUNTS && !all.contains_key(account) {
            // Whoever has exchanged least loses least.
            let sum = |work: &Work| work.taken.saturating_add(work.given);
            let least = all.iter().min_by_key(|(_, work)| sum(work));
            if let Some(least) = least.map(|(account, _)| *account) {
                all.remove(&least);
            }
        }
        change(all.entry(*account).or_default());
    }
}

fn size(rows: usize, layers: usize) -> u64 {
    rows.saturating_mul(layers).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_what_was_given_beyond_what_was_taken() {
        let accounts = Accounts::default();
        assert_eq!(accounts.balance(&[1; 32]), 0);
        accounts.took(&[1; 32], 5, 4);
        assert_eq!(accounts.balance(&[1; 32]), -20);
        accounts.gave(&[1; 32], 10, 3);
        assert_eq!(accounts.balance(&[1; 32]), 10);
        accounts.took(&[2; 32], usize::MAX, usize::MAX);
        accounts.took(&[2; 32], 1, 1);
        assert_eq!(accounts.balance(&[2; 32]), -i128::from(u64::MAX));
    }

    #[test]
    fn the_least_active_account_gives_way() {
        let accounts = Accounts::default();
        let account = |n: usize| {
            let mut account = [0; 32];
            account[..8].copy_from_slice(&n.to_le_bytes());
            account
        };
        for n in 0..=MAX_ACCOUNTS {
            accounts.gave(&account(n), n + 1, 1);
        }
        assert_eq!(accounts.0.lock().len(), MAX_ACCOUNTS);
        assert_eq!(accounts.balance(&account(0)), 0);
        assert_eq!(accounts.balance(&account(1)), 2);
    }
}

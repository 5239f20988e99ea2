// SPDX-License-Identifier: Apache-2.0
//! Arbitrary calls by arbitrary accounts: the state always stays sound, no money comes or goes, and
//! a failed call changes nothing.

use frame_support::pallet_prelude::DispatchResult;
use proptest::prelude::*;
use sp_io::storage::root;
use sp_runtime::StateVersion;
use starling_primitives::{traits::AgentRegistry, Balance};

use crate::mock::*;

#[derive(Clone, Debug)]
enum Op {
    Register(AccountId, u8, Balance),
    BondExtra(AccountId, Balance),
    Unbond(AccountId, Balance),
    Withdraw(AccountId),
    Chill(AccountId),
    Unchill(AccountId),
    Rotate(AccountId, u8),
    Deregister(AccountId),
    Slash(AccountId, Balance),
    Enter(AccountId),
    Reserve(AccountId, Balance),
    /// Ends the oldest reservation of the account, slashed or not.
    End(AccountId, bool),
    Blocks(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 1..=8u64;
    let amount = || prop_oneof![0..20u128, 90..310u128];
    prop_oneof![
        (who(), 1..40u8, amount()).prop_map(|(w, k, a)| Op::Register(w, k, a)),
        (who(), amount()).prop_map(|(w, a)| Op::BondExtra(w, a)),
        (who(), amount()).prop_map(|(w, a)| Op::Unbond(w, a)),
        who().prop_map(Op::Withdraw),
        who().prop_map(Op::Chill),
        who().prop_map(Op::Unchill),
        (who(), 1..40u8).prop_map(|(w, k)| Op::Rotate(w, k)),
        who().prop_map(Op::Deregister),
        (who(), amount()).prop_map(|(w, a)| Op::Slash(w, a)),
        who().prop_map(Op::Enter),
        (who(), amount()).prop_map(|(w, a)| Op::Reserve(w, a)),
        (who(), any::<bool>()).prop_map(|(w, s)| Op::End(w, s)),
        (1..25u64).prop_map(Op::Blocks),
    ]
}

/// The open reservations, as the rounds would know them.
type Open = Vec<(AccountId, Balance)>;

fn apply(op: &Op, open: &mut Open) -> DispatchResult {
    let signed = RuntimeOrigin::signed;
    match *op {
        Op::Register(who, n, bond) => {
            Agents::register(signed(who), key(n), proof(n, who), model("m"), bond)
        },
        Op::BondExtra(who, amount) => Agents::bond_extra(signed(who), amount),
        Op::Unbond(who, amount) => Agents::unbond(signed(who), amount),
        Op::Withdraw(who) => Agents::withdraw_unbonded(signed(who)),
        Op::Chill(who) => Agents::chill(signed(who)),
        Op::Unchill(who) => Agents::unchill(signed(who)),
        Op::Rotate(who, n) => Agents::rotate_key(signed(who), key(n), proof(n, who)),
        Op::Deregister(who) => Agents::deregister(signed(who)),
        Op::Slash(who, amount) => Agents::slash(RuntimeOrigin::root(), who, amount),
        Op::Enter(who) => Agents::enter(signed(12), who),
        Op::Reserve(who, amount) => {
            let can = <Agents as AgentRegistry<_>>::can_reserve(&who, amount);
            let result = <Agents as AgentRegistry<_>>::reserve(&who, amount);
            assert_eq!(can, result.is_ok(), "can_reserve says what reserve does");
            result?;
            open.push((who, amount));
            Ok(())
        },
        Op::End(who, slashed) => {
            if let Some(index) = open.iter().position(|(owner, _)| *owner == who) {
                let (_, amount) = open.remove(index);
                if slashed {
                    keep(<Agents as AgentRegistry<_>>::slash_reserved(&who, amount));
                } else {
                    <Agents as AgentRegistry<_>>::release(&who, amount);
                }
            }
            Ok(())
        },
        Op::Blocks(blocks) => {
            run_to(System::block_number() + blocks);
            Ok(())
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_state_is_sound(ops in prop::collection::vec(op(), 1..120)) {
        Chain::with_agents(&[(1, 300), (2, 200)]).run(|| {
            let mut open = Open::new();
            for op in &ops {
                let before = root(StateVersion::V1);
                let result = frame_support::storage::with_storage_layer(|| apply(op, &mut open));
                if result.is_err() {
                    assert_eq!(root(StateVersion::V1), before, "{op:?} failed and changed");
                }
                Agents::do_try_state().unwrap_or_else(|error| panic!("after {op:?}: {error:?}"));
                for who in 1..=8 {
                    let own: Vec<_> = open.iter().filter(|(owner, _)| *owner == who).collect();
                    let sum: Balance = own.iter().map(|(_, amount)| amount).sum();
                    assert_eq!(
                        <Agents as AgentRegistry<_>>::reservations(&who),
                        (own.len() as u32, sum),
                    );
                }
            }
        });
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Arbitrary sessions of arbitrary agents: bonds without nodes never get enough seats to stop
//! finality, and a set never changes by more than a third.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::{
    mock::*,
    seats::{leaving, tolerated},
    Seats,
};

#[derive(Clone, Debug)]
enum Op {
    Join(AccountId, u128),
    Bond(AccountId, u128),
    Chill(AccountId),
    Unchill(AccountId),
    Leave(AccountId),
    Slash(AccountId, u128),
    Purge(AccountId),
    Stop(AccountId),
    Start(AccountId),
    Sessions(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 1..=11u64;
    prop_oneof![
        2 => (who(), 100..400u128).prop_map(|(w, b)| Op::Join(w, b)),
        1 => (who(), 1..300u128).prop_map(|(w, b)| Op::Bond(w, b)),
        2 => who().prop_map(Op::Chill),
        2 => who().prop_map(Op::Unchill),
        1 => who().prop_map(Op::Leave),
        1 => (who(), 1..300u128).prop_map(|(w, b)| Op::Slash(w, b)),
        1 => who().prop_map(Op::Purge),
        3 => who().prop_map(Op::Stop),
        3 => who().prop_map(Op::Start),
        6 => (1..4u64).prop_map(Op::Sessions),
    ]
}

/// The state at the last session.
#[derive(Default)]
struct Seen {
    seats: BTreeSet<AccountId>,
    purged: bool,
    /// Whether unproven validators could stop finality: once all proven ones took their keys away,
    /// and the first of the others is proven, the rest has to leave.
    unbearable: bool,
}

fn seats() -> BTreeSet<AccountId> {
    let seats = Seats::<Test>::get().into_iter();
    seats.map(|seat| seat.who).collect()
}

/// Runs one session, and checks the set that was planned at its end.
fn session(seen: &mut Seen) {
    sessions(1);
    let planned = Seats::<Test>::get();
    let size = planned.len() as u32;
    let unproven = planned.iter().filter(|seat| !seat.proven()).count() as u32;
    let unbearable = unproven > tolerated(size);
    assert!(
        !unbearable || unproven == size,
        "{unproven} of {size} are unproven"
    );
    let now = seats();
    let left = seen.seats.difference(&now).count() as u32;
    // Nobody can be kept without keys.
    let may_leave = leaving(seen.seats.len() as u32);
    assert!(
        seen.purged || seen.unbearable || left <= may_leave,
        "{left} of {:?} left",
        seen.seats
    );
    assert!(!now.is_empty() || seen.purged || seen.seats.is_empty());
    *seen = Seen {
        seats: now,
        purged: false,
        unbearable,
    };
    Agents::do_try_state().unwrap_or_else(|error| panic!("{error:?}"));
}

fn apply(op: &Op, seen: &mut Seen) {
    let signed = RuntimeOrigin::signed;
    // A call that fails changes nothing; `property` tests that.
    match *op {
        Op::Join(who, bond) => {
            let n = who as u8;
            let _ = Agents::register(signed(who), key(n), proof(n, who), model("m"), bond);
            set_session_keys(who);
        },
        Op::Bond(who, amount) => {
            let _ = Agents::bond_extra(signed(who), amount);
        },
        Op::Chill(who) => {
            let _ = Agents::chill(signed(who));
        },
        Op::Unchill(who) => {
            let _ = Agents::unchill(signed(who));
        },
        Op::Leave(who) => {
            let _ = Agents::deregister(signed(who));
        },
        Op::Slash(who, amount) => {
            let _ = Agents::slash(RuntimeOrigin::root(), who, amount);
        },
        Op::Purge(who) => seen.purged |= Session::purge_keys(signed(who)).is_ok(),
        Op::Stop(who) => Offline::mutate(|offline| {
            offline.insert(who);
        }),
        Op::Start(who) => Offline::mutate(|offline| {
            offline.remove(&who);
        }),
        Op::Sessions(times) => (0..times).for_each(|_| session(seen)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn seats_change_slowly_and_never_stop_finality(
        founders in 1..=7u64,
        min in 1..=5u32,
        ops in prop::collection::vec(op(), 1..120),
    ) {
        MaxCandidates::set(11);
        MaxValidators::set(9);
        MinValidators::set(min);
        Offline::set(BTreeSet::new());
        let founders: Vec<_> = (1..=founders).map(|who| (who, 200)).collect();
        Chain::with_agents(&founders).run(|| {
            let mut seen = Seen { seats: seats(), ..Seen::default() };
            for op in &ops {
                apply(op, &mut seen);
            }
        });
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The decision to follow a plan, and the order in which nodes move.
//!
//! Nobody coordinates. Anyone proposes a plan, everyone scores it on a picture of its own, and each
//! node decides for itself. A plan is worth following if it gains more than its moves cost. It is
//! followed once holders of more than half of the model's memory announce it. They must belong to
//! at least three accounts if there are three, so that no account can move a swarm alone. Every
//! prefix of its moves leaves every layer with a holder.
//!
//! Without a plan a node moves by itself: to the [`next`] span if it gains more than it costs, and
//! only when it [`may_leave`] its layers, whatever the others decide at the same time.

use std::{cmp::Ordering, collections::BTreeSet};

use blake2::{digest::consts::U32, Blake2b, Digest};

use crate::{
    cost::{clients, Costs, Evaluator, Objective, Score, Switch},
    petals::{relocate, Server, MOVE_BELOW},
    picture::Picture,
    placement::{Placement, Span},
    search::REPORTED_CLIENTS,
};

/// The price of moves, and the least gain of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hysteresis {
    /// λ: the price of moving all layers, in ln G.
    pub price: f64,
    /// The least gain in ln G on top.
    pub least_gain: f64,
}

impl Hysteresis {
    /// The price for a mean time to load a span: 0.3 from disk, about 1 over the network.
    pub fn of_loading(seconds: f64) -> Self {
        let price = seconds / 600.0;
        Self {
            // A loading time that is not a number counts as a download.
            price: if price.is_nan() {
                1.0
            } else {
                price.clamp(0.3, 3.0)
            },
            least_gain: 0.03,
        }
    }

    /// True if a plan that moves this share of all layers is worth following.
    pub fn worth(&self, now: &Score, plan: &Score, moved: f64) -> bool {
        if plan.uncovered != now.uncovered {
            return plan.uncovered < now.uncovered;
        }
        plan.total.ln() + self.price * moved < now.total.ln() - self.least_gain
    }
}

/// The share of all layers held that a plan moves.
pub fn moved_share(now: &Placement, plan: &Placement) -> f64 {
    let both = now.0.iter().zip(&plan.0);
    let moved: u32 = both
        .filter(|(now, plan)| now != plan)
        .map(|(_, plan)| u32::from(plan.len()))
        .sum();
    let all: u32 = plan.0.iter().map(|span| u32::from(span.len())).sum();
    f64::from(moved) / f64::from(all.max(1))
}

/// One node's move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The node.
    pub node: usize,
    /// Its present span.
    pub from: Span,
    /// Its next span.
    pub to: Span,
}

/// Moves one after the other from one placement to another. A node is away while it loads. It never
/// moves while it alone holds a layer that has a holder now; a node that cannot move without that
/// stays.
pub fn in_order(picture: &Picture, now: &Placement, plan: &Placement) -> Vec<Move> {
    let layers = picture.model().layers;
    let now = now.allowed(picture);
    let plan = plan.allowed(picture);
    let mut holders = now.holders(layers);
    let mut left: Vec<_> = (0..now.0.len())
        .filter(|&node| now.0[node] != plan.0[node])
        .collect();
    let mut moves = vec![];
    let range = |span: Span| usize::from(span.start)..usize::from(span.end);
    while let Some(place) = left
        .iter()
        .position(|&node| holders[range(now.0[node])].iter().all(|&held| held > 1))
    {
        let node = left.remove(place);
        let (from, to) = (now.0[node], plan.0[node]);
        holders[range(from)].iter_mut().for_each(|held| *held -= 1);
        holders[range(to)].iter_mut().for_each(|held| *held += 1);
        moves.push(Move { node, from, to });
    }
    moves
}

/// The next span of a node while the others stay, as long as its present one; `None` if it stays.
///
/// The best place by the one cost is taken if it gains more than moving there costs. Else the place
/// that [`relocate`] finds is taken, which counts on others to move as well, unless it makes the
/// swarm worse by more than the least gain.
pub fn next(
    picture: &Picture,
    now: &Placement,
    node: usize,
    objective: &Objective,
    hysteresis: &Hysteresis,
) -> Option<Span> {
    let now = now.allowed(picture);
    let present = *now.0.get(node)?;
    if present.is_empty() {
        return None;
    }
    let (layers, length) = (picture.model().layers, present.len());
    let costs = Costs::new(picture);
    let clients = clients(costs.nodes(), REPORTED_CLIENTS);
    let mut evaluator = Evaluator::new(&costs, *objective, clients);
    let moved_to = |span: Span| {
        let mut placement = now.clone();
        placement.0[node] = span;
        placement
    };
    let mut score = |span: Span| evaluator.score(&moved_to(span), Switch::AtEnds);
    let before = score(present);
    let places = (0..=layers - length).map(|start| Span::of(start, length));
    let better = |best: (Score, Span), other: (Score, Span)| match other.0.compare(&best.0) {
        Ordering::Less => other,
        _ => best,
    };
    let (best, place) = places.map(|span| (score(span), span)).reduce(better)?;
    let share = moved_share(&now, &moved_to(place));
    if hysteresis.worth(&before, &best, share) {
        return Some(place);
    }
    let server = |(at, span): (usize, &Span)| Server {
        span: span.start.into()..span.end.into(),
        rate: costs.rate(at, span.len()),
    };
    let own = server((node, &present));
    let others = now.0.iter().enumerate().filter(|(at, _)| *at != node);
    let others: Vec<_> = others.map(server).collect();
    let place = relocate(layers.into(), &own, &others, MOVE_BELOW)?;
    let place = Span::of(u16::try_from(place.start).ok()?, length);
    let most = before.total.ln() + hysteresis.least_gain;
    (score(place).total.ln() <= most).then_some(place)
}

/// True if a node may leave its span in an epoch, whatever the others decide in it.
///
/// `turns` are the places of all nodes in the order of the epoch's [`proposers`]. Those of a
/// layer's holders that come later must suffice without this node: they are of two accounts, or of
/// one if all holders of the layer are. So the last ones stay, and a layer keeps a holder however
/// many nodes leave it at once, also where nodes do not know of all holders. In a swarm that cannot
/// answer anyway there is nothing to keep.
pub fn may_leave(
    layers: u16,
    now: &Placement,
    accounts: &[[u8; 32]],
    node: usize,
    turns: &[usize],
) -> bool {
    let Some(own) = now.0.get(node) else {
        return false;
    };
    if now.holders(layers).contains(&0) {
        return true;
    }
    let place = turns.iter().position(|turn| *turn == node);
    let later = place.and_then(|place| turns.get(place + 1..));
    let later = later.unwrap_or_default();
    let holds = |node: usize, layer: u16| {
        let span = now.0.get(node);
        span.is_some_and(|span| (span.start..span.end).contains(&layer))
    };
    let voices = |nodes: &[usize], layer: u16| {
        let holders = nodes.iter().filter(|node| holds(**node, layer));
        let accounts = holders.filter_map(|node| accounts.get(*node));
        accounts.collect::<BTreeSet<_>>().len()
    };
    (own.start..own.end).all(|layer| voices(later, layer) >= voices(turns, layer).clamp(1, 2))
}

/// A holder's announcement of the plan that it would follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Layers that it has memory for.
    pub capacity: u16,
    /// Its account.
    pub account: [u8; 32],
    /// The hash of the plan, if it would follow one.
    pub plan: Option<[u8; 32]>,
}

/// True if a plan is in force: holders with more than half of the memory announce it, of at least
/// three accounts, or of all if there are fewer.
pub fn in_force(holders: &[Announced], plan: &[u8; 32]) -> bool {
    let accounts = |of: &dyn Fn(&Announced) -> bool| {
        let mut accounts: Vec<_> = holders
            .iter()
            .filter(|h| of(h))
            .map(|h| h.account)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts.len()
    };
    let memory = |of: &dyn Fn(&Announced) -> bool| -> u64 {
        let of = holders.iter().filter(|h| of(h));
        of.map(|h| u64::from(h.capacity)).sum()
    };
    let follows = |holder: &Announced| holder.plan.as_ref() == Some(plan);
    let needed = accounts(&|_| true).min(3);
    needed > 0 && accounts(&follows) >= needed && memory(&follows) * 2 > memory(&|_| true)
}

/// The proposers of a plan in an epoch: places of the peers in the order of their turns, by the
/// hash of model, epoch and peer.
pub fn proposers(model: &[u8], epoch: u64, peers: &[&[u8]]) -> Vec<usize> {
    let turn = |place: &usize| -> [u8; 32] {
        let mut hasher = Blake2b::<U32>::new();
        hasher.update((model.len() as u64).to_le_bytes());
        hasher.update(model);
        hasher.update(epoch.to_le_bytes());
        hasher.update(peers[*place]);
        hasher.finalize().into()
    };
    let mut order: Vec<_> = (0..peers.len()).collect();
    order.sort_by_cached_key(turn);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{placements, total};

    proptest! {
        #[test]
        fn no_move_leaves_a_layer_without_a_holder((picture, now) in placements(8, 8), to in proptest::collection::vec((0u16..8, 0u16..8), 8)) {
            let layers = picture.model().layers;
            let plan = Placement(to.iter().map(|&(s, l)| Span::of(s, l)).collect()).allowed(&picture);
            let before = now.holders(layers);
            let mut present = now.clone();
            let mut moved = vec![];
            for step in in_order(&picture, &now, &plan) {
                prop_assert_eq!(present.0[step.node], step.from);
                prop_assert_eq!(plan.0[step.node], step.to);
                prop_assert!(!moved.contains(&step.node));
                moved.push(step.node);
                // While it loads, it holds nothing.
                present.0[step.node] = Span::default();
                let away = present.holders(layers);
                prop_assert!(before.iter().zip(&away).all(|(b, a)| *b == 0 || *a > 0));
                present.0[step.node] = step.to;
            }
        }
    }

    proptest! {
        /// Nodes decide at once, on views that miss some of the others.
        #[test]
        fn whoever_leaves_at_once_a_layer_keeps_a_holder(
            (picture, now) in placements(8, 8),
            accounts in proptest::collection::vec(0u8..4, 8),
            missed in proptest::collection::vec(any::<bool>(), 64),
            epoch in any::<u64>(),
        ) {
            let layers = picture.model().layers;
            let nodes = now.0.len();
            let accounts: Vec<_> = accounts.iter().map(|account| [*account; 32]).collect();
            let peers: Vec<_> = (0..nodes as u8).map(|node| [node]).collect();
            let complete = !now.holders(layers).contains(&0);
            let mut left = now.clone();
            let mut leaving = BTreeSet::new();
            for node in 0..nodes {
                let seen = |other: &usize| *other == node || !missed[8 * node + other];
                let seen: Vec<_> = (0..nodes).filter(seen).collect();
                let view = Placement(seen.iter().map(|other| now.0[*other]).collect());
                let of: Vec<_> = seen.iter().map(|other| accounts[*other]).collect();
                let known: Vec<_> = seen.iter().map(|other| &peers[*other][..]).collect();
                let turns = proposers(b"model", epoch, &known);
                let own = seen.iter().position(|other| *other == node).unwrap();
                let sees_all = seen.len() == nodes;
                let incomplete = view.holders(layers).contains(&0);
                // A swarm that seems unable to answer has nothing to keep.
                if (sees_all || !incomplete) && may_leave(layers, &view, &of, own, &turns) {
                    left.0[node] = Span::default();
                    leaving.insert(node);
                }
            }
            if complete {
                let kept = left.holders(layers);
                prop_assert!(kept.iter().all(|held| *held > 0), "{leaving:?} leave");
            }
        }

        #[test]
        fn nobody_moves_to_a_worse_place((picture, now) in placements(8, 8), node in 0usize..8) {
            let free = Hysteresis { price: 0.0, least_gain: 0.0 };
            let objective = Objective::default();
            if let Some(span) = next(&picture, &now, node, &objective, &free) {
                let mut moved = now.clone();
                prop_assert_eq!(span.len(), moved.0[node].len());
                prop_assert_ne!(span, moved.0[node]);
                moved.0[node] = span;
                prop_assert_eq!(&moved.allowed(&picture), &moved);
                prop_assert!(total(&picture, &moved) <= total(&picture, &now) * (1.0 + 1e-9));
            }
        }
    }

    #[test]
    fn the_last_holders_of_two_accounts_stay() {
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
        let leave = |accounts: &[[u8; 32]]| -> Vec<_> {
            let nodes = accounts.len();
            let now = Placement(vec![Span::of(0, 4); nodes]);
            let turns: Vec<_> = (0..nodes).collect();
            let may = |node: &usize| may_leave(4, &now, accounts, *node, &turns);
            (0..nodes).filter(may).collect()
        };
        assert_eq!(leave(&[a, b, c]), [0]);
        assert_eq!(leave(&[a, b]), [0usize; 0]);
        assert_eq!(leave(&[a, a, b]), [0]);
        assert_eq!(leave(&[a, b, b]), [0usize; 0]);
        assert_eq!(leave(&[a, a]), [0], "one account has no other");
        assert_eq!(leave(&[a]), [0usize; 0]);
        // Nobody answers with half of the layers, and whoever helps may go.
        let half = Placement(vec![Span::of(0, 2)]);
        assert!(may_leave(4, &half, &[a], 0, &[0]));
    }

    fn score(total: f64) -> Score {
        Score {
            token: total,
            rate: 1.0,
            risk: 0.0,
            uncovered: 0,
            total,
        }
    }

    #[test]
    fn a_plan_must_gain_more_than_it_moves() {
        let downloads = Hysteresis::of_loading(600.0);
        assert!((downloads.price - 1.0).abs() < 1e-9);
        assert!(downloads.worth(&score(1.0), &score(0.8), 0.1));
        assert!(!downloads.worth(&score(1.0), &score(0.8), 0.2));
        assert!(Hysteresis::of_loading(1.0).worth(&score(1.0), &score(0.8), 0.2));
        // Three per cent are not worth a move.
        assert!(!downloads.worth(&score(1.0), &score(0.98), 0.0));
        let gap = Score {
            uncovered: 1,
            ..score(9.0)
        };
        assert!(downloads.worth(&gap, &score(9.0), 1.0));
        assert!(!downloads.worth(&score(9.0), &gap, 0.0));
    }

    fn holder(capacity: u16, account: u8, plan: Option<u8>) -> Announced {
        Announced {
            capacity,
            account: [account; 32],
            plan: plan.map(|plan| [plan; 32]),
        }
    }

    #[test]
    fn a_plan_needs_half_of_the_memory_and_three_accounts() {
        let plan = [1; 32];
        let mut holders = vec![
            holder(10, 1, Some(1)),
            holder(10, 2, Some(1)),
            holder(10, 3, Some(1)),
            holder(29, 4, Some(2)),
        ];
        assert!(in_force(&holders, &plan));
        holders[3].capacity = 30;
        assert!(!in_force(&holders, &plan));
        // One account with most of the memory does not move the others.
        let one = [
            holder(90, 1, Some(1)),
            holder(5, 2, None),
            holder(5, 3, None),
        ];
        assert!(!in_force(&one, &plan));
        // All of two accounts suffice if there are no more.
        let two = [holder(9, 1, Some(1)), holder(9, 2, Some(1))];
        assert!(in_force(&two, &plan));
        assert!(!in_force(&[], &plan));
    }

    #[test]
    fn every_peer_has_its_turn_and_epochs_differ() {
        let peers: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
        let turns: Vec<_> = (0..20)
            .map(|epoch| proposers(b"model", epoch, &peers))
            .collect();
        for order in &turns {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        let mut first: Vec<_> = turns.iter().map(|order| order[0]).collect();
        first.sort_unstable();
        first.dedup();
        assert!(first.len() > 2);
    }
}

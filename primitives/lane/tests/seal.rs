// SPDX-License-Identifier: Apache-2.0
//! A quorum of shares opens a sealed value, fewer do not, and tampering is found.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::{prelude::*, sample::subsequence};
use starling_lane_primitives::{
    complaint::Complaint,
    seal::{DecryptionKey, Opened, Place, Point, Seal, Spoiled, Unopened},
    shamir::{self, Share},
    Committee, Member, Phase, Slot, Way,
};

const PLACE: Place = Place {
    slot: Slot {
        genesis: [1; 32],
        lane: 2,
        epoch: 3,
        seq: 4,
        phase: Phase::Responses,
    },
    ask: [7; 32],
    sealer: [8; 32],
};

const VIEWS: u8 = 1;

const WAYS: [Way; 2] = [Way::Full, Way::View(0)];

fn keys(committee: Committee) -> Vec<DecryptionKey> {
    let key = |member| DecryptionKey::from_bytes(&[member + 1; 64]);
    committee.members().map(key).collect()
}

fn publics(committee: Committee) -> Vec<Point> {
    keys(committee).iter().map(DecryptionKey::public).collect()
}

fn seal(committee: Committee, secret: &[u8; 32], value: &[u8]) -> Seal {
    let publics = publics(committee);
    Seal::new(committee, PLACE, &publics, VIEWS, secret, value).unwrap()
}

/// The shares of one way of these members.
fn shares(seal: &Seal, committee: Committee, way: Way, of: &[Member]) -> Vec<(Member, Share)> {
    let keys = keys(committee);
    of.iter()
        .map(|member| {
            let own = seal.own_shares(*member, &keys[usize::from(*member)]);
            (*member, *own.unwrap().unwrap().get(way).unwrap())
        })
        .collect()
}

/// A committee, and some of its members.
fn some_of(
    most: impl Fn(Committee) -> std::ops::RangeInclusive<u8>,
) -> impl Strategy<Value = (Committee, Vec<Member>)> {
    (1..=3u8).prop_flat_map(move |f| {
        let committee = Committee::bearing(f).unwrap();
        let range = most(committee);
        let sizes = usize::from(*range.start())..=usize::from(*range.end());
        let members: Vec<Member> = committee.members().collect();
        (Just(committee), subsequence(members, sizes).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_quorum_opens_the_value(
        (committee, members) in some_of(|committee| committee.quorum()..=committee.n()),
        secret: [u8; 32],
        value: Vec<u8>,
        way in prop::sample::select(&WAYS[..]),
    ) {
        let seal = seal(committee, &secret, &value);
        let shares = shares(&seal, committee, way, &members);
        let opened = seal.open(committee, way, &shares).unwrap();
        prop_assert_eq!(seal.open_with(&opened.key), Ok(value.clone()));
        prop_assert_eq!(opened.value, value);
    }

    #[test]
    fn fewer_do_not_open_it(
        (committee, members) in some_of(|committee| 0..=committee.quorum() - 1),
        secret: [u8; 32],
        way in prop::sample::select(&WAYS[..]),
    ) {
        let seal = seal(committee, &secret, b"value");
        let mut shares = shares(&seal, committee, way, &members);
        // A share twice does not count twice.
        shares.extend(shares.clone());
        prop_assert_eq!(seal.open(committee, way, &shares), Err(Unopened::TooFew));
    }

    /// Fewer than a quorum of shares fit every secret equally: for each one there is a polynomial.
    #[test]
    fn fewer_shares_tell_nothing_of_the_secret(
        (committee, members) in some_of(|committee| 0..=committee.quorum() - 1),
        coefficients in prop::collection::vec(any::<[u8; 32]>(), 11),
        another: [u8; 32],
    ) {
        let quorum = usize::from(committee.quorum());
        let share = |member| shamir::evaluate(&coefficients[..quorum], shamir::point(member));
        let known: Vec<(Member, Share)> = members.iter().map(|one| (*one, share(*one))).collect();
        // Lagrange over these shares and the point 0, which plays member 255: its point is 0 + 255
        // saturated, so the value at 0 is added by a polynomial that vanishes at all the others.
        let base = shamir::interpolate(&known, 0).unwrap();
        let vanishing = |at: u8| members.iter().fold(1, |product, member| {
            let zero = shamir::point(*member);
            let factor = starling_lane_primitives::gf256::mul(
                at ^ zero,
                starling_lane_primitives::gf256::inverse(zero),
            );
            starling_lane_primitives::gf256::mul(product, factor)
        });
        let other = |at: u8| {
            let mut value = shamir::interpolate(&known, at).unwrap();
            for (byte, to) in value.iter_mut().enumerate() {
                let change = base[byte] ^ another[byte];
                *to ^= starling_lane_primitives::gf256::mul(change, vanishing(at));
            }
            value
        };
        prop_assert_eq!(other(0), another);
        for (member, share) in &known {
            prop_assert_eq!(other(shamir::point(*member)), *share);
        }
    }

    #[test]
    fn shares_of_two_ways_do_not_add(
        (committee, members) in some_of(|committee| committee.n()..=committee.n()),
        secret: [u8; 32],
    ) {
        let seal = seal(committee, &secret, b"value");
        let (first, second) = members.split_at(usize::from(committee.quorum()) - 1);
        let mut mixed = shares(&seal, committee, Way::Full, first);
        mixed.extend(shares(&seal, committee, Way::View(0), second));
        prop_assert_eq!(seal.open(committee, Way::Full, &mixed), Err(Unopened::TooFew));
    }

    #[test]
    fn a_changed_share_is_left_out(
        (committee, members) in some_of(|committee| committee.quorum()..=committee.quorum()),
        secret: [u8; 32],
        which: prop::sample::Index,
        byte in 0..32usize,
        change in 1..=u8::MAX,
    ) {
        let seal = seal(committee, &secret, b"value");
        let mut shares = shares(&seal, committee, Way::Full, &members);
        which.get_mut(&mut shares).1[byte] ^= change;
        prop_assert_eq!(seal.open(committee, Way::Full, &shares), Err(Unopened::TooFew));
    }

    /// A sealer that gives a member a bad share is complained of, and the complaint holds for
    /// everybody.
    #[test]
    fn a_bad_share_is_proved(
        (committee, members) in some_of(|_| 1..=1),
        secret: [u8; 32],
        byte in 0..32usize,
        change in 1..=u8::MAX,
        way in prop::sample::select(&WAYS[..]),
    ) {
        let victim = members[0];
        let mut bad = seal(committee, &secret, b"value");
        let split = match way {
            Way::Full => &mut bad.splits.full,
            Way::View(view) => &mut bad.splits.views[usize::from(view)],
        };
        split.shares[usize::from(victim)][byte] ^= change;
        let keys = keys(committee);
        for member in committee.members() {
            let own = bad.own_shares(member, &keys[usize::from(member)]).unwrap();
            prop_assert_eq!(own.is_err(), member == victim);
            if let Err(complaint) = own {
                prop_assert!(complaint.is_justified(&bad, &keys[usize::from(member)].public()));
            }
        }
    }

    /// Leaves of shares that are on no polynomial spoil the value for every quorum alike.
    #[test]
    fn shares_of_no_polynomial_are_spoiled_for_every_quorum(
        (committee, members) in some_of(|committee| committee.quorum()..=committee.quorum()),
        secret: [u8; 32],
        victim: prop::sample::Index,
    ) {
        let victim = victim.index(usize::from(committee.n()));
        let good = seal(committee, &secret, b"value");
        // Leaf and share of one member are those of another polynomial: every share fits its leaf.
        let other = seal(committee, &[secret[0] ^ 1; 32], b"value");
        let mut bad = good.clone();
        bad.splits.full.leaves[victim] = other.splits.full.leaves[victim];
        let own = |member: Member| {
            let from = if usize::from(member) == victim { &other } else { &good };
            shares(from, committee, Way::Full, &[member])[0]
        };
        let shares: Vec<(Member, Share)> = members.iter().map(|member| own(*member)).collect();
        prop_assert_eq!(
            bad.open(committee, Way::Full, &shares),
            Err(Unopened::Spoiled(Spoiled::Leaves))
        );
    }
}

#[test]
fn a_complaint_about_a_good_share_does_not_hold() {
    let committee = Committee::bearing(1).unwrap();
    let seal = seal(committee, &[1; 32], b"value");
    let keys = keys(committee);
    let complaint = Complaint::new(&seal, 0, &keys[0]).unwrap();
    assert!(!complaint.is_justified(&seal, &keys[0].public()));
}

#[test]
fn a_complaint_with_another_secret_does_not_hold() {
    let committee = Committee::bearing(1).unwrap();
    let seal = seal(committee, &[1; 32], b"value");
    let keys = keys(committee);
    // With the shared point of another key, the share would not fit.
    let mut forged = Complaint::new(&seal, 0, &keys[0]).unwrap();
    forged.shared = Complaint::new(&seal, 1, &keys[1]).unwrap().shared;
    assert!(!forged.is_justified(&seal, &keys[0].public()));
    let stolen = Complaint::new(&seal, 0, &keys[1]).unwrap();
    assert!(!stolen.is_justified(&seal, &keys[0].public()));
}

#[test]
fn another_key_or_text_is_spoiled() {
    let committee = Committee::bearing(1).unwrap();
    let good = seal(committee, &[1; 32], b"value");
    let shares = shares(&good, committee, Way::Full, &[0, 1, 2]);

    let mut key = good.clone();
    key.commitment = [0; 32];
    let spoiled = Err(Unopened::Spoiled(Spoiled::Key));
    assert_eq!(key.open(committee, Way::Full, &shares), spoiled);

    let mut text = good.clone();
    text.ciphertext[0] ^= 1;
    let spoiled = Err(Unopened::Spoiled(Spoiled::Ciphertext));
    assert_eq!(text.open(committee, Way::Full, &shares), spoiled);
}

#[test]
fn a_seal_does_not_open_in_another_slot_or_for_another_ask_or_sealer() {
    let committee = Committee::bearing(1).unwrap();
    let good = seal(committee, &[1; 32], b"value");
    let shares = shares(&good, committee, Way::Full, &[0, 1, 2]);
    let key = good
        .open(committee, Way::Full, &shares)
        .map(|Opened { key, .. }| key);
    let mut moved = good.clone();
    moved.slot.seq += 1;
    assert_eq!(
        moved.open(committee, Way::Full, &shares),
        Err(Unopened::TooFew)
    );
    assert_eq!(moved.open_with(&key.unwrap()), Err(Spoiled::Key));
    let mut asked = good.clone();
    asked.ask = [9; 32];
    assert_eq!(
        asked.open(committee, Way::Full, &shares),
        Err(Unopened::TooFew)
    );
    assert_eq!(asked.open_with(&key.unwrap()), Err(Spoiled::Key));
    assert_ne!(asked.hash(), good.hash(), "a signature names the ask");
    let mut copied = good.clone();
    copied.sealer = [9; 32];
    assert_eq!(
        copied.open(committee, Way::Full, &shares),
        Err(Unopened::TooFew)
    );
    assert_eq!(copied.open_with(&key.unwrap()), Err(Spoiled::Key));
}

#[test]
fn the_same_secret_gives_the_same_seal() {
    let committee = Committee::bearing(1).unwrap();
    let again = seal(committee, &[1; 32], b"value");
    assert_eq!(seal(committee, &[1; 32], b"value"), again);
    assert_ne!(seal(committee, &[2; 32], b"value").hash(), again.hash());
}

#[test]
fn malformed_seals_are_refused() {
    let committee = Committee::bearing(1).unwrap();
    let good = seal(committee, &[1; 32], b"value");
    assert!(good.is_well_formed(committee, VIEWS));
    assert!(!good.is_well_formed(committee, VIEWS + 1));
    let mut short = good.clone();
    short.splits.views[0].leaves.pop();
    assert!(!short.is_well_formed(committee, VIEWS));
    let mut neutral = good.clone();
    neutral.ephemeral = [0; 32];
    assert!(!neutral.is_well_formed(committee, VIEWS));
    assert!(neutral.own_shares(0, &keys(committee)[0]).is_none());
    assert!(good.own_shares(4, &keys(committee)[0]).is_none());
}

#[test]
fn keys_that_are_no_points_seal_nothing() {
    let committee = Committee::bearing(1).unwrap();
    let mut publics = publics(committee);
    let new =
        |publics: &[Point]| Seal::new(committee, PLACE, publics, 1, &[1; 32], b"value").is_some();
    assert!(new(&publics));
    publics[3] = [0; 32];
    assert!(!new(&publics));
    assert!(!new(&publics[..3]));
}

// SPDX-License-Identifier: Apache-2.0

use codec::Encode;
use proptest::prelude::*;
use schnorrkel::{Keypair, MiniSecretKey};

use super::{pictures, placements};
use crate::{candidates, Library, LibraryError, Origin, Schema};

const GENESIS: [u8; 32] = [7; 32];

fn key(seed: u8) -> Keypair {
    let secret = MiniSecretKey::from_bytes(&[seed; 32]).unwrap();
    secret.expand_to_keypair(MiniSecretKey::ED25519_MODE)
}

fn publishers() -> [[u8; 32]; 1] {
    [key(1).public.to_bytes()]
}

proptest! {
    #[test]
    fn what_was_signed_is_read_as_it_was((picture, placement) in placements(9, 6)) {
        let library = Library::new(vec![Schema::new(&picture, &placement)]);
        let bytes = library.sign(&GENESIS, &key(1));
        prop_assert_eq!(Library::open(&bytes, &GENESIS, &publishers()), Ok(library));
    }

    #[test]
    fn forged_signatures_are_refused((picture, placement) in placements(9, 4), place in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let library = Library::new(vec![Schema::new(&picture, &placement)]);
        // By another key, for another chain, or with a bit changed.
        let foreign = library.sign(&GENESIS, &key(2));
        prop_assert_eq!(Library::open(&foreign, &GENESIS, &publishers()), Err(LibraryError::Publisher));
        let mut claimed = foreign;
        claimed[..32].copy_from_slice(&publishers()[0]);
        prop_assert_eq!(Library::open(&claimed, &GENESIS, &publishers()), Err(LibraryError::Signature));
        let bytes = library.sign(&GENESIS, &key(1));
        prop_assert_eq!(Library::open(&bytes, &[8; 32], &publishers()), Err(LibraryError::Signature));
        let mut changed = bytes;
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        prop_assert!(Library::open(&changed, &GENESIS, &publishers()).is_err());
    }

    #[test]
    fn schemas_that_do_not_follow_are_refused((picture, placement) in placements(9, 4)) {
        let good = Schema::new(&picture, &placement);
        let open = |schema: Schema| {
            let bytes = Library::new(vec![good.clone(), schema]).sign(&GENESIS, &key(1));
            Library::open(&bytes, &GENESIS, &publishers())
        };
        let better = Schema { score_ps: good.score_ps / 2, ..good.clone() };
        prop_assert_eq!(open(better), Err(LibraryError::Score(1)));
        let mut other = good.clone();
        other.fingerprint.h0[3] ^= 1;
        prop_assert_eq!(open(other), Err(LibraryError::Fingerprint(1)));
        let mut beyond = good.clone();
        beyond.nodes[0].length = beyond.nodes[0].capacity + 1;
        prop_assert_eq!(open(beyond), Err(LibraryError::Values(1)));
        let mut missing = good.clone();
        missing.rtt.push(1);
        prop_assert_eq!(open(missing), Err(LibraryError::Values(1)));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Library::open(&bytes, &GENESIS, &publishers()).is_err());
        let mut signed = publishers()[0].to_vec();
        signed.extend(bytes);
        prop_assert!(Library::open(&signed, &GENESIS, &publishers()).is_err());
    }

    #[test]
    fn schemas_of_other_models_are_no_candidates((known, placement) in placements(9, 6), picture in pictures(9, 6)) {
        let mut schema = Schema::new(&known, &placement);
        let same = known.model() == picture.model();
        let origins = |library: &Library| {
            let found = candidates(&picture, Some(library), None);
            found.iter().filter(|(origin, _)| matches!(origin, Origin::Schema(_))).count()
        };
        prop_assert_eq!(origins(&Library::new(vec![schema.clone()])), usize::from(same));
        schema.row_bytes += 1;
        prop_assert_eq!(origins(&Library::new(vec![schema])), 0);
    }

    #[test]
    fn a_swarm_finds_itself_and_its_full_placement(starts in proptest::collection::vec(0u16..9, 6), picture in pictures(9, 6)) {
        let placement = crate::Placement::full(&picture, &starts);
        let covered = placement.holders(picture.model().layers).iter().all(|&held| held > 0);
        let library = Library::new(vec![Schema::new(&picture, &placement)]);
        prop_assert_eq!(library.nearest(&picture, 5), vec![0]);
        let carried = library.transfer(0, &picture).unwrap();
        prop_assert!(carried.is_full(&picture));
        // Similar nodes may change places; the number of holders of each layer stays.
        if covered && picture.nodes().len() == 1 {
            prop_assert_eq!(carried, placement);
        }
    }
}

#[test]
fn another_version_and_too_many_schemas_are_told() {
    let mut library = Library::new(vec![]);
    library.version = 2;
    let bytes = library.sign(&GENESIS, &key(1));
    assert_eq!(
        Library::open(&bytes, &GENESIS, &publishers()),
        Err(LibraryError::Version(2))
    );
    let long = vec![0; crate::library::MAX_BYTES + 1];
    assert_eq!(
        Library::open(&long, &GENESIS, &publishers()),
        Err(LibraryError::TooLong(long.len()))
    );
    assert!(library.encode().len() < 10);
}

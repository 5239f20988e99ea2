// SPDX-License-Identifier: Apache-2.0

//! Scores as the bytes that a member seals. Responses are `starling_primitives::lane_value`.

use codec::{DecodeAll, Encode};
use starling_primitives::Score;

/// The bytes of scores, in the order of the positions that were assigned.
pub fn scores(scores: &[Score]) -> Vec<u8> {
    scores.encode()
}

/// The scores in these bytes, if they are as many as were assigned.
pub fn read_scores(bytes: &[u8], assigned: usize) -> Option<Vec<Score>> {
    let scores = Vec::<Score>::decode_all(&mut &*bytes).ok()?;
    (scores.len() == assigned).then_some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_as_many_as_were_assigned() {
        let given = [Score(1), Score(7)];
        assert_eq!(read_scores(&scores(&given), 2), Some(given.to_vec()));
        assert_eq!(read_scores(&scores(&given), 3), None);
        assert_eq!(read_scores(b"", 0), None);
    }
}

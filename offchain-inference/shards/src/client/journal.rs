// SPDX-License-Identifier: Apache-2.0
//! The rows that passed a border between two spans. They bring a replacement server to the same
//! state.

use std::{ops::Range, sync::Arc};

/// Rows from position 0 on. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pieces: Vec<Piece>,
    len: usize,
}

/// The first rows of one batch that arrived together.
#[derive(Clone, Debug)]
struct Piece {
    data: Arc<[f32]>,
    rows: usize,
}

impl Journal {
    /// Number of positions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends row-major rows of `width`, all complete.
    pub fn push(&mut self, data: &[f32], width: usize) {
        let rows = data.len() / width.max(1);
        if rows > 0 {
            let data = data.into();
            self.pieces.push(Piece { data, rows });
            self.len += rows;
        }
    }

    /// Forgets all but the first `len` positions.
    pub fn truncate(&mut self, len: usize) {
        while self.len > len {
            let excess = self.len - len;
            let Some(last) = self.pieces.last_mut() else {
                return;
            };
            if last.rows <= excess {
                self.len -= last.rows;
                self.pieces.pop();
            } else {
                last.rows -= excess;
                self.len = len;
            }
        }
    }

    /// Appends the rows of `positions` that exist to `out`.
    pub fn read(&self, positions: Range<usize>, width: usize, out: &mut Vec<f32>) {
        // Most reads are near the end.
        let mut end = self.len;
        let mut wanted = vec![];
        for piece in self.pieces.iter().rev() {
            let start = end - piece.rows;
            if start < positions.end && end > positions.start {
                let rows = positions.start.max(start)..positions.end.min(end);
                wanted.push((piece, rows.start - start..rows.end - start));
            }
            if start <= positions.start {
                break;
            }
            end = start;
        }
        for (piece, rows) in wanted.into_iter().rev() {
            let floats = rows.start * width..rows.end * width;
            out.extend_from_slice(piece.data.get(floats).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 3;

    #[derive(Clone, Debug)]
    enum Change {
        Push(usize),
        Truncate(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0usize..9).prop_map(Change::Push),
            (0usize..20).prop_map(Change::Truncate)
        ]
    }

    proptest! {
        #[test]
        fn a_journal_is_a_list_of_rows(
            changes in proptest::collection::vec(change(), 0..20),
            (start, rows) in (0usize..40, 0usize..40),
        ) {
            let (mut journal, mut list, mut next) = (Journal::default(), Vec::new(), 0.0f32);
            for change in changes {
                match change {
                    Change::Push(rows) => {
                        let new: Vec<f32> = (0..rows * WIDTH).map(|i| next + i as f32).collect();
                        next += 1000.0;
                        journal.push(&new, WIDTH);
                        list.extend(new);
                    }
                    Change::Truncate(len) => {
                        journal.truncate(len);
                        list.truncate(len * WIDTH);
                    }
                }
                prop_assert_eq!(journal.len(), list.len() / WIDTH);
            }
            let mut read = vec![];
            journal.read(start..start + rows, WIDTH, &mut read);
            let end = ((start + rows) * WIDTH).min(list.len());
            let expected = list.get(start * WIDTH..end).unwrap_or_default();
            prop_assert_eq!(read, expected);
        }
    }
}
